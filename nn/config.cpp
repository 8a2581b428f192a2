#include <gradus/nn/config.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <limits>
#include <numeric>

namespace gradus::inline v0 {
namespace {

// Levenshtein's distance: insertions, deletions and replacements that turn a into b.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

template <class Names> std::string joined(const Names& names) {
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

[[noreturn]] void raise_unreadable(const std::string& name, const std::string& text, const std::string& kind) {
  raise_value("[config] " + name + " takes " + kind + "; got '" + text + "'");
}

}  // namespace

void FieldVisitor::field(const char* name, int& value, const char* meaning, const char* paper) {
  std::int64_t wide = value;
  field(name, wide, meaning, paper);
  if (wide < std::numeric_limits<int>::min() || wide > std::numeric_limits<int>::max())
    raise_unreadable(name, std::to_string(wide), "a whole number of 32 bits");
  value = static_cast<int>(wide);
}

FieldSetter::FieldSetter(const std::string& assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) raise_value("[config] '" + assignment + "' is not of the form field=value");
  name_ = assignment.substr(0, equals);
  text_ = assignment.substr(equals + 1);
}

bool FieldSetter::is_asked_for(const char* name) {
  seen_.emplace_back(name);
  if (name_ != name) return false;
  return found_ = true;
}

template <class Number> void FieldSetter::set_number(Number& value, const char* kind) {
  Number read{};
  const char* end = text_.data() + text_.size();
  const auto result = std::from_chars(text_.data(), end, read);
  const bool is_nan = read != read;  // from_chars reads "nan", which no field means
  if (result.ec != std::errc() || result.ptr != end || is_nan) raise_unreadable(name_, text_, kind);
  value = read;
}

void FieldSetter::field(const char* name, double& value, const char*, const char*) {
  if (is_asked_for(name)) set_number(value, "a number");
}

void FieldSetter::field(const char* name, std::int64_t& value, const char*, const char*) {
  if (is_asked_for(name)) set_number(value, "a whole number");
}

void FieldSetter::field(const char* name, bool& value, const char*, const char*) {
  if (!is_asked_for(name)) return;
  const bool yes = text_ == "true" || text_ == "1", no = text_ == "false" || text_ == "0";
  if (!yes && !no) raise_unreadable(name_, text_, "true or false");
  value = yes;
}

void FieldSetter::field(const char* name, std::string& value, const char*, const char*) {
  if (is_asked_for(name)) value = text_;
}

void FieldSetter::choice(const char* name, int& index, std::initializer_list<const char*> names, const char*, const char*) {
  if (!is_asked_for(name)) return;
  const auto* found = std::find_if(names.begin(), names.end(), [this](const char* legal) { return text_ == legal; });
  if (found == names.end()) raise_unreadable(name_, text_, "one of " + joined(nearest_first(text_, {names.begin(), names.end()})));
  index = static_cast<int>(found - names.begin());
}

void FieldSetter::require_found() const {
  if (found_) return;
  if (seen_.empty()) raise_value("[config] there is no field '" + name_ + "': this config has no fields");
  raise_value("[config] there is no field '" + name_ + "'; there are " + joined(nearest_first(name_, seen_)));
}

std::vector<std::string> nearest_first(const std::string& name, std::vector<std::string> names) {
  std::stable_sort(names.begin(), names.end(),
                   [&](const std::string& a, const std::string& b) { return edit_distance(name, a) < edit_distance(name, b); });
  return names;
}

}  // namespace gradus::inline v0
