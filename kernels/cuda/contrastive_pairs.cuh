// What both sweeps of the contrastive second derivative share: a pair's score c and its cross product X, tile by tile and one by one.
#pragma once

#include <gradus/kernels/cuda/contrastive_feed.cuh>

namespace gradus::inline v0::cuda::contrast {

/// Cotangents of the first gradients, and what the forward pass kept. Any cotangent may be null, which is zero.
template <class T> struct Inputs {
  const T *query, *key, *positive, *temperature;
  const T *dloss, *loss, *lse;  // of all anchors

  /// r, the weight of c in t, and its derivative by b = 1 / temperature.
  __device__ T weight(T beta) const { return temperature ? -*temperature * beta * beta : T(0); }
  __device__ T weight_slope(T beta) const { return temperature ? T(-2) * *temperature * beta : T(0); }
};

/// One side with its cotangents.
template <class T> struct PairSide {
  Side<T> side;
  const T *row_cotangent, *column_cotangent;
  int row_anchors, column_anchors;  // where they begin among all anchors; -1: they have none
};

template <class T> PairSide<T> pair_side_of(const Operands<T>& x, const Inputs<T>& in, bool transposed) {
  PairSide<T> p{side_of(x, transposed), in.query, in.key, 0, -1};
  if (x.form == ContrastiveForm::symmetric) p.column_anchors = x.rows;
  if (compares_own_rows(x.form)) p.column_anchors = 0, p.column_cotangent = in.query;
  const auto vector = [](const T* matrix) { return !matrix || aligned16(matrix); };
  p.side.vector = p.side.vector && vector(p.row_cotangent) && vector(p.column_cotangent);
  if (!transposed) return p;
  return {p.side, p.column_cotangent, p.row_cotangent, p.column_anchors, p.row_anchors};
}

/// c and X of a tile of pairs, and t = b X + r c.
template <class T, class K> struct Pairs {
  T score[K::kTM][K::kTN], cross[K::kTM][K::kTN];

  __device__ void make(Feed<T, K>& feed, const PairSide<T>& p, int chunks) {
    clear(score), clear(cross);
#pragma unroll 1
    for (int n = 0; n < chunks; ++n) {
      const T* const chunk = feed.next();
      add_products(score, chunk + K::kRow, chunk);
      if (p.row_cotangent) add_products(cross, chunk + K::kRowCotangent, chunk);
      if (p.column_cotangent) add_products(cross, chunk + K::kRow, chunk + K::kColumnCotangent);
    }
  }
  __device__ T t(int i, int j, T beta, T r) const { return fma(beta, cross[i][j], r * score[i][j]); }
};

template <class T> __device__ T reference_of(const T* lse, int anchor) { return lse[anchor] == -kInfinity<T> ? T(0) : lse[anchor]; }

/// c and X of row i's positive, or of its first one, made by a warp. Zeros without a positive.
template <class T> struct PositivePair {
  T score = 0, cross = 0;
  __device__ PositivePair(const Operands<T>& x, const Inputs<T>& in, int i) {
    const int j = x.positive ? i : x.positive_of(i);
    if (j < 0) return;
    const std::int64_t q = std::int64_t(i) * x.dim, k = std::int64_t(j) * x.dim;
    const T* const key = x.positive ? x.positive : x.key;
    const T* const v = x.positive ? in.positive : compares_own_rows(x.form) ? in.query : in.key;
    score = warp_dot(x.query + q, key + k, x.dim);
    if (in.query) cross = warp_dot(in.query + q, key + k, x.dim);
    if (v) cross = cross + warp_dot(x.query + q, v + k, x.dim);
  }
  __device__ T t(T beta, T r) const { return fma(beta, cross, r * score); }
};

/// G and W of a positive pair, as one of its anchors has them, without 1 / temperature.
template <class T> struct PositiveWeights {
  T g = 0, w = 0;
  __device__ void add(const Inputs<T>& in, const T* ddloss, int anchor) {
    g = g + in.dloss[anchor] * expm1(-in.loss[anchor]);
    w = w - in.dloss[anchor] * exp(-in.loss[anchor]) * ddloss[anchor];
  }
};

}  // namespace gradus::inline v0::cuda::contrast
