// What happens beside a memory access: counters and checks, as far as they are switched on.
#include <gradus/kernels/emulator/exec/access.h>

#include <cstring>

namespace gradus::emulator {
namespace {

using RaceCheck = void (*)(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space);

/// The check for this processor.
RaceCheck race_check() {
#ifdef GRADUS_EMULATOR_HAS_WIDE
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return check_races_wide;
#endif
  return check_races;
}

constexpr std::uint64_t kNearby = 4096;  // bytes; closer lanes share most of their cache lines

/// Bytes and records of lanes that lie far apart are asked for all at once, instead of one cache miss after another.
void fetch_ahead(const Lanes& lanes) {
  if (lanes.contiguous || lanes.high - lanes.low < kNearby || !Heap::instance().holds(lanes.low) || !Heap::instance().holds(lanes.high))
    return;
  const WordTable& table = global_words();
  for (Mask left = lanes.active; left != 0; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    __builtin_prefetch(&table.words[(lanes.at[lane] - table.base) >> 2]);
    __builtin_prefetch(lanes.host(lane));
  }
}

}  // namespace

void observe(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space) {
  LaunchState& launch = launch_state();
  const Access& access = access_of(d);
  const bool global = space == ptx::Space::global && !access.constant;
  if (global && launch.check_all) fetch_ahead(lanes);
  if (launch.count) {
    if (global) count_global(launch.counters, access, lanes);
    else if (space == ptx::Space::shared) count_shared(launch.counters, access, lanes);
    else if (space == ptx::Space::local) ++launch.counters.local_requests;
  }
  if (global && track_touched) touch_ranges(access, lanes);
  if (global && watched_bytes != nullptr) meet_watched(access, lanes);
  if (!launch.check_all || space == ptx::Space::param || access.constant) return;
  if (access.role != Role::store && !access.asynchronous && !access.unread) check_defined(warp, d, lanes, space);
  if (access.role != Role::load) define_lanes(warp, d, lanes, space);
  if (space == ptx::Space::local) return;
  // What an access acquires is before it, what it releases is before what follows.
  synchronise(warp, d, lanes, space);
  static const RaceCheck check = race_check();
  check(warp, d, lanes, space);
}

void observe_after_store(Warp& warp, const Decoded& d, const Lanes& lanes) {
  if (!launch_state().check_all || access_of(d).constant) return;
  const Access& access = access_of(d);
  std::byte value[64];
  for (Mask left = lanes.active; left != 0; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    value_of_lane(warp, access, lane, value);
    if (std::memcmp(value, lanes.host(lane), access.bytes) == 0) continue;
    if (!worth_telling(Kind::race_in_block, d)) return;
    const bool shared = lanes.delta == reinterpret_cast<std::uint64_t>(warp.block->shared.data());
    report(Kind::race_in_block, warp, d, lane,
           access_text(warp, access, lane, shared ? ptx::Space::shared : ptx::Space::global, lanes.at[lane]) +
               ": another lane of the same instruction writes a different value there");
    return;
  }
}

}  // namespace gradus::emulator
