// Softmax along an axis: x seen as [outer, n, inner].
//
// inner = 1: rows, vectors run along the row. Otherwise columns: a vector holds W neighbouring lines along the axis, and every sum is
// lane by lane. In both cases a line is read from memory once and from the cache after that.

#include <gradus/kernels/cpu/softmax_rows.h>
#include <gradus/kernels/cpu/softmax_table.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {
namespace {

using Index = std::int64_t;

inline constexpr Index kBlock = 4096;  // numbers summed in T before the sum goes on in double

struct Layout {
  Index outer, n, inner;

  Layout(const Shape& s, int axis) : outer(s.product(0, axis)), n(s[axis]), inner(s.product(axis + 1, s.rank())) {}
};

template <class F> void for_each_row(const Layout& l, const F& f) {
  const Index each = kSoftmaxChunk / (l.n + 1) + 1;
  parallel_for((l.outer + each - 1) / each, [&](Index chunk) {
    for (Index i = chunk * each; i < least(l.outer, (chunk + 1) * each); ++i) f(i * l.n);
  });
}

/// W lines along the axis, or the last few: how to read and write their i-th numbers.
template <class T> struct Columns {
  Index first, lanes, stride;

  GRADUS_INLINE Vec<T> load(const T* x, Index i) const {
    const T* p = x + first + i * stride;
    return lanes == Vec<T>::W ? Vec<T>::load(p) : load_partial(p, lanes, T(0));
  }
  GRADUS_INLINE void store(Vec<T> v, T* y, Index i) const {
    T* p = y + first + i * stride;
    lanes == Vec<T>::W ? v.store(p) : store_partial(v, p, lanes);
  }
};

template <class T, class F> void for_each_columns(const Layout& l, const F& f) {
  const Index vectors = (l.inner + Vec<T>::W - 1) / Vec<T>::W;
  const Index each = kSoftmaxChunk / (l.n * Vec<T>::W + 1) + 1;
  parallel_for((l.outer * vectors + each - 1) / each, [&](Index chunk) {
    for (Index i = chunk * each; i < least(l.outer * vectors, (chunk + 1) * each); ++i) {
      const Index j = i % vectors * Vec<T>::W;
      f(Columns<T>{i / vectors * l.n * l.inner + j, least(Vec<T>::W, l.inner - j), l.inner});
    }
  });
}

// ---- rows ----------------------------------------------------------------------------------------------------------------------------

/// The sum of f(x[i]...), in blocks.
template <class T, class F, class... In> GRADUS_INLINE T sum_row(Index n, const F& f, const T* x, const In*... more) {
  double sum = 0;
  for (Index i = 0; i < n; i += kBlock) sum += sum_run<Vec<T>>(least(kBlock, n - i), f, x + i, (more + i)...);
  return static_cast<T>(sum);
}

template <class T> void softmax_row(T* y, const T* x, Index n) {
  const Vec<T> largest = max_run(n, x);
  const auto f = [&](Vec<T> v) { return exp_nonpositive(v - largest); };
  double sum = 0;
  for (Index i = 0; i < n; i += kBlock) sum += total(write_run(least(kBlock, n - i), y + i, f, x + i));
  const Vec<T> scale = static_cast<T>(1 / sum);
  map_range(
      0, n, y, [&](Vec<T> v) { return v * scale; }, y);
}

template <class T> void log_softmax_row(T* y, const T* x, Index n) {
  const Vec<T> largest = max_run(n, x);
  const Vec<T> rest = log(Vec<T>(sum_row(
      n, [&](Vec<T> v) { return exp_nonpositive(v - largest); }, x)));
  map_range(
      0, n, y, [&](Vec<T> v) { return (v - largest) - rest; }, x);
}

template <class T> void softmax_backward_row(T* dx, const T* dy, const T* y, Index n) {
  const Vec<T> mean = sum_row(
      n, [](Vec<T> g, Vec<T> p) { return g * p; }, dy, y);
  map_range(
      0, n, dx, [&](Vec<T> g, Vec<T> p) { return p * (g - mean); }, dy, y);
}

template <class T> void log_softmax_backward_row(T* dx, const T* dy, const T* y, Index n) {
  const Vec<T> mass = sum_row(
      n, [](Vec<T> g) { return g; }, dy);
  map_range(
      0, n, dx, [&](Vec<T> g, Vec<T> v) { return g - exp_nonpositive(v) * mass; }, dy, y);
}

// ---- columns -------------------------------------------------------------------------------------------------------------------------

template <class T> Vec<T> max_columns(const T* x, Index n, const Columns<T>& c) {
  Vec<T> m = -static_cast<T>(__builtin_inf());
  for (Index i = 0; i < n; ++i) m = at_least(m, c.load(x, i));
  return m;
}

template <class T> void softmax_columns(T* y, const T* x, Index n, const Columns<T>& c) {
  const Vec<T> largest = max_columns(x, n, c);
  Vec<T> sum = T(0);
  for (Index i = 0; i < n; ++i) {
    const Vec<T> e = exp_nonpositive(c.load(x, i) - largest);
    c.store(e, y, i);
    sum = sum + e;
  }
  const Vec<T> scale = Vec<T>(T(1)) / sum;
  for (Index i = 0; i < n; ++i) c.store(c.load(y, i) * scale, y, i);
}

template <class T> void log_softmax_columns(T* y, const T* x, Index n, const Columns<T>& c) {
  const Vec<T> largest = max_columns(x, n, c);
  Vec<T> sum = T(0);
  for (Index i = 0; i < n; ++i) sum = sum + exp_nonpositive(c.load(x, i) - largest);
  const Vec<T> rest = log(sum);
  for (Index i = 0; i < n; ++i) c.store((c.load(x, i) - largest) - rest, y, i);
}

template <class T> void softmax_backward_columns(T* dx, const T* dy, const T* y, Index n, const Columns<T>& c) {
  Vec<T> mean = T(0);
  for (Index i = 0; i < n; ++i) mean = mean + c.load(dy, i) * c.load(y, i);
  for (Index i = 0; i < n; ++i) c.store(c.load(y, i) * (c.load(dy, i) - mean), dx, i);
}

template <class T> void log_softmax_backward_columns(T* dx, const T* dy, const T* y, Index n, const Columns<T>& c) {
  Vec<T> sum = T(0);
  for (Index i = 0; i < n; ++i) sum = sum + c.load(dy, i);
  for (Index i = 0; i < n; ++i) c.store(c.load(dy, i) - exp_nonpositive(c.load(y, i)) * sum, dx, i);
}

// ---- the kernels ---------------------------------------------------------------------------------------------------------------------

/// Runs row(pointers at a row..., n) or columns(pointers..., n, which) over the whole array.
template <class T, class Rows, class ColumnsOf, class... P>
void along(const Layout& l, const Rows& rows, const ColumnsOf& columns, P*... p) {
  if (l.inner == 1) for_each_row(l, [&](Index at) { rows((p + at)..., l.n); });
  else for_each_columns<T>(l, [&](const Columns<T>& c) { columns(p..., l.n, c); });
}

void softmax(Array y, ConstArray x, int axis) {
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    along<T>(Layout(*x.shape, axis), softmax_row<T>, softmax_columns<T>, y.as<T>(), x.as<T>());
  });
}
void log_softmax(Array y, ConstArray x, int axis) {
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    along<T>(Layout(*x.shape, axis), log_softmax_row<T>, log_softmax_columns<T>, y.as<T>(), x.as<T>());
  });
}
void softmax_backward(Array dx, ConstArray dy, ConstArray y, int axis) {
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    along<T>(Layout(*y.shape, axis), softmax_backward_row<T>, softmax_backward_columns<T>, dx.as<T>(), dy.as<T>(), y.as<T>());
  });
}
void log_softmax_backward(Array dx, ConstArray dy, ConstArray y, int axis) {
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    along<T>(Layout(*y.shape, axis), log_softmax_backward_row<T>, log_softmax_backward_columns<T>, dx.as<T>(), dy.as<T>(), y.as<T>());
  });
}

}  // namespace

extern const SoftmaxTable softmax_table;
const SoftmaxTable softmax_table{softmax, softmax_backward, log_softmax, log_softmax_backward};

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
