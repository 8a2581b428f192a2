// The handle of cuBLAS's stand-in, and what all of its entry points check.
#pragma once

#include <cublas_v2.h>

#include <cstdint>
#include <string>

#include <gradus/kernels/emulator/cublas/vendor_call.h>

struct cublasContext {
  cudaStream_t stream = nullptr;
  cublasPointerMode_t pointer_mode = CUBLAS_POINTER_MODE_HOST;
  cublasMath_t math = CUBLAS_DEFAULT_MATH;
  cublasAtomicsMode_t atomics = CUBLAS_ATOMICS_NOT_ALLOWED;
};

namespace gradus::emulator::vendor {

using Size = std::int64_t;

/// Names the wrong argument on stderr; for a chain of conditions.
inline bool fail(const char* call, const char* argument, const std::string& why) {
  complain(call, argument, why);
  return false;
}
inline bool is_alive(const char* call, cublasHandle_t handle) {
  return (handle && Live<cublasContext>::instance().has(handle)) ||
         fail(call, "handle", "is not a live cuBLAS handle: it was never created, or has been destroyed");
}
inline bool valid_operation(const char* call, const char* name, cublasOperation_t op) {
  return op == CUBLAS_OP_N || op == CUBLAS_OP_T || op == CUBLAS_OP_C ||
         fail(call, name, "is " + std::to_string(static_cast<int>(op)) + ": expected CUBLAS_OP_N, _T or _C");
}
inline bool valid_extent(const char* call, const char* name, Size extent) {
  return extent >= 0 || fail(call, name, "is " + std::to_string(extent) + ": expected 0 or more");
}
inline bool valid_leading(const char* call, const char* name, const Matrices& x) {
  const Size least = x.rows > 1 ? x.rows : 1;
  return x.ld >= least ||
         fail(call, name,
              "is " + std::to_string(x.ld) + ": expected at least the " + std::to_string(least) + " rows of the stored matrix " + x.name);
}
inline bool valid_pointer(const char* call, const Matrices& x) {
  if (x.span() == 0) return true;
  if (!x.data) return fail(call, x.name, "is null");
  return reinterpret_cast<std::uintptr_t>(x.data) % static_cast<std::uintptr_t>(x.element) == 0 ||
         fail(call, x.name, "is not aligned to its elements");
}

}  // namespace gradus::emulator::vendor
