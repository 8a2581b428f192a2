// 2048 threads a block. The twin has 1024.
#include <cstdio>

__global__ void set(int* data) { data[blockIdx.x * blockDim.x + threadIdx.x] = 1; }  // expect: launch-limit

int main() {
  int* data;
  cudaMalloc(&data, 2048 * sizeof(int));
#ifdef CLEAN
  set<<<2, 1024>>>(data);
  const cudaError_t expected = cudaSuccess;
#else
  set<<<1, 2048>>>(data);
  const cudaError_t expected = cudaErrorInvalidConfiguration;
#endif
  return cudaGetLastError() == expected && cudaDeviceSynchronize() == cudaSuccess ? 0 : 3;
}
