// cudaMemset of an array of the host. The twin's is managed.
#include <cstdio>
#include <cstdlib>

int main() {
  int* counts;
#ifdef CLEAN
  cudaMallocManaged(&counts, 64 * sizeof(int));
#else
  counts = static_cast<int*>(std::calloc(64, sizeof(int)));
#endif
  cudaMemset(counts, 0, 64 * sizeof(int));  // expect: host-access
  cudaDeviceSynchronize();
  std::printf("%d\n", counts[7]);
}
