// What the toolkit's own headers make of warps, blocks and grids is clean.
#include <cooperative_groups.h>
#include <cooperative_groups/memcpy_async.h>
#include <cooperative_groups/reduce.h>
#include <cub/block/block_load.cuh>
#include <cub/block/block_merge_sort.cuh>
#include <cub/block/block_radix_sort.cuh>
#include <cub/block/block_reduce.cuh>
#include <cub/block/block_scan.cuh>
#include <cub/block/block_store.cuh>
#include <cub/warp/warp_reduce.cuh>
#include <cub/warp/warp_scan.cuh>
#include <cuda/barrier>
#include <cuda/pipeline>

namespace cg = cooperative_groups;

// launch: 2 x 128
extern "C" __global__ void block_reduce(int* data, int* out, int* gone) {
  using Reduce = cub::BlockReduce<int, 128>;
  __shared__ typename Reduce::TempStorage storage;
  int sum = Reduce(storage).Sum(data[threadIdx.x]);
  __syncthreads();
  int most = Reduce(storage).Reduce(data[threadIdx.x], cuda::maximum<>{});
  if (threadIdx.x == 0) out[blockIdx.x] = sum + most;
}
// launch: 1 x 128
extern "C" __global__ void block_scan(int* data, int* out, int* gone) {
  using Scan = cub::BlockScan<int, 128, cub::BLOCK_SCAN_WARP_SCANS>;
  using Raking = cub::BlockScan<int, 128, cub::BLOCK_SCAN_RAKING>;
  __shared__ typename Scan::TempStorage storage;
  __shared__ typename Raking::TempStorage raking;
  int sum = 0, again = 0;
  Scan(storage).InclusiveSum(data[threadIdx.x], sum);
  Raking(raking).ExclusiveSum(data[threadIdx.x], again);
  out[threadIdx.x] = sum - again;
}
// launch: 1 x 128
extern "C" __global__ void block_merge_sort(int* data, int* out, int* gone) {
  using Sort = cub::BlockMergeSort<int, 128, 4>;
  __shared__ typename Sort::TempStorage storage;
  int keys[4];
  for (int k = 0; k < 4; ++k) keys[k] = data[4 * threadIdx.x + k];
  Sort(storage).Sort(keys, [](int a, int b) { return a > b; });
  for (int k = 0; k < 4; ++k) out[4 * threadIdx.x + k] = keys[k];
}
// launch: 1 x 128
extern "C" __global__ void block_sort(int* data, int* out, int* gone) {
  using Sort = cub::BlockRadixSort<int, 128, 4>;
  __shared__ typename Sort::TempStorage storage;
  int keys[4];
  for (int k = 0; k < 4; ++k) keys[k] = data[(threadIdx.x * 4 + k) * 7 % 512];
  Sort(storage).Sort(keys);
  for (int k = 0; k < 4; ++k) out[threadIdx.x * 4 + k] = keys[k];
}
// launch: 1 x 128
extern "C" __global__ void block_exchange(int* data, int* out, int* gone) {
  using Load = cub::BlockLoad<int, 128, 4, cub::BLOCK_LOAD_WARP_TRANSPOSE>;
  using Store = cub::BlockStore<int, 128, 4, cub::BLOCK_STORE_TRANSPOSE>;
  __shared__ union {
    typename Load::TempStorage load;
    typename Store::TempStorage store;
  } storage;
  int items[4];
  Load(storage.load).Load(data, items);
  __syncthreads();
  Store(storage.store).Store(out, items);
}
// launch: 1 x 64
extern "C" __global__ void warp_reduce(int* data, int* out, int* gone) {
  using Reduce = cub::WarpReduce<int, 16>;
  using Scan = cub::WarpScan<int, 8>;
  __shared__ typename Reduce::TempStorage storage[4];
  __shared__ typename Scan::TempStorage scan[8];
  int sum = Reduce(storage[threadIdx.x / 16]).Sum(data[threadIdx.x]);
  if (threadIdx.x % 16 == 0) out[threadIdx.x / 16] = sum;
  int to = 0;
  Scan(scan[threadIdx.x / 8]).InclusiveSum(data[threadIdx.x], to);
  out[64 + threadIdx.x] = to;
}
// launch: 1 x 96
extern "C" __global__ void groups(int* data, int* out, int* gone) {
  cg::thread_block block = cg::this_thread_block();
  auto tile = cg::tiled_partition<16>(block);
  __shared__ int sums[6];
  int sum = cg::reduce(tile, data[threadIdx.x], cg::plus<int>());
  if (tile.thread_rank() == 0) sums[tile.meta_group_rank()] = sum;
  block.sync();
  if (data[threadIdx.x] % 3 == 0) {
    auto active = cg::coalesced_threads();
    sum += cg::reduce(active, 1, cg::plus<int>());
  }
  out[threadIdx.x] = sum + sums[threadIdx.x / 16];
}
// launch: 1 x 64
extern "C" __global__ void asynchronous_copies(int* data, int* out, int* gone) {
  __shared__ alignas(16) int tile[2][256];
  cg::thread_block block = cg::this_thread_block();
  cg::memcpy_async(block, tile[0], data, sizeof(int) * 256);
  for (int k = 0; k < 4; ++k) {
    if (k < 3) {
      cg::memcpy_async(block, tile[(k + 1) % 2], data + 256 * (k + 1), sizeof(int) * 256);
      cg::wait_prior<1>(block);
    } else {
      cg::wait(block);
    }
    for (int i = threadIdx.x; i < 256; i += 64) out[256 * k + i] = tile[k % 2][255 - i];
    block.sync();
  }
}
// launch: 1 x 64
extern "C" __global__ void pipeline_of_a_block(int* data, int* out, int* gone) {
  __shared__ alignas(16) int tile[2][64];
  __shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, 2> state;
  auto block = cg::this_thread_block();
  auto pipe = cuda::make_pipeline(block, &state);
  for (int k = 0; k < 5; ++k) {
    if (k < 4) {
      pipe.producer_acquire();
      cuda::memcpy_async(block, tile[k % 2], data + 64 * k, cuda::aligned_size_t<16>(sizeof(int) * 64), pipe);
      pipe.producer_commit();
    }
    if (k > 0) {
      pipe.consumer_wait();
      out[64 * k + threadIdx.x] = tile[(k - 1) % 2][63 - threadIdx.x];
      pipe.consumer_release();
    }
  }
}
// launch: 1 x 128
extern "C" __global__ void barrier_object(int* data, int* out, int* gone) {
  __shared__ int tile[128];
  __shared__ cuda::barrier<cuda::thread_scope_block> bar;
  if (threadIdx.x == 0) init(&bar, 128);
  __syncthreads();
  for (int k = 0; k < 3; ++k) {
    tile[threadIdx.x] = data[threadIdx.x + k];
    bar.arrive_and_wait();
    out[threadIdx.x] = tile[127 - threadIdx.x];
    bar.arrive_and_wait();
  }
}
__device__ int lock_word;
// launch: 4 x 64
extern "C" __global__ void lock_of_the_grid(int* data, int* out, int* gone) {
  if (threadIdx.x == 0) {
    while (atomicCAS(&lock_word, 0, 1) != 0) {}
    __threadfence();
    data[100] += 1;
    __threadfence();
    atomicExch(&lock_word, 0);
  }
}
// launch: 2 x 256
extern "C" __global__ void tile_of_warps(int* data, int* out, int* gone) {
  __shared__ cg::block_tile_memory<256> scratch;
  auto block = cg::this_thread_block(scratch);
  auto tile = cg::tiled_partition<64>(block);
  int sum = cg::reduce(tile, data[threadIdx.x], cg::plus<int>());
  out[blockIdx.x * blockDim.x + threadIdx.x] = sum + tile.shfl(data[threadIdx.x], 3);
}
