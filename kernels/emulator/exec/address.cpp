// Lanes' addresses: computed, told apart by space, checked against what exists there.
#include <gradus/kernels/emulator/exec/access.h>

#include <algorithm>
#include <sstream>

#include <gradus/kernels/emulator/exec/launch.h>
#include <gradus/kernels/emulator/exec/loaded_module.h>

namespace gradus::emulator {
namespace {

constexpr int kIllegalAddress = 700;  // cudaErrorIllegalAddress

void compute_addresses(const Warp& warp, const Decoded& d, const Access& access, Lanes& lanes) {
  const auto offset = static_cast<std::uint64_t>(d.immediate);
  switch (access.base) {
    case Access::Base::none:
      for (int l = 0; l < kLanes; ++l) lanes.at[l] = offset;
      break;
    case Access::Base::narrow: {
      const std::uint32_t* base = warp.lanes_of<std::uint32_t>(d.a);
      for (int l = 0; l < kLanes; ++l) lanes.at[l] = static_cast<std::uint32_t>(base[l] + static_cast<std::uint32_t>(offset));
      break;
    }
    case Access::Base::wide: {
      const std::uint64_t* base = warp.lanes_of<std::uint64_t>(d.a);
      for (int l = 0; l < kLanes; ++l) lanes.at[l] = base[l] + offset;
      break;
    }
  }
}

/// Sets contiguous and pattern.
void find_shape(const Access& access, Lanes& lanes) {
  if (lanes.active != kAll) return;
  lanes.pattern = access.patterns.recall(lanes.at);
  if (lanes.pattern != nullptr) return;
  std::uint64_t differs = 0;
  for (int l = 0; l < kLanes; ++l) differs |= lanes.at[l] - lanes.at[0] - static_cast<std::uint64_t>(l) * access.bytes;
  lanes.contiguous = differs == 0;
  if (!lanes.contiguous) lanes.pattern = access.patterns.learn(lanes.at, access.bytes);
}

/// Lanes were refused, or moved.
void forget_shape(Lanes& lanes) {
  lanes.contiguous = false;
  lanes.pattern = nullptr;
}

/// Sets low and high; returns the OR of all addresses.
std::uint64_t find_bounds(Lanes& lanes) {
  std::uint64_t low = ~std::uint64_t{0}, high = 0, any = 0;
  const auto add = [&](std::uint64_t at) {
    low = std::min(low, at);
    high = std::max(high, at);
    any |= at;
  };
  if (lanes.contiguous) {
    low = any = lanes.at[0];  // the lanes differ by multiples of their width
    high = lanes.at[kLanes - 1];
  } else if (lanes.pattern != nullptr) {
    low = lanes.at[0] + lanes.pattern->low;
    high = lanes.at[0] + lanes.pattern->high;
    any = lanes.at[0] | lanes.pattern->any;  // has the low bits of a misaligned lane, if there is one
  } else if (lanes.active == kAll) {
    for (int l = 0; l < kLanes; ++l) add(lanes.at[l]);
  } else {
    for (Mask left = lanes.active; left != 0; left &= left - 1) add(lanes.at[__builtin_ctz(left)]);
  }
  lanes.low = low;
  lanes.high = high;
  return any;
}

void tell(Kind kind, Warp& warp, const Decoded& d, int lane, ptx::Space space, std::uint64_t at, const std::string& what) {
  const LaunchState& launch = launch_state();
  if (!launch.check_fast || !worth_telling(kind, d)) return;
  report(kind, warp, d, lane, access_text(warp, access_of(d), lane, space, at) + ": " + what);
}

void check_alignment(Warp& warp, const Decoded& d, Lanes& lanes, ptx::Space space, std::uint64_t any) {
  const std::uint64_t bytes = access_of(d).alignment != 0 ? access_of(d).alignment : access_of(d).bytes;
  lanes.aligned = (any & (bytes - 1)) == 0;
  if (lanes.aligned) return;
  for (Mask left = lanes.active; left != 0; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    if ((lanes.at[lane] & (bytes - 1)) == 0) continue;
    std::ostringstream what;
    what << "the address is not a multiple of " << bytes;
    return tell(Kind::misaligned, warp, d, lane, space, lanes.at[lane], what.str());
  }
}

/// Finds the allocation of one lane's access and reports what is wrong; false: refused.
bool admit_global_lane(Warp& warp, const Decoded& d, const Access& access, int lane, std::uint64_t at) {
  const Heap& heap = Heap::instance();
  const HeapEntry* entry = heap.entry_at(at);
  if (entry != nullptr && !entry->freed && at + access.bytes <= entry->base + entry->bytes) {
    access.low = entry->base;
    access.high = entry->base + entry->bytes;
    access.generation = heap.generation;
    access.tracked = entry->tracked;
    return true;
  }
  if (!heap.holds(at)) launch_state().error = kIllegalAddress;
  if (entry != nullptr && !entry->freed) {
    tell(
        Kind::out_of_bounds, warp, d, lane, ptx::Space::global, at,
        std::to_string(at + access.bytes - entry->base - entry->bytes) + " of them past the end: " + DeviceMemory::instance().describe(at));
  } else {
    tell(entry != nullptr ? Kind::freed : Kind::out_of_bounds, warp, d, lane, ptx::Space::global, at,
         DeviceMemory::instance().describe(at));
  }
  return false;
}

/// Lanes of global memory that may be served.
Mask admit_global(Warp& warp, const Decoded& d, Lanes& lanes) {
  const Access& access = access_of(d);
  check_alignment(warp, d, lanes, ptx::Space::global, find_bounds(lanes));
  const bool known = access.generation == Heap::instance().generation;
  if (known && lanes.low >= access.low && lanes.high + access.bytes <= access.high) return lanes.active;
  Mask admitted = 0;
  for (Mask left = lanes.active; left != 0; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    const std::uint64_t at = lanes.at[lane];
    const bool again = access.generation == Heap::instance().generation && at >= access.low && at + access.bytes <= access.high;
    if (again || admit_global_lane(warp, d, access, lane, at)) admitted |= Mask{1} << lane;
  }
  return admitted;
}

/// The same for a window of `size` bytes from 0 on.
Mask admit_window(Warp& warp, const Decoded& d, Lanes& lanes, ptx::Space space, std::uint64_t size) {
  const Access& access = access_of(d);
  check_alignment(warp, d, lanes, space, find_bounds(lanes));
  if (lanes.high + access.bytes <= size && lanes.high < size) return lanes.active;
  Mask admitted = 0;
  for (Mask left = lanes.active; left != 0; left &= left - 1) {
    const int lane = __builtin_ctz(left);
    const std::uint64_t at = lanes.at[lane];
    if (at < size && at + access.bytes <= size) {
      admitted |= Mask{1} << lane;
    } else {
      const char* whose = space == ptx::Space::shared  ? " bytes of shared memory that the block has"
                          : space == ptx::Space::local ? " bytes of local memory that the thread has"
                                                       : " bytes of parameters";
      tell(Kind::out_of_bounds, warp, d, lane, space, at, "beyond the " + std::to_string(size) + whose);
    }
  }
  return admitted;
}

/// A wide access to a shared variable whose declaration promises less alignment: it works only by luck of the layout, or because the other
/// variables happen to be of such sizes, which is worth a note.
void check_declared_alignment(Warp& warp, const Decoded& d, const Lanes& lanes) {
  const Access& access = access_of(d);
  if (access.variables.empty() || !launch_state().check_all) return;
  const int lane = __builtin_ctz(lanes.active);
  for (const SharedVariable& variable : access.variables) {
    if (lanes.at[lane] < variable.begin || lanes.at[lane] >= variable.end || variable.align >= access.bytes) continue;
    const std::string what =
        "variable " + variable.name + " is declared with alignment " + std::to_string(variable.align) + " only (alignas)";
    if (!variable.fits) tell(Kind::misaligned, warp, d, lane, ptx::Space::shared, lanes.at[lane], what);
    else if (worth_telling(Kind::misaligned, d))
      Report::instance().note(finding_at(Kind::misaligned, d.location,
                                         "access of " + std::to_string(access.bytes) + " bytes to shared memory: " + what +
                                             "; it is aligned because of the sizes of all shared variables"));
  }
}

std::uint64_t root_parameter_bytes(const Frame* frame) {
  while (frame->caller != nullptr) frame = frame->caller;
  return frame->code->function->parameter_bytes;
}
std::byte* root_parameters(const Frame* frame) {
  while (frame->caller != nullptr) frame = frame->caller;
  return frame->parameters;
}

/// .param of the running function. A lane can stray only with an address in a register: the rest was checked when it was decoded.
void place_parameters(const Warp& warp, const Access& access, Lanes& lanes) {
  const Frame& frame = *warp.current->frame;
  const Code& code = *frame.code;
  std::uint64_t stride = 0;
  const std::byte* start = frame.parameters;
  if (access.area == Decoder::ParameterPlace::Area::activation) stride = code.parameter_stride;
  if (access.area == Decoder::ParameterPlace::Area::call) {
    start = frame.registers + code.call_parameters_at;
    stride = code.call_parameter_stride;
  }
  lanes.delta = reinterpret_cast<std::uint64_t>(start);
  for (int l = 0; l < kLanes; ++l) lanes.at[l] += static_cast<std::uint64_t>(l) * stride;
}

Mask in_shared(Warp& warp, const Decoded& d, Lanes& lanes, AccessBody body) {
  Block& block = *warp.block;
  const Mask asked = lanes.active;
  lanes.active = admit_window(warp, d, lanes, ptx::Space::shared, shadow_of(block).shared_bytes);
  if (lanes.active != kAll) forget_shape(lanes);
  lanes.delta = reinterpret_cast<std::uint64_t>(block.shared.data());
  if (lanes.active != 0) {
    if (!access_of(d).variables.empty()) check_declared_alignment(warp, d, lanes);
    body(warp, d, lanes, ptx::Space::shared);
  }
  return asked & ~lanes.active;
}

Mask in_local(Warp& warp, const Decoded& d, Lanes& lanes, AccessBody body) {
  Block& block = *warp.block;
  const Mask asked = lanes.active;
  lanes.active = admit_window(warp, d, lanes, ptx::Space::local, block.local_stride);
  forget_shape(lanes);
  lanes.delta = reinterpret_cast<std::uint64_t>(block.local.data());
  for (int l = 0; l < kLanes; ++l) lanes.at[l] += (warp.index * std::uint64_t{kLanes} + static_cast<std::uint64_t>(l)) * block.local_stride;
  if (lanes.active != 0) body(warp, d, lanes, ptx::Space::local);
  return asked & ~lanes.active;
}

Mask in_parameters(Warp& warp, const Decoded& d, Lanes& lanes, AccessBody body) {
  const Mask asked = lanes.active;
  lanes.active = admit_window(warp, d, lanes, ptx::Space::param, root_parameter_bytes(warp.current->frame));
  forget_shape(lanes);
  lanes.delta = reinterpret_cast<std::uint64_t>(root_parameters(warp.current->frame));
  if (lanes.active != 0) body(warp, d, lanes, ptx::Space::param);
  return asked & ~lanes.active;
}

Mask in_global(Warp& warp, const Decoded& d, Lanes& lanes, AccessBody body) {
  const Mask asked = lanes.active;
  const Mask admitted = admit_global(warp, d, lanes);
  if (admitted != kAll) forget_shape(lanes);
  if (admitted == 0) return asked;
  const Heap& heap = Heap::instance();
  Mask reserved = admitted;  // the others are in registered host memory, whose bytes lie where the address says
  if (admitted != asked || !heap.holds(lanes.low) || !heap.holds(lanes.high)) {
    for (Mask left = admitted; left != 0; left &= left - 1) {
      if (!heap.holds(lanes.at[__builtin_ctz(left)])) reserved &= ~(left & -left);
    }
  }
  if (reserved != 0) {
    if (reserved != admitted) forget_shape(lanes);
    lanes.active = reserved;
    lanes.delta = heap.alias;
    body(warp, d, lanes, ptx::Space::global);
  }
  if (admitted != reserved) {
    if (reserved != 0) forget_shape(lanes);
    lanes.active = admitted & ~reserved;
    lanes.delta = 0;
    body(warp, d, lanes, ptx::Space::global);
  }
  return asked & ~admitted;
}

/// Generic addresses: one window after another.
Mask in_windows(Warp& warp, const Decoded& d, Lanes& lanes, AccessBody body) {
  if (lanes.active == kAll) {
    std::uint64_t any = 0;
    for (int l = 0; l < kLanes; ++l) any |= lanes.at[l];
    if ((any & kWindowMask) == 0) return in_global(warp, d, lanes, body);
  }
  Mask left = lanes.active, refused = 0;
  while (left != 0) {
    const std::uint64_t window = lanes.at[__builtin_ctz(left)] & kWindowMask;
    Lanes part;
    part.active = 0;
    for (int l = 0; l < kLanes; ++l) {
      if ((left >> l & 1) != 0 && (lanes.at[l] & kWindowMask) == window) part.active |= Mask{1} << l;
      part.at[l] = window == 0 ? lanes.at[l] : lanes.at[l] & ~kWindowMask;
    }
    left &= ~part.active;
    part.contiguous = lanes.contiguous && part.active == kAll;
    part.pattern = part.active == kAll ? lanes.pattern : nullptr;
    if (window == kSharedWindow) refused |= in_shared(warp, d, part, body);
    else if (window == kLocalWindow) refused |= in_local(warp, d, part, body);
    else if (window == kParameterWindow) refused |= in_parameters(warp, d, part, body);
    else if (window == 0) refused |= in_global(warp, d, part, body);
    else {
      for (int l = 0; l < kLanes; ++l) part.at[l] |= window;  // nonsense, as an address of global memory
      refused |= in_global(warp, d, part, body);
    }
  }
  return refused;
}

}  // namespace

Mask for_each_space(Warp& warp, const Decoded& d, Mask active, AccessBody body) {
  const Access& access = access_of(d);
  Lanes lanes;
  compute_addresses(warp, d, access, lanes);
  lanes.active = active;
  find_shape(access, lanes);
  switch (access.space) {
    case ptx::Space::global:
    case ptx::Space::constant: return in_global(warp, d, lanes, body);
    case ptx::Space::shared: return in_shared(warp, d, lanes, body);
    case ptx::Space::local:
      if (access.symbol_in_local) {
        for (int l = 0; l < kLanes; ++l) lanes.at[l] += warp.current->frame->local_base;
      }
      return in_local(warp, d, lanes, body);
    case ptx::Space::param:
      if (access.base != Access::Base::none) {
        for (int l = 0; l < kLanes; ++l) lanes.at[l] &= ~kWindowMask;
        if (access.area == Decoder::ParameterPlace::Area::kernel) return in_parameters(warp, d, lanes, body);
        lanes.active = admit_window(warp, d, lanes, ptx::Space::param, warp.current->frame->code->parameter_stride);
      }
      place_parameters(warp, access, lanes);
      forget_shape(lanes);
      if (lanes.active != 0) body(warp, d, lanes, ptx::Space::param);
      return active & ~lanes.active;
    default: return in_windows(warp, d, lanes, body);
  }
}

std::string access_text(const Warp& warp, const Access& access, int lane, ptx::Space space, std::uint64_t at) {
  static constexpr const char* kRoles[] = {"load", "store", "atomic"};
  std::ostringstream text;
  text << kRoles[static_cast<int>(access.role)] << " of " << access.bytes << (access.bytes == 1 ? " byte" : " bytes");
  text << (access.role == Role::load ? " from " : access.role == Role::store ? " to " : " on ");
  switch (space) {
    case ptx::Space::shared: text << "shared +" << at; break;
    case ptx::Space::local: text << "local +" << (warp.block->local_stride != 0 ? at % warp.block->local_stride : at); break;
    case ptx::Space::param: text << "parameter +" << at; break;
    default: text << (access.constant ? "constant" : "global") << " memory";
  }
  text << " by " << thread_name(warp, lane);
  return text.str();
}

}  // namespace gradus::emulator
