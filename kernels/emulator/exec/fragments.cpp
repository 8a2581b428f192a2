// Frames and fragments: lanes part at branches, meet again, return and end.
#include <algorithm>
#include <cstring>

#include <gradus/kernels/emulator/exec/launch.h>
#include <gradus/kernels/emulator/exec/loaded_module.h>

namespace gradus::emulator {
namespace {

constexpr std::size_t kFrameAlign = 64;

std::string hex(Mask lanes) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", lanes);
  return text;
}

bool waits_for_others(const Fragment& f) { return f.wait == Fragment::Wait::warp_sync || f.wait == Fragment::Wait::other; }

/// A fragment that is counted in at a barrier stands behind it: who comes to the same pc by another way must not join it.
bool can_join(const Fragment& a, const Fragment& b) {
  return a.frame == b.frame && a.pc == b.pc && a.wait != Fragment::Wait::barrier && b.wait != Fragment::Wait::barrier;
}

}  // namespace

FrameRun* Launch::acquire(const Code* code) {
  CodeRun& run = codes[code];
  if (!run.code) {
    run.code = code;
    run.tally.resize(code->instructions.size());
  }
  FrameRun* frame;
  if (run.free.empty()) {
    frame = &run.frames.emplace_back();
    frame->run = &run;
    frame->storage.resize(code->register_bytes + std::size_t{kLanes} * code->parameter_stride + 2 * kFrameAlign);
  } else {
    frame = run.free.back();
    run.free.pop_back();
    std::memset(frame->storage.data(), 0, frame->storage.size());  // registers start at 0, so that runs repeat
  }
  const auto at = reinterpret_cast<std::uintptr_t>(frame->storage.data());
  frame->registers = frame->storage.data() + ((at + kFrameAlign - 1) / kFrameAlign * kFrameAlign - at);
  frame->parameters = frame->registers + (code->register_bytes + kFrameAlign - 1) / kFrameAlign * kFrameAlign;
  frame->code = code;
  frame->parameter_stride = code->parameter_stride;
  return frame;
}

void Launch::release(FrameRun* frame) { frame->run->free.push_back(frame); }

void divert(Warp& warp, Mask lanes, Frame* frame, std::uint32_t pc) {
  Fragment& current = *warp.current;
  if (lanes == current.lanes) {
    current.frame = frame;
    current.pc = pc;
    return;
  }
  current.lanes &= ~lanes;
  Fragment& other = warp.fragments.emplace_back();  // room was reserved: `current` stays where it is
  other.lanes = lanes;
  other.frame = frame;
  other.pc = pc;
}

bool leave_inactive_behind(Warp& warp, Mask active) {
  Fragment& current = *warp.current;
  if (active == current.lanes) return false;
  divert(warp, current.lanes & ~active, current.frame, current.pc + 1);
  return true;
}

void exit_lanes(Warp& warp, Mask lanes) {
  BlockRun& block = block_of(warp);
  warp.current->lanes &= ~lanes;
  for (Frame* frame = warp.current->frame; frame;) {
    Frame* caller = frame->caller;
    frame->lanes &= ~lanes;
    if (!frame->lanes) launch_of(warp).release(static_cast<FrameRun*>(frame));
    frame = caller;
  }
  warp.exited |= lanes;
  block.exited += static_cast<std::uint32_t>(count_lanes(lanes));
  ++block.progress;
  for (Fragment& f : warp.fragments)
    if (waits_for_others(f)) f.wait = Fragment::Wait::none;  // whom they wait for may be gone: they look again
  recheck_barriers(block);
}

void return_lanes(Warp& warp, Mask lanes) {
  Fragment& current = *warp.current;
  Frame* frame = current.frame;
  if (!frame->caller) return exit_lanes(warp, lanes);
  copy_returns(*frame, lanes);
  Frame* caller = frame->caller;
  const std::uint32_t pc = frame->return_pc;
  frame->lanes &= ~lanes;
  const bool done = frame->lanes == 0;
  divert(warp, lanes, caller, pc);
  if (done) launch_of(warp).release(static_cast<FrameRun*>(frame));
}

void enter(Warp& warp, Fragment& fragment) {
  warp.current = &fragment;
  warp.bases[Ref::registers] = fragment.frame->registers;
  warp.bases[Ref::constants] = const_cast<std::byte*>(fragment.frame->code->constants.data());
  warp.bases[Ref::specials] = warp.specials;
}

void regroup(Warp& warp) {
  auto& all = warp.fragments;
  if (all.size() == 1 && all[0].lanes) return;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!all[i].lanes) continue;
    std::size_t j = 0;
    while (j < kept && !can_join(all[j], all[i])) ++j;
    if (j < kept) {
      all[j].lanes |= all[i].lanes;
      all[j].wait = Fragment::Wait::none;
      all[j].spinning = all[j].parked = false;
    } else {
      if (kept != i) all[kept] = all[i];
      ++kept;
    }
  }
  all.resize(kept);
}

std::string place_of(const Warp& warp, const Decoded& d) {
  const ptx::Module& program = launch_of(warp).module->program();
  for (std::int64_t at = d.location; at > 0 && at < static_cast<std::int64_t>(program.locations.size());) {
    const ptx::Location& location = program.locations[static_cast<std::size_t>(at)];
    const std::string file = location.file < program.files.size() ? program.files[location.file] : "";
    const bool of_the_toolkit = file.find("/cuda") != std::string::npos && file.find("/include/") != std::string::npos;
    if (!of_the_toolkit || location.inlined_at < 0) {
      if (location.line == 0) break;
      const auto slash = file.rfind('/');
      return (slash == std::string::npos ? file : file.substr(slash + 1)) + ":" + std::to_string(location.line);
    }
    at = location.inlined_at;
  }
  return d.source ? "ptx line " + std::to_string(d.source->text_line) : std::string("an unknown place");
}

bool is_from(const Warp& warp, const Decoded& d, const char* directory) {
  const ptx::Module& program = launch_of(warp).module->program();
  for (std::int64_t at = d.location; at > 0 && at < static_cast<std::int64_t>(program.locations.size());) {
    const ptx::Location& location = program.locations[static_cast<std::size_t>(at)];
    if (location.file < program.files.size() && program.files[location.file].find(directory) != std::string::npos) return true;
    at = location.inlined_at;
  }
  return false;
}

std::string whereabouts(const Warp& warp, Mask missing) {
  std::string text;
  const auto add = [&](Mask lanes, const std::string& where) {
    if (lanes) text += (text.empty() ? "" : ", ") + std::string("lanes ") + hex(lanes) + where;
  };
  for (const Fragment& f : warp.fragments) {
    const Mask lanes = f.lanes & missing;
    if (!lanes) continue;
    const auto& code = f.frame->code->instructions;
    // Who is counted in at a barrier stands behind it.
    const std::size_t pc = f.wait == Fragment::Wait::barrier && f.pc > 0 ? f.pc - 1 : f.pc;
    add(lanes, (f.wait == Fragment::Wait::none ? " at " : " waiting at ") + (pc < code.size() ? place_of(warp, code[pc]) : "the end"));
  }
  add(missing & warp.exited, " exited");
  return text;
}

}  // namespace gradus::emulator
