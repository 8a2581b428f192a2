// The lanes of a warp that wait for each other at a .sync instruction, and what is wrong with the masks that they name.
#pragma once

#include <gradus/kernels/emulator/exec/handler.h>
#include <gradus/kernels/emulator/exec/launch.h>
#include <gradus/kernels/emulator/exec/warp.h>

namespace gradus::emulator {

/// The lanes of the running fragment that can do a .sync instruction now.
struct Meeting {
  Mask lanes = 0;      // 0: wait (Flow::retry)
  bool split = false;  // others stayed behind at this instruction
};
/// Which lanes have all their partners here; the others wait. `masks`: each lane's.
Meeting meet(Warp& warp, const Decoded& d, Mask active, const Mask* masks);
/// What the handler returns once the lanes that met have done their work.
Flow finish_meeting(Warp& warp, const Meeting& meeting);

inline Mask lanes_with(const Mask* masks, Mask active, Mask value) {
  return active & mask_of([=](int l) { return masks[l] == value; });
}

/// body(group, member mask) for each set of lanes that name the same mask.
template <class F> void for_groups(const Mask* masks, Mask active, F body) {
  while (active) {
    const Mask member = masks[first_lane(active)];
    const Mask group = lanes_with(masks, active, member);
    body(group, member);
    active &= ~group;
  }
}

/// bar.warp.sync (called by register_warp).
void register_syncwarp();

}  // namespace gradus::emulator
