// Approximate functions: ex2 lg2 sin cos tanh rsqrt, and rcp, rsqrt of f64 to 32 bits. The hardware's tables are not imitated: values are
// those of the formulas below, computed in double and rounded once (their errors are far below a unit of f32).
#include <gradus/kernels/emulator/exec/real.h>

namespace gradus::emulator {
namespace {

using ptx::Instruction;
using ptx::Type;

/// 2^x by splitting off the nearest integer and a polynomial for the rest (Taylor's, |f| <= 1/2: relative error below 1e-11).
inline double exp2_of(double x) {
  constexpr double kShift = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer in the low bits
  constexpr double kLn2 = 0.69314718055994530942;
  const double clamped = x > 1000.0 ? 1000.0 : x < -1000.0 ? -1000.0 : x;
  const double shifted = clamped + kShift, whole = shifted - kShift;
  const double t = (clamped - whole) * kLn2;
  double p = 1.0 / 3628800;
  p = p * t + 1.0 / 362880;
  p = p * t + 1.0 / 40320;
  p = p * t + 1.0 / 5040;
  p = p * t + 1.0 / 720;
  p = p * t + 1.0 / 120;
  p = p * t + 1.0 / 24;
  p = p * t + 1.0 / 6;
  p = p * t + 0.5;
  p = p * t + 1.0;
  p = p * t + 1.0;
  const std::uint64_t scale = (std::bit_cast<std::uint64_t>(shifted) + 1023) << 52;  // 2^whole
  return p * std::bit_cast<double>(scale);
}

struct Ex2 {
  static float apply(float x) {
    const auto r = static_cast<float>(exp2_of(x));
    return x != x ? x : r;
  }
};
struct Lg2 {
  static float apply(float x) { return static_cast<float>(std::log2(static_cast<double>(x))); }
};
struct Sin {
  static float apply(float x) { return static_cast<float>(std::sin(static_cast<double>(x))); }
};
struct Cos {
  static float apply(float x) { return static_cast<float>(std::cos(static_cast<double>(x))); }
};
struct Tanh {
  static float apply(float x) { return static_cast<float>(std::tanh(static_cast<double>(x))); }
};
struct Rsqrt {
  static float apply(float x) { return static_cast<float>(1.0 / std::sqrt(static_cast<double>(x))); }
};

template <class Op, bool ftz> Flow run_special(Warp& warp, const Decoded& d, Mask active) {
  const float* a = warp.lanes_of<float>(d.a);
  const auto f = [=](int l) { return finish_real<ftz, false>(Op::apply(prepare<ftz>(a[l]))); };
  if constexpr (std::is_same_v<Op, Ex2> || std::is_same_v<Op, Rsqrt>) map_lanes(warp.lanes_of<float>(d.d), active, f);
  else map_active(warp.lanes_of<float>(d.d), active, f);
  return Flow::next;
}

template <class Op> void select_special(Decoder& decoder, const Instruction& i, Decoded& out) {
  if (i.type() != Type::f32) return;
  allow_modifiers(decoder, i, {"approx", "ftz"});
  out.instruction_class = kFloat;
  out.special = 1;
  bind(decoder, i, out, Type::f32, Type::f32);
  out.run = i.has("ftz") ? run_special<Op, true> : run_special<Op, false>;
}

/// f64: only the upper 32 bits count, the lower are 0; denormals are flushed.
template <bool root> Flow run_coarse(Warp& warp, const Decoded& d, Mask active) {
  const double* a = warp.lanes_of<double>(d.a);
  const auto flushed = [](double v) { return std::fabs(v) < std::numeric_limits<double>::min() ? std::copysign(0.0, v) : v; };
  map_active(warp.lanes_of<double>(d.d), active, [=](int l) {
    const double x = flushed(a[l]);
    const double r = flushed(root ? 1.0 / std::sqrt(x) : 1.0 / x);
    return std::bit_cast<double>(std::bit_cast<std::uint64_t>(r) & 0xFFFFFFFF00000000u);
  });
  return Flow::next;
}

template <bool root> void select_coarse(Decoder& decoder, const Instruction& i, Decoded& out) {
  if (i.type() != Type::f64 || !i.has("approx")) return;
  out.instruction_class = kFloat;
  out.special = 1;
  bind(decoder, i, out, Type::f64, Type::f64);
  out.run = run_coarse<root>;
}

}  // namespace

void GRADUS_EMULATOR_FAMILY(register_float_special)() {
  add_selector("ex2", select_special<Ex2>);
  add_selector("lg2", select_special<Lg2>);
  add_selector("sin", select_special<Sin>);
  add_selector("cos", select_special<Cos>);
  add_selector("tanh", select_special<Tanh>);
  add_selector("rsqrt", select_special<Rsqrt>);
  add_selector("rsqrt", select_coarse<true>);
  add_selector("rcp", select_coarse<false>);
}

}  // namespace gradus::emulator
