// What follows the tiles of the contrastive gradients: sums of parts, and the temperature's one number. Memory-bound, O((B + M) D).
#pragma once

#include <gradus/kernels/cuda/contrastive_side.cuh>

namespace gradus::inline v0::cuda::contrast {

/// n elements as one word.
template <class T, int n> struct alignas(n * sizeof(T)) Elements { T value[n]; };

/// out = the sum of `splits` parts of n words each, in their order. A thread a word: reads them all, writes one.
template <class T, int kWidth> __global__ void __launch_bounds__(256) add_parts_kernel(T* out, const T* parts, int splits, std::int64_t n) {
  using Word = Elements<T, kWidth>;
  const std::int64_t i = std::int64_t(blockIdx.x) * 256 + threadIdx.x;
  if (i >= n) return;
  Word sum = reinterpret_cast<const Word*>(parts)[i];
  for (int s = 1; s < splits; ++s) {
    const Word part = reinterpret_cast<const Word*>(parts)[s * n + i];
#pragma unroll
    for (int e = 0; e < kWidth; ++e) sum.value[e] += part.value[e];
  }
  reinterpret_cast<Word*>(out)[i] = sum;
}

template <class T> void add_parts(const char* op, T* out, const T* parts, int splits, std::int64_t elements) {
  constexpr int kWidth = Pack<T>::kCount;
  if (aligned16(out) && elements % kWidth == 0)
    return launch(op, add_parts_kernel<T, kWidth>, blocks_for(elements / kWidth, 256), 256, 0, out, parts, splits, elements / kWidth);
  launch(op, add_parts_kernel<T, 1>, blocks_for(elements, 256), 256, 0, out, parts, splits, elements);
}

/// out = scale / temperature^power * the sum of n numbers, in one fixed order. One block.
template <class T> __global__ void __launch_bounds__(kRowThreads)
    add_numbers_kernel(T* out, const double* numbers, int n, const T* temperature, double scale, int power) {
  alignas(16) __shared__ double scratch[kRowWarps];
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kRowThreads) sum += numbers[i];
  sum = block_reduce<kRowThreads>(sum, scratch, [](double a, double b) { return a + b; });
  const double beta = double(T(1) / *temperature);
  if (threadIdx.x == 0) *out = T(scale * (power == 2 ? beta * beta : beta) * sum);
}

/// This warp's sum becomes part of its block's.
__device__ inline void write_block_sum(double* sums, double warp_sum) {
  alignas(16) __shared__ double scratch[kRowWarps];
  if (threadIdx.x % kWarp == 0) scratch[threadIdx.x / kWarp] = warp_sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  double sum = 0;
  for (int w = 0; w < kRowWarps; ++w) sum += scratch[w];
  sums[blockIdx.x] = sum;
}

}  // namespace gradus::inline v0::cuda::contrast
