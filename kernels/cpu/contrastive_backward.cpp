// The contrastive losses' gradients. Hot file (see isa.h).
//
// For a pair (i, j) of a row and a column, with weights g of the row anchors and h of the column anchors (0 without),
//   H_ij = (g_i p_ij + h_j p'_ij) / temperature,  p_ij = exp(s_ij - lse_i),  p'_ij = exp(s_ij - lse'_j),
//   H_ij = (g_i expm1(-loss_i) + h_j expm1(-loss'_j)) / temperature  for a positive pair, or, where the anchors have several positives,
//   H_ij = (g_i (p_ij - 1 / |P|) + h_j (p'_ij - 1 / |P|)) / temperature,
// dquery = H key and dkey = H^T query: three products a tile, one of them to make the scores again.

#include <math.h>

#include <gradus/kernels/cpu/contrastive_kernels.h>
#include <gradus/kernels/cpu/contrastive_tile.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {
namespace {

using namespace contrast;

template <class T> inline constexpr Index kTile = sizeof(T) == 4 ? 144 : 96;  // as in the forward pass

/// A range of lse that one exponential a pair may serve: exp(score - the lowest lse) stays far from overflow.
template <class T> inline constexpr T kCommonRange = sizeof(T) == 4 ? T(50) : T(600);

/// What the forward pass kept, and the upstream gradient: of all anchors.
template <class T> struct Saved {
  const T *dloss, *loss, *lse;
  GRADUS_INLINE Saved from(Index anchor) const { return {dloss + anchor, loss + anchor, lse + anchor}; }
};

template <class T> struct Gradients {
  T *query, *key, *positive, *temperature;  // any may be null
};

/// The anchors of a tile's rows or columns: padded to whole vectors.
template <class T> struct Anchors { T *weight, *lse, *factor; };

template <class T> struct Scratch {
  T *tile, *targets;
  Anchors<T> rows, columns;
  Panels<T> transposed_keys, keys, queries;
  Index stride;
};

template <class T> Anchors<T> take_anchors(Carver& carver, Index n) { return {carver.take<T>(n), carver.take<T>(n), carver.take<T>(n)}; }

template <class T> Scratch<T> take_scratch(Carver& carver, const Rounds& r, Index dim) {
  const Index m = round_up(r.rows.tile, Vec<T>::W), n = round_up(r.columns.tile, Vec<T>::W), stride = tile_stride<T>(n);
  return {carver.take<T>(m * stride),     carver.take<T>(n),
          take_anchors<T>(carver, m),     take_anchors<T>(carver, n),
          take_panels<T>(carver, n, dim), take_panels<T>(carver, n, dim),
          take_panels<T>(carver, m, dim), stride};
}

/// Weights over temperature, 0 without positives, and lse with 0 where an anchor has no key at all: its scores are all -inf and its p all
/// 0.
template <class T> void load_anchors(const Anchors<T>& a, const Saved<T>& saved, Index first, Index n, const Problem<T>& x) {
  for (Index i = 0; i < n; ++i) {
    const T lse = saved.lse[first + i];
    a.weight[i] = x.share_of(first + i) > 0 ? x.beta * saved.dloss[first + i] : T(0);
    a.lse[i] = lse == -kInfinity<T> ? T(0) : lse;
  }
  for (Index i = n; i % Vec<T>::W; ++i) a.weight[i] = a.lse[i] = 0;
}

template <class T> struct Extent {
  T low = kInfinity<T>, top = -kInfinity<T>;
  void include(const T* lse, Index n) {
    for (Index i = 0; i < n; ++i) {
      if (lse[i] > top) top = lse[i];
      if (lse[i] < low) low = lse[i];
    }
  }
  bool within(T range) const { return top - low <= range; }
};

/// H for the rows' anchors alone.
template <class T> void weigh_rows(const Scratch<T>& s, const Tile& t, T beta) {
  for (Index i = 0; i < t.m; ++i) {
    T* const row = s.tile + i * s.stride;
    const Vec<T> scale(beta), shift(-s.rows.lse[i]), g(s.rows.weight[i]);
    for (Index j = 0; j < t.n; j += Vec<T>::W) (g * exp(fma(Vec<T>::load(row + j), scale, shift))).store(row + j);
  }
}

/// H for both, with two exponentials a pair.
template <class T> void weigh_apart(const Scratch<T>& s, const Tile& t, T beta) {
  for (Index i = 0; i < t.m; ++i) {
    T* const row = s.tile + i * s.stride;
    const Vec<T> scale(beta), shift(-s.rows.lse[i]), g(s.rows.weight[i]);
    for (Index j = 0; j < t.n; j += Vec<T>::W) {
      const Vec<T> score = Vec<T>::load(row + j), h = Vec<T>::load(s.columns.weight + j);
      const Vec<T> p = exp(fma(score, scale, shift)), q = exp(fma(score, scale, -Vec<T>::load(s.columns.lse + j)));
      fma(g, p, h * q).store(row + j);
    }
  }
}

/// factor = weight exp(low - lse)
template <class T> void find_factors(const Anchors<T>& a, Index n, T low) {
  for (Index i = 0; i < n; i += Vec<T>::W) (Vec<T>::load(a.weight + i) * exp(Vec<T>(low) - Vec<T>::load(a.lse + i))).store(a.factor + i);
}

/// H for both, with one: exp(score - low), which is at most e^kCommonRange since a score is no larger than either lse.
template <class T> void weigh_together(const Scratch<T>& s, const Tile& t, T beta, T low) {
  find_factors(s.rows, t.m, low);
  find_factors(s.columns, t.n, low);
  for (Index i = 0; i < t.m; ++i) {
    T* const row = s.tile + i * s.stride;
    const Vec<T> scale(beta), shift(-low), g(s.rows.factor[i]);
    for (Index j = 0; j < t.n; j += Vec<T>::W)
      (exp(fma(Vec<T>::load(row + j), scale, shift)) * (g + Vec<T>::load(s.columns.factor + j))).store(row + j);
  }
}

/// Scores of negatives become H.
template <class T> void weigh_negatives(const Scratch<T>& s, const Tile& t, const Problem<T>& x, const Saved<T>& saved) {
  load_anchors(s.rows, saved, t.i0, t.m, x);
  if (!x.columns_are_anchors()) return weigh_rows(s, t, x.beta);
  load_anchors(s.columns, saved, x.first_column_anchor() + t.j0, t.n, x);
  Extent<T> extent;
  extent.include(s.rows.lse, t.m);
  extent.include(s.columns.lse, t.n);
  if (extent.within(kCommonRange<T>)) return weigh_together(s, t, x.beta, extent.low);
  weigh_apart(s, t, x.beta);
}

/// H of several positives, which have been weighed as if they were negatives.
template <class T> void subtract_targets(const Scratch<T>& s, const Tile& t, const Problem<T>& x) {
  for (Index i = 0; i < t.m; ++i) {
    if (!find_targets(s.targets, x, t, i)) continue;
    T* const row = s.tile + i * s.stride;
    const Vec<T> g(s.rows.weight[i]);
    for (Index j = 0; j < t.n; j += Vec<T>::W)
      (Vec<T>::load(row + j) - Vec<T>::load(s.targets + j) * (g + Vec<T>::load(s.columns.weight + j))).store(row + j);
  }
}

template <class T> void weigh_positives(const Scratch<T>& s, const Tile& t, const Problem<T>& x, const Saved<T>& saved) {
  const Saved<T> rows = saved.from(t.i0), columns = saved.from(x.first_column_anchor() + t.j0);
  for_each_positive(x, t, [&](Index i, Index j) {
    double h = double(rows.dloss[i]) * ::expm1(-double(rows.loss[i]));
    if (x.columns_are_anchors()) h += double(columns.dloss[j]) * ::expm1(-double(columns.loss[j]));
    s.tile[i * s.stride + j] = x.beta * T(h);
  });
}

template <class T> void visit(Scratch<T>& s, const Tile& t, const Problem<T>& x, const Saved<T>& saved, const Gradients<T>& out) {
  inner_products(s.tile, s.stride, t, x.query, x.key, x.dim, s.transposed_keys, false);
  keep_negatives(s.tile, s.stride, x, t, [](Index, Index, T) {});
  weigh_negatives(s, t, x, saved);
  if (x.labels) subtract_targets(s, t, x);
  weigh_positives(s, t, x, saved);
  if (out.query) add_rows(out.query, s.tile, s.stride, t, x.key, x.dim, s.keys);
  if (out.key) add_columns(out.key, s.tile, s.stride, t, x.query, x.dim, s.queries);
}

/// The positives of a queue, which are in no tile.
template <class T> void add_positives(const Problem<T>& x, const Saved<T>& saved, const Gradients<T>& out) {
  for (Index i = 0; i < x.rows; ++i) {
    const T h = x.beta * T(double(saved.dloss[i]) * ::expm1(-double(saved.loss[i])));
    if (out.query) add_scaled(out.query + i * x.dim, x.positive + i * x.dim, x.dim, h);
    if (out.positive) add_scaled(out.positive + i * x.dim, x.query + i * x.dim, x.dim, h);
  }
}

/// -sum_i <query_i, dquery_i> / temperature; a gradient of z holds every pair twice.
template <class T> T temperature_gradient(const Problem<T>& x, const T* dquery) {
  double sum = 0;
  for (Index i = 0; i < x.rows; ++i) sum += double(inner_product(x.query + i * x.dim, dquery + i * x.dim, x.dim));
  return T(-double(x.beta) * (x.triangle() ? sum / 2 : sum));
}

template <class T> struct Layout {
  Rounds rounds;
  Positives<T> positives;
  Carver shared, worker{nullptr};

  Layout(const Contrastive& x, void* memory) : rounds(rounds_of<T>(x, kTile<T>)), shared{static_cast<char*>(memory)} {
    positives = take_positives<T>(shared, x);
    take_scratch<T>(worker, rounds, (*x.query.shape)[1]);
  }
};

template <class T> void run(const Gradients<T>& out, const Saved<T>& saved, const Contrastive& operands, Workspace workspace) {
  Problem<T> x(operands);
  const Layout<T> l(operands, workspace.data);
  x.positives = find_positives(l.positives, operands);
  clear(out.query, x.rows * x.dim);
  clear(out.positive, x.rows * x.dim);
  if (!x.triangle()) clear(out.key, x.columns * x.dim);
  for_each_tile(
      l.rounds, workers_of(workspace, l.shared, l.worker, l.rounds),
      [&](Carver& carver) { return take_scratch<T>(carver, l.rounds, x.dim); },
      [&](Scratch<T>& s, const Tile& t) { visit(s, t, x, saved, out); });
  if (x.positive) add_positives(x, saved, out);
  if (out.temperature) *out.temperature = temperature_gradient(x, out.query);
}

}  // namespace

std::size_t contrastive_backward_workspace_bytes(const Contrastive& x) {
  std::size_t bytes = 0;
  with_floating(x.query.dtype, [&](auto zero) {
    const Layout<decltype(zero)> l(x, nullptr);
    bytes = workspace_bytes(l.shared, l.worker, l.rounds);
  });
  return bytes;
}

void contrastive_backward(const ContrastiveGradients& d, ConstArray dloss, ConstArray loss, ConstArray lse, const Contrastive& x,
                          Workspace workspace) {
  with_floating(x.query.dtype, [&](auto zero) {
    using T = decltype(zero);
    Gradients<T> out{optional<T>(d.query), optional<T>(d.key), optional<T>(d.positive), optional<T>(d.temperature)};
    if (compares_own_rows(x.form)) out.key = out.query;
    run<T>(out, {dloss.as<T>(), loss.as<T>(), lse.as<T>()}, x, workspace);
  });
}

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
