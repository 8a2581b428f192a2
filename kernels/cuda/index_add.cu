// Adding at computed positions (kernels/index.h), without atomics: the terms of one element of y are added in the order of their index, as
// on the CPU and with its bits. Bytes: x and the index once, and y twice for every run of terms that go to the same place.
//
//   index_add    y[o, index[j], k] += x[o, j, k]: a warp owns some of the rows of y (by the low bits of their number) and 32 packs of
//                columns. It searches the index, which is short beside x and stays in L2, for its rows, and adds them in their order.
//   scatter_add  y[o, index[o, j, k], k] += x[o, j, k]: a thread owns the column (o, k) and takes eight terms at a time; where columns are
//                few and long (`inner` small) a warp owns one, takes 32 terms, and lanes with the same target take turns.
// A term whose index is out of range is skipped.

#include <gradus/kernels/index.h>

#include <gradus/kernels/cuda/index_axis.cuh>
#include <gradus/kernels/cuda/reduce_launch.cuh>

namespace gradus::inline v0::cuda {
namespace {

constexpr int kWarps = kIndexThreads / kWarp;
constexpr int kTogether = 4;  // rows of x whose loads are in flight together

/// The row of y that a thread is adding to: kPack of its columns in registers, written back when the row changes.
template <class T, int kPack> struct OpenRow {
  T* columns;  // of row 0
  std::int64_t stride, row = -1;
  bool here;
  T sum[kPack];

  __device__ void close() {
    if (here && row >= 0) store_pack<kPack, (kPack > 1)>(columns + row * stride, sum);
  }
  __device__ void add(std::int64_t to, const T (&x)[kPack]) {
    if (to != row) {
      close();
      row = to;
      if (here) load_pack<kPack, (kPack > 1)>(sum, columns + row * stride);
    }
#pragma unroll
    for (int j = 0; j < kPack; ++j) sum[j] += x[j];
  }
};

/// Grid: outer * tiles * (owners / 8); block: 8 warps. Warp w of owner block b owns the rows r with r % owners = 8 b + w; owners is a
/// power of two.
template <int kPack, class T> __global__ void __launch_bounds__(kIndexThreads)
    add_rows(T* y, const T* x, const std::int64_t* index, std::int64_t extent, std::int64_t n, std::int64_t inner, unsigned tiles,
             unsigned owner_blocks) {
  __shared__ std::int64_t rows[kIndexThreads];
  const unsigned owner_block = blockIdx.x % owner_blocks, rest = blockIdx.x / owner_blocks;
  const std::int64_t outer = rest / tiles, column = (static_cast<std::int64_t>(rest % tiles) * kWarp + threadIdx.x % kWarp) * kPack;
  const bool here = column < inner;
  const std::int64_t mine = owner_block * kWarps + threadIdx.x / kWarp, low_bits = static_cast<std::int64_t>(owner_blocks) * kWarps - 1;
  const T* const from = x + outer * n * inner + column;
  OpenRow<T, kPack> open{y + outer * extent * inner + column, inner, -1, here, {}};
  for (std::int64_t chunk = 0; chunk < n; chunk += kIndexThreads) {
    __syncthreads();
    const std::int64_t j = chunk + threadIdx.x, row = j < n ? index[j] : -1;
    rows[threadIdx.x] = inside(row, extent) ? row : -1;
    __syncthreads();
    for (int at = 0; at < kIndexThreads; at += kWarp) {
      const std::int64_t candidate = rows[at + threadIdx.x % kWarp];
      unsigned found = __ballot_sync(kAllLanes, candidate >= 0 && (candidate & low_bits) == mine);
      while (found != 0) {
        std::int64_t to[kTogether];
        T term[kTogether][kPack];
#pragma unroll
        for (int q = 0; q < kTogether; ++q) {
          to[q] = -1;
          if (found == 0) continue;
          const int place = at + __ffs(static_cast<int>(found)) - 1;
          found &= found - 1;
          to[q] = rows[place];
          if (here) load_pack<kPack, (kPack > 1)>(term[q], from + (chunk + place) * inner);
        }
#pragma unroll
        for (int q = 0; q < kTogether; ++q)
          if (to[q] >= 0) open.add(to[q], term[q]);
      }
    }
  }
  open.close();
}

// ---- scatter_add ---------------------------------------------------------------------------------------------------------------------

constexpr int kTerms = 8;  // of a column, loaded together

/// A thread owns column c = o inner + k. Grid: columns / 256; block: 256. The loads of eight terms and their targets go out together; a
/// term whose target is also an earlier term's goes on from that one's sum.
template <class T> __global__ void __launch_bounds__(kIndexThreads)
    add_columns(T* y, const T* x, const std::int64_t* index, std::int64_t extent, std::int64_t n, std::int64_t inner,
                std::int64_t columns) {
  const std::int64_t c = static_cast<std::int64_t>(blockIdx.x) * kIndexThreads + threadIdx.x;
  if (c >= columns) return;
  const std::int64_t outer = c / inner, k = c - outer * inner, from = outer * n * inner + k;
  T* const to = y + outer * extent * inner + k;
  for (std::int64_t j = 0; j < n; j += kTerms) {
    std::int64_t row[kTerms];
    T sum[kTerms], term[kTerms];
#pragma unroll
    for (int q = 0; q < kTerms; ++q) {
      row[q] = -1, term[q] = 0;
      if (j + q < n) row[q] = index[from + (j + q) * inner], term[q] = x[from + (j + q) * inner];
      if (!inside(row[q], extent)) row[q] = -1;
    }
#pragma unroll
    for (int q = 0; q < kTerms; ++q) sum[q] = row[q] >= 0 ? to[row[q] * inner] : T(0);
#pragma unroll
    for (int q = 0; q < kTerms; ++q) {
#pragma unroll
      for (int p = 0; p < q; ++p)
        if (row[p] == row[q]) sum[q] = sum[p];
      sum[q] += term[q];
    }
#pragma unroll
    for (int q = 0; q < kTerms; ++q)
      if (row[q] >= 0) to[row[q] * inner] = sum[q];
  }
}

/// A warp owns column c. Grid: columns / 8; block: 8 warps. Lanes with the same target add one after the other, in their order.
template <class T> __global__ void __launch_bounds__(kIndexThreads)
    add_long_columns(T* y, const T* x, const std::int64_t* index, std::int64_t extent, std::int64_t n, std::int64_t inner,
                     std::int64_t columns) {
  const std::int64_t c = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp;
  if (c >= columns) return;  // the whole warp
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t outer = c / inner, k = c - outer * inner, from = outer * n * inner + k;
  T* const to = y + outer * extent * inner + k;
  for (std::int64_t j = lane; j - lane < n; j += kWarp) {
    std::int64_t row = j < n ? index[from + j * inner] : -1;
    const T term = j < n ? x[from + j * inner] : T(0);
    const bool here = inside(row, extent);
    if (!here) row = -1 - lane;  // equal to nobody's
    const unsigned before = __match_any_sync(kAllLanes, row) & ((1u << lane) - 1);
    const int turn = here ? __popc(before) : -1;
    for (int t = 0; __any_sync(kAllLanes, turn >= t); ++t) {
      if (turn == t) to[row * inner] += term;
      __syncwarp();  // the vote alone orders no memory
    }
  }
}

/// The least power of two that is at least n.
std::int64_t power_of_two(std::int64_t n) {
  std::int64_t p = 1;
  while (p < n) p *= 2;
  return p;
}

}  // namespace

void index_add(Array y, ConstArray x, ConstArray index, int axis) {
  const AxisView to(*y.shape, axis), from(*x.shape, axis);
  if (x.elements() == 0 || y.elements() == 0) return;
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int kPack = Pack<T>::kCount;
    const bool wide = to.inner % kPack == 0 && aligned16(y.data) && aligned16(x.data);
    const std::int64_t tiles = ceil_div(to.inner, kWarp * (wide ? kPack : 1)), side_by_side = to.outer * tiles;
    // As many owners as there are rows or terms, while there are processors for them: each one reads the whole index.
    const std::int64_t rows = to.extent < from.extent ? to.extent : from.extent, wanted = power_of_two(ceil_div(rows, kWarps));
    std::int64_t owner_blocks = 1;
    while (owner_blocks < wanted && owner_blocks * 2 * side_by_side <= 1024) owner_blocks *= 2;
    const auto kernel = wide ? add_rows<kPack, T> : add_rows<1, T>;
    launch("index_add", kernel, static_cast<unsigned>(side_by_side * owner_blocks), kIndexThreads, 0, y.as<T>(), x.as<T>(),
           index.as<std::int64_t>(), to.extent, from.extent, to.inner, static_cast<unsigned>(tiles), static_cast<unsigned>(owner_blocks));
  });
}

void scatter_add(Array y, ConstArray x, ConstArray index, int axis) {
  const AxisView to(*y.shape, axis), from(*x.shape, axis);
  if (x.elements() == 0 || y.elements() == 0) return;
  const std::int64_t columns = from.outer * from.inner;
  const bool few_and_long = from.inner < 16 && from.extent >= kWarp;  // a column's neighbours would share few sectors
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const auto kernel = few_and_long ? add_long_columns<T> : add_columns<T>;
    launch("scatter_add", kernel, blocks_for(columns, few_and_long ? kWarps : kIndexThreads), kIndexThreads, 0, y.as<T>(), x.as<T>(),
           index.as<std::int64_t>(), to.extent, from.extent, from.inner, columns);
  });
}

}  // namespace gradus::inline v0::cuda
