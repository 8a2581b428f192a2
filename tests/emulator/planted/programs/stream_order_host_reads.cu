// The host reads pinned memory before the copy to it is known to have ended. The twin waits for the stream.
#include <cstdio>

__global__ void square(int* x) { x[threadIdx.x] = threadIdx.x * threadIdx.x; }

int main() {
  int *device, *host;
  cudaMalloc(&device, 100 * sizeof(int));
  cudaMallocHost(&host, 100 * sizeof(int));
  cudaStream_t stream;
  cudaStreamCreate(&stream);
  square<<<1, 100, 0, stream>>>(device);
  cudaMemcpyAsync(host, device, 100 * sizeof(int), cudaMemcpyDeviceToHost, stream);
#ifdef CLEAN
  cudaStreamSynchronize(stream);
#endif
  const int last = host[99];  // expect: stream-order
  cudaDeviceSynchronize();
  std::printf("%d %d\n", last >= 0, host[99]);
}
