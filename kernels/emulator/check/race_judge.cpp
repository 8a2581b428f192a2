#include <gradus/kernels/emulator/check/race_judge.h>

#include <cstring>
#include <utility>

namespace gradus::emulator {

Order RaceJudge::order_of(std::uint32_t interval) {
  if (interval == mine_) return Order::same_epoch;
  if (interval == memo_) return memo_order_;
  memo_ = interval;
  memo_order_ = find_order(interval, false);
  return memo_order_;
}

Order RaceJudge::find_order(std::uint32_t interval, bool directly) const {
  const Interval& other = launch_state().interval(interval);
  if (other.block != warp_.block->linear) return acquired_covers(warp_, interval, directly) ? Order::before : Order::grid;
  if (other.warp == warp_.index) return other.epoch == warp_.epoch ? Order::same_epoch : Order::before;
  return warp_.clock[other.warp] >= other.clock ? Order::before : Order::block;
}

/// Within one warp and epoch: is it certain that another lane made the earlier touch?
bool RaceJudge::lane_differs(Touch earlier, TouchedWord w) const {
  const auto lane = static_cast<std::uint32_t>(w.lane);
  switch (earlier.share()) {
    case Touch::one_lane: return earlier.lane() != lane;
    case Touch::several_lanes: return true;
    default: break;
  }
  const int width = earlier.share() == Touch::bytes_of_lanes ? 1 : 2, start = __builtin_ctz(earlier.mask());
  for (std::uint32_t both = earlier.mask() & w.mask; both != 0; both &= both - 1) {
    const int byte = __builtin_ctz(both);
    if (earlier.lane() + static_cast<std::uint32_t>((byte - start) / width) != lane) return true;
  }
  return false;
}

bool RaceJudge::conflicts(Touch earlier, TouchedWord w, bool both_write) {
  if (earlier.interval() < first_ || (earlier.mask() & w.mask) == 0) return false;
  const bool both_strong = earlier.strength() != Strength::plain && access_.strength != Strength::plain;
  const bool an_atomic = earlier.strength() == Strength::atomic || access_.strength == Strength::atomic;
  if (both_strong && an_atomic) return false;
  // A look at a global word that others change by atomics (check, then compare and swap): the atomic decides, whatever the look saw.
  if (space_ == ptx::Space::global && an_atomic && !both_write) return false;
  switch (order_of(earlier.interval())) {
    case Order::before: return false;
    case Order::same_epoch:
      if (!lane_differs(earlier, w)) return false;
      break;
    case Order::block:
    case Order::grid:
      if (both_strong) return false;
      break;
  }
  return !(both_write && stores_what_is_there(w));
}

/// Stores of the value that is there already (flags that everybody sets) harm nobody.
bool RaceJudge::stores_what_is_there(TouchedWord w) const {
  if (access_.role != Role::store || access_.asynchronous) return false;
  std::byte value[64];
  value_of_lane(warp_, access_, w.lane, value);
  return std::memcmp(value, lanes_.host(w.lane), access_.bytes) == 0;
}

/// In place, CUB's decoupled look-back stores where an earlier tile has loaded. The tile's status is a relaxed word without a fence; its
/// value is made of what was loaded, so that it cannot be seen before the loads are over.
bool RaceJudge::follows_tile_status(Touch earlier) const {
  const LaunchState& launch = launch_state();
  return launch.kernel.find("TileState") != std::string::npos && is_of_primitives(*launch.module, d_.location) &&
         is_of_primitives(*launch.module, earlier.location());
}

/// The finding stands at the party further down in the source, whichever came first in this run: the same line for every seed.
void RaceJudge::tell(Touch earlier, TouchedWord w, Order order, bool earlier_wrote) {
  const Kind kind = order == Order::same_epoch ? Kind::missing_syncwarp
                    : order == Order::block    ? Kind::race_in_block
                                               : Kind::race_between_blocks;
  LaunchState& launch = launch_state();
  if (order == Order::grid && !earlier_wrote && follows_tile_status(earlier)) return;
  const SourcePlace here = place_of_location(*launch.module, d_.location), there = place_of_location(*launch.module, earlier.location());
  launch.raced.insert(std::uint64_t{here.file} << 32 | here.line);
  launch.raced.insert(std::uint64_t{there.file} << 32 | there.line);
  if (kind == Kind::race_in_block) {
    launch.raced_in_block.insert(std::uint64_t{here.file} << 32 | here.line);
    launch.raced_in_block.insert(std::uint64_t{there.file} << 32 | there.line);
  }
  if (!worth_telling(kind, d_, earlier.location())) return;
  const std::string other = name_of_other(earlier, w, order);
  const bool earlier_stands = here.file == there.file && there.line > here.line;
  std::string text = access_text(warp_, access_, w.lane, space_, lanes_.at[w.lane]);
  const std::string place =
      space_ == ptx::Space::shared ? "shared +" + std::to_string(lanes_.at[w.lane]) : DeviceMemory::instance().describe(lanes_.at[w.lane]);
  if (earlier_stands) {
    const std::string what = earlier.strength() == Strength::atomic ? "atomic on " : earlier_wrote ? "store to " : "load from ";
    text = what + place + " by " + other + ", and a " + text + " at " + line_text(*launch.module, d_.location);
  } else {
    if (space_ == ptx::Space::global) text += " (" + place + ")";
    text += (earlier_wrote ? ": written by " : ": read by ") + other + " at " + line_text(*launch.module, earlier.location());
  }
  if (kind == Kind::missing_syncwarp) text += " without __syncwarp between";
  else if (kind == Kind::race_in_block) text += " without a barrier between";
  else text += " in the same launch, not ordered by a fence and an atomic";
  Finding finding = finding_at(kind, earlier_stands ? earlier.location() : d_.location, text);
  if (kind == Kind::missing_syncwarp) launch.unsynced.push_back(std::move(finding));
  else Report::instance().add(std::move(finding));
}

std::string RaceJudge::name_of_other(Touch earlier, TouchedWord w, Order order) const {
  const Interval other = launch_state().interval(earlier.interval());
  std::uint32_t lane = earlier.lane();
  // One of several readers: name one that is not this lane.
  if (earlier.share() == Touch::several_lanes && order == Order::same_epoch && static_cast<int>(lane) == w.lane)
    lane = lane == 0 ? 1 : lane - 1;
  return thread_name_of(warp_, other.block, other.warp, lane);
}

}  // namespace gradus::emulator
