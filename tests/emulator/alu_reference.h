// An independent reference for scalar instructions: exact values in __float128 or wide integers, rounded here.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace alu {

using U64 = std::uint64_t;
using S64 = std::int64_t;
__extension__ using Quad = __float128;
__extension__ using Wide = __int128;

inline float f32(U64 bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits)); }
inline double f64(U64 bits) { return std::bit_cast<double>(bits); }
inline U64 bits(float v) { return std::bit_cast<std::uint32_t>(v); }
inline U64 bits(double v) { return std::bit_cast<U64>(v); }

inline U64 mask(int width) { return width == 64 ? ~U64{0} : (U64{1} << width) - 1; }
inline S64 sign_extend(U64 v, int width) { return static_cast<S64>(v << (64 - width)) >> (64 - width); }
inline int width_of(const std::string& type) { return std::stoi(type.substr(type.find_first_of("123468"))); }
inline Wide value_of(U64 v, const std::string& type) {
  const int w = width_of(type);
  return type[0] == 's' ? static_cast<Wide>(sign_extend(v, w)) : static_cast<Wide>(v & mask(w));
}

/// 'n', 'z', 'm', 'p': rounds an exact value. T{} arithmetic never enters.
template <class T> T round_to(Quad v, char mode) {
  T r = static_cast<T>(v);  // to nearest even, from libgcc
  if (mode == 'n' || v != v || static_cast<Quad>(r) == v) return r;
  const T below = static_cast<Quad>(r) > v ? std::nextafter(r, -std::numeric_limits<T>::infinity()) : r;
  const T above = static_cast<Quad>(r) < v ? std::nextafter(r, std::numeric_limits<T>::infinity()) : r;
  if (mode == 'm') return below;
  if (mode == 'p') return above;
  return v > 0 ? below : above;
}

inline std::vector<U64> special_values(const std::string& type) {
  if (type == "f32")
    return {0,          0x80000000, 0x3F800000, 0xBF800000, 0x7F800000, 0xFF800000, 0x7FC00123, 0x00000001,
            0x80000001, 0x007FFFFF, 0x00800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x3F000000, 0x3FC00000, 0x40200000,
            0xC0200000, 0x4B7FFFFF, 0x4F000000, 0xCF000001, 0x5F000000, 0x3EAAAAAB, 0x42F6E979, 0xC2C80000,
            0x33800000, 0x3F7FFFFF, 0x7E967699, 0x0DA24260, 0x40490FDB, 0xBFC00000, 0x47800000, 0x4F7FFFFF};
  if (type == "f64")
    return {bits(0.0),
            bits(-0.0),
            bits(1.0),
            bits(-1.0),
            bits(HUGE_VAL),
            bits(-HUGE_VAL),
            0x7FF8000000000123,
            1,
            0x8000000000000001,
            0x000FFFFFFFFFFFFF,
            0x0010000000000000,
            0x7FEFFFFFFFFFFFFF,
            bits(0.5),
            bits(1.5),
            bits(2.5),
            bits(-2.5),
            bits(1e300),
            bits(-3.3e9),
            bits(2147483648.5),
            bits(1.0 / 3),
            bits(1e-300),
            bits(9007199254740993.0),
            bits(1.8446744073709552e19),
            bits(0.1),
            bits(-0.7),
            bits(123456.789),
            bits(65504.0),
            bits(3.5e38),
            bits(1e-40),
            bits(-9.3e18),
            bits(4294967295.5),
            bits(7e-46)};
  const int w = width_of(type);
  std::vector<U64> values = {0,
                             1,
                             2,
                             3,
                             5,
                             7,
                             8,
                             15,
                             16,
                             31,
                             32,
                             33,
                             63,
                             64,
                             100,
                             255,
                             256,
                             0x7FFF,
                             0x8000,
                             0xFFFF,
                             0x12345678,
                             0x7FFFFFFF,
                             0x80000000,
                             0xFFFFFFFE,
                             0xFFFFFFFF,
                             0x123456789ABCDEF0,
                             0x7FFFFFFFFFFFFFFF,
                             0x8000000000000000,
                             0xFFFFFFFFFFFFFFFE,
                             ~U64{0},
                             0xDEADBEEFCAFEF00D,
                             0x55AA55AA55AA55AA};
  for (U64& v : values) v &= mask(w);
  return values;
}

/// Equal bits, or both NaN for a floating result.
inline bool same(U64 a, U64 b, const std::string& type) {
  if (type == "f32") return a == b || (std::isnan(f32(a)) && std::isnan(f32(b)));
  if (type == "f64") return a == b || (std::isnan(f64(a)) && std::isnan(f64(b)));
  return a == b;
}

}  // namespace alu
