// Matrix products: row-major, batched, either operand transposed, leading dimensions and batch strides free.
//
// c[i, j] = sum_k a(i, k) b(k, j). On the CPU every output is one chain of multiply-adds over k, in order, cut into blocks of kGemmDepth
// whose sums are added in order: so a row's bits do not depend on the rows beside it, on the thread count or on the transposes. On a GPU
// the shape decides into how many chains an output is cut, so that the number of rows may show in the bits; cuBLAS promises less.
#pragma once

#include <cstddef>

#include <gradus/kernels/array.h>

namespace gradus::inline v0 {

/// k-block of a product on the CPU: part of the definition of its bits (a 256-deep panel of 16 f32 columns is 16 KiB, half an L1).
inline constexpr std::int64_t kGemmDepth = 256;

/// One product, or `batch` of them at fixed strides (in elements; stride 0 repeats an operand).
struct Gemm {
  std::int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false;                // a is stored [k, m]
  bool transpose_b = false;                // b is stored [n, k]
  std::int64_t lda = 0, ldb = 0, ldc = 0;  // elements from one stored row to the next
  std::int64_t batch = 1, stride_a = 0, stride_b = 0, stride_c = 0;
  bool accumulate = false;  // c += instead of c =
};

namespace cpu {
/// Scratch for gemm(): packing panels of every thread that may take part. 0 for products that need none.
std::size_t gemm_workspace_bytes(DType dtype, const Gemm& g);
/// c = op(a) op(b) (+ bias), dtype f32 or f64. `bias` (n elements, added to every row last) may be null.
void gemm(DType dtype, const Gemm& g, void* c, const void* a, const void* b, const void* bias, Workspace workspace);
}  // namespace cpu
namespace cuda {
/// Scratch for gemm(): the sums of the chains where an output is cut into several. 0 where none is, and for cuBLAS.
std::size_t gemm_workspace_bytes(DType dtype, const Gemm& g);
void gemm(DType dtype, const Gemm& g, void* c, const void* a, const void* b, const void* bias, Workspace workspace);
}  // namespace cuda

}  // namespace gradus::inline v0
