// What arithmetic handlers are made of: loops over the lanes of typed operands, all at once or under a mask.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include <gradus/kernels/emulator/exec/decoder.h>
#include <gradus/kernels/emulator/exec/warp.h>

// Four families (float.cpp, float_special.cpp, integer.cpp, bits.cpp) and the check of races (check/races.cpp) may be compiled a second
// time with -mavx2 -mfma and GRADUS_EMULATOR_WIDE defined; the rest of the library then needs GRADUS_EMULATOR_HAS_WIDE, and takes those
// handlers where the processor can.
#ifdef GRADUS_EMULATOR_WIDE
#define GRADUS_EMULATOR_FAMILY(name) name##_wide
#else
#define GRADUS_EMULATOR_FAMILY(name) name
#endif

namespace gradus::emulator {
namespace {  // internal on purpose: a family may be compiled more than once, for several instruction sets

using U8 = std::uint8_t;
using S8 = std::int8_t;
using U16 = std::uint16_t;
using S16 = std::int16_t;
using U32 = std::uint32_t;
using S32 = std::int32_t;
using U64 = std::uint64_t;
using S64 = std::int64_t;

constexpr std::array<Mask, kLanes> lane_bits() {
  std::array<Mask, kLanes> bits{};
  for (int l = 0; l < kLanes; ++l) bits[static_cast<std::size_t>(l)] = Mask{1} << l;
  return bits;
}
alignas(64) constexpr std::array<Mask, kLanes> kLaneBit = lane_bits();

/// r[l] = f(l) for the active lanes. f must be harmless for the others too: it is computed for all and blended. A result may lie on an
/// operand exactly (same register), never across one, hence the ivdep.
template <class D, class F> inline void map_lanes(D* r, Mask active, F f) {
  if (active == kAll) {
#pragma GCC ivdep
    for (int l = 0; l < kLanes; ++l) r[l] = f(l);
    return;
  }
  alignas(64) D all[kLanes];
  for (int l = 0; l < kLanes; ++l) all[l] = f(l);
#pragma GCC ivdep
  for (int l = 0; l < kLanes; ++l) r[l] = (active & kLaneBit[static_cast<std::size_t>(l)]) != 0 ? all[l] : r[l];
}

/// f(l) for each active lane, in order.
template <class F> inline void for_lanes(Mask active, F f) {
  for (; active != 0; active &= active - 1) f(__builtin_ctz(active));
}

/// r[l] = f(l), only for active lanes: for costly f.
template <class D, class F> inline void map_active(D* r, Mask active, F f) {
  for_lanes(active, [=](int l) { r[l] = f(l); });
}

/// The mask of lanes for which f(l) holds (f is asked for all).
template <class F> inline Mask mask_of(F f) {
  alignas(64) std::uint8_t bytes[kLanes];
  for (int l = 0; l < kLanes; ++l) bytes[l] = f(l) ? 1 : 0;
  Mask mask = 0;
  for (int i = 0; i < 4; ++i) {
    std::uint64_t eight;
    std::memcpy(&eight, bytes + 8 * i, 8);
    mask |= static_cast<Mask>((eight * 0x0102040810204080u) >> 56) << (8 * i);  // gathers bit 0 of each byte
  }
  return mask;
}

inline void set_predicate(Warp& warp, Ref ref, Mask active, Mask value) {
  Mask& p = warp.predicate(ref);
  p = (p & ~active) | (value & active);
}

template <class Op, class D, class A> Flow unary(Warp& warp, const Decoded& d, Mask active) {
  const A* a = warp.lanes_of<A>(d.a);
  map_lanes(warp.lanes_of<D>(d.d), active, [=](int l) { return static_cast<D>(Op::apply(a[l])); });
  return Flow::next;
}
template <class Op, class D, class A, class B> Flow binary(Warp& warp, const Decoded& d, Mask active) {
  const A* a = warp.lanes_of<A>(d.a);
  const B* b = warp.lanes_of<B>(d.b);
  map_lanes(warp.lanes_of<D>(d.d), active, [=](int l) { return static_cast<D>(Op::apply(a[l], b[l])); });
  return Flow::next;
}
template <class Op, class D, class A, class B, class C> Flow ternary(Warp& warp, const Decoded& d, Mask active) {
  const A* a = warp.lanes_of<A>(d.a);
  const B* b = warp.lanes_of<B>(d.b);
  const C* c = warp.lanes_of<C>(d.c);
  map_lanes(warp.lanes_of<D>(d.d), active, [=](int l) { return static_cast<D>(Op::apply(a[l], b[l], c[l])); });
  return Flow::next;
}

}  // namespace

// Selectors' helpers (select.cpp).
/// Throws unsupported unless there are exactly n operands.
void expect_operands(Decoder& decoder, const ptx::Instruction& instruction, std::size_t n);
/// Fills d and up to three sources of one type.
void bind(Decoder& decoder, const ptx::Instruction& instruction, Decoded& out, ptx::Type d, ptx::Type a, ptx::Type b = ptx::Type::none,
          ptx::Type c = ptx::Type::none);
/// A destination, or scrap for `_`.
Ref destination_or_scrap(Decoder& decoder, const ptx::Operand& operand, ptx::Type type);
/// Throws unsupported if a modifier is none of the type names, the mnemonic's known modifiers.
void allow_modifiers(Decoder& decoder, const ptx::Instruction& instruction, std::initializer_list<const char*> allowed);
/// Decoded::instruction_class.
enum InstructionClass : std::uint8_t { kInteger, kFloat, kMemory, kControl, kOther };

}  // namespace gradus::emulator
