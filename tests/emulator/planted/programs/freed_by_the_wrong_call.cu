// Pinned memory is freed by cudaFree. The twin frees it by cudaFreeHost.
#include <cstdio>

int main() {
  float* staging;
  cudaMallocHost(&staging, 256 * sizeof(float));
  staging[0] = 1;
#ifdef CLEAN
  cudaFreeHost(staging);
#else
  cudaFree(staging);  // expect: freed
#endif
  std::printf("done\n");
}
