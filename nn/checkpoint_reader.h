// How the parts of a checkpoint look things up in a file, and how a config's fields are written and read. Private to nn/serialize.cpp.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <gradus/nn/config.h>
#include <gradus/nn/safetensors.h>

namespace gradus::inline v0::detail {

/// The shortest text that reads back to the same bits, whatever the locale.
template <class Number> std::string text_of(Number value) {
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr};
}

/// A file's entries by name, each of which a part may claim.
class CheckpointReader {
 public:
  CheckpointReader(const TensorFile& file, const std::string& origin)
      : file_(file), origin_(origin), tensors_(index_of(file.tensors)), metadata_(index_of(file.metadata)) {}

  [[noreturn]] void fail(const std::string& what) const { raise_io("[load] '" + origin_ + "': " + what + "; nothing was changed"); }

  /// The tensor of that name, or null; it counts as claimed.
  const Tensor* find_tensor(const std::string& name) {
    const std::size_t i = claim(tensors_, name);
    return i == kAbsent ? nullptr : &file_.tensors[i].second;
  }
  const Tensor& tensor(const std::string& name) {
    const Tensor* t = find_tensor(name);
    if (!t) fail("tensor '" + name + "' is missing");
    return *t;
  }
  /// The tensor if it has this type and shape.
  const Tensor& tensor_like(const std::string& name, DType dtype, const Shape& shape) {
    const Tensor& t = tensor(name);
    if (t.dtype() != dtype || !(t.shape() == shape))
      fail("tensor '" + name + "' is " + name_of(t.dtype()) + to_string(t.shape()) + "; expected " + name_of(dtype) + to_string(shape));
    return t;
  }
  const std::string& text(const std::string& name) {
    const std::size_t i = claim(metadata_, name);
    if (i == kAbsent) fail("metadata '" + name + "' is missing");
    return file_.metadata[i].second;
  }
  template <class Number> Number number(const std::string& name) {
    Number value{};
    if (!read_number(text(name), value)) fail("metadata '" + name + "' is '" + text(name) + "'; expected a number");
    return value;
  }
  template <class Number> static bool read_number(const std::string& text, Number& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
  }

  void require_all_tensors_claimed() const { require_all_claimed(tensors_, "tensor"); }
  void require_all_metadata_claimed() const { require_all_claimed(metadata_, "metadata"); }

 private:
  static constexpr std::size_t kAbsent = static_cast<std::size_t>(-1);
  struct Name {
    std::string_view text;
    std::size_t index;
    bool claimed;
  };
  using Index = std::vector<Name>;  // sorted

  template <class Pairs> static Index index_of(const Pairs& pairs) {
    Index index;
    for (const auto& pair : pairs) index.push_back({pair.first, index.size(), false});
    std::sort(index.begin(), index.end(), [](const Name& a, const Name& b) { return a.text < b.text; });
    return index;
  }
  static std::size_t claim(Index& index, std::string_view name) {
    const auto at = std::lower_bound(index.begin(), index.end(), name, [](const Name& a, std::string_view b) { return a.text < b; });
    if (at == index.end() || at->text != name) return kAbsent;
    at->claimed = true;
    return at->index;
  }
  void require_all_claimed(const Index& index, const char* what) const {
    for (const Name& name : index)
      if (!name.claimed) fail(std::string(what) + " '" + std::string(name.text) + "' belongs to nothing here");
  }

  const TensorFile& file_;
  const std::string& origin_;
  Index tensors_, metadata_;
};

/// Writes the fields of a config into metadata.
class FieldWriter final : public FieldVisitor {
 public:
  FieldWriter(TensorFile& file, std::string prefix) : file_(file), prefix_(std::move(prefix)) {}
  using FieldVisitor::field;
  void field(const char* name, double& value, const char*, const char*) override { put(name, text_of(value)); }
  void field(const char* name, std::int64_t& value, const char*, const char*) override { put(name, text_of(value)); }
  void field(const char* name, bool& value, const char*, const char*) override { put(name, value ? "true" : "false"); }
  void field(const char* name, std::string& value, const char*, const char*) override { put(name, value); }
  void choice(const char* name, int& index, std::initializer_list<const char*> names, const char*, const char*) override {
    put(name, names.begin()[index]);
  }

 private:
  void put(const char* name, std::string text) { file_.metadata.emplace_back(prefix_ + name, std::move(text)); }
  TensorFile& file_;
  std::string prefix_;
};

/// Reads them back.
class FieldReader final : public FieldVisitor {
 public:
  FieldReader(CheckpointReader& file, std::string prefix) : file_(file), prefix_(std::move(prefix)) {}
  using FieldVisitor::field;
  void field(const char* name, double& value, const char*, const char*) override { value = file_.number<double>(prefix_ + name); }
  void field(const char* name, std::int64_t& value, const char*, const char*) override {
    value = file_.number<std::int64_t>(prefix_ + name);
  }
  void field(const char* name, bool& value, const char*, const char*) override {
    const std::string& text = file_.text(prefix_ + name);
    if (text != "true" && text != "false") file_.fail("metadata '" + prefix_ + name + "' is '" + text + "'; expected true or false");
    value = text == "true";
  }
  void field(const char* name, std::string& value, const char*, const char*) override { value = file_.text(prefix_ + name); }
  void choice(const char* name, int& index, std::initializer_list<const char*> names, const char*, const char*) override {
    const std::string& text = file_.text(prefix_ + name);
    const auto found = std::find(names.begin(), names.end(), text);
    if (found == names.end()) file_.fail("metadata '" + prefix_ + name + "' is '" + text + "', which is no choice");
    index = static_cast<int>(found - names.begin());
  }

 private:
  CheckpointReader& file_;
  std::string prefix_;
};

}  // namespace gradus::inline v0::detail
