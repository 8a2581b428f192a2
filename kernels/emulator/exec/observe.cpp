// What happens beside a memory access: counters and checks, as far as they are switched on.
#include <gradus/kernels/emulator/exec/access.h>

#include <cstring>

namespace gradus::emulator {

void observe(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space) {
  LaunchState& launch = launch_state();
  const Access& access = access_of(d);
  const bool global = space == ptx::Space::global && !access.constant;
  if (launch.count) {
    if (global) count_global(launch.counters, access, lanes);
    else if (space == ptx::Space::shared) count_shared(launch.counters, access, lanes);
    else if (space == ptx::Space::local) ++launch.counters.local_requests;
  }
  if (global && track_touched) touch_ranges(access, lanes);
  if (!launch.check_all || space == ptx::Space::param || access.constant) return;
  if (access.role != Role::store && !access.asynchronous && !access.unread) check_defined(warp, d, lanes, space);
  if (access.role != Role::load) define_lanes(warp, d, lanes, space);
  if (space == ptx::Space::local) return;
  // What an access acquires is before it, what it releases is before what follows.
  synchronise(warp, d, lanes, space);
  check_races(warp, d, lanes, space);
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
