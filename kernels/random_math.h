// From random words to numbers, in fixed arithmetic: uniforms, and normals by the method of Box and Muller (1958).
//
// Every step is an exact integer operation or one IEEE addition, multiplication, division or square root: nothing fused, no library
// function. So a scalar CPU, a vector CPU and a GPU give the same bits. The functions are templates over a *lane set*, which names the
// float, unsigned and signed types of one width: scalars (below), or vectors of them (cpu/random.cpp).
#pragma once

#include <cstdint>

#include <gradus/kernels/array.h>
#include <gradus/kernels/philox.h>

#define GRADUS_LANE_FUNCTION GRADUS_HOST_DEVICE GRADUS_INLINE

namespace gradus::inline v0 {

/// One f32 from one 32-bit word.
struct ScalarLanes32 {
  static constexpr int kBits = 32;
  using T = float;  // the number itself
  using F = float;  // its lanes; U, I: words of the same width
  using U = std::uint32_t;
  using I = std::int32_t;
  GRADUS_LANE_FUNCTION static F to_float(I i) { return static_cast<F>(i); }
  GRADUS_LANE_FUNCTION static U bits(F x) { return __builtin_bit_cast(U, x); }
  GRADUS_LANE_FUNCTION static F from_bits(U u) { return __builtin_bit_cast(F, u); }
  GRADUS_LANE_FUNCTION static F sqrt(F x) { return __builtin_sqrtf(x); }
};

/// One f64 from one 64-bit word.
struct ScalarLanes64 {
  static constexpr int kBits = 64;
  using T = double;
  using F = double;
  using U = std::uint64_t;
  using I = std::int64_t;
  GRADUS_LANE_FUNCTION static F to_float(I i) { return static_cast<F>(i); }
  GRADUS_LANE_FUNCTION static U bits(F x) { return __builtin_bit_cast(U, x); }
  GRADUS_LANE_FUNCTION static F from_bits(U u) { return __builtin_bit_cast(F, u); }
  GRADUS_LANE_FUNCTION static F sqrt(F x) { return __builtin_sqrt(x); }
};

template <class T> struct ScalarLanesOf { using type = ScalarLanes32; };
template <> struct ScalarLanesOf<double> { using type = ScalarLanes64; };
template <class T> using ScalarLanes = typename ScalarLanesOf<T>::type;

// A product, and a product plus a term, with a rounding after each operation. nvcc would fuse the plain expressions.
template <class A, class B> GRADUS_LANE_FUNCTION auto multiply(A a, B b) {
#if defined(__CUDA_ARCH__)
  if constexpr (sizeof(A) == sizeof(float)) return __fmul_rn(a, b);
  else return __dmul_rn(a, b);
#else
  return a * b;
#endif
}
template <class A, class B, class C> GRADUS_LANE_FUNCTION auto multiply_add(A a, B b, C c) {
#if defined(__CUDA_ARCH__)
  if constexpr (sizeof(A) == sizeof(float)) return __fadd_rn(__fmul_rn(a, b), c);
  else return __dadd_rn(__dmul_rn(a, b), c);
#else
  return a * b + c;
#endif
}

/// c[0] + c[1] z + c[2] z^2 + ...
template <class F, class T> GRADUS_LANE_FUNCTION F polynomial(F, T c) { return F{} + c; }
template <class F, class T, class... Rest> GRADUS_LANE_FUNCTION F polynomial(F z, T c, Rest... rest) {
  return multiply_add(polynomial(z, rest...), z, c);
}

// Constants of one precision. The polynomials were found by Remez exchange; their errors are relative, before rounding.
template <class T> struct NormalConstants {  // f32
  static constexpr int kMantissaBits = 23;
  static constexpr std::uint32_t kRootHalfBits = 0x3F3504F3u;                 // the bits of sqrt(1/2)
  static constexpr float kLn2High = 0x1.62e4p-1f, kLn2Low = 0x1.7f7d1cp-20f;  // 16 bits, so that an exponent times it is exact; the rest
  /// (2 atanh(s) / s - 2) / z, z = s^2, |s| <= 0.172; to 2^-30 of 2 atanh(s).
  template <class F> GRADUS_LANE_FUNCTION static F log_tail(F z) { return polynomial(z, 0x1.55557ap-1f, 0x1.995ebap-2f, 0x1.31e2f4p-2f); }
  /// sin(2 pi t) / t, z = t^2, |t| <= 1/8; to 2^-28.
  template <class F> GRADUS_LANE_FUNCTION static F sin_turn(F z) {
    return polynomial(z, 0x1.921fb6p+2f, -0x1.4abbbap+5f, 0x1.465ec6p+6f, -0x1.2d9bb8p+6f);
  }
  /// cos(2 pi t); to 2^-34.
  template <class F> GRADUS_LANE_FUNCTION static F cos_turn(F z) {
    return polynomial(z, 1.0f, -0x1.3bd3ccp+4f, 0x1.03c1dep+6f, -0x1.55c664p+6f, 0x1.d9f7b8p+5f);
  }
};
template <> struct NormalConstants<double> {
  static constexpr int kMantissaBits = 52;
  static constexpr std::uint64_t kRootHalfBits = 0x3FE6A09E667F3BCDu;
  static constexpr double kLn2High = 0x1.62e42feep-1, kLn2Low = 0x1.a39ef35793c76p-33;
  template <class F> GRADUS_LANE_FUNCTION static F log_tail(F z) {  // to 2^-59
    return polynomial(z, 0x1.5555555555592p-1, 0x1.999999997fdb3p-2, 0x1.24924941f151bp-2, 0x1.c71c52093ed37p-3, 0x1.74663eedf6e1dp-3,
                      0x1.39a1ba314aa30p-3, 0x1.2f0568a84ffa1p-3);
  }
  template <class F> GRADUS_LANE_FUNCTION static F sin_turn(F z) {  // to 2^-58
    return polynomial(z, 0x1.921fb54442d18p+2, -0x1.4abbce625be41p+5, 0x1.466bc677587fdp+6, -0x1.32d2cce2e612bp+6, 0x1.50782fda6f1c4p+5,
                      -0x1.e3007200bee4cp+3, 0x1.e3f39e4e558e1p+1);
  }
  template <class F> GRADUS_LANE_FUNCTION static F cos_turn(F z) {  // to 2^-64
    return polynomial(z, 1.0, -0x1.3bd3cc9be45dep+4, 0x1.03c1f081b5ab0p+6, -0x1.55d3c7e3c95bcp+6, 0x1.e1f50683b4301p+5,
                      -0x1.a6d1ecb743441p+4, 0x1.f9cc6ad2607f7p+2, -0x1.b26fe92617f43p+0);
  }
};

/// The range of a uniform draw: [low, low + width), or {low} where width is 0.
template <class T> struct UniformRange {
  T low, width, last;  // last: the largest number below the end, because low + width u may round up to the end
};

/// low + width u, where u, in [0, 1), is the leading 24 (f32) or 53 (f64) bits of the word as a fraction.
template <class L, class T> GRADUS_LANE_FUNCTION typename L::F uniform_of(typename L::U word, const UniformRange<T>& range) {
  constexpr bool kSingle = L::kBits == 32;
  const typename L::F u = L::to_float((typename L::I)(word >> (kSingle ? 8 : 11))) * (kSingle ? T(0x1p-24) : T(0x1p-53));
  const typename L::F y = multiply_add(u, range.width, range.low), last = typename L::F{} + range.last;
  return y < last ? y : last;
}

/// sqrt(-2 log u) for u = (floor(word / 2) + 1/2) / 2^(bits - 1), rounded, in (0, 1]. At most 6.66 in f32, 9.42 in f64.
template <class L> GRADUS_LANE_FUNCTION typename L::F radius_of(typename L::U word) {
  using F = typename L::F;
  using U = typename L::U;
  using I = typename L::I;
  using T = typename L::T;
  using Constants = NormalConstants<T>;
  const U bits = L::bits(L::to_float((I)(word >> 1)) + T(0.5));
  const I exponent = (I)(bits - Constants::kRootHalfBits) >> Constants::kMantissaBits;  // of m 2^exponent, m in [sqrt(1/2), sqrt(2))
  const F f = L::from_bits(bits - ((U)exponent << Constants::kMantissaBits)) - T(1), e = L::to_float(exponent - (L::kBits - 1));
  // log(1 + f) = f - s (f - r), s = f / (2 + f), r = 2 atanh(s) / s - 2; and s f = f^2 / 2 - s f^2 / 2, which loses fewer bits.
  const F s = f / (f + T(2)), z = multiply(s, s), half_square = multiply(f * T(0.5), f);
  const F bend = half_square - multiply_add(s, multiply_add(z, Constants::log_tail(z), half_square), multiply(e, Constants::kLn2Low));
  return L::sqrt(multiply_add(e, Constants::kLn2High, f - bend) * T(-2));
}

/// Cosine and sine of an angle.
template <class F> struct Direction { F cos, sin; };

/// The angle is word / 2^bits of a full turn: reduced to an eighth of a turn in integers, so without any error.
template <class L> GRADUS_LANE_FUNCTION Direction<typename L::F> direction_of(typename L::U word) {
  using F = typename L::F;
  using U = typename L::U;
  using T = typename L::T;
  constexpr int kQuarter = L::kBits - 2;
  constexpr auto kEighth = typename ScalarLanes<T>::U(1) << (kQuarter - 1);
  const U quarter = (word + kEighth) >> kQuarter;  // the nearest quarter turn, modulo 4
  const F t = L::to_float((typename L::I)(word - (quarter << kQuarter))) * (L::kBits == 32 ? T(0x1p-32) : T(0x1p-64));
  const F z = multiply(t, t), sin = multiply(t, NormalConstants<T>::sin_turn(z)), cos = NormalConstants<T>::cos_turn(z);
  const auto swapped = (quarter & 1u) != 0u;
  const U c = L::bits(swapped ? sin : cos), s = L::bits(swapped ? cos : sin);
  return {L::from_bits(c ^ ((quarter + 1u) & 2u) << kQuarter), L::from_bits(s ^ (quarter & 2u) << kQuarter)};  // bit 1 onto the sign
}

/// Two independent standard normal numbers from two words. Error below 5 units in the last place (measured: radius 1.0, direction 2.5).
template <class L> GRADUS_LANE_FUNCTION void box_muller(typename L::U a, typename L::U b, typename L::F* z0, typename L::F* z1) {
  const typename L::F r = radius_of<L>(a);
  const Direction<typename L::F> d = direction_of<L>(b);
  *z0 = multiply(r, d.cos);
  *z1 = multiply(r, d.sin);
}

}  // namespace gradus::inline v0
