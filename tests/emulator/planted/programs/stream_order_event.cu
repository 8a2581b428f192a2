// The event is recorded before the work that it should stand for. The twin records it behind.
#include <cstdio>

__global__ void fill(int* data, int value) { data[threadIdx.x] = value; }

int main() {
  int* data;
  int* host;
  cudaMalloc(&data, 64 * sizeof(int));
  cudaMallocHost(&host, 64 * sizeof(int));
  cudaStream_t first, second;
  cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking);
  cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking);
  cudaEvent_t filled;
  cudaEventCreateWithFlags(&filled, cudaEventDisableTiming);
#ifndef CLEAN
  cudaEventRecord(filled, first);
#endif
  fill<<<1, 64, 0, first>>>(data, 7);
#ifdef CLEAN
  cudaEventRecord(filled, first);
#endif
  cudaStreamWaitEvent(second, filled, 0);
  cudaMemcpyAsync(host, data, 64 * sizeof(int), cudaMemcpyDeviceToHost, second);  // expect: stream-order
  cudaDeviceSynchronize();
#ifdef CLEAN
  std::printf("%d\n", host[63]);
#endif
}
