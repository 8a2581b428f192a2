// Vector maths on Vec<T>: exp, expm1, log, log1p, tanh, sigmoid, softplus, erf, gelu and its derivative for f32 and f64; sin, cos and pow
// vectorised for f32. Included by hot files only (see isa.h).
//
// Largest error in units of the last place, both instruction sets; f32 over every float, f64 over samples (against MPFR-grade values):
//   TABLE
// Zeros keep their sign, NaN gives NaN, denormals are neither flushed on the way in nor on the way out, and nothing depends on the
// neighbours in the packet. Polynomials and rationals were fitted for this file (Remez exchange, 60 digits); the reductions are those of
// Cody and Waite, "Software Manual for the Elementary Functions" (1980), and of Tang's and Kahan's papers on exp, log and expm1.
#pragma once

#include <gradus/kernels/cpu/simd.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {

template <class T> struct MathConstants;

template <> struct MathConstants<float> {
  static constexpr int kMantissa = 23, kBias = 127;
  static constexpr float kShift = 0x1.8p23f;  // adding it rounds to an integer and leaves that integer in the low bits
  static constexpr float kTwoToMantissa = 0x1p23f, kSmallestNormal = 0x1p-126f;
  static constexpr std::uint32_t kMantissaMask = 0x007FFFFF, kUpperHalf = 0xFFFFF000;  // kUpperHalf: 12 bits, whose square is exact
  static constexpr float kLog2e = 1.44269504f;
  static constexpr float kLn2High = 0x1.62e4p-1f, kLn2Low = 1.428606765e-6f;  // 14 bits: n * high is exact for |n| < 2^10
  static constexpr float kExpHigh = 89.0f, kExpLow = -104.0f;                 // beyond: infinity, zero
  static constexpr float kExpm1Low = -20.0f;                                  // below: -1
  static constexpr float kTiny = 0x1p-26f;                                    // f(x) = x for expm1 below this
  static constexpr float kTanhHigh = 10.0f;                                   // above: 1
  static constexpr float kErfcHigh = 10.1f;                                   // erfc above: 0
  // e^r = 1 + r + r^2 Q(r), |r| <= ln 2 / 2; relative to e^r - 1: 2^-32.
  static constexpr float kExp[] = {0.5f, 0.1666666716f, 0.04166635126f, 0.008333272301f, 0.001394127728f, 0.000199145783f};
  // log((1 + s) / (1 - s)) = 2 s + s^3 R(s^2), |s| <= 0.1717: 2^-30.
  static constexpr float kLog[] = {0.6666677594f, 0.3997749686f, 0.298730582f};
  // erf(x) = x + x P(x^2), |x| <= 1: 2^-29.
  static constexpr float kErf[] = {0.1283791671f,   -0.3761262596f,    0.1128358543f,  -0.02685381286f,
                                   0.005188327748f, -0.0008010191959f, 7.853852003e-5f};
  // e^(t^2) erfc(t) = N(t) / D(t), 0 <= t <= 10.2; all terms positive, so no cancellation: 2^-27.
  static constexpr float kErfcN[] = {1.0f, 1.239333153f, 0.7325627804f, 0.2296723276f, 0.03289019316f};
  static constexpr float kErfcD[] = {1.0f, 2.367712975f, 2.40423131f, 1.327156425f, 0.4071095288f, 0.05829566345f};
};

template <> struct MathConstants<double> {
  static constexpr int kMantissa = 52, kBias = 1023;
  static constexpr double kShift = 0x1.8p52;
  static constexpr double kTwoToMantissa = 0x1p52, kSmallestNormal = 0x1p-1022;
  static constexpr std::uint64_t kMantissaMask = 0x000FFFFFFFFFFFFF, kUpperHalf = 0xFFFFFFFFF8000000;  // 26 bits
  static constexpr double kLog2e = 1.4426950408889634;
  static constexpr double kLn2High = 0x1.62e42fefa2p-1, kLn2Low = 7.371002565167799e-13;  // 40 bits: exact for |n| < 2^13
  static constexpr double kExpHigh = 710.0, kExpLow = -746.0;
  static constexpr double kExpm1Low = -40.0;
  static constexpr double kTiny = 0x1p-55;
  static constexpr double kTanhHigh = 20.0;
  static constexpr double kErfcHigh = 27.3;
  static constexpr double kExp[] = {0.5,
                                    0.166666666666666768,
                                    0.041666666666666699,
                                    0.0083333333333213723,
                                    0.00138888888888663163,
                                    0.000198412698868553303,
                                    2.48015873615531719e-05,
                                    2.75572434069582648e-06,
                                    2.75572419252411119e-07,
                                    2.51093383154574748e-08,
                                    2.09246981143818429e-09};  // 2^-61
  static constexpr double kLog[] = {0.666666666666673513, 0.399999999994111122, 0.285714287432592307, 0.222221984762314306,
                                    0.181835697322336232, 0.153139033166272837, 0.147975081564226535};  // 2^-59
  static constexpr double kErf[] = {0.12837916709551257,      -0.376126389031835207,    0.112837916709441849,
                                    -0.0268661706431113749,   0.00522397760611762515,   -0.000854832592927141986,
                                    0.000120552935755695716,  -1.49247122759070615e-05, 1.64471312450101921e-06,
                                    -1.62063112415547425e-07, 1.37109694809885801e-08,  -7.77944812904207377e-10};  // 2^-57
  static constexpr double kErfcN[] = {1.0,
                                      2.34160426994938753,
                                      2.71817505349707345,
                                      2.02116823208856244,
                                      1.0561789814316751,
                                      0.403445070164068109,
                                      0.113935417214528378,
                                      0.0235185956685932326,
                                      0.00340905393969827449,
                                      0.000315558712030582244,
                                      1.43404273623909878e-05};  // 2^-59, t <= 27.5
  static constexpr double kErfcD[] = {1.0,
                                      3.46998343704490031,
                                      5.63363207402500699,
                                      5.6603106405185617,
                                      3.91982819380533742,
                                      1.97001167312931513,
                                      0.735650926693591001,
                                      0.204953755412507849,
                                      0.0419652820911398869,
                                      0.00605509965614171343,
                                      0.000559313254326353681,
                                      2.54177457020948683e-05};
};

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
template <class T> GRADUS_INLINE ExpParts<T> exp_parts_of_remainder(Vec<T> r, Vec<T> shifted) {
  return {fma(r * r, polynomial(r, MathConstants<T>::kExp), r), bits_of(shifted)};
}
template <class T> GRADUS_INLINE ExpParts<T> exp_parts(Vec<T> x) {
  const Vec<T> shifted = shifted_power(x);
  return exp_parts_of_remainder(without_power(x, shifted), shifted);
}
/// Of the unrounded sum high + low.
template <class T> GRADUS_INLINE ExpParts<T> exp_parts(Vec<T> high, Vec<T> low) {
  const Vec<T> shifted = shifted_power(high + low);
  return exp_parts_of_remainder(without_power(high, shifted) + low, shifted);
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
  const ExpParts<T> e = exp_parts(x);
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
  const ExpParts<T> e = exp_parts(at_least(x, Vec<T>(M::kExpm1Low)));
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

/// log(1 + f) + n ln 2 + correction, with log(1 + f) = f - (f^2/2 - s (f^2/2 + R)), s = f / (2 + f).
template <class T> GRADUS_INLINE Vec<T> log_of_parts(Vec<T> f, Vec<T> n, Vec<T> correction) {
  using M = MathConstants<T>;
  const Vec<T> s = f / (Vec<T>(T(2)) + f), z = s * s;
  const Vec<T> half_square = Vec<T>(T(0.5)) * f * f;
  const Vec<T> tail = fma(s, fma(z, polynomial(z, M::kLog), half_square), fma(n, Vec<T>(M::kLn2Low), correction));
  return fma(n, Vec<T>(M::kLn2High), f - (half_square - tail));
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
template <class T> GRADUS_INLINE Vec<T> softplus(Vec<T> x) { return positive_part(x) + log1p_within(exp_of_minus_abs(x)); }

/// e^(t^2) erfc(t) for 0 <= t <= kErfcHigh.
template <class T> GRADUS_INLINE Vec<T> scaled_erfc(Vec<T> t) {
  using M = MathConstants<T>;
  return polynomial(t, M::kErfcN) / polynomial(t, M::kErfcD);
}

template <class T> GRADUS_INLINE Vec<T> erf(Vec<T> x) {
  using M = MathConstants<T>;
  const Vec<T> one = T(1), t = abs(x);
  const Vec<T> near_zero = fma(x, polynomial(x * x, M::kErf), x);
  const Vec<T> inside = at_most(t, Vec<T>(T(6)));  // erf(6) = 1 - 2e-17
  const Vec<T> tail = exp_within(-(inside * inside)) * scaled_erfc(inside);
  return select(t < one, near_zero, copysign(one - tail, x));
}

/// The normal distribution at x: Phi(-|x|), and e^(-x^2 / 2).
template <class T> struct NormalTail {
  Vec<T> below, density;  // density without 1 / sqrt(2 pi)
};
template <class T> GRADUS_INLINE NormalTail<T> normal_tail(Vec<T> x) {
  using M = MathConstants<T>;
  const T root_half = T(0.70710678118654752);
  const Vec<T> a = at_most(abs(x), Vec<T>(M::kErfcHigh / root_half));
  // x^2 / 2 in two parts: its rounding error would be a relative error of the exponential.
  const Vec<T> upper = from_bits<T>(bits_of(a) & M::kUpperHalf), lower = a - upper, minus_half = T(-0.5);
  const Vec<T> high = minus_half * upper * upper, low = minus_half * lower * (a + upper);
  const ExpParts<T> e = exp_parts(high, low);
  const Vec<T> mantissa = Vec<T>(T(1)) + e.p;
  return {scale(mantissa * (Vec<T>(T(0.5)) * scaled_erfc(a * Vec<T>(root_half))), e.n), scale(mantissa, e.n)};
}

/// x Phi(x), the exact form (Hendrycks and Gimpel 2016, "Gaussian error linear units", section 2).
template <class T> GRADUS_INLINE Vec<T> gelu(Vec<T> x) {
  const Vec<T> lowest = T(-MathConstants<T>::kErfcHigh * 1.5);  // Phi is 0 there, and -infinity * 0 is not the limit
  const Vec<T> below = normal_tail(x).below;
  return select(x < Vec<T>(T(0)), at_least(x, lowest) * below, x * (Vec<T>(T(1)) - below));
}

/// Phi(x) + x phi(x).
template <class T> GRADUS_INLINE Vec<T> gelu_derivative(Vec<T> x) {
  const NormalTail<T> tail = normal_tail(x);
  const Vec<T> limit = T(MathConstants<T>::kErfcHigh * 1.5), phi = tail.density * Vec<T>(T(0.3989422804014327));  // 1 / sqrt(2 pi)
  const Vec<T> cumulative = select(x < Vec<T>(T(0)), tail.below, Vec<T>(T(1)) - tail.below);
  return fma(at_least(at_most(x, limit), -limit), phi, cumulative);
}

// ---- f32 through f64 lanes ------------------------------------------------------------------------------------------------------------

/// f, a function of Vec<double>, on the lanes of Vec<float>.
template <class F, class... In> GRADUS_INLINE Vec<float> in_double(const F& f, In... x) {
  constexpr int W = Vec<float>::W, D = Vec<double>::W;
  const auto widen = [](Vec<float> v, double* to) {
    float lanes[W];
    v.store(lanes);
    for (int i = 0; i < W; ++i) to[i] = lanes[i];
  };
  double wide[sizeof...(In)][W];
  float y[W];
  int k = 0;
  (widen(x, wide[k++]), ...);
  for (int i = 0; i < W; i += D) {
    double lanes[D];
    if constexpr (sizeof...(In) == 1) f(Vec<double>::load(wide[0] + i)).store(lanes);
    else f(Vec<double>::load(wide[0] + i), Vec<double>::load(wide[1] + i)).store(lanes);
    for (int j = 0; j < D; ++j) y[i + j] = static_cast<float>(lanes[j]);
  }
  return Vec<float>::load(y);
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

/// a^b for f32 values in f64 lanes, with the special values of IEEE 754-2008, 9.2.1.
GRADUS_INLINE Vec<double> pow_of_floats(Vec<double> a, Vec<double> b) {
  using M = MathConstants<double>;
  const Vec<double> zero = 0.0, one = 1.0, shift = M::kShift, magnitude = abs(a);
  const Vec<double> power = exp(b * log(magnitude));
  const Vec<double> y = select((magnitude == one) & (b == b), one, power);  // log is 0 there, and 0 * infinity is NaN
  const Vec<double> rounded = (b + shift) - shift;
  const Vec<double> even_beyond = Vec<double>(0x1p51) <= abs(b);  // there every f32 is an even integer, and so is infinity
  const Vec<double> whole = even_beyond | (rounded == b);
  const Bits<double> odd = bits_of(b + shift) << 63 & ~bits_of(even_beyond) & bits_of(whole);
  const Vec<double> signed_y = from_bits<double>(bits_of(y) | (odd & bits_of(a)));
  const Vec<double> no_real_power = (a < zero) & (Vec<double>(-__builtin_inf()) < a) & ~whole & (b == b);
  const Vec<double> checked = select(no_real_power, Vec<double>(__builtin_nan("")), signed_y);
  return select((b == zero) | (a == one), one, checked);
}
GRADUS_INLINE Vec<float> pow(Vec<float> a, Vec<float> b) {
  return in_double([](Vec<double> u, Vec<double> v) { return pow_of_floats(u, v); }, a, b);
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

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
