// Results as text for a terminal.
#pragma once

#include <string>

#include <gradus/algorithms/experiments/program/record.h>

namespace gradus::experiments {

/// The figures beside the baselines, the checks and the findings of a run. `title` is its first line.
std::string result_text(const Record& record, const std::string& title);

}  // namespace gradus::experiments
