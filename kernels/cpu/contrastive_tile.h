// What the contrastive kernels share: the problem, its order of work, and one tile of scores. Included by hot files only (see isa.h).
//
// The score matrix is cut into tiles of at most kTile x kTile, made by the micro-kernel of gemm.h and used while they are in L2. Both
// directions of a pair come from one tile: its rows serve the query anchors and its columns the key anchors. NT-Xent is the symmetric
// form on the pairs i < j of z with itself, its rows' and columns' anchors being the same array: half of the products.
//
// Order of work. Tiles form groups, `row_groups` x `column_groups` of them. The work on a pair of groups writes to the anchors and
// gradients of both, so a *round* is a set of pairs in which no group occurs twice; rounds follow one another, the pairs of a round run
// on any thread. Every anchor thus sees its partners in one fixed order, without a buffer a thread and without atomics.
#pragma once

#include <cstring>

#include <gradus/kernels/contrastive.h>
#include <gradus/kernels/cpu/gemm.h>
#include <gradus/kernels/cpu/math.h>
#include <gradus/kernels/cpu/simd.h>
#include <gradus/kernels/parallel.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {

using Index = std::int64_t;

GRADUS_INLINE constexpr Index round_up(Index n, Index step) { return (n + step - 1) / step * step; }

template <class T> inline constexpr T kInfinity = static_cast<T>(__builtin_inf());

/// An exponent range that f(x) = exp(x) covers with room to spare, so that one exponential may serve all anchors of a tile: what is lost
/// to underflow is below 1e-16 of its sum in f32 (e^-87 / e^-50), and e^50 is far from overflow.
template <class T> inline constexpr T kCommonRange = sizeof(T) == 4 ? T(50) : T(600);

/// The operands, typed.
template <class T> struct Problem {
  ContrastiveForm form;
  Index rows, columns, dim;
  const T *query, *key;
  const Index* positive_index;
  const bool* mask;
  T beta;  // 1 / temperature

  explicit Problem(const Contrastive& x)
      : form(x.form), rows((*x.query.shape)[0]), columns((*x.key.shape)[0]), dim((*x.query.shape)[1]), query(x.query.as<T>()),
        key(x.key.as<T>()), positive_index(x.positive_index ? x.positive_index.as<Index>() : nullptr),
        mask(x.mask ? x.mask.as<bool>() : nullptr), beta(T(1) / *x.temperature.as<T>()) {}

  GRADUS_INLINE bool triangle() const { return form == ContrastiveForm::nt_xent; }
  GRADUS_INLINE bool columns_are_anchors() const { return form != ContrastiveForm::key_set; }
  /// Where the columns' anchors begin among all anchors.
  GRADUS_INLINE Index first_column_anchor() const { return form == ContrastiveForm::symmetric ? rows : 0; }
  GRADUS_INLINE Index anchors() const { return form == ContrastiveForm::symmetric ? rows + columns : rows; }
  /// The column of row i's positive among the pairs that are visited, -1 for the second half of NT-Xent.
  GRADUS_INLINE Index positive_of(Index i) const {
    if (form == ContrastiveForm::key_set) return positive_index[i];
    if (form == ContrastiveForm::symmetric) return i;
    return i < rows / 2 ? i + rows / 2 : -1;
  }
};

/// Rows [i0, i0 + m) and columns [j0, j0 + n) of the score matrix; on the diagonal of a triangle only the pairs above it.
struct Tile {
  Index i0, m, j0, n;
  bool diagonal;
};

struct Range {
  Index first, last;
  GRADUS_INLINE Index size() const { return last - first; }
};

/// The tiles of one side of the score matrix, in groups that differ by one tile at most.
struct Side {
  Index size, tile, groups;

  GRADUS_INLINE Index tiles() const { return blocks_of(size, tile); }
  GRADUS_INLINE Range tiles_of(Index group) const { return {group * tiles() / groups, (group + 1) * tiles() / groups}; }
  GRADUS_INLINE Range items_of(Index t) const { return {t * tile, smaller(t * tile + tile, size)}; }
};

inline constexpr Index kMostGroups = 16;  // tasks a round at the most; 15 for NT-Xent, whose count is odd
inline constexpr Index kFewTiles = 4;     // a side shorter than this many full tiles gets smaller ones, so that threads find work
// Whole register tiles in either direction: a multiple of kTileRows and of kPanel for every type and instruction set.
template <class T> inline constexpr Index kTileStep = sizeof(T) == 4 ? 48 : 24;

template <class T> GRADUS_INLINE Side side_of(Index size, Index largest_tile) {
  Side s{size, smaller(largest_tile, larger(kTileStep<T>, round_up(blocks_of(size, kFewTiles), kTileStep<T>))), 0};
  s.groups = smaller(s.tiles(), kMostGroups);
  return s;
}

/// Which pairs of groups work in which round.
struct Rounds {
  Side rows, columns;
  bool triangle;

  GRADUS_INLINE Index rounds() const { return triangle ? rows.groups : larger(rows.groups, columns.groups); }
  GRADUS_INLINE Index pairs() const { return triangle ? (rows.groups + 1) / 2 : smaller(rows.groups, columns.groups); }
  struct Pair {
    Index row_group, column_group;
  };
  GRADUS_INLINE Pair pair(Index round, Index i) const {
    const Index p = rows.groups, c = columns.groups;
    if (!triangle) return p <= c ? Pair{i, (i + round) % c} : Pair{(i + round) % p, i};
    // p is odd: round r holds the pairs {a, b} with a + b = 2 r mod p, of which one has a = b.
    const Index a = (round + i) % p, b = (round - i + p) % p;
    return a < b ? Pair{a, b} : Pair{b, a};
  }
};

template <class T> GRADUS_INLINE Rounds rounds_of(const Contrastive& x, Index largest_tile) {
  Rounds r{side_of<T>((*x.query.shape)[0], largest_tile), side_of<T>((*x.key.shape)[0], largest_tile), x.form == ContrastiveForm::nt_xent};
  if (r.triangle && r.rows.groups % 2 == 0 && r.rows.groups > 0) --r.rows.groups;
  if (r.triangle) r.columns = r.rows;
  return r;
}

/// Scratch handed out piece by piece, each on its own cache lines. Without memory it only counts.
struct Carver {
  char* next;
  std::size_t bytes = 0;

  template <class T> T* take(Index count) {
    T* const piece = reinterpret_cast<T*>(next);
    const std::size_t size = round_up(count * Index(sizeof(T)), 64);
    bytes += size;
    if (next) next += size;
    return next ? piece : nullptr;
  }
};

/// Scratch of the workers that share the pairs of a round.
struct Workers {
  char* first = nullptr;
  std::size_t each = 0;
  Index count = 0;

  GRADUS_INLINE Carver scratch(Index worker) const { return {first + std::size_t(worker) * each}; }
};

GRADUS_INLINE std::size_t workspace_bytes(const Carver& shared, const Carver& worker, const Rounds& r) {
  const ThreadPool* const pool = current_pool();
  return shared.bytes + worker.bytes * std::size_t(smaller(pool ? pool->threads() : 1, r.pairs()));
}
/// As many workers as there is scratch for; `shared` has been taken from the workspace.
GRADUS_INLINE Workers workers_of(Workspace w, const Carver& shared, const Carver& worker, const Rounds& r) {
  const Workers workers{static_cast<char*>(w.data) + shared.bytes, worker.bytes,
                        smaller(Index((w.bytes - shared.bytes) / worker.bytes), r.pairs())};
  GRADUS_ASSERT(w.bytes >= shared.bytes && (workers.count > 0 || r.pairs() <= 0));
  return workers;
}

/// f(worker, i) for every i in [0, count). What f computes must not depend on the worker.
template <class F> void share(Index count, Index workers, const F& f) {
  Index next = 0;
  parallel_for(workers, [&](Index worker) {
    for (Index i; (i = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED)) < count;) f(worker, i);
  });
}

/// visit(scratch, tile) for every tile, in rounds; `take(carver)` lays out the scratch of a pair of groups.
template <class Take, class F> void for_each_tile(const Rounds& r, const Workers& workers, const Take& take, const F& visit) {
  for (Index round = 0; round < r.rounds(); ++round)
    share(r.pairs(), workers.count, [&](Index worker, Index i) {
      Carver carver = workers.scratch(worker);
      auto scratch = take(carver);
      const Rounds::Pair pair = r.pair(round, i);
      const Range rows = r.rows.tiles_of(pair.row_group), columns = r.columns.tiles_of(pair.column_group);
      for (Index j = columns.first; j < columns.last; ++j)
        for (Index t = rows.first; t < rows.last && !(r.triangle && t > j); ++t) {
          const Range is = r.rows.items_of(t), js = r.columns.items_of(j);
          visit(scratch, Tile{is.first, is.size(), js.first, js.size(), r.triangle && t == j});
        }
    });
}

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
template <class T>
void multiply(T* c, Index ldc, Index m, Index n, Index k, const RowPanel<T>& a, const T* b, bool add, Part part) {
  for (Index j = 0; j < n; j += kPanel<T>) {
    const Index last_row = part == Part::upper_result ? smaller(m, j + kPanel<T>) : m;
    for (Index i = 0, rows; i < last_row; i += rows) {
      rows = next_tile(m - i);
      const Index first = part == Part::upper_left ? i : 0, last = part == Part::lower_left ? smaller(k, i + rows) : k;
      T* const to = c + i * ldc + j;
      if (add)  // the gradients' rows are far apart: no prefetcher sees them coming
        for (Index r = 0; r < rows; ++r) __builtin_prefetch(to + r * ldc, 1);
      compute_up_to_2<T>(rows, last - first, {a.data + i * a.row + first * a.depth, a.row, a.depth}, {b + j * k + first * kPanel<T>, kPanel<T>},
                 {to, ldc, smaller(kPanel<T>, n - j), add});
    }
  }
}

/// tile[i, j] (= or +=) <a_(i0 + i), b_(j0 + j)>, the rows of a and b having length dim. On a diagonal tile only for j > i.
template <class T> void inner_products(T* tile, Index ld, const Tile& t, const T* a, const T* b, Index dim, Panels<T>& panels, bool add) {
  if (dim == 0 && !add)
    for (Index i = 0; i < t.m; ++i) memset(tile + i * ld, 0, std::size_t(t.n) * sizeof(T));
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
    multiply<T>(dx + t.i0 * dim + s.d0, dim, t.m, s.depth, t.n, {tile, ld, 1}, panels.data, true, t.diagonal ? Part::upper_left : Part::all);
  }
}

/// dy[j0 + j, :] += sum_i tile[i, j] x[i0 + i, :]
template <class T> void add_columns(T* dy, const T* tile, Index ld, const Tile& t, const T* x, Index dim, Panels<T>& panels) {
  for (Index k = 0; k < slices_of(dim); ++k) {
    const Slice s = slice_of(dim, k);
    panels.straight(x, dim, t.i0, t.m, s);
    multiply<T>(dy + t.j0 * dim + s.d0, dim, t.n, s.depth, t.m, {tile, 1, ld}, panels.data, true, t.diagonal ? Part::lower_left : Part::all);
  }
}

/// f(i, j) for the positives of the tile, by their places in it.
template <class T, class F> GRADUS_INLINE void for_each_positive(const Problem<T>& x, const Tile& t, const F& f) {
  for (Index i = 0; i < t.m; ++i) {
    const Index j = x.positive_of(t.i0 + i) - t.j0;
    if (j >= 0 && j < t.n) f(i, j);
  }
}

/// Sets -inf, the score of a pair that does not count, wherever the pair is not a negative: masked, on or below the diagonal of a
/// triangle, beyond the tile's edge up to a whole vector, and the positives, after positive(i, j, score) has seen them.
template <class T, class F> void keep_negatives(T* tile, Index ld, const Problem<T>& x, const Tile& t, const F& positive) {
  const T none = -kInfinity<T>;
  for (Index i = 0; i < t.m; ++i) {
    T* const row = tile + i * ld;
    for (Index j = t.n; j % Vec<T>::W; ++j) row[j] = none;
    if (x.mask) {
      const bool* const allowed = x.mask + (t.i0 + i) * x.columns + t.j0;
      for (Index j = 0; j < t.n; ++j) row[j] = allowed[j] ? row[j] : none;
    }
    if (t.diagonal)
      for (Index j = 0; j <= i; ++j) row[j] = none;
  }
  for_each_positive(x, t, [&](Index i, Index j) {
    T& score = tile[i * ld + j];
    positive(i, j, score);
    score = none;
  });
}

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
