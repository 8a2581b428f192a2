// What a checkpoint holds beside the experiment's own state: which run it belongs to, how far its loops are, what it has recorded.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <gradus/algorithms/experiments/program/record.h>

namespace gradus::experiments {

/// A loop over steps that has begun: `done` of `total`. It can be finished before its last step.
struct LoopState {
  std::string name;
  std::int64_t done = 0, total = 0;
  bool finished = false;
};

struct RunState {
  Record record;
  std::vector<LoopState> loops;
  std::size_t log_rows = 0;
  std::vector<std::string> log_columns;
};

std::string to_json(const RunState& state);
/// Throws IoError naming `path`.
RunState run_state_from_json(const std::string& text, const std::string& path);

/// Throws IoError naming the first thing in which the two runs differ: experiment, seed, size or a config field.
void require_same_run(const Record& saved, const Record& now, const std::string& path);

}  // namespace gradus::experiments
