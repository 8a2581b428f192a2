// The event is recorded on the stream that shall wait, not on the one that works. The twin records it on the working one.
#include <cstdio>

__global__ void produce(float* x) { x[threadIdx.x] = threadIdx.x; }
__global__ void consume(const float* x, float* y) { y[threadIdx.x] = 2 * x[threadIdx.x]; }  // expect: stream-order

int main() {
  float *x, *y;
  cudaMalloc(&x, 128 * sizeof(float));
  cudaMalloc(&y, 128 * sizeof(float));
  cudaStream_t producer, consumer;
  cudaStreamCreateWithFlags(&producer, cudaStreamNonBlocking);
  cudaStreamCreateWithFlags(&consumer, cudaStreamNonBlocking);
  cudaEvent_t ready;
  cudaEventCreateWithFlags(&ready, cudaEventDisableTiming);
  produce<<<1, 128, 0, producer>>>(x);
#ifdef CLEAN
  cudaEventRecord(ready, producer);
#else
  cudaEventRecord(ready, consumer);
#endif
  cudaStreamWaitEvent(consumer, ready, 0);
  consume<<<1, 128, 0, consumer>>>(x, y);
  cudaDeviceSynchronize();
  cudaFree(x);
  cudaFree(y);
  std::printf("done\n");
}
