// The 8-bit floating formats of the tensor cores.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace gradus::emulator {

/// e4m3: no infinity, NaN is S.1111.111. e5m2: as IEEE would have it.
template <bool kE4M3> float float_of_fp8(std::uint8_t v) {
  constexpr int kMantissa = kE4M3 ? 3 : 2, kBias = kE4M3 ? 7 : 15, kExponents = kE4M3 ? 15 : 31;
  const int exponent = (v & 0x7F) >> kMantissa, mantissa = v & ((1 << kMantissa) - 1);
  float magnitude = std::ldexp(static_cast<float>(exponent == 0 ? mantissa : mantissa + (1 << kMantissa)),
                               (exponent == 0 ? 1 : exponent) - kBias - kMantissa);
  if (kE4M3 ? (v & 0x7F) == 0x7F : exponent == kExponents && mantissa != 0) magnitude = std::numeric_limits<float>::quiet_NaN();
  else if (!kE4M3 && exponent == kExponents) magnitude = std::numeric_limits<float>::infinity();
  return (v & 0x80) != 0 ? -magnitude : magnitude;
}

}  // namespace gradus::emulator
