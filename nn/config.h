// A config struct lists its fields once, in visit(FieldVisitor&). From that one list follow reading "name=value" from a command line,
// printing, and writing to a file: whoever wants one of them implements FieldVisitor.
//
//     struct SimclrConfig {
//       double temperature = 0.2;
//       int projection_dim = 64;
//       void visit(FieldVisitor& v) {
//         v.field("temperature", temperature, "divides the similarities", "0.1");
//         v.field("projection_dim", projection_dim, "width of z", "128");
//       }
//     };
//     SimclrConfig config;
//     set_field(config, "temperature=0.5");
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <vector>

#include <gradus/kernels/error.h>

namespace gradus::inline v0 {

/// Sees every field of a config: its name, its value, what it means (one phrase, with units) and what the paper uses ("" if it is silent).
/// A visitor may read or change the value.
class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;
  virtual void field(const char* name, double& value, const char* meaning, const char* paper = "") = 0;
  virtual void field(const char* name, std::int64_t& value, const char* meaning, const char* paper = "") = 0;
  virtual void field(const char* name, bool& value, const char* meaning, const char* paper = "") = 0;
  virtual void field(const char* name, std::string& value, const char* meaning, const char* paper = "") = 0;
  /// One of several named settings; `index` counts the names from 0.
  virtual void choice(const char* name, int& index, std::initializer_list<const char*> names, const char* meaning,
                      const char* paper = "") = 0;

  void field(const char* name, int& value, const char* meaning, const char* paper = "");
  /// An enumeration whose values are 0, 1, 2, ... in the order of `names`.
  template <class Enum>
  requires std::is_enum_v<Enum>
  void choice(const char* name, Enum& value, std::initializer_list<const char*> names, const char* meaning, const char* paper = "") {
    int index = static_cast<int>(value);
    choice(name, index, names, meaning, paper);
    value = static_cast<Enum>(index);
  }
};

/// Sets the one field that "name=value" names. Text is read without regard to the locale.
class FieldSetter final : public FieldVisitor {
 public:
  /// Throws ValueError when `assignment` has no '=' or no name.
  explicit FieldSetter(const std::string& assignment);
  void field(const char* name, double& value, const char* meaning, const char* paper) override;
  void field(const char* name, std::int64_t& value, const char* meaning, const char* paper) override;
  void field(const char* name, bool& value, const char* meaning, const char* paper) override;
  void field(const char* name, std::string& value, const char* meaning, const char* paper) override;
  void choice(const char* name, int& index, std::initializer_list<const char*> names, const char* meaning, const char* paper) override;
  using FieldVisitor::choice;
  using FieldVisitor::field;
  /// Call after the visit: throws ValueError if no field had the name, listing those there are, the nearest first.
  void require_found() const;

 private:
  bool is_asked_for(const char* name);
  template <class Number> void set_number(Number& value, const char* kind);

  std::string name_, text_;
  std::vector<std::string> seen_;
  bool found_ = false;
};

/// Sets one field of `config` from "name=value". Throws ValueError for an unknown name (the legal ones are listed, the nearest first) and
/// for a value that the field cannot hold; the config is then unchanged.
template <class Config> void set_field(Config& config, const std::string& assignment) {
  FieldSetter setter(assignment);
  config.visit(setter);
  setter.require_found();
}

/// `names`, the most similar to `name` first (edit distance; equal ones keep their order).
std::vector<std::string> nearest_first(const std::string& name, std::vector<std::string> names);

}  // namespace gradus::inline v0
