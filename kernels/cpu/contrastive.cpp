// The contrastive losses' forward pass, and the table. Hot file (see isa.h).
//
// Each anchor keeps the maximum of its negatives' scores so far and the sum of exp(score - maximum): 8 bytes in f32, beside its positive's
// score. A tile adds to its row anchors, and to its column anchors where there are any, from the same scores; where the maxima of all
// of them lie close together, from the same exponentials too.

#include <math.h>

#include <gradus/kernels/cpu/contrastive_table.h>
#include <gradus/kernels/cpu/contrastive_kernels.h>
#include <gradus/kernels/cpu/contrastive_tile.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {
namespace {

template <class T> inline constexpr Index kTile = sizeof(T) == 4 ? 96 : 96;  // 90 KiB of scores, beside 74 KiB of each operand at D = 128

/// The negatives that the anchors of one side have seen: padded to whole vectors.
template <class T> struct Running {
  T *max, *sum, *positive;
};

template <class T> Running<T> take_running(Carver& carver, Index anchors) {
  const Index n = round_up(anchors, Vec<T>::W);
  return {carver.take<T>(n), carver.take<T>(n), carver.take<T>(n)};
}

template <class T> void reset(const Running<T>& r, Index anchors) {
  for (Index i = 0; i < round_up(anchors, Vec<T>::W); ++i) r.max[i] = r.positive[i] = -kInfinity<T>, r.sum[i] = 0;
}

/// A tile's share of the same, for its rows and its columns.
template <class T> struct Scratch {
  T *tile, *row_max, *row_sum, *column_max, *column_sum;
  Panels<T> keys;
  Index stride;
};

template <class T> Scratch<T> take_scratch(Carver& carver, const Rounds& r, Index dim) {
  const Index m = round_up(r.rows.tile, Vec<T>::W), n = round_up(r.columns.tile, Vec<T>::W), stride = tile_stride<T>(n);
  return {carver.take<T>(m * stride), carver.take<T>(m), carver.take<T>(m), carver.take<T>(n), carver.take<T>(n),
          take_panels<T>(carver, n, dim), stride};
}

template <class T> GRADUS_INLINE T max_lane(Vec<T> v) {
  T lanes[Vec<T>::W], top = -kInfinity<T>;
  v.store(lanes);
  for (T lane : lanes) {
    if (lane != lane) return lane;  // NaN
    if (lane > top) top = lane;
  }
  return top;
}

/// What to subtract before the exponential: a maximum, or 0 where there is none.
template <class T> GRADUS_INLINE Vec<T> shift_of(Vec<T> max) { return select(max == Vec<T>(-kInfinity<T>), Vec<T>(T(0)), max); }
template <class T> GRADUS_INLINE T shift_of(T max) { return max == -kInfinity<T> ? T(0) : max; }

/// The largest score of each row.
template <class T> void find_row_maxima(const Scratch<T>& s, const Tile& t, T beta) {
  for (Index i = 0; i < t.m; ++i) {
    const T* const row = s.tile + i * s.stride;
    Vec<T> top(-kInfinity<T>);
    for (Index j = 0; j < t.n; j += Vec<T>::W) top = maximum(top, Vec<T>::load(row + j));
    s.row_max[i] = beta * max_lane(top);
  }
}

/// The largest score of each column.
template <class T> void find_column_maxima(const Scratch<T>& s, const Tile& t, T beta) {
  for (Index j = 0; j < t.n; j += Vec<T>::W) {
    Vec<T> top(-kInfinity<T>);
    for (Index i = 0; i < t.m; ++i) top = maximum(top, Vec<T>::load(s.tile + i * s.stride + j));
    (Vec<T>(beta) * top).store(s.column_max + j);
  }
}

/// Sums of exp(score - row maximum) by rows.
template <class T> void sum_rows(const Scratch<T>& s, const Tile& t, T beta) {
  for (Index i = 0; i < t.m; ++i) {
    const T* const row = s.tile + i * s.stride;
    const Vec<T> scale(beta), shift(-shift_of(s.row_max[i]));
    Vec<T> sum(T(0));
    for (Index j = 0; j < t.n; j += Vec<T>::W) sum = sum + exp(fma(Vec<T>::load(row + j), scale, shift));
    s.row_sum[i] = sum_lanes(sum);
  }
}

/// Sums of exp(score - column maximum) by columns.
template <class T> void sum_columns(const Scratch<T>& s, const Tile& t, T beta) {
  for (Index j = 0; j < t.n; j += Vec<T>::W) {
    const Vec<T> scale(beta), shift = -shift_of(Vec<T>::load(s.column_max + j));
    Vec<T> sum(T(0));
    for (Index i = 0; i < t.m; ++i) sum = sum + exp(fma(Vec<T>::load(s.tile + i * s.stride + j), scale, shift));
    sum.store(s.column_sum + j);
  }
}

/// Both at once with one exponential a pair, exp(score - top), every maximum being within kCommonRange of top.
template <class T> void sum_rows_and_columns(const Scratch<T>& s, const Tile& t, T beta, T top) {
  const Vec<T> scale(beta), shift(-top);
  memset(s.column_sum, 0, std::size_t(round_up(t.n, Vec<T>::W)) * sizeof(T));
  for (Index i = 0; i < t.m; ++i) {
    const T* const row = s.tile + i * s.stride;
    Vec<T> sum(T(0));
    for (Index j = 0; j < t.n; j += Vec<T>::W) {
      const Vec<T> e = exp(fma(Vec<T>::load(row + j), scale, shift));
      sum = sum + e;
      (Vec<T>::load(s.column_sum + j) + e).store(s.column_sum + j);
    }
    s.row_sum[i] = sum_lanes(sum);
  }
}

/// Sums relative to `top` become relative to each anchor's own maximum.
template <class T> void rebase(T* sum, const T* max, Index n, T top) {
  const Vec<T> none(-kInfinity<T>), zero(T(0));
  for (Index i = 0; i < n; i += Vec<T>::W) {
    const Vec<T> m = Vec<T>::load(max + i);
    select(m == none, zero, Vec<T>::load(sum + i) * exp(Vec<T>(top) - m)).store(sum + i);
  }
}

/// The extent of a set of maxima, leaving out anchors without a negative; NaN makes it infinite.
template <class T> struct Extent {
  T low = kInfinity<T>, top = -kInfinity<T>;
  bool ordered = true;

  void include(const T* max, Index n) {
    for (Index i = 0; i < n; ++i) {
      ordered = ordered && max[i] == max[i];
      if (max[i] > top) top = max[i];
      if (max[i] < low && max[i] != -kInfinity<T>) low = max[i];
    }
  }
  bool within(T range) const { return ordered && top - low <= range; }
};

template <class T> void add_to(const Running<T>& all, Index first, Index n, const T* max, const T* sum) {
  for (Index i = 0; i < n; i += Vec<T>::W) {
    T *const all_max = all.max + first + i, *const all_sum = all.sum + first + i;
    const Vec<T> old_max = Vec<T>::load(all_max), tile_max = Vec<T>::load(max + i), new_max = maximum(old_max, tile_max);
    const Vec<T> shift = shift_of(new_max);
    (Vec<T>::load(all_sum) * exp(old_max - shift) + Vec<T>::load(sum + i) * exp(tile_max - shift)).store(all_sum);
    new_max.store(all_max);
  }
}

/// Rows past the tile's last one, up to a whole vector, have no negatives.
template <class T> void pad_rows(const Scratch<T>& s, Index m) {
  for (; m % Vec<T>::W; ++m) s.row_max[m] = -kInfinity<T>, s.row_sum[m] = 0;
}

template <class T> void reduce_tile(const Scratch<T>& s, const Tile& t, const Problem<T>& x) {
  find_row_maxima(s, t, x.beta);
  if (!x.columns_are_anchors()) return sum_rows(s, t, x.beta);
  find_column_maxima(s, t, x.beta);
  Extent<T> extent;
  extent.include(s.row_max, t.m);
  extent.include(s.column_max, t.n);
  if (!extent.within(kCommonRange<T>)) {
    sum_rows(s, t, x.beta);
    return sum_columns(s, t, x.beta);
  }
  sum_rows_and_columns(s, t, x.beta, extent.top);
  rebase(s.row_sum, s.row_max, t.m, extent.top);
  rebase(s.column_sum, s.column_max, t.n, extent.top);
}

template <class T> void visit(Scratch<T>& s, const Tile& t, const Problem<T>& x, const Running<T>& rows, const Running<T>& columns) {
  inner_products(s.tile, s.stride, t, x.query, x.key, x.dim, s.keys, false);
  keep_negatives(s.tile, s.stride, x, t, [&](Index i, Index j, T score) {
    rows.positive[t.i0 + i] = x.beta * score;
    if (x.columns_are_anchors()) columns.positive[t.j0 + j] = x.beta * score;
  });
  reduce_tile(s, t, x);
  pad_rows(s, t.m);
  add_to(rows, t.i0, t.m, s.row_max, s.row_sum);
  if (x.columns_are_anchors()) add_to(columns, t.j0, t.n, s.column_max, s.column_sum);
}

/// loss = softplus(lse of the negatives - positive), in double: a handful of operations an anchor.
template <class T> void finish(T* loss, T* lse, const Running<T>& r, Index anchors) {
  for (Index i = 0; i < anchors; ++i) {
    const double negatives = double(r.max[i]) + ::log(double(r.sum[i])), positive = double(r.positive[i]);
    const double excess = negatives - positive;
    const bool unreachable = positive == -__builtin_inf();
    const double l = unreachable ? (negatives == positive ? 0 : excess) : excess > 0 ? excess + ::log1p(::exp(-excess)) : ::log1p(::exp(excess));
    loss[i] = T(l);
    lse[i] = T(unreachable ? negatives : positive + l);
  }
}

template <class T> struct Layout {
  Rounds rounds;
  Running<T> rows, columns;  // one and the same for NT-Xent
  Carver shared, worker{nullptr};

  Layout(const Contrastive& x, void* memory) : rounds(rounds_of<T>(x, kTile<T>)), shared{static_cast<char*>(memory)} {
    rows = columns = take_running<T>(shared, rounds.rows.size);
    if (x.form == ContrastiveForm::symmetric) columns = take_running<T>(shared, rounds.columns.size);
    take_scratch<T>(worker, rounds, (*x.query.shape)[1]);
  }
};

template <class T> void run(T* loss, T* lse, const Contrastive& operands, Workspace workspace) {
  const Problem<T> x(operands);
  const Layout<T> l(operands, workspace.data);
  reset(l.rows, x.rows);
  if (x.form == ContrastiveForm::symmetric) reset(l.columns, x.columns);
  for_each_tile(
      l.rounds, workers_of(workspace, l.shared, l.worker, l.rounds),
      [&](Carver& carver) { return take_scratch<T>(carver, l.rounds, x.dim); },
      [&](Scratch<T>& s, const Tile& t) { visit(s, t, x, l.rows, l.columns); });
  finish(loss, lse, l.rows, x.rows);
  if (x.form == ContrastiveForm::symmetric) finish(loss + x.rows, lse + x.rows, l.columns, x.columns);
}

std::size_t forward_workspace_bytes(const Contrastive& x) {
  std::size_t bytes = 0;
  with_floating(x.query.dtype, [&](auto zero) {
    const Layout<decltype(zero)> l(x, nullptr);
    bytes = workspace_bytes(l.shared, l.worker, l.rounds);
  });
  return bytes;
}

void forward(Array loss, Array lse, const Contrastive& x, Workspace workspace) {
  with_floating(x.query.dtype, [&](auto zero) {
    using T = decltype(zero);
    run<T>(loss.as<T>(), lse.as<T>(), x, workspace);
  });
}

}  // namespace

extern const ContrastiveTable contrastive_table{forward_workspace_bytes,
                                                forward,
                                                contrastive_backward_workspace_bytes,
                                                contrastive_backward,
                                                contrastive_double_backward_workspace_bytes,
                                                contrastive_double_backward};

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
