// Memory of a stream is given back before the copy from it. The twin copies first.
#include <cstdio>

__global__ void fill(int* data, int value) { data[threadIdx.x] = value; }

int main() {
  cudaStream_t stream;
  cudaStreamCreate(&stream);
  int host[64], *data;
  cudaMallocAsync(&data, sizeof host, stream);
  fill<<<1, 64, 0, stream>>>(data, 7);
#ifndef CLEAN
  cudaFreeAsync(data, stream);
#endif
  cudaMemcpyAsync(host, data, sizeof host, cudaMemcpyDeviceToHost, stream);  // expect: freed
#ifdef CLEAN
  cudaFreeAsync(data, stream);
#endif
  cudaStreamSynchronize(stream);
#ifdef CLEAN
  std::printf("%d\n", host[63]);
#endif
}
