// A config as a list of fields: for result.json and for `gradus show`.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <gradus/algorithms/experiments/program/record.h>
#include <gradus/nn/config.h>

namespace gradus::experiments {

/// The fields that `visit` shows, in its order. A choice is recorded by its name.
std::vector<ConfigField> fields_of(const std::function<void(FieldVisitor&)>& visit);
/// The same after "field=value" assignments. Throws ValueError as set_field().
std::vector<ConfigField> fields_of(const std::function<void(FieldVisitor&)>& visit, const std::vector<std::string>& assignments);
/// "0.2", "true", "cosine"
std::string to_text(const ConfigValue& value);

}  // namespace gradus::experiments
