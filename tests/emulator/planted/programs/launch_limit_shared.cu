// 64 KB of dynamic shared memory without opting in. The twin opts in.
#include <cstdio>

__global__ void reverse(float* data) {  // expect: launch-limit
  extern __shared__ float tile[];
  const int last = 16 * 1024 - 1;
  for (int i = threadIdx.x; i <= last; i += blockDim.x) tile[i] = data[i];
  __syncthreads();
  for (int i = threadIdx.x; i <= last; i += blockDim.x) data[i] = tile[last - i];
}

int main() {
  const int bytes = 64 * 1024;
  float* data;
  cudaMalloc(&data, bytes);
  cudaMemset(data, 0, bytes);
#ifdef CLEAN
  cudaFuncSetAttribute(reverse, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  const cudaError_t expected = cudaSuccess;
#else
  const cudaError_t expected = cudaErrorInvalidValue;
#endif
  reverse<<<1, 256, bytes>>>(data);
  return cudaGetLastError() == expected && cudaDeviceSynchronize() == cudaSuccess ? 0 : 3;
}
