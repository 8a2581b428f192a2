// JSON as the program writes it: nlohmann's, with fields in the order in which they are given.
#pragma once

#include <nlohmann/json.hpp>

#include <gradus/algorithms/experiments/program/record.h>

namespace gradus::experiments {

using Json = nlohmann::ordered_json;

Json as_json(double value);  // null for what JSON cannot say
Json as_json(const Values& values);
Json as_json(const std::vector<ConfigField>& config);
Json as_json(const Record& record);

Values values_from(const Json& json);
Record record_from(const Json& json);

}  // namespace gradus::experiments
