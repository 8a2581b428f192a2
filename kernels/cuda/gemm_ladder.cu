// Matrix products, the first three steps of the ladder; gemm.cu has the fourth.
//
//   c[i, j] = sum over p < k of a(i, p) b(p, j) (+ bias[j])        2 m n k FLOPs; compulsory bytes (m k + k n + m n) size
//
//   version            a thread owns   global bytes asked, times m n k size   what changed
//   1 naive            1 output        2                                      every operand of every product comes from global memory
//   2 shared tiles     1 output        1/32 + 1/32                            a block reads a 32 x 32 tile of a and of b once and shares it
//   3 register tiles   4 x 4           1/64 + 1/64                            an element read from shared memory serves four products
//   4 asynchronous     8 x 8           1/128 + 1/128                          gemm.cu: 16-byte copies that need no registers, in the
//   background
//
// and m n size for c, twice that again for every chunk of depth after the first (gemm.h says what a chunk is). The versions give the same
// bits: a chain of fma per output in the order of p.
#include <gradus/kernels/cuda/gemm_call.cuh>

namespace gradus::inline v0::cuda {

using namespace product;

namespace {

// ---- 1: naive

// Grid: outputs / 256, over the whole batch; block: 256 outputs in a row. The lanes of a warp share an element of a and read neighbours of
// b (a whole sector each if b is transposed). Bytes: two operands a product.
template <class T, class Index> __global__ __launch_bounds__(256) void gemm_v1(GemmCall<T> g, Index outputs) {
  const Index at = static_cast<Index>(blockIdx.x) * 256 + static_cast<Index>(threadIdx.x);
  if (at >= outputs) return;
  const Index row = at / static_cast<Index>(g.n), item = row / static_cast<Index>(g.m);
  const std::int64_t i = row % static_cast<Index>(g.m), j = at % static_cast<Index>(g.n);
  const T *a = g.a + item * g.stride_a + g.a_at(i, 0), *b = g.b + item * g.stride_b + g.b_at(0, j);
  T* c = g.c + item * g.stride_c + i * g.ldc + j;
  const std::int64_t a_step = g.transpose_a ? g.lda : 1, b_step = g.transpose_b ? 1 : g.ldb;
  const std::int64_t chunks = g.chunks();
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    T sum = 0;
    for (int p = g.depth(chunk * g.chunk); p > 0; --p, a += a_step, b += b_step) sum = fma(*a, *b, sum);
    add_chain(g, c, sum, j, chunk == 0, chunk == chunks - 1);
  }
}

// ---- 2: shared tiles

constexpr int kSquare = 32;

/// One element of a tile: (i, p) of a matrix of `rows` x `depth`, zero outside.
template <class T, class F> __device__ inline T element_or_zero(const T* data, std::int64_t i, std::int64_t rows, int p, int depth, F at) {
  return i < rows && p < depth ? data[at(i, p)] : T(0);
}

// Grid: tiles of 32 x 32 outputs; block: 32 x 32 threads, one output each. A step copies a 32 x 32 tile of both operands, each along the
// direction in which it is stored; a tile that turns on the way is stored down a column, whose 33rd element keeps the lanes in different
// banks. Bytes: an operand is read once for 32 rows (columns) of c.
template <class T> __global__ __launch_bounds__(kSquare* kSquare) void gemm_v2(GemmCall<T> g) {
  __shared__ T a[kSquare][kSquare + 1], b[kSquare][kSquare + 1];  // a[i][p], b[p][j]
  const BlockTile<kSquare, kSquare> tile(g.m, g.n);
  const int x = static_cast<int>(threadIdx.x) % kSquare, y = static_cast<int>(threadIdx.x) / kSquare;
  const std::int64_t i = tile.row() + y, j = tile.column() + x, chunks = g.chunks();
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const std::int64_t p0 = chunk * g.chunk;
    const int depth = g.depth(p0);
    T sum = 0;
    for (int p = 0; p < depth; p += kSquare) {
      const auto a_at = [&](std::int64_t row, int q) { return tile.item * g.stride_a + g.a_at(row, p0 + q); };
      const auto b_at = [&](std::int64_t column, int q) { return tile.item * g.stride_b + g.b_at(p0 + q, column); };
      if (g.transpose_a) a[x][y] = element_or_zero(g.a, tile.row() + x, g.m, p + y, depth, a_at);
      else a[y][x] = element_or_zero(g.a, i, g.m, p + x, depth, a_at);
      if (g.transpose_b) b[x][y] = element_or_zero(g.b, tile.column() + y, g.n, p + x, depth, b_at);
      else b[y][x] = element_or_zero(g.b, j, g.n, p + y, depth, b_at);
      __syncthreads();
#pragma unroll 8
      for (int q = 0; q < kSquare; ++q) sum = fma(a[y][q], b[q][x], sum);
      __syncthreads();
    }
    if (i < g.m && j < g.n) add_chain(g, g.c + tile.item * g.stride_c + i * g.ldc + j, sum, j, chunk == 0, chunk == chunks - 1);
  }
}

// ---- 3: register tiles

constexpr int kSide = 64, kStep = 16, kOwned = 4, kLanes = kSide / kOwned;
constexpr int kRow = kSide + 2;  // a tile that turns is stored 16 rows down, 2 columns wide: 32 banks

/// Copies elements (i, p) of a 64 x 16 tile to s[p][i], lanes along the direction in which it is stored.
template <class T, class F> __device__ inline void copy_turned(T (*s)[kRow], bool along_depth, std::int64_t rows, int depth, F element) {
  for_each_of_block<kSide * kStep, 256>([&](int n) {
    const int i = along_depth ? n / kStep : n % kSide, p = along_depth ? n % kStep : n / kSide;
    s[p][i] = i < rows && p < depth ? element(i, p) : T(0);
  });
}

// Grid: tiles of 64 x 64 outputs; block: 16 x 16 threads, 4 x 4 outputs each in registers, 16 apart so that lanes write neighbours. A step
// copies 64 x 16 of both operands, any stride, element by element; from there 8 reads feed 16 products. Bytes: an operand once for 64 rows
// (columns) of c.
template <class T> __global__ __launch_bounds__(256) void gemm_v3(GemmCall<T> g) {
  __shared__ T a[kStep][kRow], b[kStep][kRow];
  const BlockTile<kSide, kSide> tile(g.m, g.n);
  const T *ga = g.a + tile.item * g.stride_a, *gb = g.b + tile.item * g.stride_b;
  const int x = static_cast<int>(threadIdx.x) % kLanes, y = static_cast<int>(threadIdx.x) / kLanes;
  const std::int64_t chunks = g.chunks();
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const int depth = g.depth(chunk * g.chunk);
    T sum[kOwned][kOwned] = {};
    for (int step = 0; step < depth; step += kStep) {
      const std::int64_t p0 = chunk * g.chunk + step;
      copy_turned(a, !g.transpose_a, g.m - tile.row(), depth - step, [&](int i, int p) { return ga[g.a_at(tile.row() + i, p0 + p)]; });
      copy_turned(b, g.transpose_b, g.n - tile.column(), depth - step, [&](int j, int p) { return gb[g.b_at(p0 + p, tile.column() + j)]; });
      __syncthreads();
#pragma unroll 4
      for (int p = 0; p < kStep; ++p) {
        T af[kOwned], bf[kOwned];
#pragma unroll
        for (int n = 0; n < kOwned; ++n) af[n] = a[p][y + n * kLanes], bf[n] = b[p][x + n * kLanes];
#pragma unroll
        for (int i = 0; i < kOwned; ++i)
#pragma unroll
          for (int j = 0; j < kOwned; ++j) sum[i][j] = fma(af[i], bf[j], sum[i][j]);
      }
      __syncthreads();
    }
    T* c = g.c + tile.item * g.stride_c;
#pragma unroll
    for (int i = 0; i < kOwned; ++i)
#pragma unroll
      for (int j = 0; j < kOwned; ++j) {
        const std::int64_t row = tile.row() + y + i * kLanes, column = tile.column() + x + j * kLanes;
        if (row < g.m && column < g.n) add_chain(g, c + row * g.ldc + column, sum[i][j], column, chunk == 0, chunk == chunks - 1);
      }
  }
}

}  // namespace

// ---- launchers

void product::gemm_naive(DType dtype, const Gemm& g, void* c, const void* a, const void* b, const void* bias) {
  const std::int64_t outputs = g.batch * g.m * g.n;
  with_floating(dtype, [&](auto t) {
    using T = decltype(t);
    const GemmCall<T> call = gemm_call<T>(g, c, a, b, bias);
    const dim3 grid(blocks_for(outputs, 256)), block(256);
    if (outputs <= 0x7FFFFFFF) launch("gemm", gemm_v1<T, unsigned>, grid, block, 0, call, static_cast<unsigned>(outputs));
    else launch("gemm", gemm_v1<T, unsigned long long>, grid, block, 0, call, static_cast<unsigned long long>(outputs));
  });
}
void product::gemm_shared_tiles(DType dtype, const Gemm& g, void* c, const void* a, const void* b, const void* bias) {
  with_floating(dtype, [&](auto t) {
    using T = decltype(t);
    const dim3 grid(tiles_of(g, kSquare, kSquare) * static_cast<unsigned>(g.batch));
    launch("gemm", gemm_v2<T>, grid, dim3(kSquare * kSquare), 0, gemm_call<T>(g, c, a, b, bias));
  });
}
void product::gemm_register_tiles(DType dtype, const Gemm& g, void* c, const void* a, const void* b, const void* bias) {
  with_floating(dtype, [&](auto t) {
    using T = decltype(t);
    const dim3 grid(tiles_of(g, kSide, kSide) * static_cast<unsigned>(g.batch));
    launch("gemm", gemm_v3<T>, grid, dim3(256), 0, gemm_call<T>(g, c, a, b, bias));
  });
}

}  // namespace gradus::inline v0::cuda
