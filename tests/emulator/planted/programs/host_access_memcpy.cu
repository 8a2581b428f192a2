// memcpy instead of cudaMemcpy. The twin's memory is pinned host memory, which memcpy may read.
#include <cstdio>
#include <cstring>

__global__ void count(int* out) { out[threadIdx.x] = threadIdx.x; }

int main() {
  int *out, host[64];
#ifdef CLEAN
  cudaMallocHost(&out, sizeof host);
#else
  cudaMalloc(&out, sizeof host);
#endif
  count<<<1, 64>>>(out);
  cudaDeviceSynchronize();
  std::memcpy(host, out, sizeof host);  // expect: host-access
  std::printf("%d\n", host[63]);
}
