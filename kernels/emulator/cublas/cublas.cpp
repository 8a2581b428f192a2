// cuBLAS's stand-in: the entry points that kernels/cuda/cublas.cpp uses, with their arguments checked, computed by plain column-major loops
// on the handle's stream.
//
//   C[m, n] = alpha op(A)[m, k] op(B)[k, n] + beta C, column-major: element (i, j) at i + j ld
//
// A wrong argument is named on stderr and returned as the library's status. Stricter than the library: C may not overlap A or B, nor items
// of a batch of C each other.
#include <cublas_v2.h>

#include <algorithm>

#include <gradus/kernels/emulator/cublas/vendor_call.h>

struct cublasContext {
  cudaStream_t stream = nullptr;
};

namespace gradus::emulator::vendor {
namespace {

using Size = std::int64_t;

bool is_alive(const char* call, cublasHandle_t handle) {
  if (handle && Live<cublasContext>::instance().has(handle)) return true;
  complain(call, "handle", "is not a live cuBLAS handle: it was never created, or has been destroyed");
  return false;
}

template <class T> struct GemmArguments {
  cublasOperation_t transa, transb;
  Size m, n, k;
  const T *alpha, *a;
  Size lda, stride_a;
  const T* b;
  Size ldb, stride_b;
  const T *beta, *c;
  Size ldc, stride_c, batch;
};

template <class T> class Gemm {
 public:
  Gemm(const char* call, const GemmArguments<T>& g) : call_(call), g_(g) {}

  cublasStatus_t run(cublasHandle_t handle) const {
    if (!is_alive(call_, handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!valid()) return CUBLAS_STATUS_INVALID_VALUE;
    if (g_.m == 0 || g_.n == 0 || g_.batch == 0) return CUBLAS_STATUS_SUCCESS;
    std::vector<Range> reads, writes;
    const bool product = g_.k > 0 && *g_.alpha != T(0);
    if (product) a().add_to(reads), b().add_to(reads);
    if (*g_.beta != T(0)) c().add_to(reads);
    c().add_to(writes);
    const std::uint64_t bytes = (product ? a().bytes() + b().bytes() : 0) + c().bytes() * (*g_.beta != T(0) ? 2 : 1);
    const auto flops = static_cast<std::uint64_t>(2 * g_.m * g_.n * g_.k * g_.batch);
    const T alpha = *g_.alpha, beta = *g_.beta;  // host scalars: read now
    const auto work = [g = g_, alpha, beta] { compute(g, alpha, beta); };
    return enqueue_host_work(handle->stream, call_, work, reads, writes, counts_of(flops, bytes)) ? CUBLAS_STATUS_SUCCESS
                                                                                                  : CUBLAS_STATUS_INVALID_VALUE;
  }

 private:
  Matrices matrices(const T* data, const char* name, Size rows, Size columns, Size ld, Size stride) const {
    return {data, name, Size{sizeof(T)}, rows, columns, ld, g_.batch, stride};
  }
  Matrices a() const {
    const bool t = g_.transa != CUBLAS_OP_N;
    return matrices(g_.a, "A", t ? g_.k : g_.m, t ? g_.m : g_.k, g_.lda, g_.stride_a);
  }
  Matrices b() const {
    const bool t = g_.transb != CUBLAS_OP_N;
    return matrices(g_.b, "B", t ? g_.n : g_.k, t ? g_.k : g_.n, g_.ldb, g_.stride_b);
  }
  Matrices c() const { return matrices(g_.c, "C", g_.m, g_.n, g_.ldc, g_.stride_c); }

  bool fail(const char* argument, const std::string& why) const {
    complain(call_, argument, why);
    return false;
  }
  bool valid() const {
    return valid_operation("transa", g_.transa) && valid_operation("transb", g_.transb) && valid_extent("m", g_.m) &&
           valid_extent("n", g_.n) && valid_extent("k", g_.k) && valid_extent("batchCount", g_.batch) && valid_leading("lda", a()) &&
           valid_leading("ldb", b()) && valid_leading("ldc", c()) && valid_scalar("alpha", g_.alpha) && valid_scalar("beta", g_.beta) &&
           (g_.k == 0 || (valid_pointer(a()) && valid_pointer(b()))) && valid_pointer(c()) && apart();
  }
  bool valid_operation(const char* name, cublasOperation_t op) const {
    if (op == CUBLAS_OP_N || op == CUBLAS_OP_T || op == CUBLAS_OP_C) return true;
    return fail(name, "is " + std::to_string(static_cast<int>(op)) + ": expected CUBLAS_OP_N, _T or _C");
  }
  bool valid_extent(const char* name, Size extent) const {
    return extent >= 0 || fail(name, "is " + std::to_string(extent) + ": expected 0 or more");
  }
  bool valid_leading(const char* name, const Matrices& x) const {
    const Size least = std::max<Size>(1, x.rows);
    return x.ld >= least || fail(name, "is " + std::to_string(x.ld) + ": expected at least the " + std::to_string(least) +
                                           " rows of the stored matrix " + x.name);
  }
  bool valid_scalar(const char* name, const T* scalar) const { return scalar || fail(name, "is null"); }
  bool valid_pointer(const Matrices& x) const {
    if (x.span() == 0) return true;
    if (!x.data) return fail(x.name, "is null");
    return reinterpret_cast<std::uintptr_t>(x.data) % sizeof(T) == 0 || fail(x.name, "is not aligned to its elements");
  }
  bool apart() const {
    if (overlaps_itself(c())) return fail("strideC", "is " + std::to_string(g_.stride_c) + ": items of C overlap");
    if (g_.k > 0 && (overlap(c(), a()) || overlap(c(), b()))) return fail("C", "overlaps an operand");
    return true;
  }

  static void compute(const GemmArguments<T>& g, T alpha, T beta) {
    const T* const all_a = g.k > 0 ? static_cast<const T*>(device_bytes(g.a)) : nullptr;
    const T* const all_b = g.k > 0 ? static_cast<const T*>(device_bytes(g.b)) : nullptr;
    T* const all_c = static_cast<T*>(device_bytes(g.c));
    std::vector<T> sums(static_cast<std::size_t>(g.m));
    for (Size item = 0; item < g.batch; ++item)
      for (Size j = 0; j < g.n; ++j) {
        std::fill(sums.begin(), sums.end(), T(0));
        for (Size p = 0; p < g.k; ++p) {
          const T* const a = all_a + item * g.stride_a;
          const T b = all_b[item * g.stride_b + (g.transb == CUBLAS_OP_N ? p + j * g.ldb : j + p * g.ldb)];
          for (Size i = 0; i < g.m; ++i)
            sums[static_cast<std::size_t>(i)] += a[g.transa == CUBLAS_OP_N ? i + p * g.lda : p + i * g.lda] * b;
        }
        T* const c = all_c + item * g.stride_c + j * g.ldc;
        for (Size i = 0; i < g.m; ++i) c[i] = alpha * sums[static_cast<std::size_t>(i)] + (beta == T(0) ? T(0) : beta * c[i]);
      }
  }

  const char* call_;
  GemmArguments<T> g_;
};

}  // namespace
}  // namespace gradus::emulator::vendor

using gradus::emulator::vendor::Gemm;
using gradus::emulator::vendor::Live;

extern "C" {

cublasStatus_t cublasCreate_v2(cublasHandle_t* handle) {
  if (!handle) {
    gradus::emulator::vendor::complain("cublasCreate", "handle", "is null");
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  *handle = Live<cublasContext>::instance().create();
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
  if (!gradus::emulator::vendor::is_alive("cublasDestroy", handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
  Live<cublasContext>::instance().destroy(handle);
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  if (!gradus::emulator::vendor::is_alive("cublasSetStream", handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  if (!gradus::emulator::vendor::is_alive("cublasSetMathMode", handle)) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (mode == CUBLAS_DEFAULT_MATH || mode == CUBLAS_PEDANTIC_MATH) return CUBLAS_STATUS_SUCCESS;
  gradus::emulator::vendor::complain(
      "cublasSetMathMode", "mode",
      "is " + std::to_string(static_cast<int>(mode)) + ": the stand-in has full precision only (CUBLAS_DEFAULT_MATH)");
  return CUBLAS_STATUS_NOT_SUPPORTED;
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

cublasStatus_t cublasSgemm_v2_64(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int64_t m, int64_t n, int64_t k,
                                 const float* alpha, const float* A, int64_t lda, const float* B, int64_t ldb, const float* beta, float* C,
                                 int64_t ldc) {
  return Gemm<float>("cublasSgemm", {transa, transb, m, n, k, alpha, A, lda, 0, B, ldb, 0, beta, C, ldc, 0, 1}).run(handle);
}
cublasStatus_t cublasDgemm_v2_64(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int64_t m, int64_t n, int64_t k,
                                 const double* alpha, const double* A, int64_t lda, const double* B, int64_t ldb, const double* beta,
                                 double* C, int64_t ldc) {
  return Gemm<double>("cublasDgemm", {transa, transb, m, n, k, alpha, A, lda, 0, B, ldb, 0, beta, C, ldc, 0, 1}).run(handle);
}
cublasStatus_t cublasSgemmStridedBatched_64(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int64_t m, int64_t n,
                                            int64_t k, const float* alpha, const float* A, int64_t lda, long long int strideA,
                                            const float* B, int64_t ldb, long long int strideB, const float* beta, float* C, int64_t ldc,
                                            long long int strideC, int64_t batchCount) {
  return Gemm<float>("cublasSgemmStridedBatched",
                     {transa, transb, m, n, k, alpha, A, lda, strideA, B, ldb, strideB, beta, C, ldc, strideC, batchCount})
      .run(handle);
}
cublasStatus_t cublasDgemmStridedBatched_64(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int64_t m, int64_t n,
                                            int64_t k, const double* alpha, const double* A, int64_t lda, long long int strideA,
                                            const double* B, int64_t ldb, long long int strideB, const double* beta, double* C, int64_t ldc,
                                            long long int strideC, int64_t batchCount) {
  return Gemm<double>("cublasDgemmStridedBatched",
                      {transa, transb, m, n, k, alpha, A, lda, strideA, B, ldb, strideB, beta, C, ldc, strideC, batchCount})
      .run(handle);
}

}  // extern "C"
