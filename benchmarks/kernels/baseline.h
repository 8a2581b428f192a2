// Measurements as JSON, and against those of a committed file.
#pragma once

#include <string>
#include <vector>

#include <gradus/algorithms/experiments/program/json.h>
#include <gradus/benchmarks/kernels/measure.h>

namespace gradus::costs {

/// Everything that was measured, for scripts.
experiments::Json to_json(const std::vector<EntryCost>& costs);

/// The baseline with the figures of `costs` in place of what it said of these entries. Entries that exist no more are dropped, and those
/// that another nvcc compiled.
experiments::Json updated(const experiments::Json& baseline, const std::vector<EntryCost>& costs);
/// Where a figure is more than 2 % above the baseline's, a sentence each. An entry or a figure that one of both lacks is one too; a kernel
/// that the baseline lacks (renamed, new) is judged by its entry's sum.
std::vector<std::string> worse_than(const experiments::Json& baseline, const std::vector<EntryCost>& costs);
/// What worse_than() does not compare, since another nvcc made the baseline: a line, or nothing.
std::string left_out(const experiments::Json& baseline);

}  // namespace gradus::costs
