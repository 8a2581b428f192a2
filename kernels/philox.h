// Random numbers as one function of a key and a counter: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as
// 1, 2, 3", SC11). The same words on every device, for any batch split, order and thread count.
//
// A draw is addressed by {element within the row / 4, stream or op, row id low, row id high} under the key's seed. Whatever names a
// sample (its id) is the row id; whatever names the occasion (epoch, view, iteration) enters the key through fold().
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define GRADUS_HOST_DEVICE __host__ __device__
#else
#define GRADUS_HOST_DEVICE
#endif

namespace gradus::inline v0 {

/// Names a stream of random numbers. A value: copy it, fold it, store it.
struct Key {
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;
  friend constexpr bool operator==(const Key&, const Key&) = default;
};

/// Four random words.
struct PhiloxBlock {
  std::uint32_t word[4];
};

/// Philox4x32-10 of one counter under one 64-bit seed.
GRADUS_HOST_DEVICE constexpr PhiloxBlock philox(std::uint64_t seed, std::uint32_t c0, std::uint32_t c1, std::uint32_t c2,
                                                std::uint32_t c3) {
  std::uint32_t k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0, p1 = std::uint64_t{0xCD9E8D57u} * c2;  // the paper's multipliers
    c0 = static_cast<std::uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c2 = static_cast<std::uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<std::uint32_t>(p1);
    c3 = static_cast<std::uint32_t>(p0);
    k0 += 0x9E3779B9u;  // Weyl increments: golden ratio, sqrt(3) - 1
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

/// The block that holds elements 4*quad .. 4*quad+3 of row `row`.
GRADUS_HOST_DEVICE constexpr PhiloxBlock philox_block(Key key, std::uint32_t quad, std::int64_t row) {
  const auto r = static_cast<std::uint64_t>(row);
  return philox(key.seed, quad, key.stream, static_cast<std::uint32_t>(r), static_cast<std::uint32_t>(r >> 32));
}

/// A new key for occasion n (an epoch, a view, a step): one Philox block. Distinct n give independent streams.
GRADUS_HOST_DEVICE constexpr Key fold(Key key, std::uint64_t n) {
  // Stream ids of draws are small; the all-ones word keeps the counters of fold apart from theirs.
  const PhiloxBlock b = philox(key.seed, static_cast<std::uint32_t>(n), static_cast<std::uint32_t>(n >> 32), key.stream, 0xFFFFFFFFu);
  return {std::uint64_t{b.word[1]} << 32 | b.word[0], b.word[2]};
}

/// 24 random bits as a float in [0, 1): exact, the same on every device.
GRADUS_HOST_DEVICE constexpr float uniform_from(std::uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

/// Uniform integer in [0, n), n <= 2^32, by multiplication (Lemire 2019, without rejection: bias below n / 2^32).
GRADUS_HOST_DEVICE constexpr std::uint32_t below(std::uint32_t word, std::uint64_t n) {
  return static_cast<std::uint32_t>((static_cast<std::uint64_t>(word) * n) >> 32);
}

/// The only source of keys: a value that the caller owns and a checkpoint saves. Never shared between threads.
///
///     Generator rng(7);
///     Tensor noise = normal(rng.next_key(), {4, 8});
class Generator {
 public:
  explicit constexpr Generator(std::uint64_t seed = 0) : seed_(seed) {}
  constexpr Generator(std::uint64_t seed, std::uint64_t counter) : seed_(seed), counter_(counter) {}
  /// A key that no earlier call returned.
  constexpr Key next_key() { return fold(Key{seed_, 0}, counter_++); }
  constexpr std::uint64_t seed() const { return seed_; }
  constexpr std::uint64_t counter() const { return counter_; }
  friend constexpr bool operator==(const Generator&, const Generator&) = default;

 private:
  std::uint64_t seed_;
  std::uint64_t counter_ = 0;
};

}  // namespace gradus::inline v0
