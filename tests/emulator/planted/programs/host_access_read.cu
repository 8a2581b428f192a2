// The host reads a result through the device pointer. The twin copies it.
#include <cstdio>

__global__ void answer(int* out) { *out = 42; }

int main() {
  int* out;
  cudaMalloc(&out, sizeof(int));
  answer<<<1, 1>>>(out);
  cudaDeviceSynchronize();
  int value = 0;
#ifdef CLEAN
  cudaMemcpy(&value, out, sizeof value, cudaMemcpyDeviceToHost);
#else
  value = *out;  // expect: host-access
#endif
  std::printf("%d\n", value);
}
