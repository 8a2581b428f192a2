// The two 16-bit floating formats as handlers use them, and what modifiers do to operands and results.
#pragma once

#include <bit>
#include <cstdint>

#include <gradus/kernels/emulator/exec/half_bits.h>

namespace gradus::emulator {

struct F16 {
  static constexpr std::uint16_t kExponent = 0x7C00, kOne = 0x3C00;
  static float widen(std::uint16_t h) { return float_of_half(h); }
  static std::uint16_t narrow(float f) { return half_of_float(f); }
};
struct BF16 {
  static constexpr std::uint16_t kExponent = 0x7F80, kOne = 0x3F80;
  static float widen(std::uint16_t h) { return float_of_bfloat(h); }
  static std::uint16_t narrow(float f) { return bfloat_of_float(f); }
};
inline constexpr std::uint16_t kHalfNaN = 0x7FFF;  // what both formats' instructions return

template <class F> bool is_nan(std::uint16_t h) { return (h & 0x7FFF) > F::kExponent; }

enum HalfMode : unsigned { kPlain = 0, kFtz = 1, kSat = 2, kRelu = 4 };

template <class F> std::uint16_t flush(std::uint16_t h) { return (h & F::kExponent) == 0 ? static_cast<std::uint16_t>(h & 0x8000) : h; }
template <class F, unsigned kMode> std::uint16_t operand(std::uint16_t h) { return (kMode & kFtz) != 0 ? flush<F>(h) : h; }
template <class F, unsigned kMode> std::uint16_t result(std::uint16_t h) {
  if ((kMode & kFtz) != 0) h = flush<F>(h);
  if ((kMode & kSat) != 0) h = h > F::kExponent ? 0 : h > F::kOne ? F::kOne : h;  // negative values and NaN are above kExponent as integers
  if ((kMode & kRelu) != 0) h = (h & 0x8000) != 0 ? 0 : h;                        // NaN has no sign here
  return h;
}

/// a * b + c in one rounding. The product is exact in double; the sum and its narrowing to float are rounded to odd, which keeps what the
/// last rounding needs to know.
template <class F> std::uint16_t fused(std::uint16_t a, std::uint16_t b, std::uint16_t c) {
  const double p = static_cast<double>(F::widen(a)) * static_cast<double>(F::widen(b)), q = static_cast<double>(F::widen(c));
  double sum = p + q;
  const double back = sum - p, error = (p - (sum - back)) + (q - back);
  const auto sum_bits = std::bit_cast<std::uint64_t>(sum);
  const bool lost = (error > 0 || error < 0) && (sum_bits & 1) == 0;
  const std::uint64_t odd = sum_bits + ((error > 0) == (sum > 0) ? std::uint64_t{1} : ~std::uint64_t{0});
  sum = std::bit_cast<double>(lost ? odd : sum_bits);
  const auto near = static_cast<float>(sum);
  const double rest = sum - static_cast<double>(near);
  const auto near_bits = std::bit_cast<std::uint32_t>(near);
  const bool adjust = (rest > 0 || rest < 0) && (near_bits & 1) == 0;
  const std::uint32_t outward = (near_bits & 0x7FFFFFFFu) == 0 ? (sum < 0 ? 0x80000001u : 1u) : near_bits + 1;
  const std::uint32_t moved = (near_bits & 0x7FFFFFFFu) == 0 || (rest > 0) == (near > 0) ? outward : near_bits - 1;
  return F::narrow(std::bit_cast<float>(adjust ? moved : near_bits));
}

}  // namespace gradus::emulator
