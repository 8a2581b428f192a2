// Decided cases: what a look at a counter, an exchange, and a missing barrier are called.
__device__ int visited[64], slot_taken[64];
// launch: 4 x 64
extern "C" __global__ void looks_before_it_swaps(int* data, int* out, int* gone) {
  int node = data[threadIdx.x] % 64;
  if (visited[node] == 0 && atomicCAS(&visited[node], 0, 1) == 0) data[1000 + node] = 1;
}
// launch: 2 x 64
extern "C" __global__ void looks_at_a_shared_counter(int* data, int* out, int* gone) {
  __shared__ int count;
  if (threadIdx.x == 0) count = 0;
  __syncthreads();
  atomicAdd(&count, 1);
  out[blockIdx.x * 64 + threadIdx.x] = count;  // finds: race-in-block
}
// launch: 1 x 64
extern "C" __global__ void exchange_that_only_stores(int* data, int* out, int* gone) { atomicExch(out + threadIdx.x, 1); }
// launch: 1 x 64
extern "C" __global__ void exchange_that_reads(int* data, int* out, int* gone) {
  data[threadIdx.x] = atomicExch(out + threadIdx.x, 1);  // finds: uninitialised
}
// The first warp clears and counts; its own atomics do not hide the clearing from the others.
// launch: 1 x 128
extern "C" __global__ void counts_before_all_is_cleared(int* data, int* out, int* gone) {
  __shared__ int count;
  if (threadIdx.x == 0) count = data[0];
  atomicAdd(&count, 1);  // finds: race-in-block
  __syncthreads();
  out[threadIdx.x] = count;
}
// Lanes of one warp race too, but what is missing is the barrier.
// launch: 1 x 128
extern "C" __global__ void mirror_without_barrier(int* data, int* out, int* gone) {
  __shared__ int tile[128];
  tile[threadIdx.x] = data[threadIdx.x];
  int a = tile[(threadIdx.x + 1) % 32 + threadIdx.x / 32 * 32] + tile[127 - threadIdx.x];  // finds: race-in-block
  out[threadIdx.x] = a;
}
