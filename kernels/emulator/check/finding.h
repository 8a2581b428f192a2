// What the checks found: one line each, and the exit code that says so.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace gradus::emulator {

enum class Kind : std::uint8_t {
  out_of_bounds,
  misaligned,
  freed,
  uninitialised,
  race_in_block,
  race_between_blocks,
  divergent_barrier,
  missing_syncwarp,
  shuffle_mask,
  launch_limit,
  stream_order,
  host_access,
  livelock
};
/// "out-of-bounds", as the report prints it.
const char* name_of(Kind kind);

struct Finding {
  Kind kind = Kind::out_of_bounds;
  std::string file;  // source file as nvcc was given it; "" if unknown
  std::uint32_t line = 0;
  std::string text;  // what happened: access, address, allocation, block, thread, and the other party with its line
  std::string kernel;
};
/// "softmax.cu:41: race-in-block: store of 4 bytes to shared +128 by block (0,0,0) thread (33,0,0): read by thread (1,0,0) at softmax.cu:39
/// without a barrier between"
std::string to_string(const Finding& finding);

/// Which checks run. `fast`: bounds, alignment, freed, limits, barriers, livelock. `all`: every one.
enum class Checks : std::uint8_t { none, fast, all };

/// All findings of the process so far, in order; the same kind at the same line of the same kernel is kept once (with a count).
/// Printed on stderr at once unless a sink takes them (tests do).
class Report {
 public:
  static Report& instance();
  void add(Finding finding);
  /// What is no finding, but worth knowing: printed once with "note: " before its kind, unless a sink takes the findings.
  void note(const Finding& finding);
  const std::vector<Finding>& findings() const { return findings_; }
  void clear();
  /// A test's sink: called instead of printing. Empty: print.
  void set_sink(std::function<void(const Finding&)> sink);

 private:
  std::vector<Finding> findings_;
  std::vector<std::uint64_t> counts_;
  std::set<std::string> notes_;
  std::function<void(const Finding&)> sink_;
};

/// Headers of the toolkit (its intrinsics, cooperative groups, CUB) are nobody's own code: the caller's line says more.
bool is_toolkit_file(const std::string& file);

/// The exit code of a program with a finding.
inline constexpr int kFindingExitCode = 86;

}  // namespace gradus::emulator
