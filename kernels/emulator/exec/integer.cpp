// Integer arithmetic: add sub mul mad div rem neg abs min max sad, their carrying forms, dp4a and dp2a.
#include <algorithm>
#include <limits>
#include <type_traits>

#include <gradus/kernels/emulator/exec/handler.h>

namespace gradus::emulator {

void GRADUS_EMULATOR_FAMILY(register_bits)();  // bits.cpp
#ifndef GRADUS_EMULATOR_WIDE
void register_packed_integer();  // packed_integer.cpp
#endif
#ifdef GRADUS_EMULATOR_HAS_WIDE
void register_integer_wide();
void register_float_wide();
#endif

namespace {

using ptx::Instruction;
using ptx::Type;
__extension__ using U128 = unsigned __int128;
__extension__ using S128 = __int128;

template <class T> struct Wider;
template <> struct Wider<U16> { using type = U32; };
template <> struct Wider<S16> { using type = S32; };
template <> struct Wider<U32> { using type = U64; };
template <> struct Wider<S32> { using type = S64; };
template <> struct Wider<U64> { using type = U128; };
template <> struct Wider<S64> { using type = S128; };
template <class T> using wider = typename Wider<T>::type;
template <class T> inline constexpr int kBits = static_cast<int>(8 * sizeof(T));
template <class T> inline constexpr bool kSigned = std::is_same_v<T, S16> || std::is_same_v<T, S32> || std::is_same_v<T, S64>;

// Wrapping arithmetic is done on unsigned types; u32 keeps 16-bit products from overflowing int.
template <class T> using unsigned_of = std::make_unsigned_t<T>;
template <class T> using work = std::conditional_t<sizeof(T) < 4, U32, unsigned_of<T>>;

struct Add {
  template <class T> static T apply(T a, T b) { return static_cast<T>(static_cast<work<T>>(a) + static_cast<work<T>>(b)); }
};
struct Sub {
  template <class T> static T apply(T a, T b) { return static_cast<T>(static_cast<work<T>>(a) - static_cast<work<T>>(b)); }
};
struct MulLo {
  template <class T> static T apply(T a, T b) { return static_cast<T>(static_cast<work<T>>(a) * static_cast<work<T>>(b)); }
};
struct MulHi {
  template <class T> static T apply(T a, T b) { return static_cast<T>((static_cast<wider<T>>(a) * static_cast<wider<T>>(b)) >> kBits<T>); }
};
struct MulWide {
  template <class T> static wider<T> apply(T a, T b) { return static_cast<wider<T>>(a) * static_cast<wider<T>>(b); }
};
struct MadLo {
  template <class T> static T apply(T a, T b, T c) { return Add::apply(MulLo::apply(a, b), c); }
};
struct MadHi {
  template <class T> static T apply(T a, T b, T c) { return Add::apply(MulHi::apply(a, b), c); }
};
struct MadWide {
  template <class T> static wider<T> apply(T a, T b, wider<T> c) { return Add::apply(MulWide::apply(a, b), c); }
};
struct Mul24Lo {
  template <class T> static T apply(T a, T b) { return static_cast<T>(low24(a) * low24(b)); }
  template <class T> static wider<T> low24(T a) { return kSigned<T> ? static_cast<S32>(static_cast<U32>(a) << 8) >> 8 : a & 0xFFFFFF; }
};
struct Mul24Hi {
  template <class T> static T apply(T a, T b) { return static_cast<T>((Mul24Lo::low24(a) * Mul24Lo::low24(b)) >> 16); }
};
struct Mad24Lo {
  template <class T> static T apply(T a, T b, T c) { return Add::apply(Mul24Lo::apply(a, b), c); }
};

inline S32 clamp32(S64 v) { return static_cast<S32>(std::clamp<S64>(v, std::numeric_limits<S32>::min(), std::numeric_limits<S32>::max())); }
struct AddSat {
  static S32 apply(S32 a, S32 b) { return clamp32(S64{a} + b); }
};
struct SubSat {
  static S32 apply(S32 a, S32 b) { return clamp32(S64{a} - b); }
};
struct MadHiSat {
  static S32 apply(S32 a, S32 b, S32 c) { return clamp32(((S64{a} * b) >> 32) + c); }
};

/// Division by zero gives all ones, as the hardware's sequence does; the most negative number over -1 wraps.
struct Div {
  template <class T> static T apply(T a, T b) {
    if (b == 0) return static_cast<T>(~T{0});
    if (kSigned<T> && b == static_cast<T>(-1)) return Sub::apply(T{0}, a);
    return static_cast<T>(a / b);
  }
};
struct Rem {
  template <class T> static T apply(T a, T b) {
    if (b == 0) return static_cast<T>(~T{0});
    if (kSigned<T> && b == static_cast<T>(-1)) return T{0};
    return static_cast<T>(a % b);
  }
};
struct Min {
  template <class T> static T apply(T a, T b) { return b < a ? b : a; }
};
struct Max {
  template <class T> static T apply(T a, T b) { return a < b ? b : a; }
};
struct MinRelu {
  template <class T> static T apply(T a, T b) { return std::max<T>(Min::apply(a, b), 0); }
};
struct MaxRelu {
  template <class T> static T apply(T a, T b) { return std::max<T>(Max::apply(a, b), 0); }
};
struct Neg {
  template <class T> static T apply(T a) { return Sub::apply(T{0}, a); }
};
struct Abs {
  template <class T> static T apply(T a) { return a < 0 ? Neg::apply(a) : a; }
};
struct Sad {
  template <class T> static T apply(T a, T b, T c) { return Add::apply(c, a < b ? Sub::apply(b, a) : Sub::apply(a, b)); }
};

// Which handler for which type. `same` families wrap, so signed and unsigned share the unsigned handler.

template <class Op, class T> constexpr Handler two = binary<Op, T, T, T>;
template <class Op, class T> constexpr Handler three = ternary<Op, T, T, T, T>;

template <class Op> Handler two_wrapping(Type t) {
  switch (ptx::bytes_of(t)) {
    case 2: return two<Op, U16>;
    case 4: return two<Op, U32>;
    default: return two<Op, U64>;
  }
}
template <class Op> Handler three_wrapping(Type t) {
  switch (ptx::bytes_of(t)) {
    case 2: return three<Op, U16>;
    case 4: return three<Op, U32>;
    default: return three<Op, U64>;
  }
}
template <class Op> Handler two_typed(Type t) {
  switch (t) {
    case Type::u16: return two<Op, U16>;
    case Type::s16: return two<Op, S16>;
    case Type::u32: return two<Op, U32>;
    case Type::s32: return two<Op, S32>;
    case Type::u64: return two<Op, U64>;
    default: return two<Op, S64>;
  }
}
template <class Op> Handler three_typed(Type t) {
  switch (t) {
    case Type::u16: return three<Op, U16>;
    case Type::s16: return three<Op, S16>;
    case Type::u32: return three<Op, U32>;
    case Type::s32: return three<Op, S32>;
    case Type::u64: return three<Op, U64>;
    default: return three<Op, S64>;
  }
}

/// Division is not done for lanes that are off: costly, and one after another anyway.
template <class Op, class T> Flow run_division(Warp& warp, const Decoded& d, Mask active) {
  const T* a = warp.lanes_of<T>(d.a);
  const T* b = warp.lanes_of<T>(d.b);
  map_active(warp.lanes_of<T>(d.d), active, [=](int l) { return Op::apply(a[l], b[l]); });
  return Flow::next;
}
template <class Op> Handler division(Type t) {
  switch (t) {
    case Type::u16: return run_division<Op, U16>;
    case Type::s16: return run_division<Op, S16>;
    case Type::u32: return run_division<Op, U32>;
    case Type::s32: return run_division<Op, S32>;
    case Type::u64: return run_division<Op, U64>;
    default: return run_division<Op, S64>;
  }
}

// Carrying forms. options: 1 take the carry in, 2 leave it behind; d.c of mad.
constexpr U32 kCarryIn = 1, kCarryOut = 2;
enum class Carrying : std::uint8_t { add, sub, mad_lo, mad_hi };

template <Carrying kind, class T> Flow run_carrying(Warp& warp, const Decoded& d, Mask active) {
  using W = std::conditional_t<sizeof(T) == 4, U64, U128>;
  const T* a = warp.lanes_of<T>(d.a);
  const T* b = warp.lanes_of<T>(d.b);
  const T* c = warp.lanes_of<T>(d.c);
  T* r = warp.lanes_of<T>(d.d);
  Mask out = 0;
  for_lanes(active, [&](int l) {
    using U = unsigned_of<T>;
    const W in = d.options & kCarryIn ? warp.carry >> l & 1 : 0;
    W sum;
    if constexpr (kind == Carrying::add) sum = W{static_cast<U>(a[l])} + static_cast<U>(b[l]) + in;
    else if constexpr (kind == Carrying::sub)
      sum = W{static_cast<U>(a[l])} - static_cast<U>(b[l]) - in;  // the borrow shows in the upper half
    else if constexpr (kind == Carrying::mad_lo) sum = W{static_cast<U>(MulLo::apply(a[l], b[l]))} + static_cast<U>(c[l]) + in;
    else sum = W{static_cast<U>(MulHi::apply(a[l], b[l]))} + static_cast<U>(c[l]) + in;
    out |= static_cast<Mask>((sum >> kBits<T>)&1) << l;
    r[l] = static_cast<T>(sum);
  });
  if (d.options & kCarryOut) warp.carry = (warp.carry & ~active) | out;
  return Flow::next;
}

template <Carrying kind> Handler carrying(Type t) {
  switch (t) {
    case Type::u32: return run_carrying<kind, U32>;
    case Type::s32: return run_carrying<kind, S32>;
    case Type::u64: return run_carrying<kind, U64>;
    default: return run_carrying<kind, S64>;
  }
}

bool is_handled_here(Type t) {
  return t == Type::u16 || t == Type::s16 || t == Type::u32 || t == Type::s32 || t == Type::u64 || t == Type::s64 || t == Type::b32 ||
         t == Type::b64 || t == Type::b16;
}

/// Of any integer instruction of this file: false if it is not ours.
bool begin(Decoder& decoder, const Instruction& i, Decoded& out, std::initializer_list<const char*> allowed) {
  if (!is_handled_here(i.type())) return false;
  allow_modifiers(decoder, i, allowed);
  out.instruction_class = kInteger;
  return true;
}

template <class Op, class Sat, Carrying kind> void select_sum(Decoder& decoder, const Instruction& i, Decoded& out) {
  if (!begin(decoder, i, out, {"sat", "cc"})) return;
  const Type t = i.type();
  bind(decoder, i, out, t, t, t);
  const bool carry_in = i.mnemonic == "addc" || i.mnemonic == "subc";
  if (carry_in || i.has("cc")) {
    out.options = (carry_in ? kCarryIn : 0) | (i.has("cc") ? kCarryOut : 0);
    out.run = carrying<kind>(t);
  } else if (i.has("sat")) {
    if (t != Type::s32) decoder.unsupported(".sat is for s32");
    out.run = two<Sat, S32>;
  } else {
    out.run = two_wrapping<Op>(t);
  }
}

template <class D, class T> constexpr Handler mul_wide = binary<MulWide, D, T, T>;

void select_mul(Decoder& decoder, const Instruction& i, Decoded& out) {
  if (!begin(decoder, i, out, {"lo", "hi", "wide"})) return;
  const Type t = i.type();
  if (i.has("wide")) {
    const bool small = ptx::bytes_of(t) == 2, is_signed = t == Type::s16 || t == Type::s32;
    bind(decoder, i, out, small ? Type::b32 : Type::b64, t, t);
    out.run = small ? (is_signed ? mul_wide<S32, S16> : mul_wide<U32, U16>) : (is_signed ? mul_wide<S64, S32> : mul_wide<U64, U32>);
    return;
  }
  bind(decoder, i, out, t, t, t);
  out.run = i.has("hi") ? two_typed<MulHi>(t) : two_wrapping<MulLo>(t);
}

template <class D, class T> constexpr Handler mad_wide = ternary<MadWide, D, T, T, D>;

void select_mad(Decoder& decoder, const Instruction& i, Decoded& out) {
  if (!begin(decoder, i, out, {"lo", "hi", "wide", "sat", "cc"})) return;
  const Type t = i.type();
  const bool carry_in = i.mnemonic == "madc";
  if (i.has("wide")) {
    const bool small = ptx::bytes_of(t) == 2, is_signed = t == Type::s16 || t == Type::s32;
    const Type d = small ? Type::b32 : Type::b64;
    bind(decoder, i, out, d, t, t, d);
    out.run = small ? (is_signed ? mad_wide<S32, S16> : mad_wide<U32, U16>) : (is_signed ? mad_wide<S64, S32> : mad_wide<U64, U32>);
    return;
  }
  bind(decoder, i, out, t, t, t, t);
  if (carry_in || i.has("cc")) {
    out.options = (carry_in ? kCarryIn : 0) | (i.has("cc") ? kCarryOut : 0);
    out.run = i.has("hi") ? carrying<Carrying::mad_hi>(t) : carrying<Carrying::mad_lo>(t);
  } else if (i.has("sat")) {
    out.run = three<MadHiSat, S32>;
  } else {
    out.run = i.has("hi") ? three_typed<MadHi>(t) : three_wrapping<MadLo>(t);
  }
}

void select_24(Decoder& decoder, const Instruction& i, Decoded& out) {
  if (!begin(decoder, i, out, {"lo", "hi"})) return;
  const Type t = i.type();
  const bool is_signed = t == Type::s32;
  if (i.mnemonic == "mad24") {
    if (i.has("hi")) decoder.unsupported("mad24.hi");
    bind(decoder, i, out, t, t, t, t);
    out.run = is_signed ? three<Mad24Lo, S32> : three<Mad24Lo, U32>;
    return;
  }
  bind(decoder, i, out, t, t, t);
  out.run = i.has("hi") ? (is_signed ? two<Mul24Hi, S32> : two<Mul24Hi, U32>) : (is_signed ? two<Mul24Lo, S32> : two<Mul24Lo, U32>);
}

template <class Op> void select_division(Decoder& decoder, const Instruction& i, Decoded& out) {
  if (!begin(decoder, i, out, {})) return;
  const Type t = i.type();
  bind(decoder, i, out, t, t, t);
  out.special = 1;
  out.run = division<Op>(t);
}

template <class Op, class Relu> void select_extremum(Decoder& decoder, const Instruction& i, Decoded& out) {
  if (!begin(decoder, i, out, {"relu"})) return;
  const Type t = i.type();
  bind(decoder, i, out, t, t, t);
  out.run = i.has("relu") ? two<Relu, S32> : two_typed<Op>(t);
}

template <class Op> void select_sign(Decoder& decoder, const Instruction& i, Decoded& out) {
  if (!begin(decoder, i, out, {})) return;
  const Type t = i.type();
  bind(decoder, i, out, t, t);
  out.run = t == Type::s16 ? unary<Op, S16, S16> : t == Type::s32 ? unary<Op, S32, S32> : t == Type::s64 ? unary<Op, S64, S64> : nullptr;
}

void select_sad(Decoder& decoder, const Instruction& i, Decoded& out) {
  if (!begin(decoder, i, out, {})) return;
  const Type t = i.type();
  bind(decoder, i, out, t, t, t, t);
  out.run = three_typed<Sad>(t);
}

}  // namespace

void GRADUS_EMULATOR_FAMILY(register_integer)() {
#ifdef GRADUS_EMULATOR_HAS_WIDE
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {  // the first selector that knows an instruction is taken
    register_integer_wide();
    register_float_wide();
  }
#endif
  add_selector("add", select_sum<Add, AddSat, Carrying::add>);
  add_selector("addc", select_sum<Add, AddSat, Carrying::add>);
  add_selector("sub", select_sum<Sub, SubSat, Carrying::sub>);
  add_selector("subc", select_sum<Sub, SubSat, Carrying::sub>);
  add_selector("mul", select_mul);
  add_selector("mad", select_mad);
  add_selector("madc", select_mad);
  add_selector("mul24", select_24);
  add_selector("mad24", select_24);
  add_selector("div", select_division<Div>);
  add_selector("rem", select_division<Rem>);
  add_selector("min", select_extremum<Min, MinRelu>);
  add_selector("max", select_extremum<Max, MaxRelu>);
  add_selector("neg", select_sign<Neg>);
  add_selector("abs", select_sign<Abs>);
  add_selector("sad", select_sad);
  GRADUS_EMULATOR_FAMILY(register_bits)();
#ifndef GRADUS_EMULATOR_WIDE
  register_packed_integer();
#endif
}

}  // namespace gradus::emulator
