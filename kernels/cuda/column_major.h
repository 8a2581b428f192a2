// A row-major product in the terms of BLAS, whose matrices are column-major. A pure function, since here the mistakes live.
//
// A row-major matrix [rows, columns] with rows ld apart is, read by columns, its transpose [columns, rows] with columns ld apart. So
// c = op(a) op(b) is computed as c^T = op(b)^T op(a)^T: operands trade places, extents m and n too, and neither transpose flag changes.
#pragma once

#include <gradus/kernels/matmul.h>

namespace gradus::inline v0::cuda {

/// C[m, n] = op(A)[m, k] op(B)[k, n] + beta C, column-major; where an operand is transposed it is stored as [k, m] or [n, k].
struct ColumnMajorGemm {
  bool transpose_a = false, transpose_b = false;
  std::int64_t m = 0, n = 0, k = 0;
  std::int64_t lda = 0, ldb = 0, ldc = 0;
  std::int64_t batch = 1, stride_a = 0, stride_b = 0, stride_c = 0;
  double beta = 0;
};

/// A is g's b, B is g's a. A leading dimension that is never used, because there is only one column, is raised to what BLAS demands.
inline ColumnMajorGemm column_major(const Gemm& g) {
  const auto leading = [](std::int64_t ld, std::int64_t rows, std::int64_t columns) {
    const std::int64_t least = rows > 1 ? rows : 1;
    return columns <= 1 && ld < least ? least : ld;
  };
  ColumnMajorGemm c;
  c.transpose_a = g.transpose_b, c.transpose_b = g.transpose_a;
  c.m = g.n, c.n = g.m, c.k = g.k;
  c.lda = g.transpose_b ? leading(g.ldb, g.k, g.n) : leading(g.ldb, g.n, g.k);
  c.ldb = g.transpose_a ? leading(g.lda, g.m, g.k) : leading(g.lda, g.k, g.m);
  c.ldc = leading(g.ldc, g.n, g.m);
  c.batch = g.batch, c.stride_a = g.stride_b, c.stride_b = g.stride_a, c.stride_c = g.stride_c;
  c.beta = g.accumulate ? 1 : 0;
  return c;
}

/// Whether BLAS has this product: something to sum, and rows that do not overlap.
inline bool blas_takes(const Gemm& g) {
  const ColumnMajorGemm c = column_major(g);
  return c.m > 0 && c.n > 0 && c.k > 0 && c.batch > 0 && c.lda >= (c.transpose_a ? c.k : c.m) && c.ldb >= (c.transpose_b ? c.n : c.k) &&
         c.ldc >= c.m;
}

}  // namespace gradus::inline v0::cuda
