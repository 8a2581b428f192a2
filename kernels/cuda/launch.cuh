// For the .cu files: launching, 16-byte packs, warp and block reductions.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include <gradus/kernels/array.h>
#include <gradus/kernels/cuda/device.h>

namespace gradus::inline v0::cuda {

inline constexpr int kWarp = 32;
inline constexpr std::int64_t kBusy = 128;  // blocks that keep a large device's multiprocessors busy (H100: 132, A100: 108)
inline constexpr unsigned kAllLanes = 0xFFFFFFFFu;

/// Starts `kernel` on this thread's stream and reads its launch error. An empty grid starts nothing.
template <class... P, class... A>
void launch(const char* op, void (*kernel)(P...), dim3 grid, dim3 block, std::size_t shared_bytes, A&&... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  kernel<<<grid, block, shared_bytes, static_cast<cudaStream_t>(stream())>>>(static_cast<A&&>(arguments)...);
  check_launch(op);
}

/// Blocks that cover n items at `each` a block. Above the grid's limit the kernel must stride.
inline unsigned blocks_for(std::int64_t n, std::int64_t each) {
  const std::int64_t blocks = (n + each - 1) / each;
  return static_cast<unsigned>(blocks < 0x7FFFFFFF ? blocks : 0x7FFFFFFF);
}

/// 16 bytes of T, moved by one access.
template <class T> struct alignas(16) Pack {
  static constexpr int kCount = 16 / static_cast<int>(sizeof(T));
  T value[kCount];
};
inline bool aligned16(const void* p) { return reinterpret_cast<std::uintptr_t>(p) % 16 == 0; }

/// f(i) for this thread's i among 0 .. kCount of a block of kThreads. Unrolled by a number of rounds that is known: a loop from threadIdx.x
/// is compiled for blocks of any size.
template <int kCount, int kThreads, class F> __device__ inline void for_each_of_block(const F& f) {
#pragma unroll
  for (int first = 0; first < kCount; first += kThreads) {
    const int i = first + static_cast<int>(threadIdx.x);
    if (first + kThreads <= kCount || i < kCount) f(i);
  }
}

/// Combines the values of a warp's 32 lanes by a butterfly: every lane gets the result, the same bits whatever the data's order in time.
template <class T, class F> __device__ inline T warp_reduce(T value, F combine) {
#pragma unroll
  for (int offset = kWarp / 2; offset > 0; offset /= 2) value = combine(value, __shfl_xor_sync(kAllLanes, value, offset));
  return value;
}

/// The same over a block of `kThreads` (a multiple of 32); `scratch` is shared memory of kThreads / 32 elements. Every thread gets the
/// result. Scratch may be used again after the next barrier of the block.
template <int kThreads, class T, class F> __device__ inline T block_reduce(T value, T* scratch, F combine) {
  static_assert(kThreads % kWarp == 0);
  constexpr int kWarps = kThreads / kWarp;
  value = warp_reduce(value, combine);
  if constexpr (kWarps == 1) return value;
  if (threadIdx.x % kWarp == 0) scratch[threadIdx.x / kWarp] = value;
  __syncthreads();
  T total = scratch[0];
#pragma unroll
  for (int w = 1; w < kWarps; ++w) total = combine(total, scratch[w]);
  return total;
}

}  // namespace gradus::inline v0::cuda
