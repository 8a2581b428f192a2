#include <gradus/kernels/emulator/exec/meeting.h>

#include <cstdio>
#include <string>

#include <gradus/kernels/emulator/exec/launch.h>
#include <gradus/kernels/emulator/exec/memory.h>

namespace gradus::emulator {
namespace {

std::string hex(Mask lanes) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", lanes);
  return text;
}

/// Lanes that stand before the kernel's end: as good as exited.
Mask ending_lanes(const Warp& warp) {
  Mask lanes = 0;
  for (const Fragment& f : warp.fragments) {
    const auto& code = f.frame->code->instructions;
    if (f.frame->depth != 0 || !f.lanes) continue;
    const bool ends = f.pc >= code.size() || code[f.pc].source->mnemonic == "ret" || code[f.pc].source->mnemonic == "exit";
    lanes |= ends ? f.lanes : 0;
  }
  return lanes;
}

/// What is wrong with the masks of lanes that go ahead. A lane that had exited before the others came is no error (the PTX manual waits for
/// the non-exited lanes only); one that passed the instruction by, did something else and then exited (`passed_by`) is.
void check_masks(Warp& warp, const Decoded& d, Mask active, const Mask* masks, Mask passed_by) {
  for_groups(masks, active, [&](Mask group, Mask member) {
    if (const Mask outside = group & ~member)
      report(Kind::shuffle_mask, warp, d, first_lane(outside),
             "lanes " + hex(outside) + " take part but are not in their mask " + hex(member));
    if (const Mask other = member & active & ~group)
      report(Kind::shuffle_mask, warp, d, first_lane(other),
             "lanes " + hex(group) + " name the mask " + hex(member) + ", but lanes " + hex(other) + " of it name " +
                 hex(masks[first_lane(other)]));
    if (const Mask missing = member & (live_lanes(warp) | passed_by) & ~active)
      report(Kind::shuffle_mask, warp, d, first_lane(group),
             "named in the mask " + hex(member) + ", but never arriving: " + whereabouts(warp, missing));
  });
}

}  // namespace

Meeting meet(Warp& warp, const Decoded& d, Mask active, const Mask* masks) {
  const Mask live = live_lanes(warp);
  const Mask member = masks[first_lane(active)];
  if (active == live && !warp.current->missed && (member & live) == live && lanes_with(masks, active, member) == active)
    return {active, false};
  Mask ready = 0;
  for_groups(masks, active, [&](Mask group, Mask named) {
    if ((named & live & ~active) == 0) ready |= group;
  });
  WarpRun& run = run_of(warp);
  if (run.forced) ready = active;
  run.forced = false;
  if (ready == 0) {
    leave_inactive_behind(warp, active);
    warp.current->wait = Fragment::Wait::warp_sync;
    warp.current->missed = live & ~active & ~ending_lanes(warp);  // whom to ask for, should they exit elsewhere
    return {};
  }
  check_masks(warp, d, ready, masks, warp.current->missed & warp.exited);
  warp.current->missed = 0;
  if (ready == active) return {ready, false};
  leave_inactive_behind(warp, active);
  divert(warp, active & ~ready, warp.current->frame, warp.current->pc);
  warp.fragments.back().wait = Fragment::Wait::warp_sync;
  return {ready, true};
}

Flow finish_meeting(Warp& warp, const Meeting& meeting) {
  on_warp_sync(warp, meeting.lanes);
  ++launch_of(warp).shuffles;
  if (!meeting.split) return Flow::next;
  ++warp.current->pc;
  return Flow::left;
}

namespace {

/// bar.warp.sync: lanes may wait for each other at different instructions, as long as they name the same mask.
Flow run_syncwarp(Warp& warp, const Decoded& d, Mask active) {
  const Mask* masks = warp.lanes_of<Mask>(d.a);
  const Mask member = masks[first_lane(active)], group = lanes_with(masks, active, member);
  if (group != active) {  // several masks: one after another
    leave_inactive_behind(warp, active);
    divert(warp, active & ~group, warp.current->frame, warp.current->pc);
    active = group;
  }
  Mask here = active;
  for (const Fragment& f : warp.fragments)
    if (f.wait == Fragment::Wait::other && f.wait_id == member) here |= f.lanes;
  const Mask missing = member & live_lanes(warp) & ~here;
  const bool forced = run_of(warp).forced;
  run_of(warp).forced = false;
  if (missing && !forced) {
    leave_inactive_behind(warp, active);
    warp.current->missed = missing & ~ending_lanes(warp);
    warp.current->wait = Fragment::Wait::other;
    warp.current->wait_id = member;
    return Flow::retry;
  }
  const Mask absent = missing | (member & warp.current->missed & warp.exited);
  warp.current->missed = 0;
  if (absent)
    report(Kind::shuffle_mask, warp, d, first_lane(active),
           "__syncwarp names the mask " + hex(member) + ", but never arriving: " + whereabouts(warp, absent));
  // CUB's logical warps of an odd size all name the first one's lanes; the hardware does not mind.
  if (const Mask outside = active & ~member; outside && !is_from(warp, d, "/cub/"))
    report(Kind::shuffle_mask, warp, d, first_lane(outside),
           "lanes " + hex(outside) + " call __syncwarp but are not in its mask " + hex(member));
  leave_inactive_behind(warp, active);
  for (Fragment& f : warp.fragments) {
    if (f.wait != Fragment::Wait::other || f.wait_id != member) continue;
    f.wait = Fragment::Wait::none;
    ++f.pc;
  }
  on_warp_sync(warp, here);
  ++warp.current->pc;
  return Flow::left;
}

void select_syncwarp(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  if (!i.has("warp")) return;  // barrier.cpp's
  expect_operands(decoder, i, 1);
  out.a = decoder.source(i.operands[0], ptx::Type::b32);
  out.instruction_class = kOther;
  out.run = run_syncwarp;
}

}  // namespace

void register_syncwarp() { add_selector("bar", select_syncwarp); }

}  // namespace gradus::emulator
