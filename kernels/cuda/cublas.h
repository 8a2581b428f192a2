// Matrix products by cuBLAS. In the build with GRADUS_CUBLAS only; the one place that knows the library.
#pragma once

#include <gradus/kernels/matmul.h>

namespace gradus::inline v0::cuda {

/// c = op(a) op(b), or c += with g.accumulate, on this thread's stream, in full f32 or f64 (no TF32), the same bits for the same call on
/// the same device. blas_takes(g) has to hold (column_major.h). Throws CudaError with the library's words.
void cublas_gemm(DType dtype, const Gemm& g, void* c, const void* a, const void* b);

}  // namespace gradus::inline v0::cuda
