// cuBLAS's stand-in: handles and products, with their arguments checked, computed by plain loops on the handle's stream. A wrong argument
// is named on stderr and returned as the library's status. Complex numbers and triangular matrices are not there: the link names them.
#include <cuda_runtime_api.h>

#include <gradus/kernels/emulator/cublas/gemm.h>

namespace gradus::emulator::vendor {
namespace {

template <class T> constexpr cudaDataType_t type_of = CUDA_R_32F;
template <> constexpr cudaDataType_t type_of<double> = CUDA_R_64F;
template <> constexpr cudaDataType_t type_of<__half> = CUDA_R_16F;
template <class T> constexpr cublasComputeType_t compute_of = CUBLAS_COMPUTE_32F;
template <> constexpr cublasComputeType_t compute_of<double> = CUBLAS_COMPUTE_64F;
template <> constexpr cublasComputeType_t compute_of<__half> = CUBLAS_COMPUTE_16F;

cublasStatus_t gemm(cublasHandle_t handle, GemmCall g) {
  if (!is_alive(g.name, handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
  g.scalars = scalar_type(g.compute);
  g.device_scalars = handle->pointer_mode == CUBLAS_POINTER_MODE_DEVICE;
  return run_gemm(handle->stream, g);
}

template <class T> cublasStatus_t gemm_of(const char* call, cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb,
                                          Size m, Size n, Size k, const T* alpha, const T* a, Size lda, Size stride_a, const T* b, Size ldb,
                                          Size stride_b, const T* beta, T* c, Size ldc, Size stride_c, Size batch) {
  constexpr cudaDataType_t type = type_of<T>;
  return gemm(handle, {.name = call,
                       .transa = transa,
                       .transb = transb,
                       .m = m,
                       .n = n,
                       .k = k,
                       .alpha = alpha,
                       .a = {a, type, lda, stride_a},
                       .b = {b, type, ldb, stride_b},
                       .beta = beta,
                       .c = {c, type, ldc, stride_c},
                       .batch = batch,
                       .compute = compute_of<T>});
}

/// The arrays of pointers lie on the device: what is queued before has to fill them first.
template <class T> cublasStatus_t gemm_of_each(const char* call, cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb,
                                               Size m, Size n, Size k, const T* alpha, const T* const* a, Size lda, const T* const* b,
                                               Size ldb, const T* beta, T* const* c, Size ldc, Size batch) {
  if (!is_alive(call, handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (!valid_extent(call, "batchCount", batch)) return CUBLAS_STATUS_INVALID_VALUE;
  cudaStreamSynchronize(handle->stream);
  std::vector<const T*> as(static_cast<std::size_t>(batch)), bs(as.size());
  std::vector<T*> cs(as.size());
  const std::size_t bytes = as.size() * sizeof(T*);
  if (cudaMemcpy(as.data(), a, bytes, cudaMemcpyDefault) != cudaSuccess ||
      cudaMemcpy(bs.data(), b, bytes, cudaMemcpyDefault) != cudaSuccess ||
      cudaMemcpy(cs.data(), c, bytes, cudaMemcpyDefault) != cudaSuccess)
    return CUBLAS_STATUS_INVALID_VALUE;
  cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
  for (std::size_t i = 0; i < as.size() && status == CUBLAS_STATUS_SUCCESS; ++i)
    status = gemm_of<T>(call, handle, transa, transb, m, n, k, alpha, as[i], lda, 0, bs[i], ldb, 0, beta, cs[i], ldc, 0, 1);
  return status;
}

template <class F> cublasStatus_t on_handle(const char* call, cublasHandle_t handle, const F& f) {
  if (!is_alive(call, handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
  f(*handle);
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace
}  // namespace gradus::emulator::vendor

using namespace gradus::emulator::vendor;

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  if (!handle) {
    complain("cublasCreate", "handle", "is null");
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  *handle = Live<cublasContext>::instance().create();
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  return on_handle("cublasDestroy", handle, [&](cublasContext& context) {
    cudaStreamSynchronize(context.stream);
    Live<cublasContext>::instance().destroy(handle);
  });
}
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  return on_handle("cublasSetStream", handle, [&](cublasContext& context) { context.stream = stream; });
}
cublasStatus_t cublasGetStream_v2(cublasHandle_t handle, cudaStream_t* stream) {
  return on_handle("cublasGetStream", handle, [&](cublasContext& context) { *stream = context.stream; });
}
cublasStatus_t cublasSetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t mode) {
  return on_handle("cublasSetPointerMode", handle, [&](cublasContext& context) { context.pointer_mode = mode; });
}
cublasStatus_t cublasGetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t* mode) {
  return on_handle("cublasGetPointerMode", handle, [&](cublasContext& context) { *mode = context.pointer_mode; });
}
cublasStatus_t cublasSetAtomicsMode(cublasHandle_t handle, cublasAtomicsMode_t mode) {
  return on_handle("cublasSetAtomicsMode", handle, [&](cublasContext& context) { context.atomics = mode; });
}
cublasStatus_t cublasGetAtomicsMode(cublasHandle_t handle, cublasAtomicsMode_t* mode) {
  return on_handle("cublasGetAtomicsMode", handle, [&](cublasContext& context) { *mode = context.atomics; });
}
// A mode allows the library to round more; the stand-in never does.
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  return on_handle("cublasSetMathMode", handle, [&](cublasContext& context) { context.math = mode; });
}
cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t* mode) {
  return on_handle("cublasGetMathMode", handle, [&](cublasContext& context) { *mode = context.math; });
}
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void*, size_t) {
  return on_handle("cublasSetWorkspace", handle, [](cublasContext&) {});
}
cublasStatus_t cublasGetVersion_v2(cublasHandle_t handle, int* version) {
  return on_handle("cublasGetVersion", handle, [&](cublasContext&) { *version = CUBLAS_VERSION; });
}
const char* cublasGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "success";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "the library was not initialized";
    case CUBLAS_STATUS_ALLOC_FAILED: return "the resource allocation failed";
    case CUBLAS_STATUS_INVALID_VALUE: return "an unsupported value or parameter was passed to the function";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "the functionality requested is not supported";
    default: return "an error of the library";
  }
}
const char* cublasGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    default: return "unrecognized error code";
  }
}

// Every product comes with sizes of int, and of int64_t under a name of its own.
#define GRADUS_GEMM(NAME, SUFFIX, CALL, T, INT)                                                                               \
  cublasStatus_t NAME##SUFFIX(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, INT m, INT n, INT k, \
                              const T* alpha, const T* A, INT lda, const T* B, INT ldb, const T* beta, T* C, INT ldc) {       \
    return gemm_of<T>(CALL, handle, transa, transb, m, n, k, alpha, A, lda, 0, B, ldb, 0, beta, C, ldc, 0, 1);                \
  }
#define GRADUS_GEMM_STRIDED(NAME, SUFFIX, T, INT)                                                                                          \
  cublasStatus_t NAME##SUFFIX(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, INT m, INT n, INT k,              \
                              const T* alpha, const T* A, INT lda, long long int strideA, const T* B, INT ldb, long long int strideB,      \
                              const T* beta, T* C, INT ldc, long long int strideC, INT batchCount) {                                       \
    return gemm_of<T>(#NAME, handle, transa, transb, m, n, k, alpha, A, lda, strideA, B, ldb, strideB, beta, C, ldc, strideC, batchCount); \
  }
#define GRADUS_GEMM_BATCHED(NAME, SUFFIX, T, INT)                                                                                    \
  cublasStatus_t NAME##SUFFIX(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, INT m, INT n, INT k,        \
                              const T* alpha, const T* const A[], INT lda, const T* const B[], INT ldb, const T* beta, T* const C[], \
                              INT ldc, INT batchCount) {                                                                             \
    return gemm_of_each<T>(#NAME, handle, transa, transb, m, n, k, alpha, A, lda, B, ldb, beta, C, ldc, batchCount);                 \
  }
#define GRADUS_GEMM_EX(SUFFIX, INT)                                                                                                       \
  cublasStatus_t cublasGemmEx##SUFFIX(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, INT m, INT n, INT k,     \
                                      const void* alpha, const void* A, cudaDataType Atype, INT lda, const void* B, cudaDataType Btype,   \
                                      INT ldb, const void* beta, void* C, cudaDataType Ctype, INT ldc, cublasComputeType_t computeType,   \
                                      cublasGemmAlgo_t) {                                                                                 \
    return gemm(handle, {.name = "cublasGemmEx",                                                                                          \
                         .transa = transa,                                                                                                \
                         .transb = transb,                                                                                                \
                         .m = m,                                                                                                          \
                         .n = n,                                                                                                          \
                         .k = k,                                                                                                          \
                         .alpha = alpha,                                                                                                  \
                         .a = {A, Atype, lda, 0},                                                                                         \
                         .b = {B, Btype, ldb, 0},                                                                                         \
                         .beta = beta,                                                                                                    \
                         .c = {C, Ctype, ldc, 0},                                                                                         \
                         .compute = computeType});                                                                                        \
  }                                                                                                                                       \
  cublasStatus_t cublasSgemmEx##SUFFIX(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, INT m, INT n, INT k,    \
                                       const float* alpha, const void* A, cudaDataType Atype, INT lda, const void* B, cudaDataType Btype, \
                                       INT ldb, const float* beta, void* C, cudaDataType Ctype, INT ldc) {                                \
    return gemm(handle, {.name = "cublasSgemmEx",                                                                                         \
                         .transa = transa,                                                                                                \
                         .transb = transb,                                                                                                \
                         .m = m,                                                                                                          \
                         .n = n,                                                                                                          \
                         .k = k,                                                                                                          \
                         .alpha = alpha,                                                                                                  \
                         .a = {A, Atype, lda, 0},                                                                                         \
                         .b = {B, Btype, ldb, 0},                                                                                         \
                         .beta = beta,                                                                                                    \
                         .c = {C, Ctype, ldc, 0}});                                                                                       \
  }                                                                                                                                       \
  cublasStatus_t cublasGemmStridedBatchedEx##SUFFIX(                                                                                      \
      cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, INT m, INT n, INT k, const void* alpha, const void* A,   \
      cudaDataType Atype, INT lda, long long int strideA, const void* B, cudaDataType Btype, INT ldb, long long int strideB,              \
      const void* beta, void* C, cudaDataType Ctype, INT ldc, long long int strideC, INT batchCount, cublasComputeType_t computeType,     \
      cublasGemmAlgo_t) {                                                                                                                 \
    return gemm(handle, {.name = "cublasGemmStridedBatchedEx",                                                                            \
                         .transa = transa,                                                                                                \
                         .transb = transb,                                                                                                \
                         .m = m,                                                                                                          \
                         .n = n,                                                                                                          \
                         .k = k,                                                                                                          \
                         .alpha = alpha,                                                                                                  \
                         .a = {A, Atype, lda, strideA},                                                                                   \
                         .b = {B, Btype, ldb, strideB},                                                                                   \
                         .beta = beta,                                                                                                    \
                         .c = {C, Ctype, ldc, strideC},                                                                                   \
                         .batch = batchCount,                                                                                             \
                         .compute = computeType});                                                                                        \
  }

// The suffix of the plain products tells them from those of an older interface.
#define GRADUS_GEMMS(SUFFIX, INT)                                     \
  GRADUS_GEMM(cublasSgemm_v2, SUFFIX, "cublasSgemm", float, INT)      \
  GRADUS_GEMM(cublasDgemm_v2, SUFFIX, "cublasDgemm", double, INT)     \
  GRADUS_GEMM(cublasHgemm, SUFFIX, "cublasHgemm", __half, INT)        \
  GRADUS_GEMM_STRIDED(cublasSgemmStridedBatched, SUFFIX, float, INT)  \
  GRADUS_GEMM_STRIDED(cublasDgemmStridedBatched, SUFFIX, double, INT) \
  GRADUS_GEMM_STRIDED(cublasHgemmStridedBatched, SUFFIX, __half, INT) \
  GRADUS_GEMM_BATCHED(cublasSgemmBatched, SUFFIX, float, INT)         \
  GRADUS_GEMM_BATCHED(cublasDgemmBatched, SUFFIX, double, INT)        \
  GRADUS_GEMM_BATCHED(cublasHgemmBatched, SUFFIX, __half, INT)        \
  GRADUS_GEMM_EX(SUFFIX, INT)

GRADUS_GEMMS(, int)
GRADUS_GEMMS(_64, int64_t)

}  // extern "C"
