// f16 and bf16 as bits: exact widening, correctly rounded narrowing. Branch-free where a loop over lanes should vectorise.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace gradus::emulator {

enum class Round : std::uint8_t { nearest, zero, down, up };  // .rn .rz .rm .rp

inline float float_of_half(std::uint16_t h) {
  constexpr std::uint32_t kExponent = 0x7C00u << 13, kSmallest = 113u << 23;
  const std::uint32_t magnitude = (h & 0x7FFFu) << 13, exponent = magnitude & kExponent;
  const std::uint32_t normal = magnitude + (112u << 23);
  const std::uint32_t special = normal + (112u << 23);  // infinity, NaN
  const float denormal = std::bit_cast<float>(normal + (1u << 23)) - std::bit_cast<float>(kSmallest);
  const std::uint32_t bits = exponent == kExponent ? special : exponent == 0 ? std::bit_cast<std::uint32_t>(denormal) : normal;
  return std::bit_cast<float>(bits | (h & 0x8000u) << 16);
}
/// To nearest even; NaN becomes 0x7FFF.
inline std::uint16_t half_of_float(float value) {
  constexpr std::uint32_t kInfinity = 0x7F800000u, kTooLarge = 143u << 23, kSmallest = 113u << 23, kMagic = 126u << 23;
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value), sign = bits & 0x80000000u, magnitude = bits ^ sign;
  const std::uint32_t special = magnitude > kInfinity ? 0x7FFFu : 0x7C00u;
  // Adding 0.5 shifts a denormal's bits to the bottom of the word, rounded by the addition.
  const std::uint32_t denormal = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + std::bit_cast<float>(kMagic)) - kMagic;
  const std::uint32_t normal = (magnitude - (112u << 23) + 0xFFFu + ((magnitude >> 13) & 1u)) >> 13;
  const std::uint32_t rounded = magnitude >= kTooLarge ? special : magnitude < kSmallest ? denormal : normal;
  return static_cast<std::uint16_t>(rounded | (magnitude > kInfinity ? 0 : sign >> 16));
}

inline float float_of_bfloat(std::uint16_t b) { return std::bit_cast<float>(static_cast<std::uint32_t>(b) << 16); }
/// To nearest even; NaN becomes 0x7FFF.
inline std::uint16_t bfloat_of_float(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
  return static_cast<std::uint16_t>((bits & 0x7FFFFFFFu) > 0x7F800000u ? 0x7FFFu : rounded);
}

/// Any binary format of at most 16 bits with an IEEE layout, from double in one rounding.
template <int kExponentBits, int kMantissaBits> std::uint16_t narrow(double value, Round round) {
  constexpr int kBias = (1 << (kExponentBits - 1)) - 1;
  constexpr std::uint64_t kInfinity = ((std::uint64_t{1} << kExponentBits) - 1) << kMantissaBits;
  constexpr std::uint64_t kSign = std::uint64_t{1} << (kExponentBits + kMantissaBits);
  if (value != value) return static_cast<std::uint16_t>(kSign - 1);
  const bool negative = std::signbit(value);
  const double magnitude = std::fabs(value);
  std::uint64_t bits = kInfinity;
  if (magnitude != 0 && magnitude <= 1.7976931348623157e308) {
    const int exponent = std::max(std::ilogb(magnitude), 1 - kBias);
    const double scaled = std::ldexp(magnitude, kMantissaBits - exponent);  // the integer part is the significand
    const double whole = std::floor(scaled), rest = scaled - whole;
    bits = static_cast<std::uint64_t>(whole);
    const bool up = round == Round::nearest ? rest > 0.5 || (rest == 0.5 && (bits & 1) != 0)
                                            : rest != 0 && ((round == Round::up && !negative) || (round == Round::down && negative));
    bits += up ? 1 : 0;
    bits += static_cast<std::uint64_t>(exponent + kBias - 1) << kMantissaBits;  // the significand's leading 1 adds the last unit
    const bool to_zero = round == Round::zero || (round == Round::up && negative) || (round == Round::down && !negative);
    if (exponent > kBias || bits >= kInfinity) bits = to_zero ? kInfinity - 1 : kInfinity;
  } else if (magnitude == 0) {
    bits = 0;
  }
  return static_cast<std::uint16_t>(bits | (negative ? kSign : 0));
}
inline std::uint16_t half_of(double value, Round round = Round::nearest) { return narrow<5, 10>(value, round); }
inline std::uint16_t bfloat_of(double value, Round round = Round::nearest) { return narrow<8, 7>(value, round); }

}  // namespace gradus::emulator
