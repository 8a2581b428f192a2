#if defined(GRADUS_CUBLAS)

#include <gradus/kernels/cuda/cublas.h>

#include <cublas_v2.h>

#include <string>

#include <gradus/kernels/cuda/column_major.h>
#include <gradus/kernels/device.h>

namespace gradus::inline v0::cuda {
namespace {

void check(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw CudaError(std::string("[gemm] ") + call + ": " + cublasGetStatusString(status) + " (cuBLAS status " + std::to_string(int{status}) +
                  ")");
}

/// The library's state of one thread, bound to its stream. Atomics stay forbidden, as they are by default.
class Handle {
 public:
  Handle() {
    check(cublasCreate(&handle_), "cublasCreate");
    check(cublasSetStream(handle_, static_cast<cudaStream_t>(stream())), "cublasSetStream");
    check(cublasSetMathMode(handle_, CUBLAS_DEFAULT_MATH), "cublasSetMathMode");  // f32 products in f32
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { cublasDestroy(handle_); }  // at the end of a thread: an error has nobody to go to
  operator cublasHandle_t() const { return handle_; }

 private:
  cublasHandle_t handle_ = nullptr;
};

cublasHandle_t handle() {
  static thread_local const Handle instance;
  return instance;
}

cublasOperation_t operation(bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; }

void multiply(const ColumnMajorGemm& g, float* c, const float* a, const float* b) {
  const float alpha = 1, beta = static_cast<float>(g.beta);
  const auto op_a = operation(g.transpose_a), op_b = operation(g.transpose_b);
  if (g.batch == 1) {
    check(cublasSgemm_64(handle(), op_a, op_b, g.m, g.n, g.k, &alpha, a, g.lda, b, g.ldb, &beta, c, g.ldc), "cublasSgemm");
  } else {
    check(cublasSgemmStridedBatched_64(handle(), op_a, op_b, g.m, g.n, g.k, &alpha, a, g.lda, g.stride_a, b, g.ldb, g.stride_b, &beta, c,
                                       g.ldc, g.stride_c, g.batch),
          "cublasSgemmStridedBatched");
  }
}
void multiply(const ColumnMajorGemm& g, double* c, const double* a, const double* b) {
  const double alpha = 1, beta = g.beta;
  const auto op_a = operation(g.transpose_a), op_b = operation(g.transpose_b);
  if (g.batch == 1) {
    check(cublasDgemm_64(handle(), op_a, op_b, g.m, g.n, g.k, &alpha, a, g.lda, b, g.ldb, &beta, c, g.ldc), "cublasDgemm");
  } else {
    check(cublasDgemmStridedBatched_64(handle(), op_a, op_b, g.m, g.n, g.k, &alpha, a, g.lda, g.stride_a, b, g.ldb, g.stride_b, &beta, c,
                                       g.ldc, g.stride_c, g.batch),
          "cublasDgemmStridedBatched");
  }
}

}  // namespace

void cublas_gemm(DType dtype, const Gemm& g, void* c, const void* a, const void* b) {
  GRADUS_ASSERT(blas_takes(g));
  const ColumnMajorGemm columns = column_major(g);  // its A is b
  with_floating(dtype, [&](auto t) {
    using T = decltype(t);
    multiply(columns, static_cast<T*>(c), static_cast<const T*>(b), static_cast<const T*>(a));
  });
}

}  // namespace gradus::inline v0::cuda

#endif
