// Definedness: a bit per byte of global, shared and local memory.
#include <algorithm>

#include <gradus/kernels/emulator/exec/access.h>

namespace gradus::emulator {
namespace {

/// The bits that belong to an address, or null where everything counts as defined.
BitShadow* bits_of(const Warp& warp, const Access& access, ptx::Space space, std::uint64_t at) {
  if (space == ptx::Space::shared) return &shadow_of(*warp.block).shared_defined;
  if (space == ptx::Space::local) return &shadow_of(*warp.block).local_defined;
  if (space != ptx::Space::global) return nullptr;
  if (at >= access.low && at < access.high) return access.tracked ? &Heap::instance().defined : nullptr;
  const HeapEntry* entry = Heap::instance().entry_at(at);
  return entry != nullptr && entry->tracked ? &Heap::instance().defined : nullptr;
}

constexpr std::uint64_t kTileBytes = 2048;

std::uint32_t full(std::uint32_t bytes) { return static_cast<std::uint32_t>((std::uint64_t{1} << bytes) - 1); }

/// Not one byte is defined; or a floating-point element is so in part. (Partly defined integers are what copying a struct with padding,
/// or a vector load over the end of the valid data, looks like.)
bool is_undefined(const Access& access, std::uint32_t bits) {
  if (bits == full(access.bytes)) return false;
  if (bits == 0) return true;
  if (!access.floating) return false;
  for (std::uint32_t e = 0; e < access.elements; ++e) {
    const std::uint32_t element = bits >> (e * access.element_bytes) & full(access.element_bytes);
    if (element != 0 && element != full(access.element_bytes)) return true;
  }
  return false;
}

/// Whether a cp.async to that byte of shared memory is under way.
bool is_awaited(const Warp& warp, std::uint64_t at) {
  for (const PendingCopy& copy : shadow_of(warp).copies) {
    for (Mask left = copy.lanes; left != 0; left &= left - 1) {
      const std::uint32_t to = copy.to[static_cast<std::size_t>(__builtin_ctz(left))];
      if (at >= to && at < to + copy.bytes) return true;
    }
  }
  return false;
}

/// Held back to the end of the launch: what a missing barrier lets a warp read too early is a race in the first place.
/// CUB's own shared memory is left out: its merges look past the end of a tile and drop what they saw.
void tell(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space, int lane) {
  if (space == ptx::Space::shared && is_of_primitives(*launch_state().module, d.location)) return;
  if (!worth_telling(Kind::uninitialised, d)) return;
  std::string text = access_text(warp, access_of(d), lane, space, lanes.at[lane]) + ": nothing was ever written there";
  if (space == ptx::Space::global) text += ": " + DeviceMemory::instance().describe(lanes.at[lane]);
  if (space == ptx::Space::shared && is_awaited(warp, lanes.at[lane])) text += " (a cp.async to it has not been waited for)";
  launch_state().uninitialised.push_back(finding_at(Kind::uninitialised, d.location, text));
}

/// Bytes and shorts of which nothing is defined, within a word of which something is: the padding of a struct that is being copied.
bool looks_like_padding(const Access& access, const BitShadow& bits, std::uint64_t at) {
  return access.bytes < 4 && !access.floating && bits.get(at & ~std::uint64_t{3}, 4) != 0;
}

bool all_runs_defined(const BitShadow& bits, const Pattern& pattern, std::uint64_t first) {
  for (std::uint32_t r = 0; r < pattern.runs; ++r) {
    const Pattern::Run& run = pattern.run[r];
    if (!bits.all_set(first + static_cast<std::uint64_t>(run.offset), run.bytes)) return false;
  }
  return true;
}

}  // namespace

void check_defined(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space) {
  const Access& access = access_of(d);
  const int first = __builtin_ctz(lanes.active);
  const BitShadow* bits = bits_of(warp, access, space, lanes.at[first]);
  if (lanes.contiguous) {
    const std::uint64_t bytes = std::uint64_t{access.bytes} * kLanes;
    if (bits == nullptr || bits->first_clear(lanes.at[0], bytes, bytes) == bytes) return;
  }
  const bool global = space == ptx::Space::global;
  // A tile: all of it is defined as a rule, and that is one look.
  if (bits != nullptr && space != ptx::Space::local && lanes.high - lanes.low < kTileBytes &&
      (!global || (lanes.low >= access.low && lanes.high < access.high))) {
    const std::uint64_t bytes = lanes.high - lanes.low + access.bytes;
    if (bits->first_clear(lanes.low, bytes, bytes) == bytes) return;
  }
  if (bits != nullptr && lanes.pattern != nullptr && (!global || (lanes.low >= access.low && lanes.high < access.high)) &&
      all_runs_defined(*bits, *lanes.pattern, lanes.at[0]))
    return;
  for (Mask left = lanes.active; left != 0; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    // The lanes of one access may lie in several allocations.
    if (global && !(lanes.at[lane] >= access.low && lanes.at[lane] < access.high)) bits = bits_of(warp, access, space, lanes.at[lane]);
    if (bits == nullptr || !is_undefined(access, bits->get(lanes.at[lane], access.bytes)) ||
        looks_like_padding(access, *bits, lanes.at[lane]))
      continue;
    return tell(warp, d, lanes, space, lane);
  }
}

void define_lanes(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space) {
  const Access& access = access_of(d);
  // Bits of untracked allocations may be set too: nobody looks at them.
  BitShadow* bits = &Heap::instance().defined;
  if (space == ptx::Space::shared) bits = &shadow_of(*warp.block).shared_defined;
  else if (space == ptx::Space::local) bits = &shadow_of(*warp.block).local_defined;
  else if (!Heap::instance().holds(lanes.at[__builtin_ctz(lanes.active)])) return;
  if (lanes.contiguous) return bits->set(lanes.at[0], std::uint64_t{access.bytes} * kLanes);
  if (lanes.pattern != nullptr &&
      (space != ptx::Space::global || (Heap::instance().holds(lanes.low) && Heap::instance().holds(lanes.high)))) {
    for (std::uint32_t r = 0; r < lanes.pattern->runs; ++r) {
      const Pattern::Run& run = lanes.pattern->run[r];
      const std::uint64_t at = lanes.at[0] + static_cast<std::uint64_t>(run.offset);
      if (run.bytes <= 32) bits->set_few(at, run.bytes);
      else bits->set(at, run.bytes);
    }
    return;
  }
  for (Mask left = lanes.active; left != 0; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    if (space != ptx::Space::global || Heap::instance().holds(lanes.at[lane])) bits->set_few(lanes.at[lane], access.bytes);
  }
}

}  // namespace gradus::emulator
