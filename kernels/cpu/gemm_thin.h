// Products too thin for the blocked path of gemm.h: up to 3 rows, and a handful of outputs. Same chains, same bits. Hot files only.
#pragma once

#include <gradus/kernels/cpu/gemm.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {

/// One matrix product, transposes resolved: a(i, p) = a[i * a_row + p * a_depth]; b(p, j) = b[p * ldb + j], or b[j * ldb + p] if
/// transposed.
template <class T> struct Product {
  std::int64_t m, n, k;
  const T* a;
  std::int64_t a_row, a_depth;
  const T* b;
  std::int64_t ldb;
  bool b_transposed;
  T* c;
  std::int64_t ldc;
  bool accumulate;
  const T* column_bias;
  const T* row_bias;

  GRADUS_INLINE Destination<T> tile(std::int64_t i, std::int64_t j, std::int64_t columns, bool first, bool last) const {
    return {c + i * ldc + j,
            ldc,
            columns,
            !first || accumulate,
            last && column_bias ? column_bias + j : nullptr,
            last && row_bias ? row_bias + i : nullptr};
  }
};

/// Rows of a k-deep b, counted from its end, of which `width` elements from column j on would pass the end.
GRADUS_INLINE std::int64_t unsafe_rows(std::int64_t n, std::int64_t ldb, std::int64_t j, std::int64_t width) {
  const std::int64_t excess = width - (n - j);
  if (excess <= 0) return 0;
  return ldb >= excess || ldb <= 0 ? 1 : blocks_of(excess, ldb);
}

/// Columns [j, j + columns) of a straight b where they are, the unsafe rows copied to `tail` (room for Width x Width).
template <class T, int Width> GRADUS_INLINE ColumnPanel<T> in_place(const Product<T>& g, std::int64_t j, std::int64_t columns,
                                                                    std::int64_t k0, std::int64_t kc, T* tail) {
  const T* b = g.b + k0 * g.ldb + j;
  const std::int64_t rows = smaller(kc, larger(0, unsafe_rows(g.n, g.ldb, j, Width) - (g.k - k0 - kc)));
  if (rows > 0) pack_straight<T, Width>(tail, b + (kc - rows) * g.ldb, g.ldb, columns, rows);
  return {b, g.ldb, tail, rows};
}

/// A handful of outputs, one by one.
template <class T> void multiply_each(const Product<T>& g) {
  const std::int64_t b_depth = g.b_transposed ? 1 : g.ldb, b_column = g.b_transposed ? g.ldb : 1;
  for (std::int64_t i = 0; i < g.m; ++i)
    for (std::int64_t j = 0; j < g.n; ++j) {
      Vec<T> sum(T(0));  // one lane counts: the fma of a vector, not that of the compiler
      const T *a = g.a + i * g.a_row, *b = g.b + j * b_column;
      for (std::int64_t p = 0; p < g.k; ++p) sum = fma(Vec<T>(a[p * g.a_depth]), Vec<T>(b[p * b_depth]), sum);
      T v = packet::pfirst(sum.p);
      if (g.accumulate) v = g.c[i * g.ldc + j] + v;
      if (g.column_bias) v += g.column_bias[j];
      if (g.row_bias) v += g.row_bias[i];
      g.c[i * g.ldc + j] = v;
    }
}

/// M rows, b straight and in place: tiles of 4 vectors, so that there are chains enough to hide the latency of an fma.
template <class T, int M> void multiply_thin(const Product<T>& g) {
  T tail[kWidePanel<T> * kWidePanel<T>];
  std::int64_t k0 = 0;
  do {
    const std::int64_t kc = smaller(g.k - k0, kGemmDepth);
    const RowPanel<T> a{g.a + k0 * g.a_depth, g.a_row, g.a_depth};
    for (std::int64_t j = 0; j < g.n; j += kWidePanel<T>) {
      const std::int64_t columns = smaller(g.n - j, kWidePanel<T>);
      const Destination<T> d = g.tile(0, j, columns, k0 == 0, k0 + kc >= g.k);
      if (columns > kPanel<T>) compute_tile<T, M, 4>(kc, a, in_place<T, kWidePanel<T>>(g, j, columns, k0, kc, tail), d);
      else compute_tile<T, M, 2>(kc, a, in_place<T, kPanel<T>>(g, j, columns, k0, kc, tail), d);
    }
    k0 += kc;
  } while (k0 < g.k);
}

/// acc[g][i] += sum over p in [skip, W) of a(i, p) b[(W g + lane) * ldb + p]: a W x W block of a transposed b at a time. Columns past
/// `last` repeat it.
template <class T, int M, int G, bool Whole> GRADUS_INLINE void multiply_add_block(Vec<T> (&acc)[G][M], std::int64_t skip, const T* a,
                                                                                   std::int64_t row, std::int64_t depth, const T* b,
                                                                                   std::int64_t ldb, std::int64_t last) {
  constexpr int W = Vec<T>::W;
  T columns[W][G * W];  // through memory: G x W registers are more than there are
  GRADUS_UNROLL for (int g = 0; g < G; ++g) {
    Vec<T> v[W];
    GRADUS_UNROLL for (int c = 0; c < W; ++c) v[c] = Vec<T>::load(b + (Whole ? g * W + c : smaller(g * W + c, last)) * ldb);
    transpose(v);
    GRADUS_UNROLL for (int p = 0; p < W; ++p) v[p].store(columns[p] + g * W);
  }
  for (std::int64_t p = skip; p < W; ++p) GRADUS_UNROLL for (int i = 0; i < M; ++i) {
      const Vec<T> ai(a[i * row + p * depth]);
      GRADUS_UNROLL for (int g = 0; g < G; ++g) acc[g][i] = fma(ai, Vec<T>::load(columns[p] + g * W), acc[g][i]);
    }
}

/// The same over a block of k; its last step may read back, into the step or the block before it.
template <class T, int M, int G, bool Whole> GRADUS_INLINE void multiply_add_transposed(Vec<T> (&acc)[G][M], std::int64_t k, const T* a,
                                                                                        std::int64_t row, std::int64_t depth, const T* b,
                                                                                        std::int64_t ldb, std::int64_t last) {
  constexpr int W = Vec<T>::W;
  for (; k >= W; k -= W, a += W * depth, b += W) multiply_add_block<T, M, G, Whole>(acc, 0, a, row, depth, b, ldb, last);
  const std::int64_t skip = W - k;
  if (k > 0) multiply_add_block<T, M, G, Whole>(acc, skip, a - skip * depth, row, depth, b - skip, ldb, last);
}

template <class T, int M, int G, bool Whole> void thin_transposed_tile(const Product<T>& g, std::int64_t j) {
  for (std::int64_t k0 = 0, kc; k0 < g.k; k0 += kc) {
    kc = smaller(g.k - k0, kGemmDepth);
    Vec<T> acc[G][M];
    GRADUS_UNROLL for (int v = 0; v < G; ++v) GRADUS_UNROLL for (int i = 0; i < M; ++i) acc[v][i] = Vec<T>(T(0));
    multiply_add_transposed<T, M, G, Whole>(acc, kc, g.a + k0 * g.a_depth, g.a_row, g.a_depth, g.b + j * g.ldb + k0, g.ldb, g.n - 1 - j);
    put(g.tile(0, j, g.n - j, k0 == 0, k0 + kc >= g.k), acc);
  }
}

/// M rows, b transposed, k >= W.
template <class T, int M> void multiply_thin_transposed(const Product<T>& g) {
  constexpr int W = Vec<T>::W;
  for (std::int64_t j = 0; j < g.n;) {
    const std::int64_t left = g.n - j;
    if (M == 1 && left > 2 * W) {
      left >= 4 * W ? thin_transposed_tile<T, M, 4, true>(g, j) : thin_transposed_tile<T, M, 4, false>(g, j);
      j += 4 * W;
    } else if (left > W) {
      left >= 2 * W ? thin_transposed_tile<T, M, 2, true>(g, j) : thin_transposed_tile<T, M, 2, false>(g, j);
      j += 2 * W;
    } else {
      left == W ? thin_transposed_tile<T, M, 1, true>(g, j) : thin_transposed_tile<T, M, 1, false>(g, j);
      j += W;
    }
  }
}

/// Takes the products that the blocked path would be slow for; false: not one of them.
template <class T> bool multiply_if_thin(const Product<T>& g) {
  if (g.n < Vec<T>::W && g.m * g.n * g.k <= 128) return multiply_each(g), true;  // up to here a tile costs more than the outputs
  if (g.m > 3) return false;
  if (!g.b_transposed) return (g.m == 1 ? multiply_thin<T, 1>(g) : g.m == 2 ? multiply_thin<T, 2>(g) : multiply_thin<T, 3>(g)), true;
  if (g.k < Vec<T>::W) return false;
  return (g.m == 1   ? multiply_thin_transposed<T, 1>(g)
          : g.m == 2 ? multiply_thin_transposed<T, 2>(g)
                     : multiply_thin_transposed<T, 3>(g)),
         true;
}

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
