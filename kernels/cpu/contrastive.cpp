// The contrastive losses' forward pass, and the table. Hot file (see isa.h).
//
// Each anchor keeps a reference near the maximum of its negatives' scores so far, and the sum of exp(score - reference): 8 bytes in f32,
// beside its positive's score. A tile adds to its row anchors, and to its column anchors where there are any, from the same scores; with
// the tile's maximum as the reference of all of them, from the same exponentials too, unless an anchor's share would underflow.

#include <math.h>

#include <gradus/kernels/cpu/contrastive_table.h>
#include <gradus/kernels/cpu/contrastive_kernels.h>
#include <gradus/kernels/cpu/contrastive_tile.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {
namespace {

using namespace contrast;

template <class T> inline constexpr Index kTile = sizeof(T) == 4 ? 144 : 96;  // 90 KiB of scores, beside 74 KiB of each operand at D = 128

/// Sums of terms of which the largest is below this are made anew: e^-50 in f32, so that terms lost to underflow (below e^-87) are lost to
/// rounding as well; f64 likewise.
template <class T> inline constexpr T kSmallestSum = sizeof(T) == 4 ? T(1.9e-22) : T(1e-260);

/// The negatives that the anchors of one side have seen: padded to whole vectors. `sum` counts exp(score - reference). `positive` is the
/// positive's score. An anchor with several positives counts them as negatives, and `positive` is their mean.
template <class T> struct Running { T *reference, *sum, *positive; };

template <class T> Running<T> take_running(Carver& carver, Index anchors) {
  const Index n = round_up(anchors, Vec<T>::W);
  return {carver.take<T>(n), carver.take<T>(n), carver.take<T>(n)};
}

template <class T> void reset(const Running<T>& r, Index anchors, const Problem<T>& x) {
  for (Index i = 0; i < round_up(anchors, Vec<T>::W); ++i) r.reference[i] = r.positive[i] = -kInfinity<T>, r.sum[i] = 0;
  for (Index i = 0; x.labels && i < anchors; ++i)
    if (x.share_of(i) < 1) r.positive[i] = 0;
}

/// A tile's share of the same, for its rows and its columns.
template <class T> struct Scratch {
  T *tile, *row_reference, *row_sum, *column_reference, *column_sum, *targets;
  Panels<T> keys;
  Index stride;
};

template <class T> Scratch<T> take_scratch(Carver& carver, const Rounds& r, Index dim) {
  const Index m = round_up(r.rows.tile, Vec<T>::W), n = round_up(r.columns.tile, Vec<T>::W), stride = tile_stride<T>(n);
  return {carver.take<T>(m * stride),
          carver.take<T>(m),
          carver.take<T>(m),
          carver.take<T>(n),
          carver.take<T>(n),
          carver.take<T>(n),
          take_panels<T>(carver, n, dim),
          stride};
}

/// The larger lane. A NaN may get lost here: the sums show it, since they add exp of every score.
template <class T> GRADUS_INLINE Vec<T> larger_lane(Vec<T> a, Vec<T> b) { return packet::pmax(a.p, b.p); }

template <class T> GRADUS_INLINE T largest_lane(Vec<T> v) {
  T lanes[Vec<T>::W], top = -kInfinity<T>;
  v.store(lanes);
  for (T lane : lanes) top = lane > top ? lane : top;
  return top;
}

template <class T> T tile_maximum(const Scratch<T>& s, const Tile& t) {
  Vec<T> top(-kInfinity<T>);
  for (Index i = 0; i < t.m; ++i)
    for (Index j = 0; j < t.n; j += Vec<T>::W) top = larger_lane(top, Vec<T>::load(s.tile + i * s.stride + j));
  return largest_lane(top);
}

/// Row and column sums of exp(score - top), one exponential for both; false if a sum is too small to be trusted, or NaN. On a diagonal
/// tile the last row and the first column are empty.
template <class T> bool sum_together(const Scratch<T>& s, const Tile& t, T beta, T top) {
  const Vec<T> scale(beta), shift(-top);
  clear(s.column_sum, round_up(t.n, Vec<T>::W));
  const Index rows = t.diagonal ? t.m - 1 : t.m, first_column = t.diagonal ? 1 : 0;
  bool trusted = true;
  for (Index i = 0; i < rows; ++i) {
    const T* const row = s.tile + i * s.stride;
    Vec<T> sum(T(0));
    for (Index j = t.diagonal ? i / Vec<T>::W * Vec<T>::W : 0; j < t.n; j += Vec<T>::W) {
      const Vec<T> e = exp(fma(Vec<T>::load(row + j), scale, shift));
      sum = sum + e;
      (Vec<T>::load(s.column_sum + j) + e).store(s.column_sum + j);
    }
    s.row_reference[i] = top;
    s.row_sum[i] = sum_lanes(sum);
    trusted = trusted && s.row_sum[i] >= kSmallestSum<T>;
  }
  for (Index j = first_column; j < t.n; ++j) {
    s.column_reference[j] = top;
    trusted = trusted && s.column_sum[j] >= kSmallestSum<T>;
  }
  if (t.diagonal) s.row_reference[rows] = s.column_reference[0] = -kInfinity<T>, s.row_sum[rows] = 0;
  return trusted;
}

/// What to subtract before the exponential: a maximum, or 0 where there is none.
template <class T> GRADUS_INLINE Vec<T> shift_of(Vec<T> max) { return select(max == Vec<T>(-kInfinity<T>), Vec<T>(T(0)), max); }

/// Each row's sum relative to its own maximum.
template <class T> void sum_rows(const Scratch<T>& s, const Tile& t, T beta) {
  for (Index i = 0; i < t.m; ++i) {
    const T* const row = s.tile + i * s.stride;
    Vec<T> top(-kInfinity<T>), sum(T(0));
    for (Index j = 0; j < t.n; j += Vec<T>::W) top = larger_lane(top, Vec<T>::load(row + j));
    s.row_reference[i] = beta * largest_lane(top);
    const Vec<T> scale(beta), shift = -shift_of(Vec<T>(s.row_reference[i]));
    for (Index j = 0; j < t.n; j += Vec<T>::W) sum = sum + exp(fma(Vec<T>::load(row + j), scale, shift));
    s.row_sum[i] = sum_lanes(sum);
  }
}

/// Each column's sum relative to its own maximum.
template <class T> void sum_columns(const Scratch<T>& s, const Tile& t, T beta) {
  for (Index j = 0; j < t.n; j += Vec<T>::W) {
    const T* const column = s.tile + j;
    Vec<T> top(-kInfinity<T>), sum(T(0));
    for (Index i = 0; i < t.m; ++i) top = larger_lane(top, Vec<T>::load(column + i * s.stride));
    const Vec<T> scale(beta), reference = scale * top, shift = -shift_of(reference);
    for (Index i = 0; i < t.m; ++i) sum = sum + exp(fma(Vec<T>::load(column + i * s.stride), scale, shift));
    reference.store(s.column_reference + j);
    sum.store(s.column_sum + j);
  }
}

template <class T> void reduce_tile(const Scratch<T>& s, const Tile& t, const Problem<T>& x) {
  if (x.columns_are_anchors() && sum_together(s, t, x.beta, x.beta * tile_maximum(s, t))) return;
  sum_rows(s, t, x.beta);
  if (x.columns_are_anchors()) sum_columns(s, t, x.beta);
}

template <class T> void add_to(const Running<T>& all, Index first, Index n, const T* tile_reference, const T* tile_sum) {
  for (Index i = 0; i < n; i += Vec<T>::W) {
    T *const reference = all.reference + first + i, *const sum = all.sum + first + i;
    const Vec<T> before = Vec<T>::load(reference), here = Vec<T>::load(tile_reference + i), after = larger_lane(before, here);
    const Vec<T> shift = shift_of(after);
    (Vec<T>::load(sum) * exp(before - shift) + Vec<T>::load(tile_sum + i) * exp(here - shift)).store(sum);
    after.store(reference);
  }
}

/// Past a tile's last row or column, up to a whole vector, there are no negatives.
template <class T> void pad(T* reference, T* sum, Index n) {
  for (; n % Vec<T>::W; ++n) reference[n] = -kInfinity<T>, sum[n] = 0;
}

/// The tile's share of the mean score of several positives.
template <class T> void add_targets(const Scratch<T>& s, const Tile& t, const Problem<T>& x, const Running<T>& all) {
  for (Index i = 0; i < t.m; ++i) {
    if (!find_targets(s.targets, x, t, i)) continue;
    const Vec<T> zero(T(0)), beta(x.beta);
    Vec<T> sum = zero;
    for (Index j = 0; j < t.n; j += Vec<T>::W) {
      const Vec<T> target = Vec<T>::load(s.targets + j), score = beta * Vec<T>::load(s.tile + i * s.stride + j);
      const Vec<T> share = select(target == zero, zero, target * score);  // excluded scores are infinite
      T* const column = all.positive + t.j0 + j;
      (Vec<T>::load(column) + share).store(column);
      sum = sum + share;
    }
    all.positive[t.i0 + i] += sum_lanes(sum);
  }
}

template <class T> void visit(Scratch<T>& s, const Tile& t, const Problem<T>& x, const Running<T>& rows, const Running<T>& columns) {
  inner_products(s.tile, s.stride, t, x.query, x.key, x.dim, s.keys, false);
  keep_negatives(s.tile, s.stride, x, t, [&](Index i, Index j, T score) {
    rows.positive[t.i0 + i] = x.beta * score;
    if (x.columns_are_anchors()) columns.positive[t.j0 + j] = x.beta * score;
  });
  if (x.labels) add_targets(s, t, x, rows);
  reduce_tile(s, t, x);
  pad(s.row_reference, s.row_sum, t.m);
  pad(s.column_reference, s.column_sum, t.n);
  add_to(rows, t.i0, t.m, s.row_reference, s.row_sum);
  if (x.columns_are_anchors()) add_to(columns, t.j0, t.n, s.column_reference, s.column_sum);
}

double softplus(double x) { return x > 0 ? x + ::log1p(::exp(-x)) : ::log1p(::exp(x)); }

/// loss = softplus(lse of the negatives - positive), in double: a handful of operations an anchor.
template <class T> void finish(T* loss, T* lse, const Running<T>& r, Index anchors, const Problem<T>& x) {
  constexpr double kNone = -__builtin_inf();  // the positive is masked
  for (Index i = 0; i < anchors; ++i) {
    const double negatives = double(r.reference[i]) + ::log(double(r.sum[i])), positive = double(r.positive[i]);
    const double share = double(x.share_of(i));
    if (share < 1) {  // several positives, or none: `negatives` is lse
      loss[i] = share > 0 ? T(negatives - positive) : T(0);
      lse[i] = T(negatives);
      continue;
    }
    const double l = positive == kNone ? (negatives == kNone ? 0 : negatives - positive) : softplus(negatives - positive);
    loss[i] = T(l);
    lse[i] = T(positive == kNone ? negatives : positive + l);
  }
}

template <class T> struct Layout {
  Rounds rounds;
  Running<T> rows, columns;  // one and the same if the rows are compared with each other
  Positives<T> positives;
  Carver shared, worker{nullptr};

  Layout(const Contrastive& x, void* memory) : rounds(rounds_of<T>(x, kTile<T>)), shared{static_cast<char*>(memory)} {
    rows = columns = take_running<T>(shared, rounds.rows.size);
    if (x.form == ContrastiveForm::symmetric) columns = take_running<T>(shared, rounds.columns.size);
    positives = take_positives<T>(shared, x);
    take_scratch<T>(worker, rounds, (*x.query.shape)[1]);
  }
};

template <class T> void run(T* loss, T* lse, const Contrastive& operands, Workspace workspace) {
  Problem<T> x(operands);
  const Layout<T> l(operands, workspace.data);
  x.positives = find_positives(l.positives, operands);
  reset(l.rows, x.rows, x);
  if (x.form == ContrastiveForm::symmetric) reset(l.columns, x.columns, x);
  for (Index i = 0; x.positive && i < x.rows; ++i)
    l.rows.positive[i] = x.beta * inner_product(x.query + i * x.dim, x.positive + i * x.dim, x.dim);
  for_each_tile(
      l.rounds, workers_of(workspace, l.shared, l.worker, l.rounds),
      [&](Carver& carver) { return take_scratch<T>(carver, l.rounds, x.dim); },
      [&](Scratch<T>& s, const Tile& t) { visit(s, t, x, l.rows, l.columns); });
  finish(loss, lse, l.rows, x.rows, x);
  if (x.form == ContrastiveForm::symmetric) finish(loss + x.rows, lse + x.rows, l.columns, x.columns, x);
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
