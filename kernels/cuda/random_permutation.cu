// permutation: the positions 0 .. n-1 sorted by their random words; of two equal words the lower position comes first.
//
// A pair is word 2^32 + position: all pairs differ, so that one order is the only one. Tiles of 2048 pairs are sorted by a bitonic network
// in registers (Batcher 1968), then merged two by two, ceil(log2(n / 2048)) times. Each block writes one tile of the result, which it finds
// by the merge path (Green, McColl and Bader 2012, "GPU merge path"). Nothing depends on the order in which blocks run.
// Bytes: 8 n for the tiles, 16 n a merge.

#include <gradus/kernels/cuda/launch.cuh>
#include <gradus/kernels/random.h>

namespace gradus::inline v0::cuda {
namespace {

using Pair = unsigned long long;

constexpr unsigned kSortThreads = 512, kEach = 4, kTile = kSortThreads * kEach;
constexpr unsigned kPitch = kSortThreads + 4;  // with it both ways through the staging memory touch every bank once

/// Element r of thread t at [r][t].
using Staging = Pair[kEach][kPitch];

// ---- one tile, element 4 t + r in v[r] of thread t -------------------------------------------------------------------------------------

__device__ inline Pair smaller_if(bool smaller, Pair a, Pair b) { return (a < b) == smaller ? a : b; }

/// One step of the network: elements j apart are put into order, upwards where bit k of their index is 0.
__device__ inline void compare_apart(Pair (&v)[kEach], unsigned k, unsigned j, Staging& staging) {
  const unsigned t = threadIdx.x;
  if (j < kEach) {
    // Within a thread. Both strides are written out: a subscript that depends on j would put v into memory.
    const auto order = [&](Pair& low, Pair& high, unsigned r) {
      const bool up = ((t * kEach + r) & k) == 0;
      const Pair a = low, b = high;
      low = smaller_if(up, a, b);
      high = smaller_if(!up, a, b);
    };
    if (j == 1) {
      order(v[0], v[1], 0);
      order(v[2], v[3], 2);
    } else {
      order(v[0], v[2], 0);
      order(v[1], v[3], 1);
    }
    return;
  }
  const unsigned apart = j / kEach;  // threads
  const bool across_warps = apart >= kWarp;
  if (across_warps) {
    __syncthreads();  // the last step's readers are done
#pragma unroll
    for (unsigned r = 0; r < kEach; ++r) staging[r][t] = v[r];
    __syncthreads();
  }
  const bool keep_smaller = ((t * kEach & k) == 0) == ((t & apart) == 0);  // j and k are above the bits of r
#pragma unroll
  for (unsigned r = 0; r < kEach; ++r) {
    const Pair other = across_warps ? staging[r][t ^ apart] : __shfl_xor_sync(kAllLanes, v[r], static_cast<int>(apart));
    v[r] = smaller_if(keep_smaller, v[r], other);
  }
}

/// Writes a tile in order. kLast: as positions. Nobody may still read `staging`.
template <bool kLast>
__device__ inline void write_tile(Pair* y, std::int64_t first, std::int64_t n, const Pair (&v)[kEach], Staging& staging) {
#pragma unroll
  for (unsigned r = 0; r < kEach; ++r) staging[r][threadIdx.x] = v[r];
  __syncthreads();
#pragma unroll
  for (unsigned r = 0; r < kEach; ++r) {
    const unsigned e = r * kSortThreads + threadIdx.x;
    const Pair pair = staging[e % kEach][e / kEach];
    if (first + e < n) y[first + e] = kLast ? pair & 0xFFFFFFFFu : pair;
  }
}

// ---- kernels ---------------------------------------------------------------------------------------------------------------------------

/// Grid: tiles; block: 512. A thread: one Philox block, its words 4 t .. 4 t + 3 of the tile. Writes 8 bytes a position.
template <bool kLast> __global__ void __launch_bounds__(kSortThreads) sort_tiles_kernel(Pair* y, std::int64_t n, Key key) {
  __shared__ Staging staging;
  const std::int64_t first = std::int64_t{blockIdx.x} * kTile, mine = first + threadIdx.x * kEach;
  const PhiloxBlock block = philox_block(key, static_cast<std::uint32_t>(mine / 4), 0);
  Pair v[kEach];
#pragma unroll
  for (unsigned r = 0; r < kEach; ++r)
    v[r] = mine + r < n ? Pair{block.word[r]} << 32 | static_cast<Pair>(mine + r) : ~Pair{0};  // beyond the end: last
#pragma unroll 1
  for (unsigned k = 2; k <= kTile; k *= 2)
#pragma unroll 1
    for (unsigned j = k / 2; j > 0; j /= 2) compare_apart(v, k, j, staging);
  __syncthreads();
  write_tile<kLast>(y, first, n, v, staging);
}

/// How many of the first d elements of the merged a [m] and b [l] come from a.
template <class I> __device__ inline I merge_path(const Pair* a, I m, const Pair* b, I l, I d) {
  I low = d > l ? d - l : 0, high = d < m ? d : m;
  while (low < high) {
    const I middle = low + (high - low) / 2;
    if (a[middle] < b[d - 1 - middle]) low = middle + 1;
    else high = middle;
  }
  return low;
}

/// Grid: tiles of the result; block: 512. A thread: four elements of it. Runs of `run` sorted pairs in x become runs of 2 run in y; `run`
/// is a multiple of the tile. Moves x and y once.
template <bool kLast> __global__ void __launch_bounds__(kSortThreads)
    merge_kernel(Pair* y, const Pair* x, std::int64_t n, std::int64_t run) {
  __shared__ Staging staging;
  __shared__ Pair part[kTile];  // what the tile is merged from: a's elements, then b's
  __shared__ std::int64_t cut[2];
  const std::int64_t first = std::int64_t{blockIdx.x} * kTile, start = first / (2 * run) * (2 * run);
  const std::int64_t m = n - start < run ? n - start : run, l = n - start - m < run ? n - start - m : run;
  const Pair *const a = x + start, *const b = a + m;
  const std::int64_t begin = first - start, end = begin + kTile < m + l ? begin + kTile : m + l;
  if (threadIdx.x < 2) cut[threadIdx.x] = merge_path(a, m, b, l, threadIdx.x == 0 ? begin : end);
  __syncthreads();
  const std::int64_t a0 = cut[0], b0 = begin - a0;
  const unsigned of_a = static_cast<unsigned>(cut[1] - a0), all = static_cast<unsigned>(end - begin), of_b = all - of_a;
  for (unsigned i = threadIdx.x; i < all; i += kSortThreads) part[i] = i < of_a ? a[a0 + i] : b[b0 + (i - of_a)];
  __syncthreads();
  const unsigned d = threadIdx.x * kEach < all ? threadIdx.x * kEach : all;
  unsigned i = merge_path(part, of_a, part + of_a, of_b, d), j = d - i;
  Pair v[kEach];
#pragma unroll
  for (unsigned r = 0; r < kEach; ++r) {
    const Pair of_left = i < of_a ? part[i] : ~Pair{0}, of_right = j < of_b ? part[of_a + j] : ~Pair{0};
    const bool left = of_left < of_right;
    v[r] = left ? of_left : of_right;
    (left ? i : j) += 1;
  }
  write_tile<kLast>(y, first, n, v, staging);
}

}  // namespace

/// Tiles go back and forth between this and the result's own memory.
std::size_t permutation_workspace_bytes(std::int64_t n) { return n > std::int64_t{kTile} ? static_cast<std::size_t>(n) * sizeof(Pair) : 0; }

void permutation(Array index, Key key, Workspace workspace) {
  const std::int64_t n = index.elements();
  GRADUS_ASSERT(n <= std::int64_t{1} << 32 && workspace.bytes >= permutation_workspace_bytes(n));
  Pair* const result = reinterpret_cast<Pair*>(index.as<std::int64_t>());
  Pair* const other = static_cast<Pair*>(workspace.data);
  const unsigned tiles = blocks_for(n, kTile);
  int merges = 0;
  while ((std::int64_t{kTile} << merges) < n) ++merges;
  if (merges == 0) return launch("permutation", sort_tiles_kernel<true>, tiles, kSortThreads, 0, result, n, key);
  // The last merge reads the workspace and writes the result.
  const auto target = [&](int step) { return (merges - step) % 2 == 0 ? result : other; };
  launch("permutation", sort_tiles_kernel<false>, tiles, kSortThreads, 0, target(0), n, key);
  for (int step = 1; step <= merges; ++step)
    launch("permutation", step == merges ? merge_kernel<true> : merge_kernel<false>, tiles, kSortThreads, 0, target(step),
           const_cast<const Pair*>(target(step - 1)), n, std::int64_t{kTile} << (step - 1));
}

}  // namespace gradus::inline v0::cuda
