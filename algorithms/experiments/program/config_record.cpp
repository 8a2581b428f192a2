#include <gradus/algorithms/experiments/program/config_record.h>

#include <gradus/algorithms/experiments/program/format.h>

namespace gradus::experiments {
namespace {

class Recorder final : public FieldVisitor {
 public:
  void field(const char* name, double& value, const char* meaning, const char* paper) override { add(name, value, meaning, paper); }
  void field(const char* name, std::int64_t& value, const char* meaning, const char* paper) override { add(name, value, meaning, paper); }
  void field(const char* name, bool& value, const char* meaning, const char* paper) override { add(name, value, meaning, paper); }
  void field(const char* name, std::string& value, const char* meaning, const char* paper) override { add(name, value, meaning, paper); }
  void choice(const char* name, int& index, std::initializer_list<const char*> names, const char* meaning, const char* paper) override {
    add(name, std::string(names.begin()[index]), meaning, paper);
    fields.back().choices.assign(names.begin(), names.end());
  }
  std::vector<ConfigField> fields;

 private:
  void add(const char* name, ConfigValue value, const char* meaning, const char* paper) {
    fields.push_back({name, std::move(value), meaning, paper});
  }
};

// Every field goes through the setters, then to the recorder: what the config would hold after the assignments.
class SettingRecorder final : public FieldVisitor {
 public:
  explicit SettingRecorder(const std::vector<std::string>& assignments) : setters(assignments.begin(), assignments.end()) {}
  void field(const char* name, double& value, const char* meaning, const char* paper) override { pass(name, value, meaning, paper); }
  void field(const char* name, std::int64_t& value, const char* meaning, const char* paper) override { pass(name, value, meaning, paper); }
  void field(const char* name, bool& value, const char* meaning, const char* paper) override { pass(name, value, meaning, paper); }
  void field(const char* name, std::string& value, const char* meaning, const char* paper) override { pass(name, value, meaning, paper); }
  void choice(const char* name, int& index, std::initializer_list<const char*> names, const char* meaning, const char* paper) override {
    for (FieldSetter& setter : setters) setter.choice(name, index, names, meaning, paper);
    recorder.choice(name, index, names, meaning, paper);
  }
  std::vector<FieldSetter> setters;
  Recorder recorder;

 private:
  template <class T> void pass(const char* name, T& value, const char* meaning, const char* paper) {
    for (FieldSetter& setter : setters) setter.field(name, value, meaning, paper);
    recorder.field(name, value, meaning, paper);
  }
};

struct TextOf {
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::int64_t value) const { return std::to_string(value); }
  std::string operator()(double value) const { return shortest(value); }
  std::string operator()(const std::string& value) const { return value; }
};

}  // namespace

std::vector<ConfigField> fields_of(const std::function<void(FieldVisitor&)>& visit) {
  Recorder recorder;
  visit(recorder);
  return recorder.fields;
}

std::vector<ConfigField> fields_of(const std::function<void(FieldVisitor&)>& visit, const std::vector<std::string>& assignments) {
  SettingRecorder both(assignments);
  visit(both);
  for (const FieldSetter& setter : both.setters) setter.require_found();
  return both.recorder.fields;
}

std::string to_text(const ConfigValue& value) { return std::visit(TextOf(), value); }

}  // namespace gradus::experiments
