// One tile of the contrastive kernels: its scores and its share of the gradients, as products of the micro-kernel of gemm.h. A tile is used
// while it is in L2. Included by hot files only (see isa.h).
#pragma once

#include <gradus/kernels/cpu/contrastive_rounds.h>
#include <gradus/kernels/cpu/gemm.h>
#include <gradus/kernels/cpu/math.h>
#include <gradus/kernels/cpu/simd.h>

namespace gradus::inline v0::cpu::GRADUS_ISA::contrast {

/// Elements from one row of a tile to the next: an odd number of cache lines, so that a column of the tile meets all sets of the L1.
template <class T> GRADUS_INLINE constexpr Index tile_stride(Index columns) {
  constexpr Index kLine = 64 / Index(sizeof(T));
  return (blocks_of(columns, kLine) | 1) * kLine;
}

/// The part [d0, d0 + depth) of the columns of a row-major matrix x [., dim].
struct Slice {
  Index d0, depth;
};
GRADUS_INLINE Index slices_of(Index dim) { return blocks_of(dim, kGemmDepth); }
GRADUS_INLINE Slice slice_of(Index dim, Index s) { return {s * kGemmDepth, smaller(kGemmDepth, dim - s * kGemmDepth)}; }

/// A few rows of a matrix as the right operand of a product, in panels of kPanel columns. It remembers what it holds: with dim <=
/// kGemmDepth the panels of a column tile serve all row tiles of a group.
template <class T> struct Panels {
  T* data;
  Index row = -1, column = -1;

  GRADUS_INLINE bool holds(Index r, Index c) {
    const bool same = row == r && column == c;
    row = r, column = c;
    return same;
  }
  /// x[row0 + j, d0 + p] as element (p, j): scores multiply by transposed keys.
  void transposed(const T* x, Index dim, Index row0, Index rows, Slice s) {
    if (holds(row0, s.d0)) return;
    constexpr Index kWidth = kPanel<T>;
    for (Index j = 0; j < rows; j += kWidth)
      pack_transposed<T, kWidth>(data + j * s.depth, x + (row0 + j) * dim + s.d0, dim, smaller(kWidth, rows - j), s.depth);
  }
  /// x[row0 + p, d0 + d] as element (p, d): gradients multiply by the rows themselves.
  void straight(const T* x, Index dim, Index row0, Index rows, Slice s) {
    if (holds(row0, s.d0)) return;
    constexpr Index kWidth = kPanel<T>;
    for (Index d = 0; d < s.depth; d += kWidth)
      pack_straight<T, kWidth>(data + d * rows, x + row0 * dim + s.d0 + d, dim, smaller(kWidth, s.depth - d), rows);
  }
};
template <class T> GRADUS_INLINE Panels<T> take_panels(Carver& carver, Index rows, Index dim) {
  return {carver.take<T>(round_up(rows, kPanel<T>) * round_up(smaller(dim, kGemmDepth), kPanel<T>))};
}

/// Which part of a product on a diagonal tile counts.
enum class Part : std::uint8_t {
  all,
  upper_result,  // c above the diagonal
  upper_left,    // a is zero below the diagonal
  lower_left     // a is zero above the diagonal
};

/// c [m, n] (= or +=) a [m, k] b [k, n], b in panels. The panel of b stays in L1 while the rows of a pass.
template <class T> void multiply(T* c, Index ldc, Index m, Index n, Index k, const RowPanel<T>& a, const T* b, bool add, Part part) {
  for (Index j = 0; j < n; j += kPanel<T>) {
    const Index last_row = part == Part::upper_result ? smaller(m, j + kPanel<T>) : m;
    for (Index i = 0, rows; i < last_row; i += rows) {
      rows = next_tile(m - i);
      const Index first = part == Part::upper_left ? i : 0, last = part == Part::lower_left ? smaller(k, i + rows) : k;
      T* const to = c + i * ldc + j;
      if (add)  // the gradients' rows are far apart: no prefetcher sees them coming
        for (Index r = 0; r < rows; ++r) __builtin_prefetch(to + r * ldc, 1);
      compute_up_to_2<T>(rows, last - first, {a.data + i * a.row + first * a.depth, a.row, a.depth},
                         {b + j * k + first * kPanel<T>, kPanel<T>}, {to, ldc, smaller(kPanel<T>, n - j), add});
    }
  }
}

/// tile[i, j] (= or +=) <a_(i0 + i), b_(j0 + j)>, the rows of a and b having length dim. On a diagonal tile only for j > i.
template <class T> void inner_products(T* tile, Index ld, const Tile& t, const T* a, const T* b, Index dim, Panels<T>& panels, bool add) {
  if (dim == 0 && !add)
    for (Index i = 0; i < t.m; ++i) clear(tile + i * ld, t.n);
  for (Index k = 0; k < slices_of(dim); ++k) {
    const Slice s = slice_of(dim, k);
    panels.transposed(b, dim, t.j0, t.n, s);
    multiply<T>(tile, ld, t.m, t.n, s.depth, {a + t.i0 * dim + s.d0, dim, 1}, panels.data, add || k > 0,
                t.diagonal ? Part::upper_result : Part::all);
  }
}

/// dx[i0 + i, :] += sum_j tile[i, j] y[j0 + j, :]
template <class T> void add_rows(T* dx, const T* tile, Index ld, const Tile& t, const T* y, Index dim, Panels<T>& panels) {
  for (Index k = 0; k < slices_of(dim); ++k) {
    const Slice s = slice_of(dim, k);
    panels.straight(y, dim, t.j0, t.n, s);
    multiply<T>(dx + t.i0 * dim + s.d0, dim, t.m, s.depth, t.n, {tile, ld, 1}, panels.data, true,
                t.diagonal ? Part::upper_left : Part::all);
  }
}

/// dy[j0 + j, :] += sum_i tile[i, j] x[i0 + i, :]
template <class T> void add_columns(T* dy, const T* tile, Index ld, const Tile& t, const T* x, Index dim, Panels<T>& panels) {
  for (Index k = 0; k < slices_of(dim); ++k) {
    const Slice s = slice_of(dim, k);
    panels.straight(x, dim, t.i0, t.m, s);
    multiply<T>(dy + t.j0 * dim + s.d0, dim, t.n, s.depth, t.m, {tile, 1, ld}, panels.data, true,
                t.diagonal ? Part::lower_left : Part::all);
  }
}

/// <a, b>
template <class T> T inner_product(const T* a, const T* b, Index n) {
  Vec<T> sum(T(0));
  Index d = 0;
  for (; d + Vec<T>::W <= n; d += Vec<T>::W) sum = fma(Vec<T>::load(a + d), Vec<T>::load(b + d), sum);
  if (d < n) sum = fma(load_partial(a + d, n - d, T(0)), load_partial(b + d, n - d, T(0)), sum);
  return sum_lanes(sum);
}

/// y += scale x
template <class T> void add_scaled(T* y, const T* x, Index n, T scale) {
  Index d = 0;
  for (; d + Vec<T>::W <= n; d += Vec<T>::W) fma(Vec<T>(scale), Vec<T>::load(x + d), Vec<T>::load(y + d)).store(y + d);
  for (; d < n; ++d) y[d] += scale * x[d];
}

/// f(i, j) for the positives of the tile, by their places in it.
template <class T, class F> GRADUS_INLINE void for_each_positive(const Problem<T>& x, const Tile& t, const F& f) {
  for (Index i = 0; i < t.m; ++i) {
    const Index j = x.positive_of(t.i0 + i) - t.j0;
    if (j >= 0 && j < t.n) f(i, j);
  }
}

/// The row's shares in its positives: targets[j] = 1 / |P| where pair (i, j) of the tile is positive, else 0, up to a whole vector. False,
/// and nothing, unless the row's anchor has several positives (then so have the columns' anchors, and as many).
template <class T> bool find_targets(T* targets, const Problem<T>& x, const Tile& t, Index i) {
  const T share = x.share_of(t.i0 + i);
  if (!(share > 0 && share < 1)) return false;
  const Index label = x.labels[t.i0 + i], first = t.diagonal ? i + 1 : 0;
  const Index* const labels = x.labels + t.j0;
  clear(targets, first);
  for (Index j = first; j < t.n; ++j) targets[j] = labels[j] == label ? share : T(0);
  for (Index j = t.n; j % Vec<T>::W; ++j) targets[j] = 0;
  return true;
}

/// row = allowed ? row : -inf. The mask is read as bytes: compilers vectorise that.
template <class T> void forbid(T* __restrict row, const bool* mask, Index n) {
  const auto* __restrict allowed = reinterpret_cast<const unsigned char*>(mask);
  for (Index j = 0; j < n; ++j) {
    const T score = row[j];
    row[j] = allowed[j] != 0 ? score : -kInfinity<T>;
  }
}

/// Sets -inf, the score of a pair that does not count, wherever the pair is not a negative: masked, on or below the diagonal of a
/// triangle, beyond the tile's edge up to a whole vector, and the positives, after positive(i, j, score) has seen them.
template <class T, class F> void keep_negatives(T* tile, Index ld, const Problem<T>& x, const Tile& t, const F& positive) {
  const T none = -kInfinity<T>;
  for (Index i = 0; i < t.m; ++i) {
    T* const row = tile + i * ld;
    for (Index j = t.n; j % Vec<T>::W; ++j) row[j] = none;
    if (x.mask) forbid(row, x.mask + (t.i0 + i) * x.columns + t.j0, t.n);
    if (t.diagonal)
      for (Index j = 0; j <= i; ++j) row[j] = none;
  }
  for_each_positive(x, t, [&](Index i, Index j) {
    T& score = tile[i * ld + j];
    positive(i, j, score);
    score = none;
  });
}

}  // namespace gradus::inline v0::cpu::GRADUS_ISA::contrast
