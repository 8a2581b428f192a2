// Reductions of rows and of columns.
//
// A row: blocks of 1024 elements in four chains of packets, so 32 additions a lane with AVX2 f32; blocks are added pairwise in f64.
// Columns: 32 rows at a time in registers, four packets of columns side by side, then into totals of f64.

#include <gradus/kernels/cpu/math.h>
#include <gradus/kernels/cpu/reduce_table.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {
namespace {

using Index = std::int64_t;

constexpr Index kBlock = 1024;   // elements of a row
constexpr Index kRowBlock = 32;  // rows of a column

template <class T> T larger(T a, T b) { return b > a || b != b ? b : a; }
template <class T> T smaller(T a, T b) { return b < a || b != b ? b : a; }

// What is reduced: `map` is applied to x, `join` to two results; `padding` is an x that changes nothing.
template <class T> struct Sum {
  static constexpr bool kAdds = true, kShifts = false;
  static constexpr T padding = 0;
  GRADUS_INLINE static Vec<T> map(Vec<T> x, Vec<T>) { return x; }
  GRADUS_INLINE static Vec<T> join(Vec<T> a, Vec<T> b) { return a + b; }
  GRADUS_INLINE static double join(double a, double b) { return a + b; }
};
template <class T> struct ExpSum : Sum<T> {
  static constexpr bool kShifts = true;
  static constexpr T padding = T(-__builtin_inf());
  GRADUS_INLINE static Vec<T> map(Vec<T> x, Vec<T> shift) { return exp(x - shift); }
};
template <class T> struct Max {
  static constexpr bool kAdds = false, kShifts = false;
  static constexpr T padding = T(-__builtin_inf());
  GRADUS_INLINE static Vec<T> map(Vec<T> x, Vec<T>) { return x; }
  GRADUS_INLINE static Vec<T> join(Vec<T> a, Vec<T> b) { return maximum(a, b); }
  GRADUS_INLINE static double join(double a, double b) { return larger(a, b); }
};
template <class T> struct Min {
  static constexpr bool kAdds = false, kShifts = false;
  static constexpr T padding = T(__builtin_inf());
  GRADUS_INLINE static Vec<T> map(Vec<T> x, Vec<T>) { return x; }
  GRADUS_INLINE static Vec<T> join(Vec<T> a, Vec<T> b) { return minimum(a, b); }
  GRADUS_INLINE static double join(double a, double b) { return smaller(a, b); }
};

template <class T, class R> GRADUS_INLINE double join_lanes(Vec<T> v) {
  if constexpr (R::kAdds) return sum_lanes(v);
  T lanes[Vec<T>::W];
  v.store(lanes);
  double joined = lanes[0];
  for (int i = 1; i < Vec<T>::W; ++i) joined = R::join(joined, static_cast<double>(lanes[i]));
  return joined;
}

template <class T, class R> GRADUS_INLINE double block(Index n, const T* x, Vec<T> shift) {
  constexpr int W = Vec<T>::W;
  if (n < W) return join_lanes<T, R>(R::map(load_partial(x, n, R::padding), shift));
  Vec<T> chain[4];
  chain[0] = R::map(Vec<T>::load(x), shift);
  Index i = W;
  if (n >= 4 * W) {
    for (int k = 1; k < 4; ++k) chain[k] = R::map(Vec<T>::load(x + k * W), shift);
    for (i = 4 * W; i + 4 * W <= n; i += 4 * W)
      for (int k = 0; k < 4; ++k) chain[k] = R::join(chain[k], R::map(Vec<T>::load(x + i + k * W), shift));
    chain[0] = R::join(R::join(chain[0], chain[1]), R::join(chain[2], chain[3]));
  }
  for (; i + W <= n; i += W) chain[0] = R::join(chain[0], R::map(Vec<T>::load(x + i), shift));
  if (i < n) chain[0] = R::join(chain[0], R::map(load_partial(x + i, n - i, R::padding), shift));
  return join_lanes<T, R>(chain[0]);
}

template <class T, class R> GRADUS_INLINE double whole_row(Index n, const T* x, Vec<T> shift) {
  if (n <= kBlock || !R::kAdds) return n > 0 ? block<T, R>(n, x, shift) : static_cast<double>(R::kAdds ? T(0) : R::padding);
  PairwiseSum sum;
  for (Index i = 0; i < n; i += kBlock) sum.add(block<T, R>(n - i < kBlock ? n - i : kBlock, x + i, shift));
  return sum.total();
}

template <class T, class R> double reduce_row(Index n, const void* x, double shift) {
  return whole_row<T, R>(n, static_cast<const T*>(x), Vec<T>(T(shift)));
}

template <class T, class R> void reduce_rows(Index rows, Index n, void* y, const void* x) {
  const T* const from = static_cast<const T*>(x);
  for (Index r = 0; r < rows; ++r) static_cast<T*>(y)[r] = static_cast<T>(whole_row<T, R>(n, from + r * n, Vec<T>(T(0))));
}

template <class T, class R> GRADUS_INLINE void into_totals(Vec<T> v, double* total, Index n) {
  T lanes[Vec<T>::W];
  v.store(lanes);
  for (Index i = 0; i < n; ++i) total[i] = R::join(total[i], static_cast<double>(lanes[i]));
}

/// Columns [0, n), n <= W, of a block of rows.
template <class T, class R> GRADUS_INLINE void narrow_strip(Index rows, Index stride, Index n, double* total, const T* x, const T* shift) {
  const Vec<T> s = R::kShifts ? load_partial(shift, n) : Vec<T>(T(0));
  Vec<T> chain = R::map(load_partial(x, n), s);
  for (Index r = 1; r < rows; ++r) chain = R::join(chain, R::map(load_partial(x + r * stride, n), s));
  into_totals<T, R>(chain, total, n);
}

template <class T, class R, int kPackets> GRADUS_INLINE void strip(Index rows, Index stride, double* total, const T* x, const T* shift) {
  constexpr int W = Vec<T>::W;
  Vec<T> chain[kPackets], s[kPackets];
  for (int k = 0; k < kPackets; ++k) {
    s[k] = R::kShifts ? Vec<T>::load(shift + k * W) : Vec<T>(T(0));
    chain[k] = R::map(Vec<T>::load(x + k * W), s[k]);
  }
  for (Index r = 1; r < rows; ++r)
    for (int k = 0; k < kPackets; ++k) chain[k] = R::join(chain[k], R::map(Vec<T>::load(x + r * stride + k * W), s[k]));
  for (int k = 0; k < kPackets; ++k) into_totals<T, R>(chain[k], total + k * W, W);
}

template <class T, class R>
void reduce_columns(Index rows, Index stride, Index columns, double* total, const void* x, const void* shift_of_column) {
  constexpr int W = Vec<T>::W;
  const T* const shift = static_cast<const T*>(shift_of_column);
  for (Index r = 0; r < rows; r += kRowBlock) {
    const T* const from = static_cast<const T*>(x) + r * stride;
    const Index n = rows - r < kRowBlock ? rows - r : kRowBlock;
    Index c = 0;
    for (; c + 4 * W <= columns; c += 4 * W) strip<T, R, 4>(n, stride, total + c, from + c, shift + c);
    for (; c + W <= columns; c += W) strip<T, R, 1>(n, stride, total + c, from + c, shift + c);
    if (c < columns) narrow_strip<T, R>(n, stride, columns - c, total + c, from + c, shift + c);
  }
}

template <class T> void logsumexp_rows(Index rows, Index n, void* y, const void* x) {
  for (Index r = 0; r < rows; ++r) {
    const T* const row = static_cast<const T*>(x) + r * n;
    const T top = static_cast<T>(whole_row<T, Max<T>>(n, row, Vec<T>(T(0))));
    const bool infinite = top - top != T(0) && top == top;
    static_cast<T*>(y)[r] = infinite ? top : static_cast<T>(top + __builtin_log(whole_row<T, ExpSum<T>>(n, row, Vec<T>(top))));
  }
}

/// The first i with x[i] == top, or with x[i] NaN if top is.
template <class T> Index first_of(Index n, const T* x, T top) {
  constexpr int W = Vec<T>::W;
  Index i = 0;
  if (top == top)
    while (i + W <= n && !packet::predux_any((Vec<T>::load(x + i) == Vec<T>(top)).p)) i += W;
  while (i < n - 1 && (top == top ? x[i] != top : x[i] == x[i])) ++i;
  return i;
}

template <class T> void argmax_rows(Index rows, Index n, Index* index, const void* x) {
  for (Index r = 0; r < rows; ++r) {
    const T* const row = static_cast<const T*>(x) + r * n;
    index[r] = first_of(n, row, static_cast<T>(whole_row<T, Max<T>>(n, row, Vec<T>(T(0)))));
  }
}

template <class T> void argmax_columns(Index n, Index columns, Index* index, const void* x) {
  constexpr Index kTile = 64;
  for (Index c = 0; c < columns; c += kTile) {
    const Index width = columns - c < kTile ? columns - c : kTile;
    const T* row = static_cast<const T*>(x) + c;
    T best[kTile];
    for (Index j = 0; j < width; ++j) best[j] = row[j], index[c + j] = 0;
    for (Index i = 1; i < n; ++i) {
      row += columns;
      for (Index j = 0; j < width; ++j) {
        const bool better = row[j] > best[j] || (row[j] != row[j] && best[j] == best[j]);
        best[j] = better ? row[j] : best[j];
        index[c + j] = better ? i : index[c + j];
      }
    }
  }
}

template <class T, class R> constexpr Reduction reduction() { return {reduce_row<T, R>, reduce_rows<T, R>, reduce_columns<T, R>}; }
template <class T> constexpr ArgmaxTable argmax() { return {argmax_rows<T>, argmax_columns<T>}; }

}  // namespace

const ReduceTable reduce_table = {
    {reduction<float, Sum<float>>(), reduction<double, Sum<double>>()},
    {reduction<float, Max<float>>(), reduction<double, Max<double>>()},
    {reduction<float, Min<float>>(), reduction<double, Min<double>>()},
    {reduction<float, ExpSum<float>>(), reduction<double, ExpSum<double>>()},
    {logsumexp_rows<float>, logsumexp_rows<double>},
    {argmax<float>(), argmax<double>()},
};

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
