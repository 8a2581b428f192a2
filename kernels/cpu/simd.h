// The vector layer of the CPU kernels: Vec<T>, one Eigen packet with operators. Eigen makes it portable (SSE2, AVX2, NEON, scalar).
// Included by hot files only (see isa.h).
//
// A tail of an array goes through the same packet code, on the last full packet or on a padded copy, so an element's bits do not depend
// on its position.
#pragma once

// Eigen's fast square root is an estimate and one Newton step: not correctly rounded, and wrong at infinity and for denormals.
#if !defined(EIGEN_FAST_MATH)
#define EIGEN_FAST_MATH 0
#endif

#include <Eigen/Core>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include <gradus/kernels/array.h>
#include <gradus/kernels/parallel.h>

#if !defined(GRADUS_ISA)
#error "simd.h belongs to hot files: list the file in GRADUS_HOT_SOURCES of kernels/CMakeLists.txt"
#endif

namespace gradus::inline v0::cpu::GRADUS_ISA {

namespace packet = Eigen::internal;

/// W elements of T in one register.
template <class T> struct Vec {
  using Packet = typename packet::packet_traits<T>::type;
  static constexpr int W = packet::unpacket_traits<Packet>::size;
  Packet p;

  Vec() = default;
  GRADUS_INLINE Vec(Packet packet) : p(packet) {}
  GRADUS_INLINE Vec(T value) requires(!std::is_same_v<T, Packet>) : p(packet::pset1<Packet>(value)) {}
  GRADUS_INLINE static Vec load(const T* x) { return packet::ploadu<Packet>(x); }
  GRADUS_INLINE void store(T* y) const { packet::pstoreu(y, p); }

  GRADUS_INLINE friend Vec operator+(Vec a, Vec b) { return packet::padd(a.p, b.p); }
  GRADUS_INLINE friend Vec operator-(Vec a, Vec b) { return packet::psub(a.p, b.p); }
  GRADUS_INLINE friend Vec operator*(Vec a, Vec b) { return packet::pmul(a.p, b.p); }
  GRADUS_INLINE friend Vec operator/(Vec a, Vec b) { return packet::pdiv(a.p, b.p); }
  GRADUS_INLINE friend Vec operator-(Vec a) { return packet::pxor(a.p, packet::pset1<Packet>(T(-0.0))); }  // 0 - a would lose -0
  // Masks are vectors of all-ones or all-zeros lanes; a comparison with NaN is false.
  GRADUS_INLINE friend Vec operator<(Vec a, Vec b) { return packet::pcmp_lt(a.p, b.p); }
  GRADUS_INLINE friend Vec operator<=(Vec a, Vec b) { return packet::pcmp_le(a.p, b.p); }
  GRADUS_INLINE friend Vec operator>(Vec a, Vec b) { return packet::pcmp_lt(b.p, a.p); }
  GRADUS_INLINE friend Vec operator>=(Vec a, Vec b) { return packet::pcmp_le(b.p, a.p); }
  GRADUS_INLINE friend Vec operator==(Vec a, Vec b) { return packet::pcmp_eq(a.p, b.p); }
  GRADUS_INLINE friend Vec operator&(Vec a, Vec b) { return packet::pand(a.p, b.p); }
  GRADUS_INLINE friend Vec operator|(Vec a, Vec b) { return packet::por(a.p, b.p); }
  GRADUS_INLINE friend Vec operator~(Vec a) { return packet::pxor(a.p, packet::ptrue(a.p)); }
};

/// a b + c: one rounding with AVX2 + FMA, two in the baseline.
template <class T> GRADUS_INLINE Vec<T> fma(Vec<T> a, Vec<T> b, Vec<T> c) { return packet::pmadd(a.p, b.p, c.p); }
template <class T> GRADUS_INLINE Vec<T> select(Vec<T> mask, Vec<T> a, Vec<T> b) { return packet::pselect(mask.p, a.p, b.p); }
/// The larger lane; NaN in either operand gives NaN.
template <class T> GRADUS_INLINE Vec<T> maximum(Vec<T> a, Vec<T> b) { return packet::template pmax<Eigen::PropagateNaN>(a.p, b.p); }
template <class T> GRADUS_INLINE Vec<T> minimum(Vec<T> a, Vec<T> b) { return packet::template pmin<Eigen::PropagateNaN>(a.p, b.p); }
/// x cut off at a limit that is a number, in one instruction. NaN in x stays: like std::min, pmin(a, b) is b only where b < a.
template <class T> GRADUS_INLINE Vec<T> at_most(Vec<T> x, Vec<T> limit) { return packet::pmin(x.p, limit.p); }
template <class T> GRADUS_INLINE Vec<T> at_least(Vec<T> x, Vec<T> limit) { return packet::pmax(x.p, limit.p); }
template <class T> GRADUS_INLINE Vec<T> abs(Vec<T> a) { return packet::pabs(a.p); }
/// Correctly rounded.
template <class T> GRADUS_INLINE Vec<T> sqrt(Vec<T> a) { return packet::psqrt(a.p); }
/// The magnitude of a with the sign of b.
template <class T> GRADUS_INLINE Vec<T> copysign(Vec<T> a, Vec<T> b) {
  const auto sign = packet::pset1<typename Vec<T>::Packet>(T(-0.0));
  return packet::por(packet::pandnot(a.p, sign), packet::pand(b.p, sign));
}
/// Sum of the lanes, in an order fixed by the instruction set.
template <class T> GRADUS_INLINE T sum_lanes(Vec<T> a) { return packet::predux(a.p); }

// The bits of a Vec as a vector of integers of the same width, with the compiler's own operators (+ - << >> & |, lane by lane).
template <class T> struct BitsOf;
template <> struct BitsOf<float> {
  typedef std::int32_t Signed __attribute__((vector_size(sizeof(Vec<float>::Packet))));
  typedef std::uint32_t Unsigned __attribute__((vector_size(sizeof(Vec<float>::Packet))));
};
template <> struct BitsOf<double> {
  typedef std::int64_t Signed __attribute__((vector_size(sizeof(Vec<double>::Packet))));
  typedef std::uint64_t Unsigned __attribute__((vector_size(sizeof(Vec<double>::Packet))));
};
template <class T> using SignedBits = typename BitsOf<T>::Signed;
template <class T> using Bits = typename BitsOf<T>::Unsigned;

template <class T> GRADUS_INLINE Bits<T> bits_of(Vec<T> x) {
  Bits<T> bits;
  __builtin_memcpy(&bits, &x.p, sizeof bits);
  return bits;
}
template <class T> GRADUS_INLINE Vec<T> from_bits(Bits<T> bits) {
  Vec<T> x;
  __builtin_memcpy(&x.p, &bits, sizeof bits);
  return x;
}

#if defined(__AVX2__)
/// Lanes 0 .. n-1.
GRADUS_INLINE Vec<float> first_lanes(std::int64_t n, float) {
  const SignedBits<float> lane = {0, 1, 2, 3, 4, 5, 6, 7};
  return from_bits<float>((Bits<float>)(lane < static_cast<std::int32_t>(n)));
}
GRADUS_INLINE Vec<double> first_lanes(std::int64_t n, double) {
  const SignedBits<double> lane = {0, 1, 2, 3};
  return from_bits<double>((Bits<double>)(lane < n));
}
GRADUS_INLINE Vec<float> masked_load(const float* x, Vec<float> mask) { return _mm256_maskload_ps(x, (__m256i)mask.p); }
GRADUS_INLINE Vec<double> masked_load(const double* x, Vec<double> mask) { return _mm256_maskload_pd(x, (__m256i)mask.p); }
#endif

/// The first n < W elements of x, the rest `padding`. Reads nothing beyond them.
template <class T> GRADUS_INLINE Vec<T> load_partial(const T* x, std::int64_t n, T padding = T(1)) {
#if defined(__AVX2__)
  // Filling a copy of the packet element by element would stall the load that follows.
  const Vec<T> mask = first_lanes(n, T());
  return select(mask, masked_load(x, mask), Vec<T>(padding));
#else
  T lanes[Vec<T>::W];
  for (int i = 0; i < Vec<T>::W; ++i) lanes[i] = i < n ? x[i] : padding;
  return Vec<T>::load(lanes);
#endif
}
/// Stores the first n < W lanes, in pieces whose sizes are the binary digits of n.
template <class T> GRADUS_INLINE void store_partial(Vec<T> v, T* y, std::int64_t n) {
  T lanes[Vec<T>::W];
  v.store(lanes);
  std::int64_t done = 0;
#pragma GCC unroll 8
  for (int piece = Vec<T>::W / 2; piece > 0; piece /= 2) {
    if (!(n & piece)) continue;
    __builtin_memcpy(y + done, lanes + done, static_cast<std::size_t>(piece) * sizeof(T));
    done += piece;
  }
}

// As many f32 as a Vec<double> has lanes: half a Vec<float>.
typedef float HalfFloats __attribute__((vector_size(sizeof(Vec<double>::Packet) / 2)));
typedef double Doubles __attribute__((vector_size(sizeof(Vec<double>::Packet))));

GRADUS_INLINE Vec<double> to_double(HalfFloats half) {
  const Doubles wide = __builtin_convertvector(half, Doubles);
  Vec<double> v;
  __builtin_memcpy(&v.p, &wide, sizeof wide);
  return v;
}
GRADUS_INLINE HalfFloats to_float(Vec<double> v) {
  Doubles wide;
  __builtin_memcpy(&wide, &v.p, sizeof wide);
  return __builtin_convertvector(wide, HalfFloats);
}
/// The next Vec<double>::W elements of x, as f64.
GRADUS_INLINE Vec<double> load_as_double(const double* x) { return Vec<double>::load(x); }
GRADUS_INLINE Vec<double> load_as_double(const float* x) {
  HalfFloats half;
  __builtin_memcpy(&half, x, sizeof half);
  return to_double(half);
}
/// Two halves side by side, in a register: through memory the load would wait for both stores.
template <class Half> GRADUS_INLINE Vec<float> joined(Half low, Half high) {
  const auto both = [&] {
    if constexpr (sizeof(Half) == 4 * sizeof(float)) return __builtin_shufflevector(low, high, 0, 1, 2, 3, 4, 5, 6, 7);
    else if constexpr (sizeof(Half) == 2 * sizeof(float)) return __builtin_shufflevector(low, high, 0, 1, 2, 3);
    else return low;  // a machine without vectors: a Vec<float> is as long as a Vec<double>
  }();
  Vec<float> v;
  __builtin_memcpy(&v.p, &both, sizeof v.p);
  return v;
}

/// y[i] = f(x[i]...) over [begin, end). y may be one of the x.
///
/// The last packet is computed first and stored last: it overlaps its neighbour instead of falling back to single elements.
template <class T, class F, class... In>
GRADUS_INLINE void map_range(std::int64_t begin, std::int64_t end, T* y, const F& f, const In*... x) {
  constexpr int W = Vec<T>::W;
  if (end - begin < W) {
    if (begin < end) store_partial(f(load_partial(x + begin, end - begin)...), y + begin, end - begin);
    return;
  }
  const Vec<T> last = f(Vec<T>::load(x + end - W)...);
  for (std::int64_t i = begin; i + W < end; i += W) f(Vec<T>::load(x + i)...).store(y + i);
  last.store(y + end - W);
}

inline constexpr std::int64_t kMapChunk = 1 << 15;  // elements a thread takes at a time: 128 KiB of f32, about 10 us

/// y[i] = f(x[i]...) for i in [0, n); f takes and returns Vec<T>.
template <class T, class F, class... In> void map(std::int64_t n, T* y, const F& f, const In*... x) {
  if (n <= kMapChunk) return map_range(0, n, y, f, x...);
  parallel_for((n + kMapChunk - 1) / kMapChunk, [&](std::int64_t c) {
    const std::int64_t begin = c * kMapChunk, end = begin + kMapChunk;
    map_range(begin, end < n ? end : n, y, f, x...);
  });
}

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
