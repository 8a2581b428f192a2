// Division of indices below 2^31 by a number that the host knows: one multiplication and one shift.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace gradus::inline v0::cuda {

/// n / d = floor(n (2^32 + m) / 2^(32 + s)) for n < 2^31, with s = ceil(log2 d) and m = floor(2^32 (2^s - d) / d) + 1: the method of
/// Granlund and Montgomery 1994, "Division by invariant integers using multiplication". d >= 1.
struct Divider {
  unsigned divisor = 1, multiplier = 1, shift = 0;

  Divider() = default;
  explicit Divider(std::int64_t d) : divisor(static_cast<unsigned>(d)) {
    while ((std::int64_t{1} << shift) < d) ++shift;
    const std::uint64_t beyond = (std::uint64_t{1} << shift) - divisor;
    multiplier = static_cast<unsigned>((beyond << 32) / divisor + 1);
  }
  __host__ __device__ unsigned quotient(unsigned n) const {
#if defined(__CUDA_ARCH__)
    return (__umulhi(n, multiplier) + n) >> shift;
#else
    return (static_cast<unsigned>((std::uint64_t{n} * multiplier) >> 32) + n) >> shift;
#endif
  }
  /// n becomes the quotient; returns the remainder.
  __host__ __device__ unsigned split(unsigned& n) const {
    const unsigned q = quotient(n), r = n - q * divisor;
    n = q;
    return r;
  }
};

}  // namespace gradus::inline v0::cuda
