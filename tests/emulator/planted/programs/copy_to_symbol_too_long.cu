// Nine coefficients for a variable of eight. The twin has eight.
#include <cstdio>

__constant__ float filter[8];
__global__ void sum(float* out) {
  float s = 0;
  for (float f : filter) s += f;
  *out = s;
}

int main() {
  float coefficients[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
#ifdef CLEAN
  const size_t bytes = sizeof filter;
#else
  const size_t bytes = sizeof coefficients;
#endif
  cudaMemcpyToSymbol(filter, coefficients, bytes);  // expect: out-of-bounds
  float *out, result;
  cudaMalloc(&out, sizeof(float));
  sum<<<1, 1>>>(out);
  cudaMemcpy(&result, out, sizeof result, cudaMemcpyDeviceToHost);
  std::printf("%g\n", result);
}
