// More threads than __launch_bounds__ promised. The twin promises more.
#include <cstdio>

#ifdef CLEAN
#define MOST 512
#else
#define MOST 128
#endif

__global__ void __launch_bounds__(MOST) set(int* data) { data[threadIdx.x] = 1; }  // expect: launch-limit

int main() {
  int* data;
  cudaMalloc(&data, 256 * sizeof(int));
  set<<<1, 256>>>(data);
  const cudaError_t error = cudaGetLastError();
  return (error == cudaSuccess) == (MOST == 512) && cudaDeviceSynchronize() == cudaSuccess ? 0 : 3;
}
