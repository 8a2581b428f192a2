// Two streams, one writes what the other reads. The twin waits for an event.
#include <cstdio>

__global__ void write_all(int* data) { data[blockIdx.x * blockDim.x + threadIdx.x] = 1; }
__global__ void read_all(const int* data, int* out) {  // expect: stream-order
  out[blockIdx.x * blockDim.x + threadIdx.x] = data[blockIdx.x * blockDim.x + threadIdx.x];
}

int main() {
  int *data, *out;
  cudaMalloc(&data, 1024 * sizeof(int));
  cudaMalloc(&out, 1024 * sizeof(int));
  cudaMemset(data, 0, 1024 * sizeof(int));
  cudaDeviceSynchronize();
  cudaStream_t first, second;
  cudaStreamCreate(&first);
  cudaStreamCreate(&second);
  write_all<<<4, 256, 0, first>>>(data);
#ifdef CLEAN
  cudaEvent_t written;
  cudaEventCreate(&written);
  cudaEventRecord(written, first);
  cudaStreamWaitEvent(second, written, 0);
#endif
  read_all<<<4, 256, 0, second>>>(data, out);
  std::printf("%s\n", cudaGetErrorString(cudaDeviceSynchronize()));
}
