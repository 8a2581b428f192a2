// Arrays of any element type for tests of kernels against their CPU reference: bytes with a shape and a dtype, on the host and on the
// device.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gradus/kernels/array.h>
#include <gradus/tests/kernels/cuda/support.h>

namespace gradus::testing {

/// On the host.
struct AnyArray {
  Shape shape;
  DType dtype = DType::f32;
  std::vector<unsigned char> bytes;

  /// Filled with a pattern that no kernel writes.
  AnyArray(const Shape& s, DType d) : shape(s), dtype(d), bytes(static_cast<std::size_t>(s.elements()) * size_of(d), 0xA5) {}
  template <class T> AnyArray(const Shape& s, DType d, const std::vector<T>& values) : AnyArray(s, d) {
    REQUIRE(values.size() * sizeof(T) == bytes.size());
    if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  }
  Array array() { return {bytes.data(), &shape, dtype}; }
  ConstArray array() const { return {bytes.data(), &shape, dtype}; }
  template <class T> std::vector<T> values() const {
    std::vector<T> v(bytes.size() / sizeof(T));
    if (!bytes.empty()) std::memcpy(v.data(), bytes.data(), bytes.size());
    return v;
  }
};

/// A copy on the device, `offset` elements behind an aligned address, between guard bytes.
class AnyOnDevice {
 public:
  explicit AnyOnDevice(const AnyArray& host, int offset = 0)
      : shape_(host.shape),
        dtype_(host.dtype),
        memory_(host.bytes.data(), host.bytes.size(), static_cast<std::size_t>(offset) * size_of(host.dtype)) {}
  /// Undefined, for a kernel to write.
  AnyOnDevice(const Shape& shape, DType dtype, int offset = 0)
      : shape_(shape),
        dtype_(dtype),
        memory_(nullptr, static_cast<std::size_t>(shape.elements()) * size_of(dtype), static_cast<std::size_t>(offset) * size_of(dtype)) {}
  Array array() { return {memory_.data(), &shape_, dtype_}; }
  AnyArray read() {
    AnyArray result(shape_, dtype_);
    const auto bytes = memory_.read();
    REQUIRE(bytes.size() == result.bytes.size());
    if (!bytes.empty()) std::memcpy(result.bytes.data(), bytes.data(), bytes.size());
    return result;
  }

 private:
  Shape shape_;
  DType dtype_;
  OnDevice memory_;
};

inline std::uint16_t bf16_of(float x) { return static_cast<std::uint16_t>(__builtin_bit_cast(std::uint32_t, x) >> 16); }

/// An element type for INFO, which prints a const char* as an address.
inline std::string text(DType dtype) { return name_of(dtype); }

/// Elements drawn from [low, high], as far as the type allows.
inline AnyArray random_array(const Shape& shape, DType dtype, std::uint32_t seed, double low = -3, double high = 3) {
  const auto n = static_cast<std::size_t>(shape.elements());
  std::mt19937 rng(seed);
  std::uniform_real_distribution<double> draw(low, high);
  const auto fill = [&](auto zero, auto f) {
    std::vector<decltype(zero)> v(n);
    for (auto& x : v) x = f();
    return AnyArray(shape, dtype, v);
  };
  switch (dtype) {
    case DType::f32: return fill(float(), [&] { return static_cast<float>(draw(rng)); });
    case DType::f64: return fill(double(), [&] { return draw(rng); });
    case DType::i64: return fill(std::int64_t(), [&] { return static_cast<std::int64_t>(std::floor(draw(rng) * 4)); });
    case DType::u8: return fill(std::uint8_t(), [&] { return static_cast<std::uint8_t>(rng() % 256); });
    case DType::boolean: return fill(std::uint8_t(), [&] { return static_cast<std::uint8_t>(rng() % 2); });
    case DType::bf16: break;
  }
  return fill(std::uint16_t(), [&] { return bf16_of(static_cast<float>(draw(rng))); });
}

/// Infinities, NaN, zeros of either sign, denormals, and numbers at the edges of what functions can bear.
template <class T> std::vector<T> special_values() {
  using Limits = std::numeric_limits<T>;
  std::vector<T> v = {T(0),
                      Limits::infinity(),
                      Limits::quiet_NaN(),
                      Limits::denorm_min(),
                      Limits::min(),
                      Limits::min() / 4,
                      Limits::max(),
                      Limits::epsilon(),
                      T(1),
                      T(0.5),
                      T(2),
                      T(3),
                      T(0.9999),
                      T(1.0001),
                      T(1e-3),
                      T(1e-8),
                      T(6),
                      T(10),
                      T(13),
                      T(14),
                      T(20),
                      T(38),
                      T(80),
                      T(87),
                      T(88),
                      T(89),
                      T(100),
                      T(104),
                      T(700),
                      T(709),
                      T(710),
                      T(745),
                      T(750),
                      T(1e5),
                      T(3e6),
                      T(1e10)};
  for (std::size_t i = 0, n = v.size(); i < n; ++i) v.push_back(-v[i]);
  return v;
}

inline void check_same_bits(const AnyArray& got, const AnyArray& want) {
  REQUIRE(got.bytes.size() == want.bytes.size());
  if (got.bytes == want.bytes) return;
  const std::size_t size = size_of(got.dtype);
  std::size_t i = 0;
  while (std::memcmp(got.bytes.data() + i * size, want.bytes.data() + i * size, size) == 0) ++i;
  const auto number = [&](const AnyArray& a) {
    switch (a.dtype) {
      case DType::f32: return std::to_string(a.values<float>()[i]);
      case DType::f64: return std::to_string(a.values<double>()[i]);
      case DType::i64: return std::to_string(a.values<std::int64_t>()[i]);
      case DType::bf16: return std::to_string(a.values<std::uint16_t>()[i]);
      default: return std::to_string(static_cast<int>(a.bytes[i]));
    }
  };
  FAIL_CHECK("element " << i << " of " << to_string(got.shape) << " " << text(got.dtype) << " is " << number(got) << ", expected "
                        << number(want));
}

/// Within `relative` of the CPU's, or `absolute`. NaN equals NaN of any payload, infinities must agree, and so must the sign of a zero.
template <class T> void check_near(const std::vector<T>& got, const std::vector<T>& want, double relative, double absolute) {
  REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double g = static_cast<double>(got[i]), w = static_cast<double>(want[i]);
    bool good = std::isnan(g) == std::isnan(w);
    if (std::isnan(g) || std::isnan(w)) {
    } else if (std::isinf(g) || std::isinf(w)) {
      good = g == w;
    } else if (g == 0 && w == 0) {
      good = std::signbit(g) == std::signbit(w);
    } else {
      good = std::fabs(g - w) <= relative * std::fabs(w) + absolute;
    }
    if (good) continue;
    FAIL_CHECK("element " << i << " of " << got.size() << " is " << g << ", expected " << w << ": relative error "
                          << std::fabs(g - w) / std::fabs(w));
    return;
  }
}
/// bf16 as f32.
inline std::vector<float> widened(const AnyArray& x) {
  std::vector<float> v;
  for (const std::uint16_t bits : x.values<std::uint16_t>()) v.push_back(__builtin_bit_cast(float, static_cast<std::uint32_t>(bits) << 16));
  return v;
}
/// f32 and f64 within their type's tolerance, others exactly.
inline void check_near(const AnyArray& got, const AnyArray& want) {
  if (got.dtype == DType::f32) check_near(got.values<float>(), want.values<float>(), 2e-6, 1e-37);
  else if (got.dtype == DType::f64) check_near(got.values<double>(), want.values<double>(), 1e-13, 1e-305);
  else if (got.dtype == DType::bf16) check_near(widened(got), widened(want), 0, 0);
  else check_same_bits(got, want);
}

}  // namespace gradus::testing
