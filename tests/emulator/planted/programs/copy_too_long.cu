// A copy of more bytes than were allocated; its error goes unnoticed. The twin allocates as many.
#include <cstdio>
#include <vector>

int main() {
  const int n = 1000;
  std::vector<double> host(n, 1.0);
  double* device;
#ifdef CLEAN
  cudaMalloc(&device, n * sizeof(double));
#else
  cudaMalloc(&device, n * sizeof(float));
#endif
  cudaMemcpy(device, host.data(), n * sizeof(double), cudaMemcpyHostToDevice);  // expect: out-of-bounds
  cudaFree(device);
  std::printf("done\n");
}
