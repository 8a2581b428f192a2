// What the kernel tests share: arrays that own their elements between guard words, instruction sets, distances in units of the last place.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include <gradus/kernels/array.h>
#include <gradus/kernels/cpu/isa.h>
#include <gradus/kernels/parallel.h>

namespace gradus::testing {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

/// Calls f() once for each instruction set of this machine, and leaves the one that was chosen.
template <class F> void for_each_isa(const F& f) {
  const cpu::Isa best = cpu::chosen_isa();
  cpu::force_isa(cpu::Isa::baseline);
  {
    INFO("instruction set: baseline");
    f();
  }
  cpu::force_isa(best);
  if (best == cpu::Isa::baseline) return;
  INFO("instruction set: avx2");
  f();
}

/// Elements of T with guard words on both sides, at an address aligned to no more than T.
template <class T> class Buffer {
 public:
  explicit Buffer(Shape shape, T value = T()) : shape_(shape), storage_(static_cast<std::size_t>(shape.elements()) + 2 * kGuard) {
    std::memset(storage_.data(), 0xA5, storage_.size() * sizeof(T));
    for (std::int64_t i = 0; i < size(); ++i) (*this)[i] = value;
  }
  std::int64_t size() const { return shape_.elements(); }
  const Shape& shape() const { return shape_; }
  T* data() { return storage_.data() + kGuard; }
  const T* data() const { return storage_.data() + kGuard; }
  T& operator[](std::int64_t i) { return data()[i]; }
  const T& operator[](std::int64_t i) const { return data()[i]; }
  Array array() { return {data(), &shape_, dtype_of<T>}; }
  ConstArray array() const { return {data(), &shape_, dtype_of<T>}; }

  bool guards_intact() const {
    const unsigned char* const bytes = reinterpret_cast<const unsigned char*>(storage_.data());
    const std::size_t guard = kGuard * sizeof(T), all = storage_.size() * sizeof(T);
    for (std::size_t i = 0; i < guard; ++i)
      if (bytes[i] != 0xA5 || bytes[all - 1 - i] != 0xA5) return false;
    return true;
  }
  bool same_bits(const Buffer& other) const {
    return size() == other.size() && std::memcmp(data(), other.data(), static_cast<std::size_t>(size()) * sizeof(T)) == 0;
  }

 private:
  static constexpr std::size_t kGuard = 17;
  Shape shape_;
  std::vector<T> storage_;
};
/// vector<bool> has no data(): booleans are held as bytes.
struct Mask {
  Buffer<std::uint8_t> bytes;
  explicit Mask(Shape shape) : bytes(shape) {}
  bool operator[](std::int64_t i) const { return bytes[i] != 0; }
  void set(std::int64_t i, bool value) { bytes[i] = value; }
  Array array() { return {bytes.data(), &bytes.shape(), DType::boolean}; }
  ConstArray array() const { return {bytes.data(), &bytes.shape(), DType::boolean}; }
};

template <class T> void fill_normal(Buffer<T>& x, std::uint32_t seed, double scale = 1) {
  std::mt19937 rng(seed);
  std::normal_distribution<double> normal(0, scale);
  for (std::int64_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(normal(rng));
}

/// |y - exact| in units of the last place of exact. Infinite where one is NaN or infinite and the other is not.
template <class T> double ulps(T y, long double exact) {
  if (std::isnan(y) || std::isnan(exact)) return std::isnan(y) && std::isnan(exact) ? 0 : kInfinity;
  const T rounded = static_cast<T>(exact);
  if (y == rounded) return 0;
  if (std::isinf(y) || std::isinf(rounded)) return std::isinf(exact) ? kInfinity : 1;  // one rounding away from overflow
  int exponent = 0;
  std::frexp(exact, &exponent);
  using Limits = std::numeric_limits<T>;
  const int lowest = Limits::min_exponent - Limits::digits, last = exact == 0 ? lowest : std::max(exponent - Limits::digits, lowest);
  return static_cast<double>(std::fabs(y - exact) / std::ldexp(1.0L, last));
}

}  // namespace gradus::testing
