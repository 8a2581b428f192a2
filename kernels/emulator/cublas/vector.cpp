// cuBLAS's stand-in: operations on vectors, and on a matrix and a vector; copies between host and device. f32 and f64.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include <gradus/kernels/emulator/cublas/context.h>

namespace gradus::emulator::vendor {
namespace {

/// Element i of a strided vector on the device.
template <class T> struct Strided {
  T* data;
  Size increment;

  T& operator[](Size i) const { return static_cast<T*>(const_cast<void*>(device_bytes(data)))[i * increment]; }
};

Matrices vector_of(const void* data, const char* name, Size element, Size n, Size increment) {
  if (increment == 1) return {data, name, element, n, 1, n, 1, 0};
  return {data, name, element, 1, n, increment, 1, 0};
}

/// One call: its operands are added first, each checked; then the work is queued.
class VectorCall {
 public:
  VectorCall(const char* call, cublasHandle_t handle) : call_(call), handle_(handle) {
    if (!is_alive(call, handle)) status_ = CUBLAS_STATUS_NOT_INITIALIZED;
  }

  template <class T> VectorCall& vector(const char* name, const T* data, Size n, Size increment, bool reads, bool writes) {
    if (status_ != CUBLAS_STATUS_SUCCESS) return *this;
    if (increment < 1) {
      complain(call_, name, "has the increment " + std::to_string(increment) + ": the stand-in takes positive ones");
      status_ = CUBLAS_STATUS_NOT_SUPPORTED;
      return *this;
    }
    return matrices(vector_of(data, name, Size{sizeof(T)}, n, increment), reads, writes);
  }
  template <class T> VectorCall& matrix(const char* name, const T* data, Size rows, Size columns, Size ld, bool reads, bool writes) {
    const Matrices x{data, name, Size{sizeof(T)}, rows, columns, ld, 1, 0};
    if (status_ == CUBLAS_STATUS_SUCCESS && !valid_leading(call_, "lda", x)) status_ = CUBLAS_STATUS_INVALID_VALUE;
    return matrices(x, reads, writes);
  }
  /// A scalar on the host is read now, one on the device is read later: value() gives it inside the work.
  template <class T> VectorCall& scalar(const char* name, const T* data) {
    if (status_ != CUBLAS_STATUS_SUCCESS) return *this;
    if (!data) {
      complain(call_, name, "is null");
      status_ = CUBLAS_STATUS_INVALID_VALUE;
    } else if (on_device()) {
      reads_.push_back({data, sizeof(T), name});
    }
    return *this;
  }
  template <class T> auto value(const T* data) const {
    return [data, kept = on_device() || !data ? T(0) : *data, device = on_device()] {
      return device ? *static_cast<const T*>(device_bytes(data)) : kept;
    };
  }

  template <class F> cublasStatus_t run(Size flops, const F& work) {
    if (status_ != CUBLAS_STATUS_SUCCESS) return status_;
    const Counters counts = counts_of(static_cast<std::uint64_t>(flops), bytes_);
    return enqueue_host_work(handle_->stream, call_, work, reads_, writes_, counts) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
  }
  /// For calls that return a number: to the host after waiting for it, or to the device.
  template <class T, class F> cublasStatus_t reduce(T* result, Size flops, const F& value) {
    scalar_out(result);
    if (status_ != CUBLAS_STATUS_SUCCESS) return status_;
    const bool device = on_device();
    const cublasStatus_t status =
        run(flops, [=] { *(device ? static_cast<T*>(const_cast<void*>(device_bytes(result))) : result) = value(); });
    if (status == CUBLAS_STATUS_SUCCESS && !device && cudaStreamSynchronize(handle_->stream) != cudaSuccess)
      return CUBLAS_STATUS_EXECUTION_FAILED;
    return status;
  }

 private:
  bool on_device() const { return status_ == CUBLAS_STATUS_SUCCESS && handle_->pointer_mode == CUBLAS_POINTER_MODE_DEVICE; }
  VectorCall& matrices(const Matrices& x, bool reads, bool writes) {
    if (status_ != CUBLAS_STATUS_SUCCESS) return *this;
    if (!valid_extent(call_, "n", std::min(x.rows, x.columns)) || !valid_pointer(call_, x)) {
      status_ = CUBLAS_STATUS_INVALID_VALUE;
      return *this;
    }
    if (reads) x.add_to(reads_), bytes_ += x.bytes();
    if (writes) x.add_to(writes_), bytes_ += x.bytes();
    return *this;
  }
  template <class T> void scalar_out(const T* result) {
    if (status_ != CUBLAS_STATUS_SUCCESS) return;
    if (!result) {
      complain(call_, "result", "is null");
      status_ = CUBLAS_STATUS_INVALID_VALUE;
    } else if (on_device()) {
      writes_.push_back({result, sizeof(T), "result"});
    }
  }

  const char* call_;
  cublasHandle_t handle_;
  cublasStatus_t status_ = CUBLAS_STATUS_SUCCESS;
  std::uint64_t bytes_ = 0;
  std::vector<Range> reads_, writes_;
};

template <class T>
cublasStatus_t axpy(const char* name, cublasHandle_t handle, Size n, const T* alpha, const T* x, Size incx, T* y, Size incy) {
  VectorCall call(name, handle);
  call.scalar("alpha", alpha).vector("x", x, n, incx, true, false).vector("y", y, n, incy, true, true);
  return call.run(2 * n, [=, factor = call.value(alpha), x = Strided<const T>{x, incx}, y = Strided<T>{y, incy}] {
    for (Size i = 0; i < n; ++i) y[i] += factor() * x[i];
  });
}

template <class T> cublasStatus_t scal(const char* name, cublasHandle_t handle, Size n, const T* alpha, T* x, Size incx) {
  VectorCall call(name, handle);
  call.scalar("alpha", alpha).vector("x", x, n, incx, true, true);
  return call.run(n, [=, factor = call.value(alpha), x = Strided<T>{x, incx}] {
    for (Size i = 0; i < n; ++i) x[i] *= factor();
  });
}

template <class T> cublasStatus_t copy(const char* name, cublasHandle_t handle, Size n, const T* x, Size incx, T* y, Size incy) {
  VectorCall call(name, handle);
  call.vector("x", x, n, incx, true, false).vector("y", y, n, incy, false, true);
  return call.run(0, [=, x = Strided<const T>{x, incx}, y = Strided<T>{y, incy}] {
    for (Size i = 0; i < n; ++i) y[i] = x[i];
  });
}

template <class T> cublasStatus_t swap(const char* name, cublasHandle_t handle, Size n, T* x, Size incx, T* y, Size incy) {
  VectorCall call(name, handle);
  call.vector("x", x, n, incx, true, true).vector("y", y, n, incy, true, true);
  return call.run(0, [=, x = Strided<T>{x, incx}, y = Strided<T>{y, incy}] {
    for (Size i = 0; i < n; ++i) std::swap(x[i], y[i]);
  });
}

template <class T>
cublasStatus_t dot(const char* name, cublasHandle_t handle, Size n, const T* x, Size incx, const T* y, Size incy, T* result) {
  VectorCall call(name, handle);
  call.vector("x", x, n, incx, true, false).vector("y", y, n, incy, true, false);
  return call.reduce(result, 2 * n, [=, x = Strided<const T>{x, incx}, y = Strided<const T>{y, incy}] {
    double sum = 0;  // no order of its own: more precise than any
    for (Size i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(y[i]);
    return static_cast<T>(sum);
  });
}

template <class T> cublasStatus_t nrm2(const char* name, cublasHandle_t handle, Size n, const T* x, Size incx, T* result) {
  VectorCall call(name, handle);
  call.vector("x", x, n, incx, true, false);
  return call.reduce(result, 2 * n, [=, x = Strided<const T>{x, incx}] {
    double norm = 0;
    for (Size i = 0; i < n; ++i) norm = std::hypot(norm, static_cast<double>(x[i]));
    return static_cast<T>(norm);
  });
}

template <class T> cublasStatus_t asum(const char* name, cublasHandle_t handle, Size n, const T* x, Size incx, T* result) {
  VectorCall call(name, handle);
  call.vector("x", x, n, incx, true, false);
  return call.reduce(result, n, [=, x = Strided<const T>{x, incx}] {
    double sum = 0;
    for (Size i = 0; i < n; ++i) sum += std::fabs(static_cast<double>(x[i]));
    return static_cast<T>(sum);
  });
}

/// The first index, counted from 1, of the largest (or smallest) magnitude.
template <class T>
cublasStatus_t extreme(const char* name, cublasHandle_t handle, Size n, const T* x, Size incx, int* result, bool largest) {
  VectorCall call(name, handle);
  call.vector("x", x, n, incx, true, false);
  return call.reduce(result, 0, [=, x = Strided<const T>{x, incx}] {
    Size best = 0;
    for (Size i = 1; i < n; ++i) {
      const T here = std::fabs(x[i]), there = std::fabs(x[best]);
      if (largest ? here > there : here < there) best = i;
    }
    return static_cast<int>(n > 0 ? best + 1 : 0);
  });
}

template <class T> cublasStatus_t gemv(const char* name, cublasHandle_t handle, cublasOperation_t trans, Size m, Size n, const T* alpha,
                                       const T* a, Size lda, const T* x, Size incx, const T* beta, T* y, Size incy) {
  if (!valid_operation(name, "trans", trans)) return CUBLAS_STATUS_INVALID_VALUE;
  const bool transposed = trans != CUBLAS_OP_N;
  const Size rows = transposed ? n : m, columns = transposed ? m : n;
  VectorCall call(name, handle);
  call.scalar("alpha", alpha).scalar("beta", beta).matrix("A", a, m, n, lda, true, false).vector("x", x, columns, incx, true, false);
  const auto factor = call.value(alpha), keep = call.value(beta);
  // What y holds counts only where a beta other than 0 is known already.
  const bool reads_y = is_alive(name, handle) && handle->pointer_mode == CUBLAS_POINTER_MODE_HOST && keep() != T(0);
  call.vector("y", y, rows, incy, reads_y, true);
  return call.run(2 * m * n, [=, x = Strided<const T>{x, incx}, y = Strided<T>{y, incy}] {
    const auto* const values = static_cast<const T*>(device_bytes(a));
    for (Size i = 0; i < rows; ++i) {
      T sum = 0;
      for (Size j = 0; j < columns; ++j) sum += values[transposed ? j + i * lda : i + j * lda] * x[j];
      y[i] = factor() * sum + (keep() == T(0) ? T(0) : keep() * y[i]);
    }
  });
}

template <class T> cublasStatus_t ger(const char* name, cublasHandle_t handle, Size m, Size n, const T* alpha, const T* x, Size incx,
                                      const T* y, Size incy, T* a, Size lda) {
  VectorCall call(name, handle);
  call.scalar("alpha", alpha).vector("x", x, m, incx, true, false).vector("y", y, n, incy, true, false);
  call.matrix("A", a, m, n, lda, true, true);
  return call.run(2 * m * n, [=, factor = call.value(alpha), x = Strided<const T>{x, incx}, y = Strided<const T>{y, incy}] {
    auto* const values = static_cast<T*>(device_bytes(a));
    for (Size j = 0; j < n; ++j)
      for (Size i = 0; i < m; ++i) values[i + j * lda] += factor() * x[i] * y[j];
  });
}

/// C = alpha op(A) + beta op(B); C may be A or B where that one is not transposed.
template <class T> cublasStatus_t geam(const char* name, cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, Size m,
                                       Size n, const T* alpha, const T* a, Size lda, const T* beta, const T* b, Size ldb, T* c, Size ldc) {
  if (!valid_operation(name, "transa", transa) || !valid_operation(name, "transb", transb)) return CUBLAS_STATUS_INVALID_VALUE;
  const bool ta = transa != CUBLAS_OP_N, tb = transb != CUBLAS_OP_N;
  VectorCall call(name, handle);
  call.scalar("alpha", alpha).scalar("beta", beta);
  const auto of_a = call.value(alpha), of_b = call.value(beta);
  const bool known = is_alive(name, handle) && handle->pointer_mode == CUBLAS_POINTER_MODE_HOST;
  if (!known || of_a() != T(0)) call.matrix("A", a, ta ? n : m, ta ? m : n, lda, true, false);
  if (!known || of_b() != T(0)) call.matrix("B", b, tb ? n : m, tb ? m : n, ldb, true, false);
  call.matrix("C", c, m, n, ldc, false, true);
  return call.run(3 * m * n, [=] {
    const T fa = of_a(), fb = of_b();
    const T* const left = fa != T(0) ? static_cast<const T*>(device_bytes(a)) : nullptr;
    const T* const right = fb != T(0) ? static_cast<const T*>(device_bytes(b)) : nullptr;
    auto* const out = static_cast<T*>(device_bytes(c));
    for (Size j = 0; j < n; ++j)
      for (Size i = 0; i < m; ++i)
        out[i + j * ldc] =
            (left ? fa * left[ta ? j + i * lda : i + j * lda] : T(0)) + (right ? fb * right[tb ? j + i * ldb : i + j * ldb] : T(0));
  });
}

cublasStatus_t transfer(const char* call, Size rows, Size columns, Size bytes, const void* from, Size ld_from, void* to, Size ld_to,
                        cudaMemcpyKind kind) {
  if (!valid_extent(call, "rows", rows) || !valid_extent(call, "cols", columns)) return CUBLAS_STATUS_INVALID_VALUE;
  if (bytes < 1 || ld_from < rows || ld_to < rows) {
    complain(call, "elemSize, lda or ldb", "is too small");
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  const auto size = [&](Size elements) { return static_cast<std::size_t>(elements * bytes); };
  const cudaError_t error = cudaMemcpy2D(to, size(ld_to), from, size(ld_from), size(rows), static_cast<std::size_t>(columns), kind);
  return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_MAPPING_ERROR;
}

}  // namespace
}  // namespace gradus::emulator::vendor

using namespace gradus::emulator::vendor;

extern "C" {

#define GRADUS_VECTORS(P, p, T)                                                                                                           \
  cublasStatus_t cublas##P##axpy_v2(cublasHandle_t handle, int n, const T* alpha, const T* x, int incx, T* y, int incy) {                 \
    return axpy<T>("cublas" #P "axpy", handle, n, alpha, x, incx, y, incy);                                                               \
  }                                                                                                                                       \
  cublasStatus_t cublas##P##scal_v2(cublasHandle_t handle, int n, const T* alpha, T* x, int incx) {                                       \
    return scal<T>("cublas" #P "scal", handle, n, alpha, x, incx);                                                                        \
  }                                                                                                                                       \
  cublasStatus_t cublas##P##copy_v2(cublasHandle_t handle, int n, const T* x, int incx, T* y, int incy) {                                 \
    return copy<T>("cublas" #P "copy", handle, n, x, incx, y, incy);                                                                      \
  }                                                                                                                                       \
  cublasStatus_t cublas##P##swap_v2(cublasHandle_t handle, int n, T* x, int incx, T* y, int incy) {                                       \
    return gradus::emulator::vendor::swap<T>("cublas" #P "swap", handle, n, x, incx, y, incy);                                            \
  }                                                                                                                                       \
  cublasStatus_t cublas##P##dot_v2(cublasHandle_t handle, int n, const T* x, int incx, const T* y, int incy, T* result) {                 \
    return dot<T>("cublas" #P "dot", handle, n, x, incx, y, incy, result);                                                                \
  }                                                                                                                                       \
  cublasStatus_t cublas##P##nrm2_v2(cublasHandle_t handle, int n, const T* x, int incx, T* result) {                                      \
    return nrm2<T>("cublas" #P "nrm2", handle, n, x, incx, result);                                                                       \
  }                                                                                                                                       \
  cublasStatus_t cublas##P##asum_v2(cublasHandle_t handle, int n, const T* x, int incx, T* result) {                                      \
    return asum<T>("cublas" #P "asum", handle, n, x, incx, result);                                                                       \
  }                                                                                                                                       \
  cublasStatus_t cublasI##p##amax_v2(cublasHandle_t handle, int n, const T* x, int incx, int* result) {                                   \
    return extreme<T>("cublasI" #p "amax", handle, n, x, incx, result, true);                                                             \
  }                                                                                                                                       \
  cublasStatus_t cublasI##p##amin_v2(cublasHandle_t handle, int n, const T* x, int incx, int* result) {                                   \
    return extreme<T>("cublasI" #p "amin", handle, n, x, incx, result, false);                                                            \
  }                                                                                                                                       \
  cublasStatus_t cublas##P##gemv_v2(cublasHandle_t handle, cublasOperation_t trans, int m, int n, const T* alpha, const T* A, int lda,    \
                                    const T* x, int incx, const T* beta, T* y, int incy) {                                                \
    return gemv<T>("cublas" #P "gemv", handle, trans, m, n, alpha, A, lda, x, incx, beta, y, incy);                                       \
  }                                                                                                                                       \
  cublasStatus_t cublas##P##ger_v2(cublasHandle_t handle, int m, int n, const T* alpha, const T* x, int incx, const T* y, int incy, T* A, \
                                   int lda) {                                                                                             \
    return ger<T>("cublas" #P "ger", handle, m, n, alpha, x, incx, y, incy, A, lda);                                                      \
  }                                                                                                                                       \
  cublasStatus_t cublas##P##geam(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n, const T* alpha, \
                                 const T* A, int lda, const T* beta, const T* B, int ldb, T* C, int ldc) {                                \
    return geam<T>("cublas" #P "geam", handle, transa, transb, m, n, alpha, A, lda, beta, B, ldb, C, ldc);                                \
  }

GRADUS_VECTORS(S, s, float)
GRADUS_VECTORS(D, d, double)

cublasStatus_t cublasSetVector(int n, int elemSize, const void* x, int incx, void* devicePtr, int incy) {
  return transfer("cublasSetVector", 1, n, elemSize, x, incx, devicePtr, incy, cudaMemcpyHostToDevice);
}
cublasStatus_t cublasGetVector(int n, int elemSize, const void* x, int incx, void* y, int incy) {
  return transfer("cublasGetVector", 1, n, elemSize, x, incx, y, incy, cudaMemcpyDeviceToHost);
}
cublasStatus_t cublasSetMatrix(int rows, int cols, int elemSize, const void* A, int lda, void* B, int ldb) {
  return transfer("cublasSetMatrix", rows, cols, elemSize, A, lda, B, ldb, cudaMemcpyHostToDevice);
}
cublasStatus_t cublasGetMatrix(int rows, int cols, int elemSize, const void* A, int lda, void* B, int ldb) {
  return transfer("cublasGetMatrix", rows, cols, elemSize, A, lda, B, ldb, cudaMemcpyDeviceToHost);
}

}  // extern "C"
