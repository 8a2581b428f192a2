// Running one warp: which of its fragments goes first, the loop over instructions, and the recognition of loops that lead nowhere.
#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include <gradus/kernels/emulator/exec/launch.h>

namespace gradus::emulator {
namespace {

constexpr std::uint64_t kSlice = 1u << 20;     // warp instructions after which other warps get their turn, progress or not
constexpr std::uint64_t kPatience = 1u << 17;  // without progress, after which other fragments of the warp get theirs
constexpr std::uint64_t kFirstProbe = 2048;    // without progress, before a loop is looked at
constexpr std::uint32_t kNoLimit = std::numeric_limits<std::uint32_t>::max();

bool frozen(const Fragment& f, std::uint64_t progress) { return f.spinning && f.spin_progress == progress; }
bool runnable(const Fragment& f, std::uint64_t progress) { return f.wait == Fragment::Wait::none && !frozen(f, progress); }

/// The deepest frame first (its lanes must return before they can meet the others), then the lowest pc.
bool before(const Fragment& a, const Fragment& b) {
  return a.frame->depth != b.frame->depth ? a.frame->depth > b.frame->depth : a.pc < b.pc;
}

Fragment* choose(Warp& warp, std::uint64_t progress) {
  Fragment* best = nullptr;
  Fragment* parked = nullptr;
  for (Fragment& f : warp.fragments) {
    if (!runnable(f, progress)) continue;
    Fragment*& slot = f.parked ? parked : best;
    if (!slot || before(f, *slot)) slot = &f;
  }
  if (best || !parked) return best;
  for (Fragment& f : warp.fragments) f.parked = false;
  return parked;
}

/// The pc at which the running fragment may meet another one, or at which another one comes first.
std::uint32_t limit_of(const Warp& warp, const Fragment& running) {
  std::uint32_t limit = kNoLimit;
  for (const Fragment& f : warp.fragments)
    if (&f != &running && f.frame == running.frame && f.pc > running.pc) limit = std::min(limit, f.pc);
  return std::min(limit, static_cast<std::uint32_t>(running.frame->code->instructions.size()));
}

/// Of everything that decides what the fragment does next, memory apart: its registers and those of its callers.
std::uint64_t hash_state(const Fragment& fragment) {
  constexpr std::uint64_t kPrime = 0x9E3779B97F4A7C15u;
  std::uint64_t h[4] = {fragment.pc, fragment.lanes, 3, 4};
  for (const Frame* frame = fragment.frame; frame; frame = frame->caller) {
    const std::size_t bytes = frame->code->register_bytes;
    for (std::size_t i = 0; i + 32 <= bytes; i += 32) {
      std::uint64_t words[4];
      std::memcpy(words, frame->registers + i, 32);
      for (int k = 0; k < 4; ++k) h[k] = ((h[k] ^ words[k]) * kPrime) ^ (h[k] >> 29);
    }
    h[0] ^= frame->return_pc;
  }
  return ((h[0] * 31 + h[1]) * 31 + h[2]) * 31 + h[3];
}

/// A backward branch was taken. True: the fragment should not go on now.
bool spins(Launch& launch, Warp& warp, std::uint32_t from) {
  Spin& spin = run_of(warp).spin;
  const std::uint64_t progress = launch.progress();
  if (progress != spin.progress) {
    const bool again = spin.span;  // it span before and was woken by some change: look at once
    spin = Spin{progress, launch.steps, launch.steps + (again ? 0 : kFirstProbe), 0, 0, 0, again};
    if (!again) return false;
  }
  if (launch.steps < spin.next_probe) return false;
  Fragment& fragment = *warp.current;
  if (spin.compares_left == 0) {  // a new probe
    spin.hash = hash_state(fragment);
    spin.compares = spin.compares ? 2 * spin.compares : 2;
    spin.compares_left = spin.compares;
    return false;
  }
  if (hash_state(fragment) == spin.hash) {
    fragment.spinning = spin.span = true;
    fragment.spin_progress = progress;
    fragment.spin_pc = from;
    spin.compares_left = spin.compares = 0;
    return true;
  }
  if (--spin.compares_left == 0) spin.next_probe = launch.steps + std::max(kFirstProbe, launch.steps - spin.began);
  if (launch.steps - spin.began > kPatience && warp.fragments.size() > 1) {
    fragment.parked = true;
    spin.began = launch.steps;
    return true;
  }
  return false;
}

int lanes_in(Mask active) { return active == kAll ? kLanes : count_lanes(active); }

/// Runs the current fragment up to `limit`, or until something else may have to go first.
void step(Launch& launch, Warp& warp, std::uint32_t limit, std::uint64_t slice_end) {
  Fragment& f = *warp.current;
  auto* frame = static_cast<FrameRun*>(f.frame);
  const Decoded* const code = frame->code->instructions.data();
  Tally* const tally = frame->run->tally.data();
  const std::byte* const registers = frame->registers;
  while (f.pc < limit) {
    const std::uint32_t pc = f.pc;
    const Decoded& d = code[pc];
    Mask active = f.lanes;
    if (d.guard >= 0) {
      Mask p;
      std::memcpy(&p, registers + d.guard, sizeof p);
      active &= d.guard_negated ? ~p : p;
      if (!active) {
        ++f.pc;
        continue;
      }
    }
    ++launch.steps;
    ++tally[pc].steps;
    tally[pc].lanes += static_cast<std::uint64_t>(lanes_in(active));
    const Flow flow = d.run(warp, d, active);
    if (flow == Flow::next) {
      ++f.pc;
      continue;
    }
    if (flow == Flow::yields) {
      ++f.pc;
      f.parked = warp.fragments.size() > 1;
      run_of(warp).yields = true;
      return;
    }
    if (flow != Flow::jumped) return;
    if (f.pc <= pc && (spins(launch, warp, pc) || launch.steps >= slice_end)) return;
    if (warp.fragments.size() > 1) return;
  }
}

/// Code that ends without ret or exit returns.
void run_off_the_end(Warp& warp) {
  if (warp.current->pc >= warp.current->frame->code->instructions.size()) return_lanes(warp, warp.current->lanes);
}

}  // namespace

bool can_move(const Warp& warp) {
  const std::uint64_t progress = launch_of(warp).progress();
  return std::any_of(warp.fragments.begin(), warp.fragments.end(), [&](const Fragment& f) { return f.lanes && runnable(f, progress); });
}

bool force_one(Warp& warp) {
  Fragment* first = nullptr;
  for (Fragment& f : warp.fragments) {
    const bool waits = f.wait == Fragment::Wait::warp_sync || f.wait == Fragment::Wait::other;
    if (f.lanes && waits && (!first || before(f, *first))) first = &f;
  }
  if (!first) return false;
  first->wait = Fragment::Wait::none;
  run_of(warp).forced = true;
  return true;
}

Pause run_warp(Warp& warp) {
  Launch& launch = launch_of(warp);
  const std::uint64_t slice_end = launch.steps + kSlice;
  for (;;) {
    regroup(warp);
    if (warp.fragments.empty()) return Pause::finished;
    const std::uint64_t progress = launch.progress();
    Fragment* f = choose(warp, progress);
    if (!f) {
      // Lanes that wait for lanes of this warp, and nobody else in it can still come: no use to wait.
      const bool hopeless = std::none_of(warp.fragments.begin(), warp.fragments.end(), [](const Fragment& g) {
        return g.wait == Fragment::Wait::barrier || g.wait == Fragment::Wait::none;
      });
      if (!hopeless || !force_one(warp)) return Pause::stuck;
      continue;
    }
    f->spinning = false;
    enter(warp, *f);
    step(launch, warp, limit_of(warp, *f), slice_end);
    if (f->lanes) run_off_the_end(warp);
    if (launch.steps >= slice_end || std::exchange(run_of(warp).yields, false)) {
      regroup(warp);  // the last lanes may have ended with the slice
      return warp.fragments.empty() ? Pause::finished : Pause::slice;
    }
  }
}

}  // namespace gradus::emulator
