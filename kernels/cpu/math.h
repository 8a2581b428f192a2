// Vector maths on Vec<T>: exp, expm1, log, log1p, tanh, sigmoid, softplus, erf, gelu and its derivative for f32 and f64; sin, cos and pow
// vectorised for f32. Included by hot files only (see isa.h).
//
// Largest error found, in units of the last place, for both instruction sets: f32 over every fifth float (gelu: over all in [-15, 0)), f64
// over random ones, against the C library in f64 and in 80 bits.
//
//          exp   log   log1p  expm1  tanh  sigmoid  softplus  erf  gelu  sin, cos  pow
//     f32  1.0   0.9   0.9    1.5    2.5   2.4      2.0       1.2  8.2   0.51      0.51
//     f64  1.0   0.8   0.8    1.9    2.4   2.3      2.0       1.3  11    the C library's
//
// gelu's are in its left tail (6.8 with AVX2), where the usual x (1 + erf) / 2 has no correct digit left; its derivative is within 1.4e-7
// in f32. Zeros keep their sign, NaN gives NaN, denormals are flushed neither on the way in nor on the way out, and nothing depends on the
// neighbours in the packet. The reductions are those of Cody and Waite, "Software manual for the elementary functions" (1980).
#pragma once

#include <gradus/kernels/cpu/math_constants.h>
#include <gradus/kernels/cpu/simd.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {

/// c[0] + c[1] x + c[2] x^2 + ..., by Horner's rule.
template <class T, int N> GRADUS_INLINE Vec<T> polynomial(Vec<T> x, const T (&c)[N]) {
  Vec<T> sum = c[N - 1];
#pragma GCC unroll 16
  for (int i = N - 2; i >= 0; --i) sum = fma(sum, x, Vec<T>(c[i]));
  return sum;
}

template <class T> GRADUS_INLINE Vec<T> positive_part(Vec<T> x) { return select(x < Vec<T>(T(0)), Vec<T>(T(0)), x); }

// ---- e^x = (1 + p) 2^n, |p| < 0.42 ----------------------------------------------------------------------------------------------------

template <class T> struct ExpParts {
  Vec<T> p;
  Bits<T> n;  // above an offset: the bits of n + kShift
};

/// x / ln 2 rounded to an integer, plus kShift.
template <class T> GRADUS_INLINE Vec<T> shifted_power(Vec<T> x) {
  return fma(x, Vec<T>(MathConstants<T>::kLog2e), Vec<T>(MathConstants<T>::kShift));
}
/// x - n ln 2.
template <class T> GRADUS_INLINE Vec<T> without_power(Vec<T> x, Vec<T> shifted) {
  using M = MathConstants<T>;
  const Vec<T> n = shifted - Vec<T>(M::kShift);
  return fma(n, Vec<T>(-M::kLn2Low), fma(n, Vec<T>(-M::kLn2High), x));
}
/// `q` is kExp, or kExpm1 where p itself must be accurate.
template <class T, int N> GRADUS_INLINE ExpParts<T> exp_parts(Vec<T> x, const T (&q)[N]) {
  const Vec<T> shifted = shifted_power(x), r = without_power(x, shifted);
  return {fma(r * r, polynomial(r, q), r), bits_of(shifted)};
}
/// Of the unrounded sum high + low, where low is small beside ln 2.
template <class T> GRADUS_INLINE ExpParts<T> exp_parts_of_sum(Vec<T> high, Vec<T> low) {
  const Vec<T> shifted = shifted_power(high), r = without_power(high, shifted) + low;
  return {fma(r * r, polynomial(r, MathConstants<T>::kExp), r), bits_of(shifted)};
}

/// y 2^n, rounded once. Two factors: 2^n alone may be infinite where the product is not, or denormal.
template <class T> GRADUS_INLINE Vec<T> scale(Vec<T> y, Bits<T> n) {
  using M = MathConstants<T>;
  const Bits<T> exponents = n - (bits_of(Vec<T>(M::kShift)) - 2 * M::kBias);
  const Bits<T> first = exponents >> 1;
  return y * from_bits<T>(first << M::kMantissa) * from_bits<T>((exponents - first) << M::kMantissa);
}

/// e^x for x within [kExpLow, kExpHigh] or NaN.
template <class T> GRADUS_INLINE Vec<T> exp_within(Vec<T> x) {
  const ExpParts<T> e = exp_parts(x, MathConstants<T>::kExp);
  return scale(Vec<T>(T(1)) + e.p, e.n);
}

template <class T> GRADUS_INLINE Vec<T> exp(Vec<T> x) {
  using M = MathConstants<T>;
  return exp_within(at_least(at_most(x, Vec<T>(M::kExpHigh)), Vec<T>(M::kExpLow)));
}

/// e^-|x|: between 0 and 1.
template <class T> GRADUS_INLINE Vec<T> exp_of_minus_abs(Vec<T> x) {
  return exp_within(at_least(-abs(x), Vec<T>(MathConstants<T>::kExpLow)));
}

/// e^x - 1 for x <= kExpHigh: 2 (p h + (h - 1/2)) with h = 2^(n - 1), where the bracket is exact for every n that matters.
template <class T> GRADUS_INLINE Vec<T> expm1_below_limit(Vec<T> x) {
  using M = MathConstants<T>;
  const ExpParts<T> e = exp_parts(at_least(x, Vec<T>(M::kExpm1Low)), M::kExpm1);
  const Bits<T> exponent = e.n - (bits_of(Vec<T>(M::kShift)) - (M::kBias - 1));
  const Vec<T> h = from_bits<T>(exponent << M::kMantissa);
  const Vec<T> half = fma(e.p, h, h - Vec<T>(T(0.5)));
  return select(abs(x) < Vec<T>(M::kTiny), x, half + half);
}

template <class T> GRADUS_INLINE Vec<T> expm1(Vec<T> x) { return expm1_below_limit(at_most(x, Vec<T>(MathConstants<T>::kExpHigh))); }

// ---- log ------------------------------------------------------------------------------------------------------------------------------

/// x = (1 + f) 2^n with 1 + f in [sqrt(1/2), sqrt(2)); x positive and normal.
template <class T> struct LogParts { Vec<T> f, n; };
template <class T> GRADUS_INLINE LogParts<T> log_parts(Vec<T> x) {
  using M = MathConstants<T>;
  const Bits<T> low = bits_of(Vec<T>(T(0.70710678118654752))), one = bits_of(Vec<T>(T(1)));
  const Bits<T> shifted = bits_of(x) + (one - low);
  const Vec<T> m = from_bits<T>((shifted & M::kMantissaMask) + low);
  // The biased exponent as a number: put it into the last bits of 2^kMantissa and subtract that.
  const Vec<T> biased = from_bits<T>((shifted >> M::kMantissa) | bits_of(Vec<T>(M::kTwoToMantissa)));
  return {m - Vec<T>(T(1)), biased - Vec<T>(M::kTwoToMantissa + M::kBias)};
}

/// log(1 + f) + rest = f - (f^2/2 - s (f^2/2 + s^2 R(s^2)) - rest), s = f / (2 + f); R's interval is that of s^2.
template <class T, int N> GRADUS_INLINE Vec<T> log_near_one(Vec<T> f, Vec<T> rest, const T (&r)[N]) {
  const Vec<T> s = f / (Vec<T>(T(2)) + f), z = s * s;
  const Vec<T> half_square = Vec<T>(T(0.5)) * f * f;
  return f - (half_square - fma(s, fma(z, polynomial(z, r), half_square), rest));
}
/// log(1 + f) + n ln 2 + correction.
template <class T> GRADUS_INLINE Vec<T> log_of_parts(Vec<T> f, Vec<T> n, Vec<T> correction) {
  using M = MathConstants<T>;
  return fma(n, Vec<T>(M::kLn2High), log_near_one(f, fma(n, Vec<T>(M::kLn2Low), correction), M::kLog));
}

template <class T> GRADUS_INLINE Vec<T> log(Vec<T> x) {
  using M = MathConstants<T>;
  const Vec<T> zero = T(0), infinity = T(__builtin_inf());
  const Vec<T> denormal = x < Vec<T>(M::kSmallestNormal);
  const LogParts<T> l = log_parts(select(denormal, x * Vec<T>(M::kTwoToMantissa), x));
  const Vec<T> y = log_of_parts(l.f, l.n - (denormal & Vec<T>(T(M::kMantissa))), zero);
  const Vec<T> edge = select(x == zero, -infinity, select(x < zero, Vec<T>(T(__builtin_nan(""))), x));  // infinity and NaN as they are
  return select((x > zero) & (x < infinity), y, edge);
}

/// log(1 + x) for finite x > -1, x not zero: u = 1 + x rounded, and the rounding error over u as a correction.
template <class T> GRADUS_INLINE Vec<T> log1p_within(Vec<T> x) {
  const Vec<T> one = T(1), zero = T(0);
  const Vec<T> u = one + x;
  const LogParts<T> l = log_parts(u);
  const Vec<T> error = select(x < one, x - (u - one), one - (u - x));
  const Vec<T> unscaled = l.n == zero;  // then 1 + x needs no u at all
  return log_of_parts(select(unscaled, x, l.f), l.n, select(unscaled, zero, error / u));
}

template <class T> GRADUS_INLINE Vec<T> log1p(Vec<T> x) {
  const Vec<T> minus_one = T(-1), infinity = T(__builtin_inf());
  const Vec<T> edge = select(x == minus_one, -infinity, select(x < minus_one, Vec<T>(T(__builtin_nan(""))), x));
  const Vec<T> inside = (x > minus_one) & (x < infinity);
  return select(x == Vec<T>(T(0)), x, select(inside, log1p_within(x), edge));
}

// ---- what is made of them -------------------------------------------------------------------------------------------------------------

/// tanh |x| = t / (t + 2), t = e^(2 |x|) - 1.
template <class T> GRADUS_INLINE Vec<T> tanh(Vec<T> x) {
  const Vec<T> a = at_most(abs(x), Vec<T>(MathConstants<T>::kTanhHigh));
  const Vec<T> t = expm1_below_limit(a + a);
  return copysign(t / (t + Vec<T>(T(2))), x);
}

/// 1 / (1 + e^-x), from e^-|x|: nothing overflows and the left tail keeps its digits.
template <class T> GRADUS_INLINE Vec<T> sigmoid(Vec<T> x) {
  const Vec<T> one = T(1), e = exp_of_minus_abs(x);
  return select(x < Vec<T>(T(0)), e, one) / (one + e);
}

/// log(1 + e^x) = max(x, 0) + log1p(e^-|x|).
template <class T> GRADUS_INLINE Vec<T> softplus(Vec<T> x) {
  return positive_part(x) + log_near_one(exp_of_minus_abs(x), Vec<T>(T(0)), MathConstants<T>::kLogWide);
}

/// e^(a^2 / 2) Phi(-a), Phi the normal distribution function, for 0 <= a <= kTailHigh.
template <class T> GRADUS_INLINE Vec<T> scaled_tail(Vec<T> a) {
  using M = MathConstants<T>;
  return polynomial(a, M::kTailN) / polynomial(a, M::kTailD);
}

/// Near 0 a polynomial; elsewhere 1 - 2 Phi(-sqrt(2) |x|), whose small second term may carry a few roundings.
template <class T> GRADUS_INLINE Vec<T> erf(Vec<T> x) {
  const Vec<T> one = T(1), size = abs(x);
  const Vec<T> near_zero = fma(x, polynomial(x * x, MathConstants<T>::kErf), x);
  const Vec<T> t = at_most(size, Vec<T>(T(6)));  // erf(6) = 1 - 2e-17
  const Vec<T> half_tail = exp_within(-(t * t)) * scaled_tail(t * Vec<T>(T(1.4142135623730950)));
  return select(size < one, near_zero, copysign(one - (half_tail + half_tail), x));
}

/// x^2 = square + rest, without rounding: the rounding error of x^2 would be a relative error of its exponential.
template <class T> struct ExactSquare { Vec<T> square, rest; };
template <class T> GRADUS_INLINE ExactSquare<T> exact_square(Vec<T> x) {
#if defined(__FMA__) || defined(__aarch64__)
  const Vec<T> square = x * x;
  return {square, fma(x, x, -square)};
#else
  // The product of 12 (26) upper bits with themselves is exact, and the rest is x^2 - square rounded.
  const Vec<T> upper = from_bits<T>(bits_of(x) & MathConstants<T>::kUpperHalf);
  return {upper * upper, (x - upper) * (x + upper)};
#endif
}

/// The normal distribution at a = min(|x|, kTailHigh), in parts: e^(-a^2 / 2) = density 2^n, and Phi(-a) is scaled_tail(a) of that.
template <class T> struct NormalTail {
  Vec<T> a, density;
  Bits<T> n;
};
template <class T> GRADUS_INLINE NormalTail<T> normal_tail(Vec<T> x) {
  const Vec<T> a = at_most(abs(x), Vec<T>(MathConstants<T>::kTailHigh)), minus_half = T(-0.5);
  const ExactSquare<T> s = exact_square(a);
  const ExpParts<T> e = exp_parts_of_sum(minus_half * s.square, minus_half * s.rest);
  return {a, Vec<T>(T(1)) + e.p, e.n};
}

/// x Phi(x), the exact form (Hendrycks and Gimpel 2016, "Gaussian error linear units", section 2): max(x, 0) - |x| Phi(-|x|).
template <class T> GRADUS_INLINE Vec<T> gelu(Vec<T> x) {
  const NormalTail<T> t = normal_tail(x);
  // Below 0 the first term is -0, so that the left tail ends in -0; as sign bit, since clang makes a maximum of select(x < 0, -0.0, x).
  const Vec<T> positive = select(x < Vec<T>(T(0)), x & Vec<T>(T(-0.0)), x);
  return positive - scale(t.a * (t.density * scaled_tail(t.a)), t.n);
}

/// Phi(x) + x phi(x).
template <class T> GRADUS_INLINE Vec<T> gelu_derivative(Vec<T> x) {
  const NormalTail<T> t = normal_tail(x);
  const Vec<T> density = scale(t.density, t.n), below = density * scaled_tail(t.a);
  const Vec<T> cumulative = select(x < Vec<T>(T(0)), below, Vec<T>(T(1)) - below);
  return fma(copysign(t.a, x), density * Vec<T>(T(0.3989422804014327)), cumulative);  // 1 / sqrt(2 pi)
}

// ---- f32 through f64 lanes ------------------------------------------------------------------------------------------------------------

/// f, a function of Vec<double>, on the lanes of Vec<float>.
template <class F, class... In> GRADUS_INLINE Vec<float> in_double(const F& f, In... x) {
  constexpr int D = Vec<double>::W, W = Vec<float>::W;
  const auto half = [&](int first) {
    const auto lanes_of = [first](const Vec<float>& v) { return load_as_double(reinterpret_cast<const float*>(&v.p) + first); };
    return f(lanes_of(x)...);
  };
  return joined(to_float(half(0)), to_float(half(W - D)));
}

/// sin(x + pi shift) for |x| <= kSineHigh, shift 0 or 1/2, to f32 accuracy: x = (n - shift) pi + r, and the sign is that of (-1)^n.
GRADUS_INLINE Vec<double> sine_of_moderate(Vec<double> x, double shift) {
  using M = MathConstants<double>;
  // sin(r) = r + r^3 S(r^2), |r| <= pi / 2: 2^-35.
  constexpr double kSine[] = {-0.166666666317978496, 0.00833333132600799255, -0.000198408943967723068, 2.75266325630614062e-06,
                              -2.3909470375866364e-08};
  constexpr double kPiHigh = 0x1.921fb544p1, kPiLow = 1.2154201013012384e-10;  // 32 bits: n * high is exact for |n| < 2^20
  const Vec<double> shifted = fma(x, Vec<double>(0.31830988618379067), Vec<double>(shift)) + Vec<double>(M::kShift);
  const Vec<double> n = shifted - Vec<double>(M::kShift) - Vec<double>(shift);
  const Vec<double> r = fma(n, Vec<double>(-kPiLow), fma(n, Vec<double>(-kPiHigh), x)), z = r * r;
  const Vec<double> sine = r * fma(z, polynomial(z, kSine), Vec<double>(1.0));
  return from_bits<double>(bits_of(sine) ^ (bits_of(shifted) << 63));
}
inline constexpr float kSineHigh = 0x1p20f;

/// Lanes beyond kSineHigh, infinite or NaN, from the C library in f64.
template <class F> GRADUS_INLINE Vec<float> with_far_lanes(Vec<float> x, Vec<float> y, const F& exact) {
  const Vec<float> inside = abs(x) <= Vec<float>(kSineHigh);
  if (!packet::predux_any((~inside).p)) return y;
  constexpr int W = Vec<float>::W;
  float from[W], to[W];
  x.store(from);
  y.store(to);
  for (int i = 0; i < W; ++i)
    if (!(__builtin_fabsf(from[i]) <= kSineHigh)) to[i] = static_cast<float>(exact(static_cast<double>(from[i])));
  return Vec<float>::load(to);
}

GRADUS_INLINE Vec<float> sin(Vec<float> x) {
  const Vec<float> y = in_double([](Vec<double> v) { return sine_of_moderate(v, 0.0); }, x);
  return with_far_lanes(x, y, [](double v) { return __builtin_sin(v); });
}
GRADUS_INLINE Vec<float> cos(Vec<float> x) {
  const Vec<float> y = in_double([](Vec<double> v) { return sine_of_moderate(v, 0.5); }, x);
  return with_far_lanes(x, y, [](double v) { return __builtin_cos(v); });
}

/// e^(b log a) for a >= 0, b of f32's range and accuracy (2^-34), in f64: anything outside [e^-110, e^90] becomes 0 or infinity as f32.
GRADUS_INLINE Vec<double> power_of_magnitude(Vec<double> a, Vec<double> b) {
  constexpr double kLog[] = {0.666666656413637537, 0.400003362015384945, 0.285372394933960105, 0.235835469976665518};  // 2^-37
  constexpr double kExp[] = {0.500000006869490532,   0.166666658560715553,   0.0416662911953748494,
                             0.00833349885403700252, 0.00139449424013241442, 0.00019790038479133371};  // 2^-34
  const Vec<double> zero = 0.0, infinity = __builtin_inf();
  const LogParts<double> parts = log_parts(a);  // an f32 is never denormal in f64
  const Vec<double> log = fma(parts.n, Vec<double>(0.69314718055994531), log_near_one(parts.f, zero, kLog));
  const Vec<double> exponent = b * select(a == zero, -infinity, select(a < infinity, log, a));  // infinity and NaN as they are
  const Vec<double> x = at_least(at_most(exponent, Vec<double>(90.0)), Vec<double>(-110.0));
  const Vec<double> shifted = shifted_power(x), r = without_power(x, shifted);
  return scale(Vec<double>(1.0) + fma(r * r, polynomial(r, kExp), r), bits_of(shifted));
}

/// a^b for f32 values in f64 lanes, with the special values of IEEE 754-2008, 9.2.1.
GRADUS_INLINE Vec<double> pow_of_floats(Vec<double> a, Vec<double> b) {
  const Vec<double> zero = 0.0, one = 1.0, magnitude = abs(a);
  const Vec<double> power = power_of_magnitude(magnitude, b);
  const Vec<double> y = select((magnitude == one) & (b == b), one, power);  // log is 0 there, and 0 * infinity is NaN
  const Vec<double> shifted = b + Vec<double>(MathConstants<double>::kShift),
                    rounded = shifted - Vec<double>(MathConstants<double>::kShift);
  const Vec<double> even_beyond = Vec<double>(0x1p51) <= abs(b);  // there every f32 is an even integer, and so is infinity
  const Vec<double> whole = even_beyond | (rounded == b);
  const Bits<double> odd = (bits_of(shifted) << 63) & ~bits_of(even_beyond) & bits_of(whole);
  const Vec<double> signed_y = from_bits<double>(bits_of(y) | (odd & bits_of(a)));
  const Vec<double> no_real_power = (a < zero) & (Vec<double>(-__builtin_inf()) < a) & ~whole & (b == b);
  const Vec<double> checked = select(no_real_power, Vec<double>(__builtin_nan("")), signed_y);
  return select((b == zero) | (a == one), one, checked);
}
GRADUS_INLINE Vec<float> pow(Vec<float> a, Vec<float> b) {
  return in_double([](Vec<double> u, Vec<double> v) { return pow_of_floats(u, v); }, a, b);
}
GRADUS_INLINE Vec<float> pow(Vec<float> a, double b) {
  return in_double([=](Vec<double> u) { return pow_of_floats(u, Vec<double>(b)); }, a);
}

// ---- f64 lane by lane, from the C library -----------------------------------------------------------------------------------------------

template <class F> GRADUS_INLINE Vec<double> by_lane(const F& f, Vec<double> x, Vec<double> y = Vec<double>(0.0)) {
  double a[Vec<double>::W], b[Vec<double>::W];
  x.store(a);
  y.store(b);
  for (int i = 0; i < Vec<double>::W; ++i) a[i] = f(a[i], b[i]);
  return Vec<double>::load(a);
}
GRADUS_INLINE Vec<double> sin(Vec<double> x) {
  return by_lane([](double v, double) { return __builtin_sin(v); }, x);
}
GRADUS_INLINE Vec<double> cos(Vec<double> x) {
  return by_lane([](double v, double) { return __builtin_cos(v); }, x);
}
GRADUS_INLINE Vec<double> pow(Vec<double> a, Vec<double> b) {
  return by_lane([](double u, double v) { return __builtin_pow(u, v); }, a, b);
}
GRADUS_INLINE Vec<double> pow(Vec<double> a, double b) { return pow(a, Vec<double>(b)); }

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
