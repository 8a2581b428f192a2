// Sums and maxima along a contiguous run of numbers. Included by hot files only (see isa.h).
#pragma once

#include <gradus/kernels/cpu/simd.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {

/// Two sums that are taken in one pass, lane by lane.
template <class T> struct Pair {
  Vec<T> a, b;
  GRADUS_INLINE Pair(T value) : a(value), b(value) {}
  GRADUS_INLINE Pair(Vec<T> first, Vec<T> second) : a(first), b(second) {}
  GRADUS_INLINE friend Pair operator+(Pair x, Pair y) { return {x.a + y.a, x.b + y.b}; }
};
struct Sums {
  double a, b;
  GRADUS_INLINE friend Sums operator+(Sums x, Sums y) { return {x.a + y.a, x.b + y.b}; }
};

/// The first n < W lanes; zero in the others.
template <class T> GRADUS_INLINE Vec<T> keep_first(Vec<T> v, std::int64_t n) {
#if defined(__AVX2__)
  return v & first_lanes(n, T());
#else
  T lanes[Vec<T>::W];
  v.store(lanes);
  for (std::int64_t i = n; i < Vec<T>::W; ++i) lanes[i] = 0;
  return Vec<T>::load(lanes);
#endif
}
template <class T> GRADUS_INLINE Pair<T> keep_first(Pair<T> v, std::int64_t n) { return {keep_first(v.a, n), keep_first(v.b, n)}; }

template <class T> GRADUS_INLINE double total(Vec<T> v) { return static_cast<double>(sum_lanes(v)); }
template <class T> GRADUS_INLINE Sums total(Pair<T> v) { return {total(v.a), total(v.b)}; }

/// The sum of f(x[i]...) for i in [0, n), spread over lanes; f gives a Vec or a Pair (Sum). Four chains hide the latency of an addition.
template <class Sum, class T, class F, class... In>
GRADUS_INLINE Sum sum_lanes_of_run(std::int64_t n, const F& f, const T* x, const In*... more) {
  constexpr std::int64_t W = Vec<T>::W;
  Sum s[4] = {Sum(T(0)), Sum(T(0)), Sum(T(0)), Sum(T(0))};
  std::int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W)
    for (int u = 0; u < 4; ++u) s[u] = s[u] + f(Vec<T>::load(x + i + u * W), Vec<T>::load(more + i + u * W)...);
  for (; i + W <= n; i += W) s[0] = s[0] + f(Vec<T>::load(x + i), Vec<T>::load(more + i)...);
  if (i < n) s[1] = s[1] + keep_first(f(load_partial(x + i, n - i), load_partial(more + i, n - i)...), n - i);
  return (s[0] + s[1]) + (s[2] + s[3]);
}
/// The sum, a double or Sums. It is taken in T: cut long runs.
template <class Sum, class T, class F, class... In> GRADUS_INLINE auto sum_run(std::int64_t n, const F& f, const T* x, const In*... more) {
  return total(sum_lanes_of_run<Sum>(n, f, x, more...));
}

/// y[i] = f(x[i]...) for i in [0, n), and the sum of the y, spread over lanes. y may be one of the x.
template <class T, class F, class... In> GRADUS_INLINE Vec<T> write_run(std::int64_t n, T* y, const F& f, const In*... x) {
  constexpr std::int64_t W = Vec<T>::W;
  Vec<T> s[2] = {T(0), T(0)};
  const auto write = [&](std::int64_t i) {
    const Vec<T> v = f(Vec<T>::load(x + i)...);
    v.store(y + i);
    return v;
  };
  std::int64_t i = 0;
  for (; i + 2 * W <= n; i += 2 * W)
    for (int u = 0; u < 2; ++u) s[u] = s[u] + write(i + u * W);
  for (; i + W <= n; i += W) s[0] = s[0] + write(i);
  if (i < n) {
    const Vec<T> v = f(load_partial(x + i, n - i)...);
    store_partial(v, y + i, n - i);
    s[1] = s[1] + keep_first(v, n - i);
  }
  return s[0] + s[1];
}

/// The largest of n numbers, -inf of none. Unspecified if there is a NaN.
template <class T> GRADUS_INLINE T max_run(std::int64_t n, const T* x) {
  constexpr std::int64_t W = Vec<T>::W;
  const T lowest = -static_cast<T>(__builtin_inf());
  Vec<T> m[4] = {lowest, lowest, lowest, lowest};
  std::int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W)
    for (int u = 0; u < 4; ++u) m[u] = at_least(m[u], Vec<T>::load(x + i + u * W));
  for (; i + W <= n; i += W) m[0] = at_least(m[0], Vec<T>::load(x + i));
  if (i < n) m[1] = at_least(m[1], load_partial(x + i, n - i, lowest));
  return packet::predux_max(at_least(at_least(m[0], m[1]), at_least(m[2], m[3])).p);
}

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
