// One product as the kernels of gemm.cu and gemm_ladder.cu read it.
#pragma once

#include <gradus/kernels/cuda/gemm.h>
#include <gradus/kernels/cuda/gemm_tile.cuh>

namespace gradus::inline v0::cuda::product {

template <class T> struct GemmCall {
  T* c;
  const T *a, *b, *bias;
  std::int64_t m, n, k, chunk;  // chunk: depth of a chain
  std::int64_t lda, ldb, ldc, stride_a, stride_b, stride_c;
  bool transpose_a, transpose_b, accumulate;

  __device__ std::int64_t a_at(std::int64_t i, std::int64_t p) const { return transpose_a ? p * lda + i : i * lda + p; }
  __device__ std::int64_t b_at(std::int64_t p, std::int64_t j) const { return transpose_b ? j * ldb + p : p * ldb + j; }
  /// Chains of an output: one of no products where k is 0.
  __host__ __device__ std::int64_t chunks() const { return k > 0 ? (k + chunk - 1) / chunk : 1; }
  __device__ int depth(std::int64_t p) const { return static_cast<int>(k - p < chunk ? k - p : chunk); }  // of the chain that begins at p
};

/// c[at] after the chain whose sum is given: the first is added to c only if the product accumulates, the last gets the bias.
template <class T> __device__ inline void add_chain(const GemmCall<T>& g, T* c, T sum, std::int64_t j, bool first, bool last) {
  T v = chain_end(sum);
  if (!first || g.accumulate) v = *c + v;
  if (last && g.bias) v += g.bias[j];
  *c = v;
}

/// Which tile of which product a block computes: tiles of a row are neighbours, so blocks that run together share rows of a.
template <int kRows, int kColumns> struct BlockTile {
  unsigned i, j, item;  // of tiles; product (or product and chunk) of the batch

  __device__ BlockTile(std::int64_t m, std::int64_t n) {
    const auto row_tiles = static_cast<unsigned>((m + kRows - 1) / kRows),
               column_tiles = static_cast<unsigned>((n + kColumns - 1) / kColumns);
    const unsigned tile = blockIdx.x / column_tiles;
    i = tile % row_tiles, j = blockIdx.x % column_tiles, item = tile / row_tiles;
  }
  __device__ std::int64_t row() const { return std::int64_t{i} * kRows; }
  __device__ std::int64_t column() const { return std::int64_t{j} * kColumns; }
  __device__ int rows(std::int64_t m) const { return static_cast<int>(m - row() < kRows ? m - row() : kRows); }
  __device__ int columns(std::int64_t n) const { return static_cast<int>(n - column() < kColumns ? n - column() : kColumns); }
};
inline unsigned tiles_of(const Gemm& g, int rows, int columns) {
  return static_cast<unsigned>((g.m + rows - 1) / rows * ((g.n + columns - 1) / columns));
}

template <class T> GemmCall<T> gemm_call(const Gemm& g, void* c, const void* a, const void* b, const void* bias) {
  return {static_cast<T*>(c),
          static_cast<const T*>(a),
          static_cast<const T*>(b),
          static_cast<const T*>(bias),
          g.m,
          g.n,
          g.k,
          gemm_chunk(g.k),
          g.lda,
          g.ldb,
          g.ldc,
          g.stride_a,
          g.stride_b,
          g.stride_c,
          g.transpose_a,
          g.transpose_b,
          g.accumulate};
}

/// Versions 1 to 3 (gemm_ladder.cu).
void gemm_naive(DType dtype, const Gemm& g, void* c, const void* a, const void* b, const void* bias);
void gemm_shared_tiles(DType dtype, const Gemm& g, void* c, const void* a, const void* b, const void* bias);
void gemm_register_tiles(DType dtype, const Gemm& g, void* c, const void* a, const void* b, const void* bias);

}  // namespace gradus::inline v0::cuda::product
