// Seeded orders of warps and blocks. Seed 0 is the natural order; any other seed permutes.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace gradus::emulator {

/// splitmix64's finaliser over two words.
inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  if (a == 0) return 0;  // the natural order
  std::uint64_t z = a * 0x9E3779B97F4A7C15u + b;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return (z ^ (z >> 31)) | 1;
}

/// 0 .. n-1 shuffled.
inline std::vector<std::uint32_t> permutation(std::uint32_t n, std::uint64_t seed) {
  std::vector<std::uint32_t> order(n);
  for (std::uint32_t i = 0; i < n; ++i) order[i] = i;
  if (seed)
    for (std::uint32_t i = n; i > 1; --i) std::swap(order[i - 1], order[mix(seed, i) % i]);
  return order;
}

/// A permutation of any size that needs no memory: a Feistel network over the next even power of two, walked until it falls inside.
class Permutation {
 public:
  Permutation(std::uint64_t size, std::uint64_t seed) : size_(size), seed_(seed) {
    while ((std::uint64_t{1} << (2 * half_bits_)) < size) ++half_bits_;
  }
  std::uint64_t size() const { return size_; }
  std::uint64_t at(std::uint64_t i) const {
    if (!seed_) return i;
    do i = round_trip(i);
    while (i >= size_);
    return i;
  }

 private:
  std::uint64_t round_trip(std::uint64_t i) const {
    const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
    std::uint64_t left = i >> half_bits_, right = i & mask;
    for (std::uint64_t round = 1; round <= 4; ++round) {
      const std::uint64_t next = left ^ (mix(seed_ + round, right + 1) & mask);
      left = right;
      right = next;
    }
    return left << half_bits_ | right;
  }

  std::uint64_t size_, seed_;
  unsigned half_bits_ = 1;
};

}  // namespace gradus::emulator
