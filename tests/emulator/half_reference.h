// 16-bit floating arithmetic by whole numbers, as an oracle: a value is integer * 2^exponent, results are rounded once.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace emulator_test {

__extension__ using Wide = __int128;

struct HalfFormat {
  int exponent_bits, mantissa_bits;
  int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  std::uint32_t infinity() const { return ((1u << exponent_bits) - 1) << mantissa_bits; }
};
inline constexpr HalfFormat kF16{5, 10}, kBF16{8, 7};

struct Exact {
  bool nan = false, infinite = false, negative = false;
  Wide magnitude = 0;
  int exponent = 0;
};

inline Exact exact_of(HalfFormat f, std::uint32_t bits) {
  Exact x;
  x.negative = (bits & 0x8000) != 0;
  const std::uint32_t rest = bits & 0x7FFF;
  x.nan = rest > f.infinity();
  x.infinite = rest == f.infinity();
  const int exponent = static_cast<int>(rest >> f.mantissa_bits);
  const std::uint32_t mantissa = rest & ((1u << f.mantissa_bits) - 1);
  x.magnitude = exponent == 0 ? mantissa : mantissa | 1u << f.mantissa_bits;
  x.exponent = (exponent == 0 ? 1 : exponent) - f.bias() - f.mantissa_bits;
  return x;
}

inline Exact product(const Exact& a, const Exact& b) {
  Exact x;
  x.negative = a.negative != b.negative;
  x.nan = a.nan || b.nan || (a.infinite && !b.infinite && b.magnitude == 0) || (b.infinite && !a.infinite && a.magnitude == 0);
  x.infinite = a.infinite || b.infinite;
  x.magnitude = a.magnitude * b.magnitude;
  x.exponent = a.exponent + b.exponent;
  return x;
}

inline Exact sum(Exact a, Exact b) {
  if (a.nan || b.nan || (a.infinite && b.infinite && a.negative != b.negative)) return Exact{true, false, false, 0, 0};
  if (a.infinite) return a;
  if (b.infinite) return b;
  if (a.magnitude == 0 && b.magnitude == 0) return Exact{false, false, a.negative && b.negative, 0, 0};
  if (a.magnitude == 0) return b;
  if (b.magnitude == 0) return a;
  if (a.exponent < b.exponent) {
    const Exact t = a;
    a = b;
    b = t;
  }
  // Operands have at most 22 bits. If they are far apart, the lower one only matters as something not zero.
  const int kApart = 70;
  if (a.exponent - b.exponent > kApart) {
    b.magnitude = 1;
    b.exponent = a.exponent - kApart;
  }
  const Wide x = (a.negative ? -1 : 1) * (a.magnitude << (a.exponent - b.exponent)), y = (b.negative ? -1 : 1) * b.magnitude;
  const Wide s = x + y;
  return Exact{false, false, s < 0, s < 0 ? -s : s, b.exponent};
}

/// To nearest, ties to even; NaN is 0x7FFF.
inline std::uint32_t rounded(HalfFormat f, const Exact& x) {
  if (x.nan) return 0x7FFF;
  const std::uint32_t sign = x.negative ? 0x8000 : 0;
  if (x.infinite) return sign | f.infinity();
  if (x.magnitude == 0) return sign;
  int top = 0;  // position of the leading bit
  while (x.magnitude >> (top + 1) != 0) ++top;
  int exponent = top + x.exponent;
  if (exponent < 1 - f.bias()) exponent = 1 - f.bias();
  const int drop = exponent - f.mantissa_bits - x.exponent;  // bits below the last one kept
  Wide kept = 0;
  if (drop <= 0) {
    kept = x.magnitude << -drop;
  } else if (drop < 120) {
    const Wide half = Wide{1} << (drop - 1), rest = x.magnitude & ((Wide{1} << drop) - 1);
    kept = x.magnitude >> drop;
    if (rest > half || (rest == half && (kept & 1) != 0)) ++kept;
  }
  const auto bits = static_cast<std::uint32_t>(kept) + (static_cast<std::uint32_t>(exponent + f.bias() - 1) << f.mantissa_bits);
  return sign | (bits > f.infinity() ? f.infinity() : bits);
}

inline double value_of(HalfFormat f, std::uint32_t bits) {
  const Exact x = exact_of(f, bits);
  if (x.nan) return __builtin_nan("");
  const double magnitude =
      x.infinite ? __builtin_inf() : __builtin_ldexp(static_cast<double>(static_cast<std::int64_t>(x.magnitude)), x.exponent);
  return x.negative ? -magnitude : magnitude;
}

}  // namespace emulator_test
