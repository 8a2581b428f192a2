// Matrix products, the fourth step of the ladder (gemm_ladder.cu has the others) and cuda::gemm.
//
//   c[i, j] = sum over p < k of a(i, p) b(p, j) (+ bias[j])        2 m n k FLOPs; compulsory bytes (m k + k n + m n) size
//
// Bytes asked of global memory with tiles of R x C: m n k size (1/R + 1/C) + m n size (2 chunks - 1), panels rounded up to whole tiles not
// counted since nothing outside a matrix is read. R x C is 128 x 128 for large f32 products, 64 x 64 for f64 and for products that would
// leave multiprocessors idle, 16 x 128 and 128 x 16 for thin ones.
//
// Against version 3: operands travel by cp.async, 16 bytes at a time where address and rows allow (element by element where not), without
// passing a register, one step of depth ahead of the arithmetic; shared memory is read 16 bytes at a time, and in a layout of each
// operand's own direction, so nothing turns on the way.
#include <gradus/kernels/cuda/column_major.h>
#include <gradus/kernels/cuda/gemm_call.cuh>
#include <gradus/kernels/cuda/vendor.h>

#if defined(GRADUS_CUBLAS)
#include <gradus/kernels/cuda/cublas.h>
#endif

namespace gradus::inline v0::cuda {

using namespace product;

namespace {

// ---- kernels

/// What version 4 adds to a call: which operands move by vectors, and either the chunk of depth to add to c, or where all of them go.
template <class T> struct AsyncCall {
  GemmCall<T> g;
  bool vector_a, vector_b, vector_c;
  std::int64_t products;
  unsigned chunk;
  T* partial;  // [chunk][product][m][n]
};

/// The tile to c, or to its chunk's partial sums.
template <class Tile, class T>
__device__ inline void store_tile(const AsyncCall<T>& call, const T (&acc)[Tile::kThreadRows][Tile::kThreadColumns],
                                  const BlockTile<Tile::kRows, Tile::kColumns>& tile, unsigned item, unsigned chunk) {
  const GemmCall<T>& g = call.g;
  const bool last = chunk == static_cast<unsigned>(g.chunks()) - 1;
  Output<T> out{g.c + item * g.stride_c, g.ldc, nullptr, tile.rows(g.m), tile.columns(g.n), call.vector_c, g.accumulate || chunk > 0};
  if (call.partial) {
    out.data = call.partial + (chunk * call.products + item) * g.m * g.n;
    out.ld = g.n, out.vector = g.n % Tile::kW == 0, out.add = false;
  } else if (last && g.bias) {
    out.bias = g.bias + tile.column();
  }
  out.data += tile.row() * out.ld + tile.column();
  if (out.vector) store_vectors<Tile>(out, acc, Tile::row(), Tile::column());
  else store_elements<Tile>(out, acc, Tile::row(), Tile::column());
}

// One chunk of depth of every tile, or, into partial sums, every chunk. Grid: tiles of c, times products, times the chunks of partial sums;
// block: Tile::kThreads (256, or 128 for thin tiles), a thread owns kThreadRows x kThreadColumns outputs. Shared: two steps of both panels,
// 34 KiB for 128 x 128. Bytes: as above.
template <class Tile, Along kA, Along kB>
__global__ __launch_bounds__(Tile::kThreads, Tile::kBlocks) void gemm_v4(AsyncCall<typename Tile::T> call) {
  using T = typename Tile::T;
  using A = MatrixPanel<T, Tile::kRows, Tile::kThreads, kA, Tile::kLarge>;
  using B = MatrixPanel<T, Tile::kColumns, Tile::kThreads, kB, Tile::kLarge>;
  __shared__ Stages<Tile, A, B> stages;
  const GemmCall<T>& g = call.g;
  const BlockTile<Tile::kRows, Tile::kColumns> tile(g.m, g.n);
  const auto chunks = static_cast<unsigned>(g.chunks());
  const unsigned item = call.partial ? tile.item / chunks : tile.item, chunk = call.partial ? tile.item % chunks : call.chunk;
  const std::int64_t p = chunk * g.chunk;
  T acc[Tile::kThreadRows][Tile::kThreadColumns];
  multiply<Tile>(acc, A(g.a + item * g.stride_a + g.a_at(tile.row(), p), g.lda, tile.rows(g.m), call.vector_a),
                 B(g.b + item * g.stride_b + g.b_at(p, tile.column()), g.ldb, tile.columns(g.n), call.vector_b), stages, g.depth(p));
  store_tile<Tile>(call, acc, tile, item, chunk);
}

// Grid: outputs / 256; block: 256 outputs in a row. Adds the chunks' sums in order, as version 1 does. Bytes: (chunks + 1) m n size.
template <class T> __global__ __launch_bounds__(256) void gemm_merge(GemmCall<T> g, const T* partial, std::int64_t outputs) {
  const std::int64_t at = std::int64_t{blockIdx.x} * 256 + threadIdx.x;
  if (at >= outputs) return;
  const std::int64_t row = at / g.n, j = at % g.n, item = row / g.m;
  T* const c = g.c + item * g.stride_c + row % g.m * g.ldc + j;
  T sum = g.accumulate ? *c + partial[at] : partial[at];
  const std::int64_t chunks = g.chunks();
  for (std::int64_t chunk = 1; chunk < chunks; ++chunk) sum += partial[chunk * outputs + at];
  *c = g.bias ? sum + g.bias[j] : sum;
}

// Grid: outputs / 256; block: 256 outputs in a row. c[i, j] += bias[j], after a vendor's product.
template <class T> __global__ __launch_bounds__(256) void gemm_bias(GemmCall<T> g, std::int64_t outputs) {
  const std::int64_t at = std::int64_t{blockIdx.x} * 256 + threadIdx.x;
  if (at >= outputs) return;
  const std::int64_t row = at / g.n, j = at % g.n;
  g.c[row / g.m * g.stride_c + row % g.m * g.ldc + j] += g.bias[j];
}

// ---- choices: none of them shows in the bits

constexpr std::int64_t kMaxPartialBytes = 32 << 20;  // of scratch for one product
constexpr std::int64_t kThin = 16;

enum class Shapes { large, small, wide, tall };

std::int64_t tiles(const Gemm& g, int rows, int columns) { return (g.m + rows - 1) / rows * ((g.n + columns - 1) / columns) * g.batch; }

/// The tile of a product whose operands are whole vectors. `fill`: one that leaves no multiprocessor idle, rather than the one that asks
/// least of memory.
Shapes shape_of(DType dtype, const Gemm& g, bool fill) {
  if (g.m <= kThin && g.n > kThin) return Shapes::wide;
  if (g.n <= kThin && g.m > kThin) return Shapes::tall;
  const bool large = g.m > 64 && g.n > 64 && (!fill || tiles(g, 128, 128) >= kBusy);
  return dtype == DType::f32 && large ? Shapes::large : Shapes::small;
}
struct Extent {
  int rows, columns;
};
Extent tile_extent(Shapes s) {
  switch (s) {
    case Shapes::large: return {128, 128};
    case Shapes::wide: return {16, 128};
    case Shapes::tall: return {128, 16};
    default: return {64, 64};
  }
}

/// A batch whose items follow each other row by row and share b is one product with more rows.
Gemm flattened(Gemm g) {
  if (g.batch > 1 && g.stride_b == 0 && !g.transpose_a && g.stride_a == g.m * g.lda && g.stride_c == g.m * g.ldc)
    g.m *= g.batch, g.batch = 1;
  return g;
}

/// Bytes of partial sums if the chunks of this product should run side by side: several, on a device that would be half idle; else 0.
std::size_t partial_bytes(DType dtype, const Gemm& g, bool fill) {
  if (g.m <= 0 || g.n <= 0 || g.batch <= 0) return 0;
  const Extent e = tile_extent(shape_of(dtype, g, fill));
  const std::int64_t chunks = g.k > 0 ? (g.k + gemm_chunk(g.k) - 1) / gemm_chunk(g.k) : 1;
  if (chunks == 1 || tiles(g, e.rows, e.columns) >= kBusy) return 0;
  const std::int64_t bytes = chunks * g.batch * g.m * g.n * static_cast<std::int64_t>(size_of(dtype));
  return bytes <= kMaxPartialBytes ? static_cast<std::size_t>(bytes) : 0;
}

template <class T> bool whole_vectors(const T* data, std::int64_t ld, std::int64_t stride) {
  return aligned16(data) && ld % Pack<T>::kCount == 0 && stride % Pack<T>::kCount == 0;
}

// ---- launchers

template <class Tile> void launch_chunk(const Gemm& g, const AsyncCall<typename Tile::T>& call) {
  const std::int64_t items = call.partial ? call.g.chunks() : 1;
  const dim3 grid(static_cast<unsigned>(tiles(g, Tile::kRows, Tile::kColumns) * items)), block(Tile::kThreads);
  constexpr Along D = Along::depth, E = Along::extent;
  if (!g.transpose_a && g.transpose_b) launch("gemm", gemm_v4<Tile, D, D>, grid, block, 0, call);
  else if (!g.transpose_a) launch("gemm", gemm_v4<Tile, D, E>, grid, block, 0, call);
  else if (g.transpose_b) launch("gemm", gemm_v4<Tile, E, D>, grid, block, 0, call);
  else launch("gemm", gemm_v4<Tile, E, E>, grid, block, 0, call);
}

/// Chunks one after another are a launch each: a kernel that loops over them keeps the addresses of c in registers all the while.
template <class Tile> void launch_v4(const Gemm& g, AsyncCall<typename Tile::T> call) {
  for (std::int64_t chunks = call.partial ? 1 : call.g.chunks(); call.chunk < chunks; ++call.chunk) launch_chunk<Tile>(g, call);
}

template <class T> void run_v4(const Gemm& g, AsyncCall<T> call, bool fill, Workspace workspace) {
  const std::size_t bytes = partial_bytes(dtype_of<T>, g, fill);
  if (bytes > 0 && workspace.bytes >= bytes) call.partial = static_cast<T*>(workspace.data);
  Shapes shape = shape_of(dtype_of<T>, g, fill);
  if (shape == Shapes::large && !(call.vector_a && call.vector_b)) shape = Shapes::small;
  switch (shape) {
    case Shapes::wide: launch_v4<Tile<T, 16, 128, 4, 4>>(g, call); break;
    case Shapes::tall: launch_v4<Tile<T, 128, 16, 4, 4>>(g, call); break;
    case Shapes::large:
      if constexpr (sizeof(T) == 4) launch_v4<Tile<T, 128, 128, 8, 8>>(g, call);
      break;
    default: launch_v4<Tile<T, 64, 64, 4, 4>>(g, call);
  }
  if (!call.partial) return;
  const std::int64_t outputs = g.batch * g.m * g.n;
  launch("gemm", gemm_merge<T>, dim3(blocks_for(outputs, 256)), dim3(256), 0, call.g, static_cast<const T*>(call.partial), outputs);
}

void gemm_asynchronous(DType dtype, const Gemm& g, void* c, const void* a, const void* b, const void* bias, bool fill,
                       Workspace workspace) {
  const Gemm flat = flattened(g);
  with_floating(dtype, [&](auto t) {
    using T = decltype(t);
    AsyncCall<T> call{gemm_call<T>(flat, c, a, b, bias), false, false, false, flat.batch, 0, nullptr};
    call.vector_a = whole_vectors(call.g.a, flat.lda, flat.stride_a);
    call.vector_b = whole_vectors(call.g.b, flat.ldb, flat.stride_b);
    call.vector_c = whole_vectors(call.g.c, flat.ldc, flat.stride_c) && flat.n % Pack<T>::kCount == 0;
    run_v4(flat, call, fill, workspace);
  });
}

/// Products so small that a tile would be mostly empty.
bool is_tiny(const Gemm& g) { return g.m * g.n * g.k <= 4096 || (g.m * g.n <= 64 && g.k <= 256); }

#if defined(GRADUS_CUBLAS)
void add_bias(DType dtype, const Gemm& g, void* c, const void* bias) {
  const std::int64_t outputs = g.batch * g.m * g.n;
  with_floating(dtype, [&](auto t) {
    using T = decltype(t);
    launch("gemm", gemm_bias<T>, dim3(blocks_for(outputs, 256)), dim3(256), 0, gemm_call<T>(g, c, nullptr, nullptr, bias), outputs);
  });
}
#endif

}  // namespace

std::int64_t gemm_chunk(std::int64_t k) {
  constexpr std::int64_t kChain = 1024, kMost = 64, kUnit = 16;
  const std::int64_t even = (k + kMost - 1) / kMost;
  return even <= kChain ? kChain : (even + kUnit - 1) / kUnit * kUnit;  // whole steps of a tile, so that vectors stay aligned
}

std::size_t gemm_version_workspace_bytes(DType dtype, const Gemm& g) { return partial_bytes(dtype, flattened(g), false); }

void gemm_version(int version, DType dtype, const Gemm& g, void* c, const void* a, const void* b, const void* bias, Workspace workspace) {
  if (g.m <= 0 || g.n <= 0 || g.batch <= 0) return;
  if (version == 1) gemm_naive(dtype, g, c, a, b, bias);
  else if (version == 2) gemm_shared_tiles(dtype, g, c, a, b, bias);
  else if (version == 3) gemm_register_tiles(dtype, g, c, a, b, bias);
  else gemm_asynchronous(dtype, g, c, a, b, bias, false, workspace);
}

double gemm_flops(const Gemm& g) {
  return 2.0 * static_cast<double>(g.m) * static_cast<double>(g.n) * static_cast<double>(g.k) * static_cast<double>(g.batch);
}

double gemm_version_bytes(int version, DType dtype, const Gemm& g) {
  const Gemm flat = version == 4 ? flattened(g) : g;
  const double m = static_cast<double>(flat.m), n = static_cast<double>(flat.n), k = static_cast<double>(flat.k);
  const auto times = [](std::int64_t extent, int tile) { return static_cast<double>((extent + tile - 1) / tile); };
  Extent tile{version == 2 ? 32 : 64, version == 2 ? 32 : 64};
  if (version == 4) tile = tile_extent(shape_of(dtype, flat, false));
  const double chunks = k > 0 ? times(flat.k, static_cast<int>(gemm_chunk(flat.k))) : 1;
  const double operands = version == 1 ? 2 * m * n * k : m * k * times(flat.n, tile.columns) + k * n * times(flat.m, tile.rows);
  const double outputs = m * n * (2 * chunks - 1 + (g.accumulate ? 1 : 0));
  return static_cast<double>(size_of(dtype)) * static_cast<double>(flat.batch) * (operands + outputs);
}

std::size_t gemm_workspace_bytes(DType dtype, const Gemm& g) {
  const Gemm flat = flattened(g);
  if (uses_cublas() && blas_takes(flat)) return 0;
  return is_tiny(g) ? 0 : partial_bytes(dtype, flat, true);
}

void gemm(DType dtype, const Gemm& g, void* c, const void* a, const void* b, const void* bias, Workspace workspace) {
  if (g.m <= 0 || g.n <= 0 || g.batch <= 0) return;
#if defined(GRADUS_CUBLAS)
  if (const Gemm flat = flattened(g); uses_cublas() && blas_takes(flat)) {
    cublas_gemm(dtype, flat, c, a, b);
    if (bias) add_bias(dtype, flat, c, bias);
    return;
  }
#endif
  if (is_tiny(g)) gemm_naive(dtype, g, c, a, b, bias);
  else gemm_asynchronous(dtype, g, c, a, b, bias, true, workspace);
}

}  // namespace gradus::inline v0::cuda
