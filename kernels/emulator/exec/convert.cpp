// Moves and addresses: mov (with packing, special registers, addresses of variables), cvta, isspacep.
#include <vector>

#include <gradus/kernels/emulator/exec/handler.h>
#include <gradus/kernels/emulator/exec/launch.h>
#include <gradus/kernels/emulator/exec/memory.h>

namespace gradus::emulator {

void register_compare();  // compare.cpp
void register_cvt();      // cvt.cpp

namespace {

using ptx::Instruction;
using ptx::Operand;
using ptx::Type;

struct B128 {
  std::uint64_t low, high;
};

template <class T> Flow run_mov(Warp& warp, const Decoded& d, Mask active) {
  const T* a = warp.lanes_of<T>(d.a);
  map_lanes(warp.lanes_of<T>(d.d), active, [=](int l) { return a[l]; });
  return Flow::next;
}
Flow run_mov_predicate(Warp& warp, const Decoded& d, Mask active) {
  set_predicate(warp, d.d, active, warp.predicate(d.a) ^ (d.options ? kAll : 0));
  return Flow::next;
}
/// What moves by itself is written before it is read. A reading takes its time, so that a loop that waits for the clock is a short one; and
/// it lets others run, since such a loop never repeats a state (Spin does not see it) and may wait for them.
template <class T> Flow run_mov_clock(Warp& warp, const Decoded& d, Mask active) {
  auto& s = *reinterpret_cast<Specials*>(warp.specials);
  Launch& launch = launch_of(warp);
  launch.slept += kPollNanoseconds;
  const std::uint64_t now = launch.clock();
  for (int l = 0; l < kLanes; ++l) {
    s.clock[l] = s.globaltimer_lo[l] = static_cast<std::uint32_t>(now);
    s.clock_hi[l] = s.globaltimer_hi[l] = static_cast<std::uint32_t>(now >> 32);
    s.clock64[l] = s.globaltimer[l] = now;
  }
  run_mov<T>(warp, d, active);
  return Flow::yields;
}
/// The address of a local variable: relative to the frame.
template <class T> Flow run_mov_local(Warp& warp, const Decoded& d, Mask active) {
  const auto at = static_cast<T>(warp.current->frame->local_base + static_cast<std::uint64_t>(d.immediate));
  map_lanes(warp.lanes_of<T>(d.d), active, [=](int) { return at; });
  return Flow::next;
}
/// cvta.local of a variable's name.
Flow run_generic_local(Warp& warp, const Decoded& d, Mask active) {
  const std::uint64_t at = kLocalWindow + warp.current->frame->local_base + static_cast<std::uint64_t>(d.immediate);
  map_lanes(warp.lanes_of<std::uint64_t>(d.d), active, [=](int) { return at; });
  return Flow::next;
}

// Packing: the parts lie in extra, each of part bytes.

template <class Whole, class Part> Flow run_pack(Warp& warp, const Decoded& d, Mask active) {
  const auto& parts = *static_cast<const std::vector<Ref>*>(d.extra);
  auto* to = reinterpret_cast<Part*>(warp.lanes_of<Whole>(d.d));
  const std::size_t n = parts.size();
  Part all[kLanes * (sizeof(Whole) / sizeof(Part))];  // a part may be the destination's own register
  for (std::size_t k = 0; k < n; ++k) {
    const Part* from = warp.lanes_of<Part>(parts[k]);
    for (std::size_t l = 0; l < kLanes; ++l) all[l * n + k] = from[l];
  }
  for_lanes(active, [&](int l) {
    for (std::size_t k = 0; k < n; ++k) to[static_cast<std::size_t>(l) * n + k] = all[static_cast<std::size_t>(l) * n + k];
  });
  return Flow::next;
}
template <class Whole, class Part> Flow run_unpack(Warp& warp, const Decoded& d, Mask active) {
  const auto& parts = *static_cast<const std::vector<Ref>*>(d.extra);
  const std::size_t n = parts.size();
  Part all[kLanes * (sizeof(Whole) / sizeof(Part))];
  std::memcpy(all, warp.lanes_of<Whole>(d.a), sizeof all);
  for (std::size_t k = 0; k < n; ++k)
    map_lanes(warp.lanes_of<Part>(parts[k]), active, [&](int l) { return all[static_cast<std::size_t>(l) * n + k]; });
  return Flow::next;
}

template <bool pack, class Whole, class Part> constexpr Handler packing = pack ? run_pack<Whole, Part> : run_unpack<Whole, Part>;

template <bool pack> Handler packing_of(int whole, int part) {
  if (whole == 16) return part == 8 ? packing<pack, B128, U64> : part == 4 ? packing<pack, B128, U32> : nullptr;
  if (whole == 8)
    return part == 4 ? packing<pack, U64, U32> : part == 2 ? packing<pack, U64, U16> : part == 1 ? packing<pack, U64, U8> : nullptr;
  if (whole == 4) return part == 2 ? packing<pack, U32, U16> : part == 1 ? packing<pack, U32, U8> : nullptr;
  return whole == 2 && part == 1 ? packing<pack, U16, U8> : nullptr;
}

Type bits_type(int bytes) {
  return bytes == 1 ? Type::b8 : bytes == 2 ? Type::b16 : bytes == 4 ? Type::b32 : bytes == 8 ? Type::b64 : Type::b128;
}

void select_packing(Decoder& decoder, const Instruction& i, Decoded& out, const Operand& whole, const Operand& list, bool pack) {
  const int bytes = ptx::bytes_of(i.type()), parts_wanted = static_cast<int>(list.elements.size());
  if (parts_wanted == 0 || bytes % parts_wanted != 0) decoder.unsupported("the type does not divide into so many parts");
  const int part = bytes / parts_wanted;
  std::vector<Ref> parts;
  for (const Operand& e : list.elements)
    parts.push_back(pack ? decoder.source(e, bits_type(part)) : destination_or_scrap(decoder, e, bits_type(part)));
  if (pack) out.d = destination_or_scrap(decoder, whole, i.type());
  else out.a = decoder.source(whole, i.type());
  out.extra = decoder.keep(std::move(parts));
  out.run = pack ? packing_of<true>(bytes, part) : packing_of<false>(bytes, part);
}

Handler mov_of(int bytes) {
  switch (bytes) {
    case 1: return run_mov<std::uint8_t>;
    case 2: return run_mov<std::uint16_t>;
    case 4: return run_mov<std::uint32_t>;
    case 8: return run_mov<std::uint64_t>;
    default: return run_mov<B128>;
  }
}

bool is_clock(const std::string& name) { return name.rfind("%clock", 0) == 0 || name.rfind("%globaltimer", 0) == 0; }

void select_mov(Decoder& decoder, const Instruction& i, Decoded& out) {
  allow_modifiers(decoder, i, {});
  expect_operands(decoder, i, 2);
  out.instruction_class = kInteger;
  const Operand &to = i.operands[0], &from = i.operands[1];
  const Type t = i.type();
  if (from.kind == Operand::Kind::vector) return select_packing(decoder, i, out, to, from, true);
  if (to.kind == Operand::Kind::vector) return select_packing(decoder, i, out, from, to, false);
  out.d = destination_or_scrap(decoder, to, t);
  if (t == Type::pred) {
    out.a = decoder.source(from, t);
    out.options = from.negated ? 1 : 0;
    out.run = run_mov_predicate;
    return;
  }
  const int bytes = ptx::bytes_of(t);
  if (from.kind == Operand::Kind::symbol && decoder.space_of(from) == ptx::Space::local) {
    out.immediate = static_cast<std::int64_t>(decoder.address_of(from));
    out.run = bytes == 8 ? run_mov_local<std::uint64_t> : run_mov_local<std::uint32_t>;
    return;
  }
  if (from.kind == Operand::Kind::symbol && decoder.space_of(from) == ptx::Space::param) {
    if (!decoder.function->is_entry) decoder.unsupported("the address of a device function's parameter");
    Operand offset;
    offset.kind = Operand::Kind::immediate;
    offset.bits = decoder.address_of(from);
    out.a = decoder.source(offset, t);
  } else {
    out.a = decoder.source(from, t);
  }
  out.run = mov_of(bytes);
  if (from.kind == Operand::Kind::special && is_clock(from.name))
    out.run = bytes == 8 ? run_mov_clock<std::uint64_t> : run_mov_clock<std::uint32_t>;
}

// cvta. A window's address and the generic address differ in the top byte only; immediate: what is added, or the bits that stay.

Flow run_to_generic(Warp& warp, const Decoded& d, Mask active) {
  const auto* a = warp.lanes_of<std::uint64_t>(d.a);
  const auto window = static_cast<std::uint64_t>(d.immediate);
  map_lanes(warp.lanes_of<std::uint64_t>(d.d), active, [=](int l) { return a[l] | window; });
  return Flow::next;
}
Flow run_to_window(Warp& warp, const Decoded& d, Mask active) {
  const auto* a = warp.lanes_of<std::uint64_t>(d.a);
  map_lanes(warp.lanes_of<std::uint64_t>(d.d), active, [=](int l) { return a[l] & ~kWindowMask; });
  return Flow::next;
}

std::uint64_t window_of(const Instruction& i) {
  for (const std::string& m : i.modifiers) {
    if (m.rfind("shared", 0) == 0) return kSharedWindow;
    if (m == "local") return kLocalWindow;
    if (m.rfind("param", 0) == 0) return kParameterWindow;
  }
  return 0;
}

void select_cvta(Decoder& decoder, const Instruction& i, Decoded& out) {
  allow_modifiers(decoder, i, {"to", "global", "shared", "local", "const", "param", "shared::cta", "shared::cluster", "param::entry"});
  expect_operands(decoder, i, 2);
  out.instruction_class = kInteger;
  if (ptx::bytes_of(i.type()) != 8) decoder.unsupported("addresses have 64 bits here");
  const Operand& from = i.operands[1];
  out.d = destination_or_scrap(decoder, i.operands[0], Type::u64);
  const std::uint64_t window = window_of(i);
  if (from.kind == Operand::Kind::symbol && (decoder.space_of(from) == ptx::Space::local)) {
    out.immediate = static_cast<std::int64_t>(decoder.address_of(from));
    out.run = run_generic_local;
    return;
  }
  out.a = decoder.source(from, Type::u64);
  out.immediate = static_cast<std::int64_t>(window);
  out.run = window == 0 ? run_mov<std::uint64_t> : i.has("to") ? run_to_window : run_to_generic;
}

// isspacep: immediate is the window; options 1: global, 2: const.

Flow run_isspacep(Warp& warp, const Decoded& d, Mask active) {
  const auto* a = warp.lanes_of<std::uint64_t>(d.a);
  const auto window = static_cast<std::uint64_t>(d.immediate);
  set_predicate(warp, d.d, active, mask_of([=](int l) { return (a[l] & kWindowMask) == window; }));
  return Flow::next;
}
Flow run_isspacep_const(Warp& warp, const Decoded& d, Mask active) {
  const auto* a = warp.lanes_of<std::uint64_t>(d.a);
  Mask result = 0;
  for_lanes(active, [&](int l) {
    const Allocation* allocation = DeviceMemory::instance().find(a[l]);
    result |= allocation && allocation->kind == AllocationKind::constant ? Mask{1} << l : 0;
  });
  set_predicate(warp, d.d, active, result);
  return Flow::next;
}

void select_isspacep(Decoder& decoder, const Instruction& i, Decoded& out) {
  expect_operands(decoder, i, 2);
  out.instruction_class = kInteger;
  out.d = destination_or_scrap(decoder, i.operands[0], Type::pred);
  out.a = decoder.source(i.operands[1], Type::u64);
  out.immediate = static_cast<std::int64_t>(window_of(i));
  out.run = i.has("const") ? run_isspacep_const : run_isspacep;
}

}  // namespace

void register_convert() {
  add_selector("mov", select_mov);
  add_selector("cvta", select_cvta);
  add_selector("isspacep", select_isspacep);
  register_compare();
  register_cvt();
}

}  // namespace gradus::emulator
