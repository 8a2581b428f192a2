// Measurements as JSON, and against those of a committed file.
#pragma once

#include <string>
#include <vector>

#include <gradus/algorithms/experiments/program/json.h>
#include <gradus/benchmarks/kernels/measure.h>

namespace gradus::costs {

/// Everything that was measured, for scripts.
experiments::Json to_json(const std::vector<EntryCost>& costs);

/// The baseline with the figures of `costs` in place of what it said of these entries; entries that exist no more are dropped.
experiments::Json updated(const experiments::Json& baseline, const std::vector<EntryCost>& costs);
/// Where a figure is more than 2 % above the baseline's, a sentence each. An entry that the baseline lacks is one too; a kernel that it
/// lacks (renamed, new) is judged by its entry's sum.
std::vector<std::string> worse_than(const experiments::Json& baseline, const std::vector<EntryCost>& costs);

}  // namespace gradus::costs
