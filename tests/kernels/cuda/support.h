// What the CUDA kernel tests share: arrays on the device between guard bytes, and comparisons. Outputs begin undefined, so that the
// emulator sees a read of what nobody wrote.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include <gradus/kernels/array.h>
#include <gradus/kernels/device.h>

namespace gradus::testing {

/// Bytes on the device between guards, which the destructor checks: writes inside an allocation but outside an array are found too. Numbers
/// read from a guard are NaN, or large: such reads show in what is computed from them. A signalling NaN where it can be, which no
/// arithmetic writes back as it was.
class OnDevice {
 public:
  static constexpr std::size_t kGuard = 256;
  static unsigned char guard_byte(std::size_t i) { return static_cast<unsigned char>(0x7FF4A5A57FA4A5A5u >> (i % 8 * 8)); }

  /// `offset_bytes` moves the array off the 256-byte alignment that allocations have. A null `host` leaves it undefined.
  OnDevice(const void* host, std::size_t bytes, std::size_t offset_bytes = 0)
      : bytes_(bytes), front_(kGuard + offset_bytes), block_(static_cast<char*>(cuda::system_allocate(front_ + bytes + kGuard))) {
    REQUIRE(block_ != nullptr);
    std::vector<unsigned char> guard(front_);
    for (std::size_t i = 0; i < front_; ++i) guard[i] = guard_byte(i);
    cuda::copy_from_host(block_, guard.data(), front_);
    cuda::copy_from_host(block_ + front_ + bytes, guard.data(), kGuard);
    if (host && bytes > 0) cuda::copy_from_host(data(), host, bytes);
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  OnDevice(OnDevice&& other) noexcept : bytes_(other.bytes_), front_(other.front_), block_(other.block_) { other.block_ = nullptr; }
  OnDevice& operator=(OnDevice&&) = delete;
  ~OnDevice() {
    if (!block_) return;
    try {
      std::vector<unsigned char> guards(front_ + kGuard);
      cuda::copy_to_host(guards.data(), block_, front_);
      cuda::copy_to_host(guards.data() + front_, block_ + front_ + bytes_, kGuard);
      std::size_t broken = 0;
      for (std::size_t i = 0; i < guards.size(); ++i) broken += guards[i] != guard_byte(i < front_ ? i : i - front_);
      CHECK_MESSAGE(broken == 0, "a kernel wrote outside its array");
    } catch (const Error& error) { CHECK_MESSAGE(false, error.what()); }
    cuda::system_free(block_);
  }

  void* data() const { return block_ + front_; }
  std::size_t bytes() const { return bytes_; }
  /// A copy; waits.
  std::vector<std::byte> read() const {
    std::vector<std::byte> copy(bytes_);
    cuda::copy_to_host(copy.data(), data(), bytes_);
    return copy;
  }

 private:
  std::size_t bytes_, front_;
  char* block_;
};

/// Elements of T on the device. bool elements are bytes on the host, 0 and 1.
template <class T> class DeviceArray {
 public:
  DeviceArray(const T* host, Shape shape, int offset_elements)
      : shape_(shape),
        memory_(host, static_cast<std::size_t>(shape.elements()) * sizeof(T), static_cast<std::size_t>(offset_elements) * sizeof(T)) {}

  const Shape& shape() const { return shape_; }
  T* data() const { return static_cast<T*>(memory_.data()); }
  Array array() { return {memory_.data(), &shape_, dtype_of<T>}; }
  ConstArray array() const { return {memory_.data(), &shape_, dtype_of<T>}; }
  std::vector<T> values() const {
    const std::vector<std::byte> bytes = memory_.read();
    std::vector<T> values(static_cast<std::size_t>(shape_.elements()));
    for (std::size_t i = 0; i < values.size(); ++i) {
      T v;
      std::memcpy(&v, bytes.data() + i * sizeof(T), sizeof(T));
      values[i] = v;
    }
    return values;
  }

 private:
  Shape shape_;
  OnDevice memory_;
};

template <class T> DeviceArray<T> device_array(const std::vector<T>& values, Shape shape, int offset_elements = 0) {
  REQUIRE(static_cast<std::int64_t>(values.size()) == shape.elements());
  if constexpr (std::is_same_v<T, bool>) {
    std::vector<unsigned char> bytes(values.begin(), values.end());
    return DeviceArray<bool>(reinterpret_cast<const bool*>(bytes.data()), shape, offset_elements);
  } else {
    return DeviceArray<T>(values.data(), shape, offset_elements);
  }
}
/// Undefined elements.
template <class T> DeviceArray<T> device_output(Shape shape, int offset_elements = 0) {
  return DeviceArray<T>(nullptr, shape, offset_elements);
}

/// Scratch of exactly so many bytes, undefined, between guards.
class DeviceWorkspace {
 public:
  explicit DeviceWorkspace(std::size_t bytes) : memory_(nullptr, bytes) {}
  Workspace workspace() const { return {memory_.bytes() ? memory_.data() : nullptr, memory_.bytes()}; }

 private:
  OnDevice memory_;
};
inline DeviceWorkspace workspace(std::size_t bytes) { return DeviceWorkspace(bytes); }

/// |got - want| <= absolute + relative |want|; NaN equals NaN, infinities equal themselves. Says where the first one is that does not fit.
template <class T> void check_close(const std::vector<T>& got, const std::vector<T>& want, double relative, double absolute) {
  REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double g = static_cast<double>(got[i]), w = static_cast<double>(want[i]);
    if (std::isnan(g) && std::isnan(w)) continue;
    if (g == w || std::abs(g - w) <= absolute + relative * std::abs(w)) continue;
    FAIL_CHECK("element " << i << " of " << got.size() << " is " << g << ", expected " << w << " within " << absolute << " + " << relative
                          << " |w|");
    return;
  }
  CHECK(true);
}

template <class T> void check_same_bits(const std::vector<T>& got, const std::vector<T>& want) {
  REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    const T g = got[i], w = want[i];
    if (std::memcmp(&g, &w, sizeof(T)) == 0) continue;
    FAIL_CHECK("element " << i << " of " << got.size() << " is " << +g << ", expected the bits of " << +w);
    return;
  }
  CHECK(true);
}

/// n numbers in [low, high), the same for the same seed.
template <class T> std::vector<T> random_values(std::int64_t n, unsigned seed, double low, double high) {
  std::mt19937_64 engine(seed);
  std::vector<T> values(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<T>(low + (high - low) * static_cast<double>(engine() >> 11) * 0x1p-53);
  return values;
}

}  // namespace gradus::testing
