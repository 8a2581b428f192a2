// What the contrastive kernels share: the problem, its order of work, and scratch. Included by hot files only (see isa.h).
//
// The score matrix is cut into tiles. Both directions of a pair come from one tile: its rows serve the query anchors and its columns the
// key anchors. NT-Xent and the supervised form are the symmetric one on the pairs i < j of z with itself, the rows' and columns' anchors
// being the same array: half of the products.
//
// Tiles form groups, a few rows of tiles by a few columns. The work on a pair of groups writes to the anchors and gradients of both, so a
// *round* is a set of pairs in which no group occurs twice; rounds follow one another, the pairs of a round run on any thread. Every
// anchor thus sees its partners in one fixed order, without a buffer a thread and without atomics.
#pragma once

#include <cstring>

#include <gradus/kernels/contrastive.h>
#include <gradus/kernels/cpu/gemm.h>
#include <gradus/kernels/parallel.h>

namespace gradus::inline v0::cpu::GRADUS_ISA::contrast {

using Index = std::int64_t;

GRADUS_INLINE constexpr Index round_up(Index n, Index step) { return (n + step - 1) / step * step; }

template <class T> inline constexpr T kInfinity = static_cast<T>(__builtin_inf());

template <class T> GRADUS_INLINE T* optional(const Array& a) { return a.data ? a.as<T>() : nullptr; }
template <class T> GRADUS_INLINE const T* optional(const ConstArray& a) { return a ? a.as<T>() : nullptr; }

/// The positives of the supervised form's anchors; null in the other forms.
template <class T> struct Positives {
  Index* first = nullptr;  // the first other row with an anchor's label; -1: none
  T* share = nullptr;      // 1 / |P|; 0: none
};

/// The operands, typed.
template <class T> struct Problem {
  ContrastiveForm form;
  Index rows, columns, dim;
  const T *query, *key;
  const Index* positive_index;  // key_set
  const T* positive;            // queue
  const bool* mask;
  const Index* labels;     // supervised
  Positives<T> positives;  // supervised: see find_positives()
  T beta;                  // 1 / temperature

  explicit Problem(const Contrastive& x)
      : form(x.form),
        rows((*x.query.shape)[0]),
        columns((*x.key.shape)[0]),
        dim((*x.query.shape)[1]),
        query(x.query.as<T>()),
        key(x.key.as<T>()),
        positive_index(optional<Index>(x.positive_index)),
        positive(optional<T>(x.positive)),
        mask(optional<bool>(x.mask)),
        labels(optional<Index>(x.labels)),
        beta(T(1) / *x.temperature.as<T>()) {}

  GRADUS_INLINE bool triangle() const { return compares_own_rows(form); }
  GRADUS_INLINE bool columns_are_anchors() const { return form == ContrastiveForm::symmetric || triangle(); }
  /// Where the columns' anchors begin among all anchors.
  GRADUS_INLINE Index first_column_anchor() const { return form == ContrastiveForm::symmetric ? rows : 0; }
  GRADUS_INLINE Index anchors() const { return form == ContrastiveForm::symmetric ? rows + columns : rows; }
  /// The column of row i's only positive among the pairs that are visited; -1 for a queue, for the second row of a pair of a triangle, and
  /// where row i has several positives or none.
  GRADUS_INLINE Index positive_of(Index i) const {
    if (form == ContrastiveForm::key_set) return positive_index[i];
    if (form == ContrastiveForm::symmetric) return i;
    if (labels) return positives.share[i] == T(1) && positives.first[i] > i ? positives.first[i] : -1;
    return triangle() && i < rows / 2 ? i + rows / 2 : -1;
  }
  /// 1 / |P|; 0 without positives.
  GRADUS_INLINE T share_of(Index anchor) const { return labels ? positives.share[anchor] : T(1); }
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
  Rounds r{side_of<T>((*x.query.shape)[0], largest_tile), side_of<T>((*x.key.shape)[0], largest_tile), compares_own_rows(x.form)};
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

template <class T> Positives<T> take_positives(Carver& carver, const Contrastive& x) {
  if (x.form != ContrastiveForm::supervised) return {};
  const Index rows = (*x.query.shape)[0];
  return {carver.take<Index>(rows), carver.take<T>(rows)};
}

/// Fills `to`, with B^2 comparisons of labels: less than 1 % of a pass's time at D = 128.
template <class T> Positives<T> find_positives(const Positives<T>& to, const Contrastive& x) {
  if (x.form != ContrastiveForm::supervised) return {};
  constexpr Index kRows = 256;
  const Index rows = (*x.query.shape)[0];
  const Index* const labels = x.labels.as<Index>();
  parallel_for(blocks_of(rows, kRows), [&](Index block) {
    for (Index i = block * kRows; i < smaller(rows, block * kRows + kRows); ++i) {
      Index equal = 0, first = 0;
      for (Index j = 0; j < rows; ++j) equal += labels[j] == labels[i];
      while (first < rows && (first == i || labels[first] != labels[i])) ++first;
      to.first[i] = first < rows ? first : -1;
      to.share[i] = equal > 1 ? T(1) / T(equal - 1) : T(0);
    }
  });
  return to;
}

template <class T> void clear(T* x, Index n) {
  if (x && n > 0) memset(x, 0, std::size_t(n) * sizeof(T));
}

}  // namespace gradus::inline v0::cpu::GRADUS_ISA::contrast
