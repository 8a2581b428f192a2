// The host reads managed memory that a queued kernel writes. The twin waits; both share a counter with the kernel, as system-wide atomics
// may, and look at managed memory that no kernel uses.
#include <cstdio>

__global__ void fill(int* data, int* counter, int value) {
  data[threadIdx.x] = value;
  atomicAdd_system(counter, 1);
}

int main() {
  int *data, *counter, *other;
  cudaMallocManaged(&data, 4096 * sizeof(int));
  cudaMallocManaged(&counter, sizeof(int));
  cudaMallocManaged(&other, sizeof(int));
  *counter = *other = 0;
  for (int i = 0; i < 4096; ++i) data[i] = i;
  fill<<<1, 64>>>(data, counter, 7);
  __sync_fetch_and_add(counter, 1);
  *other += 1;
  int last = data[4000];
#ifdef CLEAN
  cudaDeviceSynchronize();
#endif
  fill<<<1, 64>>>(data, counter, 8);
#ifdef CLEAN
  cudaDeviceSynchronize();
#endif
  int first = data[0];  // expect: stream-order
  cudaDeviceSynchronize();
  std::printf("%d %d %d %d\n", first >= 0, last, *counter, *other);
}
