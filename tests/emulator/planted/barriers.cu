// launch: 1 x 64
extern "C" __global__ void barrier_for_half_a_warp(int* data, int* out, int* gone) {
  if (threadIdx.x < 16) __syncthreads();  // finds: divergent-barrier
  out[threadIdx.x] = 1;
}
// launch: 1 x 64
extern "C" __global__ void barrier_in_both_branches(int* data, int* out, int* gone) {
  if (data[threadIdx.x] % 2 == 0) {
    __syncthreads();  // finds: divergent-barrier
    data[threadIdx.x] = 5;
  } else {
    out[threadIdx.x] = 1;
    __threadfence();
  }
}
// launch: 1 x 64
extern "C" __global__ void barrier_in_a_loop_of_unequal_length(int* data, int* out, int* gone) {
  for (int k = 0; k < data[threadIdx.x]; ++k) __syncthreads();  // finds: divergent-barrier
  out[threadIdx.x] = 1;
}
// launch: 1 x 64
extern "C" __global__ void barrier_in_a_uniform_branch(int* data, int* out, int* gone) {
  if (data[1] == 1) __syncthreads();
  out[threadIdx.x] = 1;
}
// launch: 2 x 64
extern "C" __global__ void barrier_in_one_block_only(int* data, int* out, int* gone) {
  if (blockIdx.x == 0) __syncthreads();
  out[blockIdx.x * 64 + threadIdx.x] = 1;
}
// launch: 1 x 32
extern "C" __global__ void shuffle_names_absent_lanes(int* data, int* out, int* gone) {
  int value = data[threadIdx.x];
  if (threadIdx.x < 16) value += __shfl_down_sync(0xffffffffu, value, 8);  // finds: shuffle-mask
  out[threadIdx.x] = value;
}
// launch: 1 x 32
extern "C" __global__ void shuffle_without_being_named(int* data, int* out, int* gone) {
  out[threadIdx.x] = __shfl_xor_sync(0x0000ffffu, data[threadIdx.x], 1);  // finds: shuffle-mask
}
// launch: 1 x 32
extern "C" __global__ void vote_with_the_mask_of_another_branch(int* data, int* out, int* gone) {
  if (threadIdx.x < 8) out[threadIdx.x] = __any_sync(0xffff0000u, data[threadIdx.x]);  // finds: shuffle-mask
}
// launch: 1 x 32
extern "C" __global__ void shuffle_of_half_a_warp(int* data, int* out, int* gone) {
  int value = data[threadIdx.x];
  if (threadIdx.x < 16) value += __shfl_down_sync(0x0000ffffu, value, 8, 16);
  out[threadIdx.x] = value;
}
// launch: 1 x 32
extern "C" __global__ void waits_for_nobody(int* data, int* out, int* gone) {
  volatile int* flag = data;
  while (flag[0] == 0) {}  // finds: livelock
  out[threadIdx.x] = 1;
}
// launch: 1 x 64
extern "C" __global__ void lock_never_given_back(int* data, int* out, int* gone) {
  while (atomicCAS(data, 0, 1) != 0) {}  // finds: livelock
  out[threadIdx.x] = 1;
}
// launch: 1 x 64
extern "C" __global__ void waits_for_another_warp(int* data, int* out, int* gone) {
  volatile int* flag = data;
  if (threadIdx.x == 32) flag[0] = 1;
  if (threadIdx.x == 0)
    while (flag[0] == 0) {}
  out[threadIdx.x] = 1;
}
