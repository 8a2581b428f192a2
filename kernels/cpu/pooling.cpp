// Pooling, one plane at a time, in one of three ways.
//
//   by taps:    for each tap (ky, kx) of the window, for each output of a row. No branch on the border is left in the inner loop (the
//               outputs whose tap is a real pixel form one range) and the stride is a constant, so it vectorises; the row stays in L1.
//   by windows: for each output, its window. For rows with fewer outputs than a window has columns, such as one window per plane.
//   2x2:        max-pooling with stride 2, the usual case, in vectors of outputs: even and odd columns are pulled apart by shuffles.
//
// All three visit the pixels of a window in row-major order, which decides between equal maxima.

#include <gradus/kernels/cpu/pooling_table.h>
#include <gradus/kernels/cpu/simd.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {
namespace {

using Index = std::int64_t;

/// first .. last-1
struct Range {
  Index first, last;
};

Range clip(Index first, Index last, Index size) { return {first < 0 ? 0 : first, last > size ? size : last}; }

/// The outputs o whose tap lies on a real pixel: 0 <= o * stride - pad + tap < size.
Range outputs_of(Index tap, Index size, Index stride, Index pad, Index out) {
  const Index before = pad - tap, room = size - 1 + pad - tap;
  return clip(before > 0 ? (before + stride - 1) / stride : 0, room < 0 ? 0 : room / stride + 1, out);
}

Index planes(const Shape& s) { return s.product(0, s.rank() - 2); }
Index plane_size(const Shape& s) { return s.product(s.rank() - 2, s.rank()); }

inline constexpr Index kPlanesPerChunk = 8;  // one plane of a small image is too little work for a thread

template <class F> void for_each_plane(Index count, const F& f) {
  parallel_for((count + kPlanesPerChunk - 1) / kPlanesPerChunk, [&](Index chunk) {
    const Range r = clip(chunk * kPlanesPerChunk, (chunk + 1) * kPlanesPerChunk, count);
    for (Index i = r.first; i < r.last; ++i) f(i);
  });
}

/// Calls f with the stride as a compile-time constant where that pays; 0 stands for the others.
template <class F> GRADUS_INLINE void with_stride(Index stride, const F& f) {
  if (stride == 1) f(std::integral_constant<int, 1>{});
  else if (stride == 2) f(std::integral_constant<int, 2>{});
  else f(std::integral_constant<int, 0>{});
}

/// By taps: f(outputs that see the tap, offset in the plane of output 0's pixel) for every tap that meets a real row.
template <class F> GRADUS_INLINE void for_each_tap(const Pool2d& p, Index out_row, const F& f) {
  const Index top = out_row * p.stride_h - p.pad_h;
  const Range rows = clip(top, top + p.kernel_h, p.h);
  for (Index row = rows.first; row < rows.last; ++row)
    for (Index kx = 0; kx < p.kernel_w; ++kx) f(outputs_of(kx, p.w, p.stride_w, p.pad_w, p.out_w), row * p.w + kx - p.pad_w);
}

/// By windows: f(output, rows of its window, columns of its window).
template <class F> GRADUS_INLINE void for_each_window(const Pool2d& p, const F& f) {
  for (Index i = 0; i < p.out_h; ++i)
    for (Index j = 0; j < p.out_w; ++j) {
      const Index top = i * p.stride_h - p.pad_h, left = j * p.stride_w - p.pad_w;
      f(i * p.out_w + j, clip(top, top + p.kernel_h, p.h), clip(left, left + p.kernel_w, p.w));
    }
}

bool has_wide_windows(const Pool2d& p) { return p.out_w < p.kernel_w; }

// ---- max: by taps and by windows -----------------------------------------------------------------------------------------------------

/// NaN replaces whatever is there, as a larger value does.
template <class T> GRADUS_INLINE bool wins(T candidate, T best) { return (candidate > best) | (candidate != candidate); }

/// x is the pixel of output 0, at `position` inside its plane.
template <int kStride, class T> void max_tap(T* y, Index* index, const T* x, Index position, Range outputs, Index run_time_stride) {
  const Index stride = kStride ? kStride : run_time_stride;
  for (Index o = outputs.first; o < outputs.last; ++o) {
    const T value = x[o * stride];
    const bool take = wins(value, y[o]);
    y[o] = take ? value : y[o];
    index[o] = take ? position + o * stride : index[o];
  }
}

/// A row starts at -inf, with the first real pixel of each window for its index.
template <class T> void max_start(T* y, Index* index, const Pool2d& p, Index top) {
  const Index row = top < 0 ? 0 : top;
  for (Index o = 0; o < p.out_w; ++o) {
    const Index left = o * p.stride_w - p.pad_w;
    y[o] = -static_cast<T>(__builtin_inf());
    index[o] = row * p.w + (left < 0 ? 0 : left);
  }
}

template <class T> void max_plane_by_taps(T* y, Index* index, const T* x, const Pool2d& p) {
  with_stride(p.stride_w, [&](auto stride) {
    for (Index o = 0; o < p.out_h; ++o, y += p.out_w, index += p.out_w) {
      max_start(y, index, p, o * p.stride_h - p.pad_h);
      for_each_tap(p, o, [&](Range outputs, Index offset) { max_tap<stride.value>(y, index, x + offset, offset, outputs, p.stride_w); });
    }
  });
}

template <class T> void max_plane_by_windows(T* y, Index* index, const T* x, const Pool2d& p) {
  for_each_window(p, [&](Index o, Range rows, Range columns) {
    Index at = rows.first * p.w + columns.first;
    T best = x[at];
    for (Index i = rows.first; i < rows.last; ++i)
      for (Index j = columns.first; j < columns.last; ++j) {
        const Index here = i * p.w + j;
        const bool take = wins(x[here], best);
        best = take ? x[here] : best;
        at = take ? here : at;
      }
    y[o] = best;
    index[o] = at;
  });
}

// ---- max: 2x2, stride 2 --------------------------------------------------------------------------------------------------------------

/// Integers as wide as T: a comparison of T lanes yields them, and offsets inside a window travel in them.
template <class T> struct Lane;
template <> struct Lane<float> { using Int = std::int32_t; };
template <> struct Lane<double> { using Int = std::int64_t; };

/// Outputs in one 16-byte vector of the compiler (Eigen's packets cannot pull even and odd lanes apart; wider ones shuffle badly).
template <class T> inline constexpr int kQuads = 16 / sizeof(T);

/// The running maxima of kQuads windows, and where in the window each lies.
template <class T> struct Quads {
  using Int = typename Lane<T>::Int;
  typedef T Values __attribute__((vector_size(16)));
  typedef Int Ints __attribute__((vector_size(16)));
  Values best;
  Ints offset;

  GRADUS_INLINE void offer(Values candidate, Index at) {
    const Ints take = (candidate > best) | (candidate != candidate);
    best = take ? candidate : best;
    offset = take ? Ints{} + static_cast<Int>(at) : offset;
  }
  GRADUS_INLINE static Values load(const T* x) {
    Values v;
    __builtin_memcpy(&v, x, sizeof v);
    return v;
  }
  GRADUS_INLINE static Values even(Values a, Values b) {
    if constexpr (kQuads<T> == 4) return __builtin_shufflevector(a, b, 0, 2, 4, 6);
    else return __builtin_shufflevector(a, b, 0, 2);
  }
  GRADUS_INLINE static Values odd(Values a, Values b) {
    if constexpr (kQuads<T> == 4) return __builtin_shufflevector(a, b, 1, 3, 5, 7);
    else return __builtin_shufflevector(a, b, 1, 3);
  }
};

/// kQuads outputs from the two rows of their windows; `position` is the first window's corner in the plane, w the distance of the rows.
template <class T> GRADUS_INLINE void max_quads(T* y, Index* index, const T* top, const T* bottom, Index position, Index w) {
  using Q = Quads<T>;
  constexpr int n = kQuads<T>;
  const auto t0 = Q::load(top), t1 = Q::load(top + n), b0 = Q::load(bottom), b1 = Q::load(bottom + n);
  Q q{Q::even(t0, t1), {}};
  q.offer(Q::odd(t0, t1), 1);
  q.offer(Q::even(b0, b1), w);
  q.offer(Q::odd(b0, b1), w + 1);
  __builtin_memcpy(y, &q.best, sizeof q.best);
  for (int i = 0; i < n; ++i) index[i] = position + 2 * i + q.offset[i];
}

/// A row of fewer outputs than a vector holds goes through padded copies.
template <class T> void max_short_row_2x2(T* y, Index* index, const T* top, Index position, const Pool2d& p) {
  T rows[2][2 * kQuads<T>] = {}, values[kQuads<T>];
  Index places[kQuads<T>];
  for (Index j = 0; j < 2 * p.out_w; ++j) rows[0][j] = top[j], rows[1][j] = top[p.w + j];
  max_quads(values, places, rows[0], rows[1], position, p.w);
  for (Index o = 0; o < p.out_w; ++o) y[o] = values[o], index[o] = places[o];
}

/// The last vector of a row overlaps the one before it: the same values are written twice.
template <class T> void max_row_2x2(T* y, Index* index, const T* top, Index position, const Pool2d& p) {
  constexpr Index n = kQuads<T>;
  for (Index o = 0; o < p.out_w; o += n) {
    const Index at = o + n > p.out_w ? p.out_w - n : o;
    max_quads(y + at, index + at, top + 2 * at, top + p.w + 2 * at, position + 2 * at, p.w);
  }
}

template <class T> void max_plane_2x2(T* y, Index* index, const T* x, const Pool2d& p) {
  const auto row = p.out_w < kQuads<T> ? max_short_row_2x2<T> : max_row_2x2<T>;
  for (Index i = 0; i < p.out_h; ++i) row(y + i * p.out_w, index + i * p.out_w, x + 2 * i * p.w, 2 * i * p.w, p);
}

bool is_2x2(const Pool2d& p) {
  return p.kernel_h == 2 && p.kernel_w == 2 && p.stride_h == 2 && p.stride_w == 2 && p.pad_h == 0 && p.pad_w == 0 && p.w < INT32_MAX;
}

// ---- max: the kernels ----------------------------------------------------------------------------------------------------------------

void max_pool2d(Array y, Array index, ConstArray x, const Pool2d& p) {
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto plane = is_2x2(p) ? max_plane_2x2<T> : has_wide_windows(p) ? max_plane_by_windows<T> : max_plane_by_taps<T>;
    const Index out = p.out_h * p.out_w;
    for_each_plane(p.n * p.c, [&](Index i) { plane(y.as<T>() + i * out, index.as<Index>() + i * out, x.as<T>() + i * p.h * p.w, p); });
  });
}

void max_pool2d_scatter(Array dx, ConstArray dy, ConstArray index) {
  const Index pixels = plane_size(*dx.shape), outputs = plane_size(*dy.shape);
  with_floating(dx.dtype, [&](auto zero) {
    using T = decltype(zero);
    for_each_plane(planes(*dx.shape), [&](Index i) {
      T* to = dx.as<T>() + i * pixels;
      const T* from = dy.as<T>() + i * outputs;
      const Index* at = index.as<Index>() + i * outputs;
      for (Index j = 0; j < pixels; ++j) to[j] = 0;
      for (Index j = 0; j < outputs; ++j) to[at[j]] += from[j];
    });
  });
}

void max_pool2d_gather(Array dy, ConstArray dx, ConstArray index) {
  const Index pixels = plane_size(*dx.shape), outputs = plane_size(*dy.shape);
  with_floating(dy.dtype, [&](auto zero) {
    using T = decltype(zero);
    for_each_plane(planes(*dx.shape), [&](Index i) {
      T* to = dy.as<T>() + i * outputs;
      const T* from = dx.as<T>() + i * pixels;
      const Index* at = index.as<Index>() + i * outputs;
      for (Index j = 0; j < outputs; ++j) to[j] = from[at[j]];
    });
  });
}

// ---- mean ----------------------------------------------------------------------------------------------------------------------------

template <int kStride, class T> void add_tap(T* y, const T* x, Range outputs, Index run_time_stride) {
  const Index stride = kStride ? kStride : run_time_stride;
  for (Index o = outputs.first; o < outputs.last; ++o) y[o] += x[o * stride];
}
template <int kStride, class T> void spread_tap(T* dx, const T* dy, T scale, Range outputs, Index run_time_stride) {
  const Index stride = kStride ? kStride : run_time_stride;
  for (Index o = outputs.first; o < outputs.last; ++o) dx[o * stride] += scale * dy[o];
}

template <class T> void avg_plane_by_taps(T* y, const T* x, const Pool2d& p, T scale) {
  with_stride(p.stride_w, [&](auto stride) {
    for (Index o = 0; o < p.out_h; ++o, y += p.out_w) {
      for (Index j = 0; j < p.out_w; ++j) y[j] = 0;
      for_each_tap(p, o, [&](Range outputs, Index offset) { add_tap<stride.value>(y, x + offset, outputs, p.stride_w); });
      for (Index j = 0; j < p.out_w; ++j) y[j] *= scale;
    }
  });
}

/// Rows are summed apart: their chains of additions run side by side.
template <class T> void avg_plane_by_windows(T* y, const T* x, const Pool2d& p, T scale) {
  for_each_window(p, [&](Index o, Range rows, Range columns) {
    T total = 0;
    for (Index i = rows.first; i < rows.last; ++i) {
      T row = 0;
      for (Index j = columns.first; j < columns.last; ++j) row += x[i * p.w + j];
      total += row;
    }
    y[o] = total * scale;
  });
}

template <class T> void spread_plane_by_taps(T* dx, const T* dy, const Pool2d& p, T scale) {
  for (Index j = 0; j < p.h * p.w; ++j) dx[j] = 0;
  with_stride(p.stride_w, [&](auto stride) {
    for (Index o = 0; o < p.out_h; ++o, dy += p.out_w)
      for_each_tap(p, o, [&](Range outputs, Index offset) { spread_tap<stride.value>(dx + offset, dy, scale, outputs, p.stride_w); });
  });
}

template <class T> void spread_plane_by_windows(T* dx, const T* dy, const Pool2d& p, T scale) {
  for (Index j = 0; j < p.h * p.w; ++j) dx[j] = 0;
  for_each_window(p, [&](Index o, Range rows, Range columns) {
    const T share = scale * dy[o];
    for (Index i = rows.first; i < rows.last; ++i)
      for (Index j = columns.first; j < columns.last; ++j) dx[i * p.w + j] += share;
  });
}

void avg_pool2d(Array y, ConstArray x, const Pool2d& p) {
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto plane = has_wide_windows(p) ? avg_plane_by_windows<T> : avg_plane_by_taps<T>;
    const T scale = T(1) / static_cast<T>(p.kernel_h * p.kernel_w);
    for_each_plane(p.n * p.c, [&](Index i) { plane(y.as<T>() + i * p.out_h * p.out_w, x.as<T>() + i * p.h * p.w, p, scale); });
  });
}

void avg_pool2d_backward(Array dx, ConstArray dy, const Pool2d& p) {
  with_floating(dx.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto plane = has_wide_windows(p) ? spread_plane_by_windows<T> : spread_plane_by_taps<T>;
    const T scale = T(1) / static_cast<T>(p.kernel_h * p.kernel_w);
    for_each_plane(p.n * p.c, [&](Index i) { plane(dx.as<T>() + i * p.h * p.w, dy.as<T>() + i * p.out_h * p.out_w, p, scale); });
  });
}

}  // namespace

extern const PoolingTable pooling_table;
const PoolingTable pooling_table{max_pool2d, max_pool2d_scatter, max_pool2d_gather, avg_pool2d, avg_pool2d_backward};

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
