// The contrastive losses' second derivatives in closed form. Hot file (see isa.h).
//
// Phi = <u, dquery> + <v, dkey> + w dtemperature is a function of dloss, query, key and b = 1 / temperature. With c_ij = <query_i, key_j>,
// X_ij = <u_i, key_j> + <query_i, v_j>, r = -w b^2 and G the weights of the backward pass without its 1 / temperature,
//   Phi = sum_ij G_ij t_ij,   t_ij = b X_ij + r c_ij,
// the derivative of Phi by G is t, and by the score s_ij it is W_ij = g_i p_ij (t_ij - mean of t under p_i), plus the same by columns:
//   by dloss:   e_i = sum over negatives of p_ij (t_ij - t_i,positive)                                     (first sweep)
//   by query:   (b W + r G) key + b G v,   by key: (b W + r G)^T query + b G^T u                           (second sweep)
//   by b:       sum_ij W_ij c_ij + G_ij X_ij + (dr / db) G_ij c_ij,   by temperature: -b^2 times that
// Since the mean is t_i,positive + e_i, a positive pair has W = -g_i exp(-loss_i) e_i: nothing cancels when the pairs are aligned. The
// positives of a queue are in no tile; they have the same formulas, row by row.
//
// An anchor with several positives counts t from that of its first one, t_i,centre, and
//   e_i = sum over all pairs of (p_ij - [j positive] / |P|) (t_ij - t_i,centre),
//   mean of t = t_i,centre + e_i + d_i,   d_i = mean over the positives of t_ij - t_i,centre.

#include <math.h>

#include <gradus/kernels/cpu/contrastive_kernels.h>
#include <gradus/kernels/cpu/contrastive_tile.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {
namespace {

using namespace contrast;

template <class T> inline constexpr Index kTile = sizeof(T) == 4 ? 96 : 48;  // two tiles and six operands stay below 1 MiB

template <class T> struct Inputs {
  const T *u, *v, *v_positive;  // any may be null
  const T *dloss, *loss, *lse;  // of all anchors
  T r, dr;                      // weight of c in t, and its derivative by b
};

template <class T> struct Outputs {
  T* ddloss;
  T *ddquery, *ddkey, *ddpositive, *ddtemperature;  // any may be null
  T *row_centre, *column_centre;                    // per anchor of a side: t of the positive, then the mean of t
  T* target_deviation;                              // supervised: d of all anchors
  double* by_beta;                                  // per row: its share of the derivative by b
};

/// The anchors of a tile's rows or columns: padded to whole vectors.
template <class T> struct Anchors { T *weight, *lse, *centre, *sum; };

template <class T> struct Scratch {
  T *scores, *cross;                   // c and X; then b W + r G and b G
  T* targets;                          // of one row
  T *positive_score, *positive_cross;  // by row
  Anchors<T> rows, columns;
  Panels<T> transposed_keys, transposed_v, keys, v, queries, u;
  Index stride;
};

template <class T> Anchors<T> take_anchors(Carver& carver, Index n) {
  return {carver.take<T>(n), carver.take<T>(n), carver.take<T>(n), carver.take<T>(n)};
}

template <class T> Scratch<T> take_scratch(Carver& carver, const Rounds& r, Index dim) {
  const Index m = round_up(r.rows.tile, Vec<T>::W), n = round_up(r.columns.tile, Vec<T>::W), stride = tile_stride<T>(n);
  const auto panels = [&](Index rows) { return take_panels<T>(carver, rows, dim); };
  return {carver.take<T>(m * stride),
          carver.take<T>(m * stride),
          carver.take<T>(n),
          carver.take<T>(m),
          carver.take<T>(m),
          take_anchors<T>(carver, m),
          take_anchors<T>(carver, n),
          panels(n),
          panels(n),
          panels(n),
          panels(n),
          panels(m),
          panels(m),
          stride};
}

template <class T> void load_anchors(const Anchors<T>& a, const Problem<T>& x, const Inputs<T>& in, Index first, const T* centre, Index n) {
  for (Index i = 0; i < n; ++i) {
    a.weight[i] = x.share_of(first + i) > 0 ? in.dloss[first + i] : T(0);
    a.lse[i] = in.lse[first + i] == -kInfinity<T> ? T(0) : in.lse[first + i];  // no key at all: every p is 0
    a.centre[i] = centre[i];
  }
  for (Index i = n; i % Vec<T>::W; ++i) a.weight[i] = a.lse[i] = a.centre[i] = 0;
  clear(a.sum, round_up(n, Vec<T>::W));
}

/// c and X of one vector of pairs, 0 where the pair is not a negative, and the anchors' p for it.
template <class T> struct Pairs {
  Vec<T> score, cross, p, q;

  GRADUS_INLINE Pairs(const Scratch<T>& s, Index i, Index j, Vec<T> beta, bool columns) {
    const Vec<T> c = Vec<T>::load(s.scores + i * s.stride + j), zero(T(0));
    const Vec<T> excluded = c == Vec<T>(-kInfinity<T>);
    score = select(excluded, zero, c);
    cross = select(excluded, zero, Vec<T>::load(s.cross + i * s.stride + j));
    p = exp(fma(c, beta, Vec<T>(-s.rows.lse[i])));
    q = columns ? exp(fma(c, beta, -Vec<T>::load(s.columns.lse + j))) : zero;
  }
  GRADUS_INLINE Vec<T> t(Vec<T> beta, Vec<T> r) const { return fma(beta, cross, r * score); }
};

template <class T> void make_tile(Scratch<T>& s, const Tile& t, const Problem<T>& x, const Inputs<T>& in, const Outputs<T>& out) {
  inner_products(s.scores, s.stride, t, x.query, x.key, x.dim, s.transposed_keys, false);
  for (Index i = 0; i < t.m; ++i) clear(s.cross + i * s.stride, t.n);
  if (in.u) inner_products(s.cross, s.stride, t, in.u, x.key, x.dim, s.transposed_keys, true);
  if (in.v) inner_products(s.cross, s.stride, t, x.query, in.v, x.dim, s.transposed_v, true);
  keep_negatives(s.scores, s.stride, x, t, [&](Index i, Index j, T score) {
    s.positive_score[i] = score;
    s.positive_cross[i] = s.cross[i * s.stride + j];
  });
  load_anchors(s.rows, x, in, t.i0, out.row_centre + t.i0, t.m);
  if (x.columns_are_anchors()) load_anchors(s.columns, x, in, x.first_column_anchor() + t.j0, out.column_centre + t.j0, t.n);
}

/// First sweep, several positives: their share of e and d.
template <class T>
void sum_target_deviations(const Scratch<T>& s, const Tile& t, const Problem<T>& x, const Inputs<T>& in, const Outputs<T>& out) {
  const Vec<T> beta(x.beta), r(in.r), zero(T(0));
  for (Index i = 0; i < t.m; ++i) {
    if (!find_targets(s.targets, x, t, i)) continue;
    Vec<T> sum = zero;
    for (Index j = 0; j < t.n; j += Vec<T>::W) {
      const Vec<T> target = Vec<T>::load(s.targets + j), value = Pairs<T>(s, i, j, beta, true).t(beta, r);
      const Vec<T> of_column = target * (value - Vec<T>::load(s.columns.centre + j));
      T *const deviation = out.target_deviation + t.j0 + j, *const column_sum = s.columns.sum + j;
      (Vec<T>::load(deviation) + of_column).store(deviation);
      (Vec<T>::load(column_sum) - of_column).store(column_sum);
      sum = fma(target, value - Vec<T>(s.rows.centre[i]), sum);
    }
    const T of_row = sum_lanes(sum);
    out.target_deviation[t.i0 + i] += of_row;
    out.ddloss[t.i0 + i] -= of_row;
  }
}

/// First sweep: the tile's share of e, t being counted from the positive's.
template <class T> void sum_deviations(Scratch<T>& s, const Tile& t, const Problem<T>& x, const Inputs<T>& in, const Outputs<T>& out) {
  make_tile(s, t, x, in, out);
  if (x.labels) sum_target_deviations(s, t, x, in, out);
  const Vec<T> beta(x.beta), r(in.r);
  const bool columns = x.columns_are_anchors();
  for (Index i = 0; i < t.m; ++i) {
    Vec<T> sum(T(0));
    for (Index j = 0; j < t.n; j += Vec<T>::W) {
      const Pairs<T> pairs(s, i, j, beta, columns);
      const Vec<T> value = pairs.t(beta, r);
      sum = fma(pairs.p, value - Vec<T>(s.rows.centre[i]), sum);
      if (!columns) continue;
      T* const column_sum = s.columns.sum + j;
      fma(pairs.q, value - Vec<T>::load(s.columns.centre + j), Vec<T>::load(column_sum)).store(column_sum);
    }
    out.ddloss[t.i0 + i] += sum_lanes(sum);
  }
  if (!columns) return;
  T* const column_ddloss = out.ddloss + x.first_column_anchor() + t.j0;
  for (Index j = 0; j < t.n; ++j) column_ddloss[j] += s.columns.sum[j];
}

/// Scores and cross products of negatives become b W + r G and b G; by_beta gets their share.
template <class T>
void weigh_negatives(const Scratch<T>& s, const Tile& t, const Problem<T>& x, const Inputs<T>& in, const Outputs<T>& out) {
  const Vec<T> beta(x.beta), r(in.r), dr(in.dr), zero(T(0));
  const bool columns = x.columns_are_anchors();
  for (Index i = 0; i < t.m; ++i) {
    const Vec<T> weight(s.rows.weight[i]), centre(s.rows.centre[i]);
    const bool targets = find_targets(s.targets, x, t, i);
    Vec<T> sum = zero;
    for (Index j = 0; j < t.n; j += Vec<T>::W) {
      const Pairs<T> pairs(s, i, j, beta, columns);
      const Vec<T> value = pairs.t(beta, r);
      Vec<T> g = weight * pairs.p, w = g * (value - centre);
      if (columns) {
        const Vec<T> column_weight = Vec<T>::load(s.columns.weight + j), h = column_weight * pairs.q;
        g = g + h;
        w = fma(h, value - Vec<T>::load(s.columns.centre + j), w);
        if (targets) g = g - Vec<T>::load(s.targets + j) * (weight + column_weight);
      }
      sum = fma(fma(dr, g, w), pairs.score, fma(g, pairs.cross, sum));
      fma(beta, w, r * g).store(s.scores + i * s.stride + j);
      (beta * g).store(s.cross + i * s.stride + j);
    }
    out.by_beta[t.i0 + i] += double(sum_lanes(sum));
  }
}

/// G and W of a positive, as one of its anchors has them.
struct Weights {
  double g, w;
};
template <class T> Weights positive_weights(const Inputs<T>& in, const Outputs<T>& out, Index anchor) {
  const double dloss = double(in.dloss[anchor]), loss = double(in.loss[anchor]);
  return {dloss * ::expm1(-loss), -dloss * ::exp(-loss) * double(out.ddloss[anchor])};
}

template <class T>
void weigh_positives(const Scratch<T>& s, const Tile& t, const Problem<T>& x, const Inputs<T>& in, const Outputs<T>& out) {
  for_each_positive(x, t, [&](Index i, Index j) {
    Weights sum = positive_weights(in, out, t.i0 + i);
    if (x.columns_are_anchors()) {
      const Weights column = positive_weights(in, out, x.first_column_anchor() + t.j0 + j);
      sum = {sum.g + column.g, sum.w + column.w};
    }
    const double score = double(s.positive_score[i]), cross = double(s.positive_cross[i]);
    if (score == -__builtin_inf()) sum = {0, 0};  // masked
    else out.by_beta[t.i0 + i] += (sum.w + double(in.dr) * sum.g) * score + sum.g * cross;
    s.scores[i * s.stride + j] = T(double(x.beta) * sum.w + double(in.r) * sum.g);
    s.cross[i * s.stride + j] = T(double(x.beta) * sum.g);
  });
}

/// Second sweep: the outputs.
template <class T> void add_gradients(Scratch<T>& s, const Tile& t, const Problem<T>& x, const Inputs<T>& in, const Outputs<T>& out) {
  make_tile(s, t, x, in, out);
  weigh_negatives(s, t, x, in, out);
  weigh_positives(s, t, x, in, out);
  if (out.ddquery) add_rows(out.ddquery, s.scores, s.stride, t, x.key, x.dim, s.keys);
  if (out.ddquery && in.v) add_rows(out.ddquery, s.cross, s.stride, t, in.v, x.dim, s.v);
  if (out.ddkey) add_columns(out.ddkey, s.scores, s.stride, t, x.query, x.dim, s.queries);
  if (out.ddkey && in.u) add_columns(out.ddkey, s.cross, s.stride, t, in.u, x.dim, s.u);
}

/// c, X and t of a pair (i, j) outside the tiles, positive or not: v is the cotangent of the key.
template <class T> struct SinglePair {
  T score, cross;
  SinglePair(const Problem<T>& x, const Inputs<T>& in, Index i, const T* key, const T* v)
      : score(inner_product(x.query + i * x.dim, key, x.dim)),
        cross((in.u ? inner_product(in.u + i * x.dim, key, x.dim) : T(0)) + (v ? inner_product(x.query + i * x.dim, v, x.dim) : T(0))) {}
  T t(const Problem<T>& x, const Inputs<T>& in) const { return x.beta * cross + in.r * score; }
};

/// centre = t of the positive, by both of its anchors; of the first one where labels say which they are.
template <class T> void find_positive_values(const Problem<T>& x, const Inputs<T>& in, const Outputs<T>& out) {
  const auto row = [&](const T* matrix, Index j) { return matrix ? matrix + j * x.dim : nullptr; };
  for (Index i = 0; i < x.rows; ++i) {
    if (x.positive) {
      out.row_centre[i] = SinglePair<T>(x, in, i, row(x.positive, i), row(in.v_positive, i)).t(x, in);
      continue;
    }
    const Index j = x.labels ? x.positives.first[i] : x.positive_of(i);
    if (x.labels && j < 0) out.row_centre[i] = 0;
    if (j < 0 || j >= x.columns) continue;
    out.row_centre[i] = SinglePair<T>(x, in, i, row(x.key, j), row(in.v, j)).t(x, in);
    if (x.columns_are_anchors() && !x.labels) out.column_centre[j] = out.row_centre[i];
  }
}

/// The positives of a queue: what weigh_positives and add_gradients do for a pair of a tile.
template <class T> void add_queue_positives(const Problem<T>& x, const Inputs<T>& in, const Outputs<T>& out) {
  const Index n = x.dim;
  for (Index i = 0; i < x.rows; ++i) {
    const T *const query = x.query + i * n, *const key = x.positive + i * n, *const v = in.v_positive ? in.v_positive + i * n : nullptr;
    const SinglePair<T> pair(x, in, i, key, v);
    const Weights sum = positive_weights(in, out, i);
    out.by_beta[i] += (sum.w + double(in.dr) * sum.g) * double(pair.score) + sum.g * double(pair.cross);
    const T a = T(double(x.beta) * sum.w + double(in.r) * sum.g), b = T(double(x.beta) * sum.g);
    if (out.ddquery) add_scaled(out.ddquery + i * n, key, n, a);
    if (out.ddquery && v) add_scaled(out.ddquery + i * n, v, n, b);
    if (out.ddpositive) add_scaled(out.ddpositive + i * n, query, n, a);
    if (out.ddpositive && in.u) add_scaled(out.ddpositive + i * n, in.u + i * n, n, b);
  }
}

/// centre = mean of t, after the first sweep.
template <class T> void find_means(const Problem<T>& x, const Outputs<T>& out) {
  for (Index i = 0; x.labels && i < x.rows; ++i) {
    if (x.share_of(i) == 0) out.ddloss[i] = 0;
    out.row_centre[i] += out.target_deviation[i];
  }
  for (Index i = 0; i < x.rows; ++i) out.row_centre[i] += out.ddloss[i];
  if (x.form != ContrastiveForm::symmetric) return;
  for (Index j = 0; j < x.columns; ++j) out.column_centre[j] += out.ddloss[x.rows + j];
}

template <class T> struct Layout {
  Rounds rounds;
  T *row_centre, *column_centre;  // one and the same if the rows are compared with each other
  T* target_deviation;
  double* by_beta;
  Positives<T> positives;
  Carver shared, worker{nullptr};

  Layout(const Contrastive& x, void* memory) : rounds(rounds_of<T>(x, kTile<T>)), shared{static_cast<char*>(memory)} {
    row_centre = column_centre = shared.take<T>(rounds.rows.size);
    if (x.form == ContrastiveForm::symmetric) column_centre = shared.take<T>(rounds.columns.size);
    by_beta = shared.take<double>(rounds.rows.size);
    positives = take_positives<T>(shared, x);
    target_deviation = x.form == ContrastiveForm::supervised ? shared.take<T>(round_up(rounds.rows.size, Vec<T>::W)) : nullptr;
    take_scratch<T>(worker, rounds, (*x.query.shape)[1]);
  }
};

template <class T> void run(Outputs<T> out, const Inputs<T>& in, const Contrastive& operands, Problem<T> x, Workspace workspace) {
  const Layout<T> l(operands, workspace.data);
  x.positives = find_positives(l.positives, operands);
  out.row_centre = l.row_centre, out.column_centre = l.column_centre, out.by_beta = l.by_beta, out.target_deviation = l.target_deviation;
  clear(out.ddloss, x.anchors());
  clear(out.by_beta, x.rows);
  clear(l.target_deviation, round_up(x.rows, Vec<T>::W));
  clear(out.ddquery, x.rows * x.dim);
  clear(out.ddpositive, x.rows * x.dim);
  if (!x.triangle()) clear(out.ddkey, x.columns * x.dim);
  const Workers workers = workers_of(workspace, l.shared, l.worker, l.rounds);
  const auto scratch = [&](Carver& carver) { return take_scratch<T>(carver, l.rounds, x.dim); };
  find_positive_values(x, in, out);
  for_each_tile(l.rounds, workers, scratch, [&](Scratch<T>& s, const Tile& t) { sum_deviations(s, t, x, in, out); });
  find_means(x, out);
  for_each_tile(l.rounds, workers, scratch, [&](Scratch<T>& s, const Tile& t) { add_gradients(s, t, x, in, out); });
  if (x.positive) add_queue_positives(x, in, out);
  if (!out.ddtemperature) return;
  double by_beta = 0;
  for (Index i = 0; i < x.rows; ++i) by_beta += out.by_beta[i];
  *out.ddtemperature = T(-double(x.beta) * double(x.beta) * by_beta);
}

}  // namespace

std::size_t contrastive_double_backward_workspace_bytes(const Contrastive& x) {
  std::size_t bytes = 0;
  with_floating(x.query.dtype, [&](auto zero) {
    const Layout<decltype(zero)> l(x, nullptr);
    bytes = workspace_bytes(l.shared, l.worker, l.rounds);
  });
  return bytes;
}

void contrastive_double_backward(Array ddloss, const ContrastiveGradients& dd, const ContrastiveCotangents& u, ConstArray dloss,
                                 ConstArray loss, ConstArray lse, const Contrastive& operands, Workspace workspace) {
  with_floating(operands.query.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Problem<T> x(operands);
    const T w = u.temperature ? *u.temperature.as<T>() : T(0);
    Inputs<T> in{optional<T>(u.query), optional<T>(u.key), optional<T>(u.positive), dloss.as<T>(),
                 loss.as<T>(),         lse.as<T>(),        -w * x.beta * x.beta,    T(-2) * w * x.beta};
    Outputs<T> out{ddloss.as<T>(),
                   optional<T>(dd.query),
                   optional<T>(dd.key),
                   optional<T>(dd.positive),
                   optional<T>(dd.temperature),
                   nullptr,
                   nullptr,
                   nullptr,
                   nullptr};
    if (x.triangle()) in.v = in.u, out.ddkey = out.ddquery;
    run<T>(out, in, operands, x, workspace);
  });
}

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
