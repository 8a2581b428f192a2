// Two halves of one pinned buffer take turns. The host fills the half that is still being copied; the twin fills the other.
#include <cstdio>

int main() {
  const int half = 6000;  // the second page belongs to both
  char *buffer, *device;
  cudaMallocHost(&buffer, 2 * half);
  cudaMalloc(&device, 2 * half);
  for (int i = 0; i < 2 * half; ++i) buffer[i] = 1;
  cudaStream_t stream;
  cudaStreamCreate(&stream);
  cudaMemcpyAsync(device, buffer, half, cudaMemcpyHostToDevice, stream);
#ifdef CLEAN
  char* const next = buffer + half;
#else
  char* const next = buffer;
#endif
  for (int i = 0; i < half; ++i) next[i] = 2;  // expect: stream-order
  cudaMemcpyAsync(device + half, next, half, cudaMemcpyHostToDevice, stream);
  cudaStreamSynchronize(stream);
  std::printf("%d\n", buffer[0]);
}
