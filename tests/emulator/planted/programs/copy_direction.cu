// The kind says device to host, but the copy goes the other way: CUDA refuses it, and nothing is copied. The twin says so.
#include <cstdio>

int main() {
  float host[64] = {1}, *device;
  cudaMalloc(&device, sizeof host);
  cudaMemset(device, 0, sizeof host);
#ifdef CLEAN
  const cudaMemcpyKind kind = cudaMemcpyHostToDevice;
#else
  const cudaMemcpyKind kind = cudaMemcpyDeviceToHost;
#endif
  cudaMemcpy(device, host, sizeof host, kind);  // expect: host-access
  cudaMemcpy(host, device, sizeof host, cudaMemcpyDeviceToHost);
  cudaFree(device);
  std::printf("%g\n", host[0]);
}
