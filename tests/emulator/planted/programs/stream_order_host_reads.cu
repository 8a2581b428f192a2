// The host reads pinned memory before the copy to it is known to have ended. The twin waits for the stream. In both, a host function that
// comes after a copy in its stream may look at what it copied.
#include <cstdio>

__global__ void square(int* x) { x[threadIdx.x] = threadIdx.x * threadIdx.x; }

int seen = -1;
void look(void* host) { seen = static_cast<int*>(host)[99]; }

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
  cudaMemcpyAsync(host, device, 100 * sizeof(int), cudaMemcpyDeviceToHost, stream);
  cudaLaunchHostFunc(stream, look, host);
  cudaDeviceSynchronize();
  std::printf("%d %d %d\n", last >= 0, host[99], seen);
}
