// A copy on a non-blocking stream; the kernel runs on the default stream, which does not wait for it. The twin's stream is a blocking one.
// Slices of one array on two streams, as every overlap example has them, are fine in both.
#include <cstdio>

__global__ void twice(float* x, int n) {  // expect: stream-order
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) x[i] *= 2;
}

int main() {
  const int n = 1000;
  float *host, *device;
  cudaMallocHost(&host, n * sizeof(float));
  cudaMalloc(&device, n * sizeof(float));
  for (int i = 0; i < n; ++i) host[i] = i;
  cudaMemset(device, 0, n * sizeof(float));
  cudaDeviceSynchronize();
  cudaStream_t copies, other;
  cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking);
#ifdef CLEAN
  cudaStreamCreate(&copies);
#else
  cudaStreamCreateWithFlags(&copies, cudaStreamNonBlocking);
#endif
  cudaMemcpyAsync(device, host, n / 2 * sizeof(float), cudaMemcpyHostToDevice, copies);
  cudaMemcpyAsync(device + n / 2, host + n / 2, n / 2 * sizeof(float), cudaMemcpyHostToDevice, other);
  cudaStreamSynchronize(other);
  twice<<<4, 256>>>(device, n);
  cudaMemcpy(host, device, n * sizeof(float), cudaMemcpyDeviceToHost);
  std::printf("%g\n", host[n - 1]);
}
