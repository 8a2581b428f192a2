// A staging buffer is filled anew while the copy of its former content is still queued. The twin waits for an event before.
#include <cstdio>

__global__ void add(const float* x, float* sum) { atomicAdd(sum, x[blockIdx.x * blockDim.x + threadIdx.x]); }

int main() {
  const int n = 4096;
  float *staging, *device, *sum, result;
  cudaMallocHost(&staging, n * sizeof(float));
  cudaMalloc(&device, n * sizeof(float));
  cudaMalloc(&sum, sizeof(float));
  cudaMemset(sum, 0, sizeof(float));
  cudaStream_t stream;
  cudaStreamCreate(&stream);
  cudaEvent_t copied;
  cudaEventCreateWithFlags(&copied, cudaEventDisableTiming);
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < n; ++i) staging[i] = round;  // expect: stream-order
    cudaMemcpyAsync(device, staging, n * sizeof(float), cudaMemcpyHostToDevice, stream);
    cudaEventRecord(copied, stream);
    add<<<n / 256, 256, 0, stream>>>(device, sum);
#ifdef CLEAN
    cudaEventSynchronize(copied);
#endif
  }
  cudaStreamSynchronize(stream);
  cudaMemcpy(&result, sum, sizeof result, cudaMemcpyDeviceToHost);
  std::printf("%d\n", result >= 0);
}
