// The device's array has been mixed up with the host's of the same name with a prefix. The twin copies to the right one.
#include <cstdio>
#include <vector>

int main() {
  std::vector<int> h_counts(128, 3), h_result(128);
  int* d_counts;
  cudaMalloc(&d_counts, 128 * sizeof(int));
  cudaMemcpy(d_counts, h_counts.data(), 128 * sizeof(int), cudaMemcpyHostToDevice);
#ifdef CLEAN
  const int* from = d_counts;
#else
  const int* from = h_counts.data();
#endif
  cudaMemcpy(h_result.data(), from, 128 * sizeof(int), cudaMemcpyDeviceToHost);  // expect: host-access
  std::printf("%d\n", h_result[5]);
}
