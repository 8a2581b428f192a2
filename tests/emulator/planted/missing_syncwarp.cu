// launch: 1 x 32
extern "C" __global__ void rotate(int* data, int* out, int* gone) {
  __shared__ int tile[32];
  tile[threadIdx.x] = data[threadIdx.x];
  out[threadIdx.x] = tile[(threadIdx.x + 1) % 32];  // finds: missing-syncwarp
}
// launch: 1 x 32
extern "C" __global__ void rotate_in_step(int* data, int* out, int* gone) {
  __shared__ int tile[32];
  tile[threadIdx.x] = data[threadIdx.x];
  __syncwarp();
  out[threadIdx.x] = tile[(threadIdx.x + 1) % 32];
}
// launch: 1 x 32
extern "C" __global__ void volatile_reduction(int* data, int* out, int* gone) {
  __shared__ int memory[64];
  volatile int* sums = memory;
  int t = threadIdx.x;
  sums[t] = data[t];
  sums[t + 32] = 0;
  __syncwarp();
  sums[t] += sums[t + 16];  // finds: missing-syncwarp
  sums[t] += sums[t + 8];   // finds: missing-syncwarp
  __syncwarp();
  out[t] = sums[t];
}
// launch: 1 x 32
extern "C" __global__ void reduction_in_step(int* data, int* out, int* gone) {
  __shared__ int sums[64];
  int t = threadIdx.x;
  sums[t] = data[t];
  sums[t + 32] = 0;
  __syncwarp();
  for (int half = 16; half > 0; half /= 2) {
    int other = sums[t + half];
    __syncwarp();
    sums[t] += other;
    __syncwarp();
  }
  out[t] = sums[t];
}
// launch: 1 x 64
extern "C" __global__ void leader_tells_its_warp(int* data, int* out, int* gone) {
  __shared__ int told[2];
  if (threadIdx.x % 32 == 0) told[threadIdx.x / 32] = data[threadIdx.x];
  out[threadIdx.x] = told[threadIdx.x / 32];  // finds: missing-syncwarp
}
// launch: 1 x 64
extern "C" __global__ void leader_tells_by_shuffle(int* data, int* out, int* gone) {
  __shared__ int told[2];
  int value = 0;
  if (threadIdx.x % 32 == 0) {
    value = data[threadIdx.x];
    told[threadIdx.x / 32] = value;
  }
  value = __shfl_sync(0xffffffffu, value, 0);
  out[threadIdx.x] = told[threadIdx.x / 32] + value;
}
// launch: 1 x 32
extern "C" __global__ void overwritten_before_all_have_read(int* data, int* out, int* gone) {
  __shared__ int told;
  if (threadIdx.x == 0) told = data[1];
  __syncwarp();
  int first = told;
  if (threadIdx.x == 0) told = data[2];  // finds: missing-syncwarp
  __syncwarp();
  out[threadIdx.x] = first + told;
}
// launch: 1 x 32
extern "C" __global__ void everybody_for_himself(int* data, int* out, int* gone) {
  __shared__ int tile[32];
  __shared__ unsigned char bytes[32];
  tile[threadIdx.x] = data[threadIdx.x];
  bytes[threadIdx.x] = static_cast<unsigned char>(tile[threadIdx.x]);
  tile[threadIdx.x] += bytes[threadIdx.x];
  out[threadIdx.x] = tile[threadIdx.x];
}
// launch: 2 x 64
extern "C" __global__ void lock_between_lanes(int* data, int* out, int* gone) {
  for (bool done = false; !done;) {
    if (atomicCAS(data, 0, 1) == 0) {
      __threadfence();
      data[64] += 1;
      __threadfence();
      atomicExch(data, 0);
      done = true;
    }
  }
}
