// The tape of one training step, read from its listing: as rows, as JSON and as a picture.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace gradus::inline v0 {
class Tape;
}

namespace gradus::experiments {

/// One line of Tape::table().
struct TapeRow {
  std::string result, op;
  std::vector<std::string> inputs;
  std::string type;  // "f32[2, 3]"
  std::int64_t saved_bytes = 0;
  double norm = 0, microseconds = 0;  // of a traced tape
  std::string path;
  bool watched = false;
};

std::vector<TapeRow> rows_of(const Tape& tape);
/// {"entries": [{"result", "op", "inputs", "type", "saved_bytes", "norm", "microseconds", "path"}]}
std::string tape_json(const Tape& tape);

/// Draws the tape from top to bottom, one row an entry: on the left the values as lines from the entry that makes them to their last
/// use, on the right op, type, and the saved bytes as a bar. Watched tensors are named at the entries that read them.
std::string tape_svg(const std::vector<TapeRow>& rows, const std::string& title);

}  // namespace gradus::experiments
