// Optimizer steps over contiguous elements. Bytes per f32 element, read and written: sgd 12, with momentum 20, adam 28; 4 more with a mask.

#include <gradus/kernels/cpu/optimizer_table.h>
#include <gradus/kernels/cpu/reduce_table.h>
#include <gradus/kernels/cpu/simd.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {
namespace {

/// A full packet, or the first `count` elements of one.
template <class T> struct Full {
  GRADUS_INLINE Vec<T> load(const T* x) const { return Vec<T>::load(x); }
  GRADUS_INLINE void store(Vec<T> v, T* y) const { v.store(y); }
};
template <class T> struct Partial {
  std::int64_t count;
  GRADUS_INLINE Vec<T> load(const T* x) const { return load_partial(x, count); }
  GRADUS_INLINE void store(Vec<T> v, T* y) const { store_partial(v, y, count); }
};

/// f(access, i) for every packet of [0, n); the state is updated in place, so the last packet must not overlap its neighbour.
template <class T, class F> GRADUS_INLINE void for_each_packet(std::int64_t n, const F& f) {
  std::int64_t i = 0;
  for (; i + Vec<T>::W <= n; i += Vec<T>::W) f(Full<T>{}, i);
  if (i < n) f(Partial<T>{n - i}, i);
}

template <class T, bool kMasked, class A> GRADUS_INLINE void take_step(const A& access, T* p, Vec<T> old, Vec<T> step, const T* mask) {
  if constexpr (kMasked) {
    const Vec<T> share = access.load(mask);
    access.store(select(share == Vec<T>(T(0)), old, old - step * share), p);  // 0 times an infinite step would be NaN
  } else {
    access.store(old - step, p);
  }
}

template <class T, bool kMasked> void sgd_loop(std::int64_t n, T* p, const T* g, const T* mask, const SgdStep& s) {
  const Vec<T> rate = T(s.learning_rate), decay = T(s.weight_decay);
  for_each_packet<T>(n, [&](auto access, std::int64_t i) {
    const Vec<T> old = access.load(p + i);
    take_step<T, kMasked>(access, p + i, old, rate * fma(decay, old, access.load(g + i)), mask + i);
  });
}

template <class T, bool kMasked> void momentum_loop(std::int64_t n, T* p, T* b, const T* g, const T* mask, const SgdStep& s) {
  const Vec<T> rate = T(s.learning_rate), decay = T(s.weight_decay), momentum = T(s.momentum);
  const bool nesterov = s.nesterov;
  for_each_packet<T>(n, [&](auto access, std::int64_t i) {
    const Vec<T> old = access.load(p + i), gradient = fma(decay, old, access.load(g + i));
    const Vec<T> velocity = fma(momentum, access.load(b + i), gradient);
    access.store(velocity, b + i);
    const Vec<T> direction = nesterov ? fma(momentum, velocity, gradient) : velocity;
    take_step<T, kMasked>(access, p + i, old, rate * direction, mask + i);
  });
}

template <class T>
void sgd_piece(std::int64_t n, void* parameter, void* momentum, const void* gradient, const void* mask, const SgdStep& s) {
  T *const p = static_cast<T*>(parameter), *const b = static_cast<T*>(momentum);
  const T *const g = static_cast<const T*>(gradient), *const k = static_cast<const T*>(mask);
  if (b && k) momentum_loop<T, true>(n, p, b, g, k, s);
  else if (b) momentum_loop<T, false>(n, p, b, g, p, s);
  else if (k) sgd_loop<T, true>(n, p, g, k, s);
  else sgd_loop<T, false>(n, p, g, p, s);
}

/// m / c1 / (sqrt(v / c2) + epsilon) = m (sqrt(c2) / c1) / (sqrt(v) + epsilon sqrt(c2)): one division less for each element.
template <class T, bool kMasked> void adam_loop(std::int64_t n, T* p, T* m, T* v, const T* g, const T* mask, const AdamStep& s) {
  const double root = __builtin_sqrt(s.correction2);
  const Vec<T> b1 = T(s.beta1), a1 = T(1 - s.beta1), b2 = T(s.beta2), a2 = T(1 - s.beta2);
  const Vec<T> rate = T(s.learning_rate * root / s.correction1), epsilon = T(s.epsilon * root);
  const Vec<T> coupled = T(s.decoupled ? 0 : s.weight_decay), decoupled = T(s.decoupled ? s.learning_rate * s.weight_decay : 0);
  for_each_packet<T>(n, [&](auto access, std::int64_t i) {
    const Vec<T> old = access.load(p + i), gradient = fma(coupled, old, access.load(g + i));
    const Vec<T> first = fma(b1, access.load(m + i), a1 * gradient), second = fma(b2, access.load(v + i), a2 * (gradient * gradient));
    access.store(first, m + i);
    access.store(second, v + i);
    take_step<T, kMasked>(access, p + i, old, fma(decoupled, old, rate * first / (sqrt(second) + epsilon)), mask + i);
  });
}

template <class T>
void adam_piece(std::int64_t n, void* parameter, void* m, void* v, const void* gradient, const void* mask, const AdamStep& s) {
  T *const p = static_cast<T*>(parameter), *const first = static_cast<T*>(m), *const second = static_cast<T*>(v);
  const T* const g = static_cast<const T*>(gradient);
  if (mask) adam_loop<T, true>(n, p, first, second, g, static_cast<const T*>(mask), s);
  else adam_loop<T, false>(n, p, first, second, g, p, s);
}

template <class T> void ema_piece(std::int64_t n, void* target, const void* source, double decay) {
  const Vec<T> kept = T(decay), taken = T(1 - decay);
  map_range(
      0, n, static_cast<T*>(target), [&](Vec<T> t, Vec<T> s) { return fma(kept, t, taken * s); }, static_cast<T*>(target),
      static_cast<const T*>(source));
}

/// The sum of squares of n elements, n at most kNormBlock, in four chains of f64 packets.
constexpr std::int64_t kNormBlock = 1024;
template <class T> GRADUS_INLINE double norm_of_block(std::int64_t n, const T* x) {
  constexpr int W = Vec<double>::W;
  Vec<double> chain[4] = {0.0, 0.0, 0.0, 0.0};
  std::int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W)
    for (int k = 0; k < 4; ++k) {
      const Vec<double> v = load_as_double(x + i + k * W);
      chain[k] = fma(v, v, chain[k]);
    }
  double rest = 0;
  for (; i < n; ++i) rest += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum_lanes((chain[0] + chain[1]) + (chain[2] + chain[3])) + rest;
}

template <class T> double squared_norm_piece(std::int64_t n, const void* x) {
  PairwiseSum sum;
  for (std::int64_t i = 0; i < n; i += kNormBlock)
    sum.add(norm_of_block(n - i < kNormBlock ? n - i : kNormBlock, static_cast<const T*>(x) + i));
  return sum.total();
}

}  // namespace

const OptimizerTable optimizer_table = {{
    {sgd_piece<float>, adam_piece<float>, ema_piece<float>, squared_norm_piece<float>},
    {sgd_piece<double>, adam_piece<double>, ema_piece<double>, squared_norm_piece<double>},
}};

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
