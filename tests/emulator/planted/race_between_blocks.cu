#include <cooperative_groups.h>
// launch: 4 x 64
extern "C" __global__ void all_blocks_write_one_word(int* data, int* out, int* gone) {
  if (threadIdx.x == 0) out[3] = blockIdx.x;  // finds: race-between-blocks
}
// launch: 4 x 64
extern "C" __global__ void all_blocks_add(int* data, int* out, int* gone) {
  if (threadIdx.x == 0) atomicAdd(data + 3, blockIdx.x);
}
// launch: 4 x 64
extern "C" __global__ void smooths_in_place(int* data, int* out, int* gone) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  int next = data[i + 64];
  data[i] = next;  // finds: race-between-blocks
}
// launch: 4 x 64
extern "C" __global__ void smooths_into_another_array(int* data, int* out, int* gone) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = data[i + 64] + data[i];
}
__device__ int ticket_with_fence, ticket_without_fence, ticket_of_each_thread;
// launch: 8 x 64
extern "C" __global__ void last_block_sums(int* data, int* out, int* gone) {
  __shared__ int last;
  if (threadIdx.x == 0) {
    out[blockIdx.x] = data[blockIdx.x];
    __threadfence();
    last = atomicAdd(&ticket_with_fence, 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (last && threadIdx.x < gridDim.x) out[100 + threadIdx.x] = out[threadIdx.x];
}
// launch: 8 x 64
extern "C" __global__ void last_block_sums_without_fence(int* data, int* out, int* gone) {
  __shared__ int last;
  if (threadIdx.x == 0) {
    out[blockIdx.x] = data[blockIdx.x];
    last = atomicAdd(&ticket_without_fence, 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (last && threadIdx.x < gridDim.x) out[100 + threadIdx.x] = out[threadIdx.x];  // finds: race-between-blocks
}
// launch: 8 x 64
extern "C" __global__ void last_block_after_fences_of_all(int* data, int* out, int* gone) {
  __shared__ int last;
  out[blockIdx.x * 64 + threadIdx.x] = data[threadIdx.x];
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) last = atomicAdd(&ticket_of_each_thread, 1) == gridDim.x - 1;
  __syncthreads();
  int sum = 0;
  if (last) {
    for (int b = 0; b < gridDim.x; ++b) sum += out[b * 64 + threadIdx.x];
    out[2000 + threadIdx.x] = sum;
  }
}
// launch: 4 x 64 cooperative
extern "C" __global__ void grid_in_step(int* data, int* out, int* gone) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = data[i];
  cooperative_groups::this_grid().sync();
  data[i] = out[255 - i];
  cooperative_groups::this_grid().sync();
  out[i] = data[(i + 64) % 256];
}
// launch: 4 x 64 cooperative
extern "C" __global__ void grid_out_of_step(int* data, int* out, int* gone) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = data[i];
  cooperative_groups::this_grid().sync();
  out[i] = 2 * data[i];
  data[1000 + i] = out[255 - i];  // finds: race-between-blocks
}
// Each block adds to what its predecessor published; blocks wait for a flag that is raised after a fence.
__device__ volatile int published[9], raised[9];
// launch: 8 x 32 cooperative
extern "C" __global__ void chain_of_blocks(int* data, int* out, int* gone) {
  if (threadIdx.x != 0) return;
  int sum = data[blockIdx.x];
  if (blockIdx.x > 0) {
    while (raised[blockIdx.x - 1] == 0) {}
    __threadfence();
    sum += out[blockIdx.x - 1];
  }
  out[blockIdx.x] = sum;
  __threadfence();
  raised[blockIdx.x] = 1;
}
__device__ volatile int raised_early[9];
// launch: 8 x 32 cooperative
extern "C" __global__ void chain_of_blocks_without_fence(int* data, int* out, int* gone) {
  if (threadIdx.x != 0) return;
  int sum = data[blockIdx.x];
  if (blockIdx.x > 0) {
    while (raised_early[blockIdx.x - 1] == 0) {}
    sum += out[blockIdx.x - 1];
  }
  out[blockIdx.x] = sum;  // finds: race-between-blocks
  raised_early[blockIdx.x] = 1;
}
