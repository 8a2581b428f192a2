// cvt to and from packed halves and fp8, cvt.pack, and the encoding of every floating format.
#include <algorithm>
#include <string>

#include <gradus/kernels/emulator/exec/cvt.h>

namespace gradus::emulator {
namespace {

using ptx::Instruction;
using ptx::Type;

template <class T> T round_from(long double v, Round round) {
  T r = static_cast<T>(v);
  if (round == Round::nearest || v != v || static_cast<long double>(r) == v) return r;
  const T up = std::numeric_limits<T>::infinity();
  const bool above = static_cast<long double>(r) > v;
  const bool want_above = round == Round::up || (round == Round::zero && v < 0);
  if (above && !want_above) r = std::nextafter(r, -up);
  if (!above && want_above) r = std::nextafter(r, up);
  return r;
}

/// To double with what is lost kept in the last bit, for formats that are rounded from double.
double to_odd(long double v) {
  const double r = round_from<double>(v, Round::zero);
  const U64 bits = std::bit_cast<U64>(r);
  return v == v && static_cast<long double>(r) != v ? std::bit_cast<double>(bits | 1) : r;
}

/// tf32 is f32 with the 13 lowest bits zero.
U32 encode_tf32(float v, bool away, bool satfinite) {
  const U32 bits = std::bit_cast<U32>(v), magnitude = bits & 0x7FFFFFFFu;
  if (magnitude > 0x7F800000u) return 0x7FFFFFFFu;
  const U32 half = away ? 0x1000u : 0xFFFu + (bits >> 13 & 1);
  U32 rounded = magnitude == 0x7F800000u ? magnitude : (magnitude + half) & ~0x1FFFu;
  if (satfinite && rounded >= 0x7F800000u) rounded = 0x7F7FE000u;
  return (bits & 0x80000000u) | rounded;
}

/// e4m3 has no infinity and its largest value is 448; e5m2's is 57344.
U8 encode_fp8(Type t, double v) {
  const bool e4m3 = t == Type::e4m3;
  const int mantissa = e4m3 ? 3 : 2, bias = e4m3 ? 7 : 15;
  const U8 sign = std::signbit(v) ? 0x80 : 0, largest = e4m3 ? 0x7E : 0x7B;
  if (v != v) return 0x7F;
  const double magnitude = std::fabs(v);
  if (magnitude == 0) return sign;
  if (magnitude > 1e6) return sign | largest;
  const int exponent = std::max(std::ilogb(magnitude), 1 - bias);
  const auto whole = static_cast<int>(std::rint(std::ldexp(magnitude, mantissa - exponent)));
  return static_cast<U8>(sign | std::min<int>(whole + ((exponent + bias - 1) << mantissa), largest));
}

double decode_fp8(Type t, U8 bits) {
  const bool e4m3 = t == Type::e4m3;
  const int mantissa = e4m3 ? 3 : 2, bias = e4m3 ? 7 : 15;
  const int exponent = (bits & 0x7F) >> mantissa, fraction = bits & ((1 << mantissa) - 1);
  const double sign = bits & 0x80 ? -1.0 : 1.0;
  if (e4m3 ? (bits & 0x7F) == 0x7F : exponent == 31 && fraction != 0) return std::numeric_limits<double>::quiet_NaN();
  if (!e4m3 && exponent == 31) return sign * std::numeric_limits<double>::infinity();
  const double value =
      exponent == 0 ? std::ldexp(fraction, 1 - bias - mantissa) : std::ldexp(fraction + (1 << mantissa), exponent - bias - mantissa);
  return sign * value;
}

long double limit(const CvtPlan& plan, long double v) {
  if (plan.relu && v < 0) v = 0;
  if (plan.relu && v == 0) v = 0;  // -0 becomes +0
  if (plan.sat) v = v > 0 ? std::min(v, 1.0L) : 0.0L;
  const long double largest = plan.destination == Type::f16 ? 65504.0L : plan.destination == Type::bf16 ? 0x1.FEp127L : 0.0L;
  if (plan.satfinite && largest > 0 && std::fabs(v) > largest) v = std::copysign(largest, v);
  return v;
}

// Packed forms: two values per lane. element: of the destination or source.

Type element_of(Type t) {
  switch (t) {
    case Type::f16x2: return Type::f16;
    case Type::bf16x2: return Type::bf16;
    case Type::e4m3x2: return Type::e4m3;
    case Type::e5m2x2: return Type::e5m2;
    default: return t;
  }
}

struct PackedPlan {
  CvtPlan element;     // one value
  int half_bytes = 2;  // of an element of the destination
};

/// d, a, b from f32: a is the upper half.
Flow run_pair(Warp& warp, const Decoded& d, Mask active) {
  const auto& plan = *static_cast<const PackedPlan*>(d.extra);
  const float* a = warp.lanes_of<float>(d.a);
  const float* b = warp.lanes_of<float>(d.b);
  std::byte* to = warp.lanes_of<std::byte>(d.d);
  const int bits = 8 * plan.half_bytes, bytes = 2 * plan.half_bytes;
  for_lanes(active, [&](int l) {
    const float high = plan.element.ftz ? flush(a[l]) : a[l], low = plan.element.ftz ? flush(b[l]) : b[l];
    const U64 packed = encode_real(plan.element, high) << bits | encode_real(plan.element, low);
    std::memcpy(to + l * bytes, &packed, static_cast<std::size_t>(bytes));
  });
  return Flow::next;
}
/// The two halves where it matters: cvt.rn.bf16x2.f32 and cvt.rn.f16x2.f32.
template <U16 (*encode)(float)> Flow run_pair_fast(Warp& warp, const Decoded& d, Mask active) {
  const float* a = warp.lanes_of<float>(d.a);
  const float* b = warp.lanes_of<float>(d.b);
  map_lanes(warp.lanes_of<U32>(d.d), active, [=](int l) { return static_cast<U32>(encode(a[l])) << 16 | encode(b[l]); });
  return Flow::next;
}

double decode(Type t, U16 bits) {
  switch (t) {
    case Type::f16: return float_of_half(bits);
    case Type::bf16: return float_of_bfloat(bits);
    default: return decode_fp8(t, static_cast<U8>(bits));
  }
}

/// d, a: both packed; element.source and element.destination.
Flow run_repack(Warp& warp, const Decoded& d, Mask active) {
  const auto& plan = *static_cast<const PackedPlan*>(d.extra);
  const int from_half = ptx::bytes_of(plan.element.source) == 1 ? 1 : 2, from_bytes = 2 * from_half, to_bytes = 2 * plan.half_bytes;
  const std::byte* from = warp.lanes_of<std::byte>(d.a);
  std::byte* to = warp.lanes_of<std::byte>(d.d);
  for_lanes(active, [&](int l) {
    U64 packed = 0;
    for (int k = 0; k < 2; ++k) {
      U16 bits = 0;
      std::memcpy(&bits, from + l * from_bytes + k * from_half, static_cast<std::size_t>(from_half));
      packed |= encode_real(plan.element, decode(plan.element.source, bits)) << (8 * plan.half_bytes * k);
    }
    std::memcpy(to + l * to_bytes, &packed, static_cast<std::size_t>(to_bytes));
  });
  return Flow::next;
}

/// cvt.pack.sat.dtype.s32 d, a, b: two 16-bit results.
template <class T> struct PackSat {
  static U32 apply(std::int32_t a, std::int32_t b) {
    using Limits = std::numeric_limits<T>;
    const auto clamp = [](std::int32_t v) {
      return static_cast<U16>(static_cast<T>(std::clamp<std::int32_t>(v, Limits::min(), Limits::max())));
    };
    return static_cast<U32>(clamp(a)) << 16 | clamp(b);
  }
};
/// With a third source: two 8-bit results below its low half.
template <class T> struct PackSat8 {
  static U32 apply(std::int32_t a, std::int32_t b, U32 c) {
    using Limits = std::numeric_limits<T>;
    const auto clamp = [](std::int32_t v) {
      return static_cast<U8>(static_cast<T>(std::clamp<std::int32_t>(v, Limits::min(), Limits::max())));
    };
    return c << 16 | static_cast<U32>(clamp(a)) << 8 | clamp(b);
  }
};

void select_pack(Decoder& decoder, const Instruction& i, Decoded& out) {
  const bool three = i.operands.size() == 4;
  const Type t = i.type(three ? 2 : 1);
  out.instruction_class = kInteger;
  bind(decoder, i, out, Type::b32, Type::s32, Type::s32, three ? Type::b32 : Type::none);
  switch (t) {
    case Type::u16: out.run = binary<PackSat<U16>, U32, S32, S32>; break;
    case Type::s16: out.run = binary<PackSat<std::int16_t>, U32, S32, S32>; break;
    case Type::u8: out.run = ternary<PackSat8<U8>, U32, S32, S32, U32>; break;
    case Type::s8: out.run = ternary<PackSat8<std::int8_t>, U32, S32, S32, U32>; break;
    default: decoder.unsupported("cvt.pack to this type");
  }
}

}  // namespace

bool is_packed(Type t) { return element_of(t) != t; }

std::uint64_t encode_real(const CvtPlan& plan, long double value) {
  const long double v = limit(plan, value);
  switch (plan.destination) {
    case Type::f64: return std::bit_cast<U64>(round_from<double>(v, plan.round));
    case Type::f32: {
      const float f = canonical(round_from<float>(v, plan.round));
      return std::bit_cast<U32>(plan.ftz ? flush(f) : f);
    }
    case Type::tf32: return encode_tf32(static_cast<float>(v), plan.away, plan.satfinite);
    case Type::f16: return half_of(to_odd(v), plan.round);
    case Type::bf16: return bfloat_of(to_odd(v), plan.round);
    default: return encode_fp8(plan.destination, to_odd(v));
  }
}

void select_cvt_packed(Decoder& decoder, const Instruction& i, Decoded& out) {
  if (i.has("pack")) return select_pack(decoder, i, out);
  allow_modifiers(decoder, i, {"rn", "rz", "ftz", "relu", "satfinite"});
  const Type d = i.type(1), s = i.type(0);
  PackedPlan plan;
  plan.element = plan_of(i, element_of(d), element_of(s));
  plan.half_bytes = ptx::bytes_of(d) / 2;
  out.instruction_class = kFloat;
  out.extra = decoder.keep(plan);
  const Type whole = ptx::bytes_of(d) == 2 ? Type::b16 : Type::b32;
  if (s == Type::f32) {
    bind(decoder, i, out, whole, Type::f32, Type::f32);
    const bool plain = plan.element.round == Round::nearest && !plan.element.ftz && !plan.element.relu && !plan.element.satfinite;
    out.run = plain && d == Type::f16x2    ? run_pair_fast<half_of_float>
              : plain && d == Type::bf16x2 ? run_pair_fast<bfloat_of_float>
                                           : run_pair;
  } else {
    bind(decoder, i, out, whole, ptx::bytes_of(s) == 2 ? Type::b16 : Type::b32);
    out.run = run_repack;
  }
}

}  // namespace gradus::emulator
