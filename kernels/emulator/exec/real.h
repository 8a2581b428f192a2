// What arithmetic on f32 and f64 shares: flushing, saturation, canonical NaNs, fma, directed rounding.
#pragma once

#include <bit>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <limits>

#include <gradus/kernels/emulator/exec/half_bits.h>
#include <gradus/kernels/emulator/exec/handler.h>

namespace gradus::emulator {
namespace {

inline constexpr float kSmallestNormal = std::numeric_limits<float>::min();

/// Denormals become zeros of their sign.
inline float flush(float v) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(v);
  return std::bit_cast<float>((bits & 0x7F800000u) == 0 ? bits & 0x80000000u : bits);
}
/// The NaN that f32 instructions make.
inline float canonical(float v) { return v == v ? v : std::bit_cast<float>(0x7FFFFFFFu); }
inline double canonical(double v) { return v; }
/// To [0, 1]; NaN becomes +0.
inline float saturate(float v) { return v > 0.0f ? (v < 1.0f ? v : 1.0f) : 0.0f; }

template <bool ftz, class T> inline T prepare(T v) {
  if constexpr (ftz) return flush(v);
  else return v;
}
template <bool ftz, bool sat, class T> inline T finish_real(T v) {
  if constexpr (sat) v = saturate(v);
  else v = canonical(v);
  if constexpr (ftz) v = flush(v);
  return v;
}

/// Correctly rounded fma. Without the instruction: the product is exact in double; the sum is rounded to odd, so that rounding to float
/// is the only rounding (Boldo, Melquiond: "Emulation of FMA and correctly rounded sums", 2008).
inline float fused(float a, float b, float c) {
#ifdef __FMA__
  return __builtin_fmaf(a, b, c);
#else
  const double product = static_cast<double>(a) * b, addend = c, sum = product + addend;
  const double part = sum - product, error = (product - (sum - part)) + (addend - part);
  const std::uint64_t bits = std::bit_cast<std::uint64_t>(sum);
  const bool inexact = (error > 0) | (error < 0);  // NaN: infinities
  const std::uint64_t outwards = (error > 0) == (sum > 0) ? 1 : ~std::uint64_t{0};
  return static_cast<float>(std::bit_cast<double>(inexact && (bits & 1) == 0 ? bits + outwards : bits));
#endif
}
inline double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }

/// .rn .rz .rm .rp; none: nearest.
inline Round rounding_of(const ptx::Instruction& i) {
  return i.has("rz") || i.has("rzi")   ? Round::zero
         : i.has("rm") || i.has("rmi") ? Round::down
         : i.has("rp") || i.has("rpi") ? Round::up
                                       : Round::nearest;
}

/// The host's rounding mode for a stretch of code whose operands go through `opaque`.
class RoundingScope {
 public:
  explicit RoundingScope(Round round) {
    constexpr int kModes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
    std::fesetround(kModes[static_cast<int>(round)]);
  }
  ~RoundingScope() { std::fesetround(FE_TONEAREST); }
  RoundingScope(const RoundingScope&) = delete;
  RoundingScope& operator=(const RoundingScope&) = delete;
};
/// Keeps the compiler from moving arithmetic out of a RoundingScope or doing it beforehand.
template <class T> inline T opaque(T v) {
  asm volatile("" : "+m"(v) : : "memory");
  return v;
}

}  // namespace
}  // namespace gradus::emulator
