// Control flow and synchronisation whose results machine_test.cpp knows; conventions: README.md.
#include <cooperative_groups.h>
#include <cuda/barrier>
namespace cg = cooperative_groups;

__device__ __noinline__ int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }
__device__ __noinline__ int add_one(int x) { return x + 1; }
__device__ __noinline__ int twice(int x) { return 2 * x; }
__device__ __noinline__ int less_seven(int x) { return x - 7; }
__device__ int (*table[3])(int) = {add_one, twice, less_seven};
__device__ volatile int counter;
__device__ int lock;
__device__ volatile int flags[65];

// launch: 2 x 64
extern "C" __global__ void collatz(int* data, int* out, int* gone) {
  int x = threadIdx.x, n = 0;
  while (x > 1) {
    if (x & 1) x = 3 * x + 1;
    else x >>= 1;
    ++n;
  }
  unsigned all = __ballot_sync(~0u, n > 5);  // the lanes have met again
  out[blockIdx.x * 64 + threadIdx.x] = n + 1000 * __popc(all);
}
// launch: 1 x 64
extern "C" __global__ void nested(int* data, int* out, int* gone) {
  int sum = 0;
  for (int i = 0; i < (int)(threadIdx.x % 7); ++i)
    for (int k = 0; k < i; ++k) {
      if (k == 3) continue;
      if (i + k > 8) break;
      switch ((i * k + threadIdx.x) % 4) {
        case 0: sum += 1; break;
        case 1: sum += 10; break;
        case 2: sum += 100; [[fallthrough]];
        default: sum += 1000;
      }
    }
  out[threadIdx.x] = sum;
}
// launch: 1 x 64
extern "C" __global__ void recursion(int* data, int* out, int* gone) { out[threadIdx.x] = fibonacci(threadIdx.x % 12); }
// launch: 1 x 64
extern "C" __global__ void indirect(int* data, int* out, int* gone) { out[threadIdx.x] = table[threadIdx.x % 3](threadIdx.x); }
// launch: 4 x 64
extern "C" __global__ void lock_between_lanes(int* data, int* out, int* gone) {
  while (atomicCAS(&lock, 0, 1) != 0) {}
  int before = counter;
  counter = before + 1;
  __threadfence();
  atomicExch(&lock, 0);
  atomicAdd((int*)&data[0], 1);
}
// launch: 32 x 32
extern "C" __global__ void chain_of_blocks(int* data, int* out, int* gone) {
  if (threadIdx.x == 0) {
    int b = gridDim.x - 1 - blockIdx.x;  // the last block goes first
    if (b > 0)
      while (atomicAdd((int*)&flags[b], 0) == 0) {}
    atomicExch((int*)&flags[b + 1], 1);
    out[b] = b;
  }
}
// launch: 1 x 64
extern "C" __global__ void ping_pong(int* data, int* out, int* gone) {
  __shared__ int turn;
  if (threadIdx.x == 0) turn = 0;
  __syncthreads();
  int mine = threadIdx.x / 32;
  if (threadIdx.x % 32 == 0)
    for (int i = 0; i < 20; ++i) {
      while (atomicAdd(&turn, 0) % 2 != mine) {}
      atomicAdd(&turn, 1);
    }
  __syncthreads();
  out[threadIdx.x] = turn;
}
// launch: 200 x 64 cooperative
extern "C" __global__ void grid_sync(int* data, int* out, int* gone) {
  cg::grid_group grid = cg::this_grid();
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < 4096) data[i] = i;
  grid.sync();
  if (i < 4096) out[i] = data[4095 - i];
  grid.sync();
  if (i < 4096) data[i] = out[(i + 1) % 4096];
}
// launch: 1 x 96
extern "C" __global__ void named_barriers(int* data, int* out, int* gone) {
  __shared__ int box[32];
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  if (warp == 0) {
    box[lane] = lane * 3;
    asm volatile("barrier.cta.arrive.aligned 1, 64;" ::: "memory");
  } else if (warp == 1) {
    asm volatile("barrier.cta.sync.aligned 1, 64;" ::: "memory");
    out[lane] = box[31 - lane];
  }
  out[32 + threadIdx.x] =
      __syncthreads_count(threadIdx.x % 3 == 0) + 1000 * __syncthreads_or(threadIdx.x == 95) + 10000 * __syncthreads_and(threadIdx.x < 95);
}
// launch: 1 x 32
extern "C" __global__ void syncwarp_in_two_places(int* data, int* out, int* gone) {
  __shared__ int box[32];
  box[threadIdx.x] = threadIdx.x;
  if (threadIdx.x < 16) {
    __syncwarp();
    out[threadIdx.x] = box[31 - threadIdx.x];
  } else {
    __syncwarp();
    out[threadIdx.x] = 2 * box[31 - threadIdx.x];
  }
}
// launch: 1 x 64
extern "C" __global__ void early_return(int* data, int* out, int* gone) {
  if (threadIdx.x >= 40) return;
  __syncthreads();  // finds: divergent-barrier
  out[threadIdx.x] = 1;
}
// launch: 1 x 64
extern "C" __global__ void early_return_after_a_store(int* data, int* out, int* gone) {
  __shared__ int sum;
  if (threadIdx.x == 32) sum = 5;
  if (threadIdx.x >= 32) return;
  __syncthreads();  // finds: divergent-barrier
  out[threadIdx.x] = sum;
}
// launch: 1 x 64
extern "C" __global__ void warps_at_different_barriers(int* data, int* out, int* gone) {
  if (threadIdx.x < 32) {
    data[threadIdx.x] = 1;
    __syncthreads();  // finds: divergent-barrier
  } else {
    out[threadIdx.x] = 1;
    __syncthreads();  // finds: divergent-barrier
  }
}
// launch: 1 x 32
extern "C" __global__ void reads_a_lane_that_is_not_there(int* data, int* out, int* gone) {
  if (threadIdx.x < 16) out[threadIdx.x] = __shfl_down_sync(0xffffu, data[threadIdx.x], 8);  // finds: shuffle-mask
}
// launch: 1 x 32
extern "C" __global__ void returns_before_a_full_mask(int* data, int* out, int* gone) {
  if (threadIdx.x >= 20) return;
  out[threadIdx.x] = __any_sync(~0u, data[threadIdx.x] == 19);
}
// The PTX manual lets a vote or shuffle wait for the lanes of its mask that have not exited: those that have are no error by themselves ...
// launch: 1 x 32
extern "C" __global__ void ballot_of_the_lanes_that_are_left(int* data, int* out, int* gone) {
  if (threadIdx.x >= 16) return;
  out[threadIdx.x] = __ballot_sync(~0u, 1);
}
// ... but what a lane reads from one of them is undefined.
// launch: 1 x 32
extern "C" __global__ void reads_a_lane_that_has_returned(int* data, int* out, int* gone) {
  if (threadIdx.x >= 16) return;
  out[threadIdx.x] = __shfl_down_sync(~0u, data[threadIdx.x], 8);  // finds: shuffle-mask
}
// launch: 1 x 32
extern "C" __global__ void reads_lanes_that_are_left(int* data, int* out, int* gone) {
  if (threadIdx.x >= 16) return;
  out[threadIdx.x] = __shfl_xor_sync(~0u, data[threadIdx.x], 8);
}
// launch: 1 x 1
extern "C" __global__ void ends_with_its_slice(int* data, int* out, int* gone) {
  unsigned state = data[1];
#pragma unroll 1
  for (int i = data[0]; i != 0; --i) state = state * 1664525u + 1013904223u;
  out[0] = state;
}
// launch: 2 x 256
extern "C" __global__ void polls_a_barrier(int* data, int* out, int* gone) {
  using Barrier = cuda::barrier<cuda::thread_scope_block>;
  __shared__ Barrier barrier;
  __shared__ int box[256];
  if (threadIdx.x == 0) init(&barrier, blockDim.x);
  __syncthreads();
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  for (int round = 0; round < 20; ++round) {
    box[threadIdx.x] = i + round;
    barrier.arrive_and_wait();
    out[i] = box[255 - threadIdx.x];
    barrier.arrive_and_wait();
  }
}
// launch: 2 x 32
extern "C" __global__ void waits_for_the_clock(int* data, int* out, int* gone) {
  long long began = clock64();
  while (clock64() - began < 500'000'000) {}
  long long waited = clock64() - began;
  for (int i = 0; i < 500; ++i) __nanosleep(1'000'000);
  out[blockIdx.x * blockDim.x + threadIdx.x] = waited >= 500'000'000 && clock64() - began >= 1'000'000'000;
}
// launch: 64 x 64 cooperative
extern "C" __global__ void polls_for_ever(int* data, int* out, int* gone) {
  using Barrier = cuda::barrier<cuda::thread_scope_block>;
  __shared__ Barrier barrier;
  if (threadIdx.x == 0) init(&barrier, blockDim.x + 1);
  __syncthreads();
  barrier.arrive_and_wait();  // finds: livelock
}
