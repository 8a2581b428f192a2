// cvt: between all integer and floating types. Common pairs have a vectorised handler of their own; the others go through long double,
// which holds every 64-bit integer and every double exactly, so that each conversion rounds once. Packed results: cvt_packed.cpp.
#include <string>

#include <gradus/kernels/emulator/exec/cvt.h>

namespace gradus::emulator {
namespace {

using ptx::Instruction;
using ptx::Type;

// Direct handlers.

template <class D, class S> struct Cast {
  static D apply(S v) { return static_cast<D>(v); }
};
template <class D, class S> constexpr Handler cast = unary<Cast<D, S>, D, S>;
struct HalfToFloat {
  static float apply(U16 v) { return float_of_half(v); }
};
struct FloatToHalf {
  static U16 apply(float v) { return half_of_float(v); }
};
struct BfloatToFloat {
  static float apply(U16 v) { return float_of_bfloat(v); }
};
struct FloatToBfloat {
  static U16 apply(float v) { return bfloat_of_float(v); }
};
struct DoubleToFloat {
  static float apply(double v) { return canonical(static_cast<float>(v)); }
};
struct Saturate {
  static float apply(float v) { return saturate(v); }
};  // expf's
/// Toward zero, clamped, NaN to 0.
struct FloatToS32 {
  static S32 apply(float v) {
    const float inside = v >= -2147483648.0f ? (v < 2147483648.0f ? v : 0.0f) : 0.0f;  // NaN: 0
    const S32 clamped = v >= 2147483648.0f ? 2147483647 : v < -2147483648.0f ? static_cast<S32>(0x80000000u) : static_cast<S32>(inside);
    return clamped;
  }
};

/// Handlers of a source type that fills its register, by destination type; no modifiers.
template <class S> Handler integer_cast(Type d) {
  switch (d) {
    case Type::u16:
    case Type::s16: return cast<U16, S>;
    case Type::u32:
    case Type::s32: return cast<U32, S>;
    case Type::u64:
    case Type::s64: return cast<U64, S>;
    case Type::f32: return cast<float, S>;
    case Type::f64: return cast<double, S>;
    default: return nullptr;
  }
}

Handler direct(Type d, Type s, const CvtPlan& plan) {
  const bool plain =
      plan.round == Round::nearest && !plan.integral && !plan.ftz && !plan.sat && !plan.relu && !plan.satfinite && !plan.away;
  if (plan.source_bytes != ptx::bytes_of(s) || plan.destination_bytes != ptx::bytes_of(d)) return nullptr;
  if (s == Type::f32 && d == Type::f32 && plan.sat && !plan.integral && !plan.ftz && !plan.relu) return unary<Saturate, float, float>;
  if (s == Type::f32 && d == Type::s32 && plan.round == Round::zero && !plan.ftz) return unary<FloatToS32, S32, float>;
  if (!plain) return nullptr;
  switch (s) {
    case Type::u16: return integer_cast<U16>(d);
    case Type::s16: return integer_cast<S16>(d);
    case Type::u32: return integer_cast<U32>(d);
    case Type::s32: return integer_cast<S32>(d);
    case Type::u64: return integer_cast<U64>(d);
    case Type::s64: return integer_cast<S64>(d);
    case Type::f16: return d == Type::f32 ? unary<HalfToFloat, float, U16> : nullptr;
    case Type::bf16: return d == Type::f32 ? unary<BfloatToFloat, float, U16> : nullptr;
    case Type::f32:
      return d == Type::f64    ? cast<double, float>
             : d == Type::f16  ? unary<FloatToHalf, U16, float>
             : d == Type::bf16 ? unary<FloatToBfloat, U16, float>
                               : nullptr;
    case Type::f64: return d == Type::f32 ? unary<DoubleToFloat, float, double> : nullptr;
    default: return nullptr;
  }
}

// The general way.

template <class T> T read_as(const std::byte* from) {
  T v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

long double read_value(Type t, const std::byte* from) {
  switch (t) {
    case Type::u8: return read_as<U8>(from);
    case Type::s8: return read_as<S8>(from);
    case Type::u16: return read_as<U16>(from);
    case Type::s16: return read_as<S16>(from);
    case Type::u32: return read_as<U32>(from);
    case Type::s32: return read_as<S32>(from);
    case Type::u64: return read_as<U64>(from);
    case Type::s64: return read_as<S64>(from);
    case Type::f16: return float_of_half(read_as<U16>(from));
    case Type::bf16: return float_of_bfloat(read_as<U16>(from));
    case Type::f32:
    case Type::tf32: return read_as<float>(from);
    default: return read_as<double>(from);
  }
}

/// A narrower integer in a wider register is extended.
void write_integer(U64 bits, int bytes, std::byte* to) { std::memcpy(to, &bits, static_cast<std::size_t>(bytes)); }

/// Clamped to the type's range, NaN to 0; v is integral.
U64 clamp_to(Type t, long double v) {
  const int bits = 8 * ptx::bytes_of(t);
  const long double two_to = std::ldexp(1.0L, is_signed(t) ? bits - 1 : bits);
  const long double low = is_signed(t) ? -two_to : 0.0L, high = two_to - 1;
  if (v != v) return 0;
  if (v <= low) return is_signed(t) ? static_cast<U64>(static_cast<S64>(low)) : 0;
  if (v >= high) return static_cast<U64>(high);
  return v < 0 ? static_cast<U64>(static_cast<S64>(v)) : static_cast<U64>(v);
}

/// The low bits of an integer, extended as the type says.
U64 wrap_to(Type t, U64 bits) {
  const int unused = 64 - 8 * ptx::bytes_of(t);
  return is_signed(t) ? static_cast<U64>(static_cast<S64>(bits << unused) >> unused) : bits << unused >> unused;
}

long double integral(long double v, Round round) {
  switch (round) {
    case Round::nearest: return std::rint(v);
    case Round::zero: return std::trunc(v);
    case Round::down: return std::floor(v);
    default: return std::ceil(v);
  }
}

bool is_denormal_float(float v) { return v != 0.0f && std::fabs(v) < kSmallestNormal; }

long double prepare_source(const CvtPlan& plan, long double v) {
  if (plan.ftz && plan.source == Type::f32 && is_denormal_float(static_cast<float>(v))) return std::copysign(0.0L, v);
  return v;
}

void convert_lane(const CvtPlan& plan, const std::byte* from, std::byte* to) {
  const Type d = plan.destination, s = plan.source;
  if (is_integer(s) && is_integer(d) && !plan.sat) {
    U64 bits = 0;
    std::memcpy(&bits, from, static_cast<std::size_t>(ptx::bytes_of(s)));
    return write_integer(wrap_to(d, wrap_to(s, bits)), plan.destination_bytes, to);
  }
  long double v = prepare_source(plan, read_value(s, from));
  if (is_integer(d)) return write_integer(wrap_to(d, clamp_to(d, is_integer(s) ? v : integral(v, plan.round))), plan.destination_bytes, to);
  if (plan.integral) v = integral(v, plan.round);
  write_integer(encode_real(plan, v), plan.destination_bytes, to);
}

Flow run_general(Warp& warp, const Decoded& d, Mask active) {
  const auto& plan = *static_cast<const CvtPlan*>(d.extra);
  const std::byte* from = warp.lanes_of<std::byte>(d.a);
  std::byte* to = warp.lanes_of<std::byte>(d.d);
  for_lanes(active, [&](int l) { convert_lane(plan, from + l * plan.source_bytes, to + l * plan.destination_bytes); });
  return Flow::next;
}

int bytes_in(Decoder& decoder, const ptx::Operand& operand, Type t) {
  return operand.kind == ptx::Operand::Kind::reg ? decoder.register_bytes(operand) : ptx::bytes_of(t);
}

void select_cvt(Decoder& decoder, const Instruction& i, Decoded& out) {
  const Type d = i.type(1), s = i.type(0);
  if (i.has("pack") || is_packed(d) || is_packed(s)) return select_cvt_packed(decoder, i, out);
  allow_modifiers(decoder, i, {"rn", "rz", "rm", "rp", "rni", "rzi", "rmi", "rpi", "rna", "ftz", "sat", "relu", "satfinite"});
  CvtPlan plan = plan_of(i, d, s);
  expect_operands(decoder, i, 2);
  plan.source_bytes = bytes_in(decoder, i.operands[1], s);
  plan.destination_bytes = bytes_in(decoder, i.operands[0], d);
  out.instruction_class = is_integer(d) && is_integer(s) ? kInteger : kFloat;
  out.a = decoder.source(i.operands[1], s);
  out.d = destination_or_scrap(decoder, i.operands[0], d);
  out.run = direct(d, s, plan);
  if (out.run) return;
  out.extra = decoder.keep(plan);
  out.run = run_general;
}

}  // namespace

CvtPlan plan_of(const Instruction& i, Type d, Type s) {
  CvtPlan plan;
  plan.destination = d;
  plan.source = s;
  plan.round = rounding_of(i);
  plan.integral = i.has("rni") || i.has("rzi") || i.has("rmi") || i.has("rpi");
  plan.away = i.has("rna");
  plan.ftz = i.has("ftz");
  plan.sat = i.has("sat");
  plan.relu = i.has("relu");
  plan.satfinite = i.has("satfinite");
  if (is_integer(d) && !is_integer(s)) plan.integral = true;
  return plan;
}

void register_cvt() { add_selector("cvt", select_cvt); }

}  // namespace gradus::emulator
