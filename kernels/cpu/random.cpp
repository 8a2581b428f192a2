// f32 draws, kLanes Philox blocks at a time: lane l of four word vectors holds the four words of one block. They become numbers in that
// form and are transposed into memory order when they are stored. A tail is drawn whole into a buffer, so an element's bits do not depend
// on the length of the array.
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include <gradus/kernels/cpu/random_table.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {
namespace {

// The compilers' vector types: wide enough for one register of this instruction set, so that no operation is split.
#if defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
using F32 = float __attribute__((vector_size(4 * kLanes)));
using U32 = std::uint32_t __attribute__((vector_size(4 * kLanes)));
using I32 = std::int32_t __attribute__((vector_size(4 * kLanes)));
using U64 = std::uint64_t __attribute__((vector_size(4 * kLanes)));  // kLanes / 2 words of 32 bits, each with room for a product
constexpr int kGroup = 4 * kLanes;                                   // elements drawn at once

struct VectorLanes {
  static constexpr int kBits = 32;
  using T = float;
  using F = F32;
  using U = U32;
  using I = I32;
  GRADUS_INLINE static F to_float(I i) { return __builtin_convertvector(i, F); }
  GRADUS_INLINE static U bits(F x) { return (U)x; }
  GRADUS_INLINE static F from_bits(U u) { return (F)u; }
  GRADUS_INLINE static F sqrt(F x) {
    for (int i = 0; i < kLanes; ++i) x[i] = __builtin_sqrtf(x[i]);  // one vector instruction
    return x;
  }
};

/// The 64-bit products of m with the low halves of a.
GRADUS_INLINE U64 wide_multiply(U64 a, std::uint32_t m) {
#if defined(__AVX2__)
  return (U64)_mm256_mul_epu32((__m256i)a, (__m256i)(U64{} + m));
#elif defined(__SSE2__)
  return (U64)_mm_mul_epu32((__m128i)a, (__m128i)(U64{} + m));
#else
  return (a & 0xFFFFFFFFu) * m;
#endif
}

// Which block each 64-bit lane computes, which halves make up a word vector, and how four vectors become memory order. With 8 lanes the
// blocks are dealt out so that no shuffle crosses the 128-bit halves of a register.
#if defined(__AVX2__)
constexpr U64 kBlocksLow = {0, 2, 1, 3}, kBlocksHigh = {4, 6, 5, 7};
GRADUS_INLINE U32 low_halves(U64 a, U64 b) { return __builtin_shufflevector((U32)a, (U32)b, 0, 2, 8, 10, 4, 6, 12, 14); }
template <class V> GRADUS_INLINE V zip_low(V a, V b) { return __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13); }
template <class V> GRADUS_INLINE V zip_high(V a, V b) { return __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15); }
GRADUS_INLINE U64 zip_pairs_low(U64 a, U64 b) { return __builtin_shufflevector(a, b, 0, 4, 2, 6); }
GRADUS_INLINE U64 zip_pairs_high(U64 a, U64 b) { return __builtin_shufflevector(a, b, 1, 5, 3, 7); }
#else
constexpr U64 kBlocksLow = {0, 1}, kBlocksHigh = {2, 3};
GRADUS_INLINE U32 low_halves(U64 a, U64 b) { return __builtin_shufflevector((U32)a, (U32)b, 0, 2, 4, 6); }
template <class V> GRADUS_INLINE V zip_low(V a, V b) { return __builtin_shufflevector(a, b, 0, 4, 1, 5); }
template <class V> GRADUS_INLINE V zip_high(V a, V b) { return __builtin_shufflevector(a, b, 2, 6, 3, 7); }
GRADUS_INLINE U64 zip_pairs_low(U64 a, U64 b) { return __builtin_shufflevector(a, b, 0, 2); }
GRADUS_INLINE U64 zip_pairs_high(U64 a, U64 b) { return __builtin_shufflevector(a, b, 1, 3); }
#endif

template <class V> struct Four { V v[4]; };

GRADUS_INLINE void philox_round(U64 (&c)[4], U64 k0, U64 k1) {
  const U64 p0 = wide_multiply(c[0], 0xD2511F53u), p1 = wide_multiply(c[2], 0xCD9E8D57u);
  c[0] = p1 >> 32 ^ c[1] ^ k0;
  c[2] = p0 >> 32 ^ c[3] ^ k1;
  c[1] = p1;  // the high halves are garbage from here on: nothing reads them
  c[3] = p0;
}

/// The words of blocks quad .. quad + kLanes - 1, as philox_block() gives them.
GRADUS_INLINE Four<U32> words_of(const Stretch& s, std::uint32_t quad) {
  const auto row = static_cast<std::uint64_t>(s.row_id);
  U64 a[4] = {U64{} + quad + kBlocksLow, U64{} + s.key.stream, U64{} + (row & 0xFFFFFFFFu), U64{} + (row >> 32)};
  U64 b[4] = {U64{} + quad + kBlocksHigh, a[1], a[2], a[3]};
  std::uint32_t k0 = static_cast<std::uint32_t>(s.key.seed), k1 = static_cast<std::uint32_t>(s.key.seed >> 32);
  for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
    philox_round(a, U64{} + k0, U64{} + k1);
    philox_round(b, U64{} + k0, U64{} + k1);
  }
  return {{low_halves(a[0], b[0]), low_halves(a[1], b[1]), low_halves(a[2], b[2]), low_halves(a[3], b[3])}};
}

/// The kGroup elements of four vectors in memory order.
template <class V> GRADUS_INLINE Four<V> in_order(const Four<V>& f) {
  const U64 a = (U64)zip_low(f.v[0], f.v[1]), b = (U64)zip_low(f.v[2], f.v[3]);
  const U64 c = (U64)zip_high(f.v[0], f.v[1]), d = (U64)zip_high(f.v[2], f.v[3]);
  return {{(V)zip_pairs_low(a, b), (V)zip_pairs_high(a, b), (V)zip_pairs_low(c, d), (V)zip_pairs_high(c, d)}};
}

/// write(i, words) for every whole group of the stretch, and for the last, partial one; i counts from the start of the stretch.
template <class F> GRADUS_INLINE void for_each_group(const Stretch& s, const F& write) {
  for (std::int64_t i = 0; i < s.count; i += kGroup) write(i, words_of(s, static_cast<std::uint32_t>((s.begin + i) / 4)));
}

GRADUS_INLINE void store(float* y, F32 v) { std::memcpy(y, &v, sizeof v); }
/// The first n elements of a group, up to all of it. Whole groups go vector by vector: a loop would send them through the stack.
GRADUS_INLINE void store(float* y, std::int64_t n, const Four<F32>& group) {
  if (n < kGroup) {
    std::memcpy(y, &group, static_cast<std::size_t>(n) * sizeof(float));
    return;
  }
  store(y, group.v[0]);
  store(y + kLanes, group.v[1]);
  store(y + 2 * kLanes, group.v[2]);
  store(y + 3 * kLanes, group.v[3]);
}

void uniform(float* y, const Stretch& s, const UniformRange<float>& range) {
  for_each_group(s, [&](std::int64_t i, const Four<U32>& w) {
    Four<F32> u;
    for (int k = 0; k < 4; ++k) u.v[k] = uniform_of<VectorLanes>(w.v[k], range);
    store(y + i, s.count - i, in_order(u));
  });
}

void normal(float* y, const Stretch& s, float mean, float stddev) {
  for_each_group(s, [&](std::int64_t i, const Four<U32>& w) {
    Four<F32> z;
    box_muller<VectorLanes>(w.v[0], w.v[1], &z.v[0], &z.v[1]);
    box_muller<VectorLanes>(w.v[2], w.v[3], &z.v[2], &z.v[3]);
    for (F32& v : z.v) v = multiply_add(v, stddev, mean);
    store(y + i, s.count - i, in_order(z));
  });
}

/// All-ones where word <= last, in memory order.
GRADUS_INLINE Four<I32> kept(const Four<U32>& w, std::uint32_t last) {
  Four<I32> mask;
  for (int k = 0; k < 4; ++k) mask.v[k] = w.v[k] <= (U32{} + last);
  return in_order(mask);
}

void bernoulli(bool* y, const Stretch& s, std::uint32_t last) {
  for_each_group(s, [&](std::int64_t i, const Four<U32>& w) {
    const Four<I32> mask = kept(w, last);
    std::int32_t lanes[kGroup];
    std::memcpy(lanes, &mask, sizeof lanes);
    const std::int64_t left = s.count - i;
    if (left < kGroup) {
      for (int k = 0; k < left; ++k) y[i + k] = lanes[k] != 0;
    } else {
      for (int k = 0; k < kGroup; ++k) y[i + k] = lanes[k] != 0;
    }
  });
}

GRADUS_INLINE F32 load(const float* x) {
  F32 v;
  std::memcpy(&v, x, sizeof v);
  return v;
}
GRADUS_INLINE Four<F32> load(const float* x, std::int64_t n) {
  if (n >= kGroup) return {{load(x), load(x + kLanes), load(x + 2 * kLanes), load(x + 3 * kLanes)}};
  Four<F32> group{};
  std::memcpy(&group, x, static_cast<std::size_t>(n) * sizeof(float));
  return group;
}

void dropout_f32(float* y, const float* x, const Stretch& s, std::uint32_t last, float scale) {
  for_each_group(s, [&](std::int64_t i, const Four<U32>& w) {
    const Four<I32> mask = kept(w, last);
    Four<F32> group = load(x + i, s.count - i);
    for (int k = 0; k < 4; ++k) group.v[k] *= mask.v[k] ? F32{} + scale : F32{};
    store(y + i, s.count - i, group);
  });
}

void dropout_f64(double* y, const double* x, const Stretch& s, std::uint32_t last, double scale) {
  for_each_group(s, [&](std::int64_t i, const Four<U32>& w) {
    const Four<I32> mask = kept(w, last);
    std::int32_t lanes[kGroup];
    std::memcpy(lanes, &mask, sizeof lanes);
    for (std::int64_t k = 0; k < kGroup && i + k < s.count; ++k) y[i + k] = x[i + k] * (lanes[k] ? scale : 0.0);
  });
}

}  // namespace

extern const RandomTable random_table{uniform, normal, bernoulli, dropout_f32, dropout_f64};

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
