// A pointer that has walked through its array is freed. The twin keeps the beginning.
#include <cstdio>

__global__ void fill(int* data, int value) { data[threadIdx.x] = value; }

int main() {
  int* data;
  cudaMalloc(&data, 4 * 64 * sizeof(int));
  int* const begin = data;
  for (int i = 0; i < 4; ++i, data += 64) fill<<<1, 64>>>(data, i);
  cudaDeviceSynchronize();
  data -= 64;
#ifdef CLEAN
  data = begin;
#endif
  cudaFree(data);  // expect: freed
  std::printf("%d\n", data == begin);
}
