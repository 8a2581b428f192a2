// The product that cuBLAS's and cuBLASLt's stand-ins share.
//
//   D[m, n] = activation(alpha op(A)[m, k] op(B)[k, n] + beta C + bias), column-major: element (i, j) at i + j ld
#pragma once

#include <gradus/kernels/emulator/cublas/context.h>

namespace gradus::emulator::vendor {

enum class Activation : std::uint8_t { none, relu, gelu };

struct GemmOperand {
  const void* data = nullptr;
  cudaDataType_t type = CUDA_R_32F;
  Size ld = 0, stride = 0;
};

struct GemmCall {
  const char* name;  // for complaints, findings and counters
  cublasOperation_t transa, transb;
  Size m, n, k;
  const void* alpha;
  GemmOperand a, b;
  const void* beta;
  GemmOperand c;
  Size batch = 1;
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F;  // f16 is summed in f32 too: the hardware's order is not imitated anyway
  cudaDataType_t scalars = CUDA_R_32F;               // of alpha and beta
  bool device_scalars = false;
  void* d = nullptr;  // where it is not C itself
  GemmOperand bias;   // m elements, added to every column
  Activation activation = Activation::none;
};

/// The type of alpha and beta that goes with a way to compute.
cudaDataType_t scalar_type(cublasComputeType_t compute);
/// 0 for a type that the stand-in does not have.
Size element_bytes(cudaDataType_t type);

/// Checks the arguments and queues the product. Stricter than the library: C may not overlap A or B, nor items of a batch of C each other.
cublasStatus_t run_gemm(cudaStream_t stream, const GemmCall& g);

}  // namespace gradus::emulator::vendor
