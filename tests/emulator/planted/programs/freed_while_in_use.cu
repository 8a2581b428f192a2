// cudaFreeAsync on one stream while a kernel on another may still use the memory. The twin lets the freeing stream wait. (cudaFree would
// be no error: it waits for the whole device. With another seed the memory is gone before the kernel runs: `freed`, at the kernel's line.)
#include <cstdio>

__global__ void fill(int* data) { data[threadIdx.x] = threadIdx.x; }

int main() {
  cudaStream_t work, memory;
  cudaStreamCreateWithFlags(&work, cudaStreamNonBlocking);
  cudaStreamCreateWithFlags(&memory, cudaStreamNonBlocking);
  int *data, *other;
  cudaMallocAsync(&data, 256 * sizeof(int), memory);
  cudaMalloc(&other, 256 * sizeof(int));
  cudaStreamSynchronize(memory);
  fill<<<1, 256, 0, work>>>(data);
  fill<<<1, 256, 0, work>>>(other);
#ifdef CLEAN
  cudaEvent_t filled;
  cudaEventCreate(&filled);
  cudaEventRecord(filled, work);
  cudaStreamWaitEvent(memory, filled, 0);
#endif
  cudaFreeAsync(data, memory);  // expect: stream-order
  cudaDeviceSynchronize();
  fill<<<1, 256>>>(other);
  cudaFree(other);
  std::printf("done\n");
}
