// launch: 1 x 64
extern "C" __global__ void neighbour_without_barrier(int* data, int* out, int* gone) {
  __shared__ int tile[64];
  tile[threadIdx.x] = data[threadIdx.x];
  out[threadIdx.x] = tile[threadIdx.x ^ 32];  // finds: race-in-block
}
// launch: 1 x 64
extern "C" __global__ void neighbour_with_barrier(int* data, int* out, int* gone) {
  __shared__ int tile[64];
  tile[threadIdx.x] = data[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = tile[threadIdx.x ^ 32];
}
// launch: 1 x 128
extern "C" __global__ void reduction_with_a_barrier_missing(int* data, int* out, int* gone) {
  __shared__ int sums[128];
  int t = threadIdx.x;
  sums[t] = data[t];
  __syncthreads();
  if (t < 64) sums[t] += sums[t + 64];
  if (t < 32) out[t] = sums[t] + sums[t + 32];  // finds: race-in-block
}
// launch: 1 x 128
extern "C" __global__ void reduction(int* data, int* out, int* gone) {
  __shared__ int sums[128];
  int t = threadIdx.x;
  sums[t] = data[t];
  for (int half = 64; half > 0; half /= 2) {
    __syncthreads();
    if (t < half) sums[t] += sums[t + half];
  }
  if (t == 0) out[0] = sums[0];
}
// launch: 1 x 64
extern "C" __global__ void tile_overwritten_too_early(int* data, int* out, int* gone) {
  __shared__ int tile[64];
  int sum = 0;
  for (int k = 0; k < 4; ++k) {
    tile[threadIdx.x] = data[64 * k + threadIdx.x];
    __syncthreads();
    sum += tile[threadIdx.x ^ 32];  // finds: race-in-block
  }
  out[threadIdx.x] = sum;
}
// launch: 1 x 64
extern "C" __global__ void tile_overwritten_in_time(int* data, int* out, int* gone) {
  __shared__ int tile[64];
  int sum = 0;
  for (int k = 0; k < 4; ++k) {
    tile[threadIdx.x] = data[64 * k + threadIdx.x];
    __syncthreads();
    sum += tile[threadIdx.x ^ 32];
    __syncthreads();
  }
  out[threadIdx.x] = sum;
}
// launch: 1 x 32
extern "C" __global__ void lanes_write_one_word(int* data, int* out, int* gone) {
  out[0] = threadIdx.x;  // finds: race-in-block
}
// launch: 1 x 256
extern "C" __global__ void flag_that_all_set(int* data, int* out, int* gone) {
  __shared__ int flag;
  if (threadIdx.x == 0) flag = 0;
  __syncthreads();
  if (data[threadIdx.x] > 10) flag = 1;
  __syncthreads();
  out[threadIdx.x] = flag;
}
// launch: 1 x 64
extern "C" __global__ void warps_write_one_word(int* data, int* out, int* gone) {
  if (threadIdx.x % 32 == 0) out[5] = threadIdx.x;  // finds: race-in-block
}
// launch: 1 x 64
extern "C" __global__ void plain_beside_atomic(int* data, int* out, int* gone) {
  __shared__ int counter;
  if (threadIdx.x == 0) counter = 0;
  __syncthreads();
  atomicAdd(&counter, 1);
  if (threadIdx.x == 40) out[0] = counter;  // finds: race-in-block missing-syncwarp
}
// launch: 1 x 64
extern "C" __global__ void atomics_then_barrier(int* data, int* out, int* gone) {
  __shared__ int counter;
  if (threadIdx.x == 0) counter = 0;
  __syncthreads();
  atomicAdd(&counter, 1);
  __syncthreads();
  if (threadIdx.x == 40) out[0] = counter;
}
// launch: 1 x 256
extern "C" __global__ void neighbouring_bytes(int* data, int* out, int* gone) {
  __shared__ unsigned char bytes[256];
  bytes[255 - threadIdx.x] = threadIdx.x;
  bytes[255 - threadIdx.x] += 1;
  __syncthreads();
  reinterpret_cast<unsigned char*>(out)[threadIdx.x] = bytes[threadIdx.x];
}
// launch: 1 x 256
extern "C" __global__ void bytes_without_barrier(int* data, int* out, int* gone) {
  __shared__ unsigned char bytes[256];
  bytes[threadIdx.x] = threadIdx.x;
  out[threadIdx.x] = bytes[255 - threadIdx.x];  // finds: race-in-block
}
// launch: 1 x 128
extern "C" __global__ void global_without_barrier(int* data, int* out, int* gone) {
  data[threadIdx.x] = 2 * data[threadIdx.x];
  out[threadIdx.x] = data[127 - threadIdx.x];  // finds: race-in-block
}
// launch: 1 x 128
extern "C" __global__ void global_with_barrier(int* data, int* out, int* gone) {
  data[threadIdx.x] = 2 * data[threadIdx.x];
  __syncthreads();
  out[threadIdx.x] = data[127 - threadIdx.x];
}
// launch: 1 x 128
extern "C" __global__ void pairs_of_warps_with_barriers_of_their_own(int* data, int* out, int* gone) {
  __shared__ int tile[128];
  int pair = threadIdx.x / 64;
  tile[threadIdx.x] = data[threadIdx.x];
  asm volatile("bar.sync %0, 64;" ::"r"(pair + 1) : "memory");
  out[threadIdx.x] = tile[threadIdx.x ^ 32];
}
// launch: 1 x 128
extern "C" __global__ void barrier_of_the_wrong_pair(int* data, int* out, int* gone) {
  __shared__ int tile[128];
  int pair = threadIdx.x / 64;
  tile[threadIdx.x] = data[threadIdx.x];
  asm volatile("bar.sync %0, 64;" ::"r"(pair + 1) : "memory");
  out[threadIdx.x] = tile[threadIdx.x ^ 64];  // finds: race-in-block
}
// launch: 1 x 64
extern "C" __global__ void flag_with_fence(int* data, int* out, int* gone) {
  __shared__ int value;
  __shared__ volatile int ready;
  if (threadIdx.x == 0) ready = 0;
  __syncthreads();
  if (threadIdx.x == 0) {
    value = data[7];
    __threadfence_block();
    ready = 1;
  }
  if (threadIdx.x == 32) {
    while (ready == 0) {}
    __threadfence_block();
    out[0] = value;
  }
}
// launch: 1 x 64
extern "C" __global__ void flag_without_fence(int* data, int* out, int* gone) {
  __shared__ volatile int value;
  __shared__ volatile int ready;
  int* plain = const_cast<int*>(&value);
  if (threadIdx.x == 0) ready = 0;
  __syncthreads();
  if (threadIdx.x == 0) {
    *plain = data[7];
    ready = 1;
  }
  if (threadIdx.x == 32) {
    while (ready == 0) {}
    out[0] = value;  // finds: race-in-block
  }
}
