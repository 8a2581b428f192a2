// permute: y's axis i is x's axis permutation[i].
//
// Three ways. Where the innermost axis stays, rows are copied (shape.cu). Where it does not, the array is planes of 2-D transpositions
//   y[r, c] = x[c, r]   r < R, c < C, x contiguous along r and y along c,
// which go through shared memory: tiles, or, where R or C is below kNarrow, strips that are as wide as the plane. Planes that are small
// both ways are copied element by element: what a warp gathers then lies close together.

#include <gradus/kernels/cuda/dynamic_shared.cuh>
#include <gradus/kernels/cuda/shape.cuh>
#include <gradus/kernels/shape.h>

namespace gradus::inline v0::cuda {
namespace {

constexpr int kTileSide = 32, kTileRows = 8;  // a warp moves the side of a tile; a block of 256 threads has 8 warps
constexpr std::int64_t kNarrow = 16;
constexpr std::int64_t kLong = 64;  // a strip has a side at least this long

/// The planes of a transposition: extents and steps of one, and where the others begin. All in elements.
struct Planes {
  std::int64_t rows, columns;   // R, C
  std::int64_t y_step, x_step;  // from one row of y, one row of x to the next
  Divider across, down;         // tiles or strips along c and along r
  DeviceWalk y_planes, x_planes;
};

/// The offsets of a block's plane, and its tile.
struct Place {
  std::int64_t y, x;
  unsigned across, down;
  __device__ Place(const Planes& p, unsigned block) {
    across = p.across.split(block);
    down = p.down.split(block);
    y = p.y_planes.offset(block);
    x = p.x_planes.offset(block);
  }
};

// ---- tiles -----------------------------------------------------------------------------------------------------------------------------

/// Elements in one unit of shared memory: a tile is 32 units by 32 kEach elements.
template <int kSize> constexpr int kEach = kSize < 4 ? 4 / kSize : 1;
template <int kSize> using Unit = typename WordOf<(kSize < 4 ? 4 : kSize)>::Type;

/// Transposes the kEach x kEach elements of kEach units.
__device__ inline void transpose(std::uint32_t (&u)[4]) {
  const std::uint32_t a = __byte_perm(u[0], u[1], 0x5140), b = __byte_perm(u[0], u[1], 0x7362);
  const std::uint32_t c = __byte_perm(u[2], u[3], 0x5140), d = __byte_perm(u[2], u[3], 0x7362);
  u[0] = __byte_perm(a, c, 0x5410);
  u[1] = __byte_perm(a, c, 0x7632);
  u[2] = __byte_perm(b, d, 0x5410);
  u[3] = __byte_perm(b, d, 0x7632);
}
__device__ inline void transpose(std::uint32_t (&u)[2]) {
  const std::uint32_t a = u[0];
  u[0] = __byte_perm(a, u[1], 0x5410);
  u[1] = __byte_perm(a, u[1], 0x7632);
}
template <class Unit> __device__ inline void transpose(Unit (&)[1]) {}

/// Unit w of tile row c lies in column (w + c / kEach) mod 32: a warp that reads down the tile then meets 32 banks.
template <int kSize> struct Tile {
  Unit<kSize> unit[kTileSide * kEach<kSize>][kTileSide];
  __device__ Unit<kSize>& at(int c, int w) { return unit[c][(w + c / kEach<kSize>) % kTileSide]; }
};

/// Grid: tiles along c, along r, planes; block: 32 x 8. A thread: 4 kEach units. Moves x and y once, 128 bytes a warp (256 in 8-byte
/// elements). Sides and steps are multiples of kEach, and the arrays aligned to it.
template <int kSize> __global__ void __launch_bounds__(kTileSide* kTileRows)
    tile_kernel(typename WordOf<kSize>::Type* y, const typename WordOf<kSize>::Type* x, Planes p) {
  constexpr int kE = kEach<kSize>;
  __shared__ Tile<kSize> tile;
  const Place place(p, blockIdx.x);
  const int lane = static_cast<int>(threadIdx.x), warp = static_cast<int>(threadIdx.y);
  const std::int64_t r0 = std::int64_t{place.down} * (kTileSide * kE), c0 = std::int64_t{place.across} * (kTileSide * kE);
  x += place.x + c0 * p.x_step + r0 + lane * kE;
#pragma unroll
  for (int c = warp; c < kTileSide * kE; c += kTileRows)
    if (c0 + c < p.columns && r0 + lane * kE < p.rows) tile.at(c, lane) = *reinterpret_cast<const Unit<kSize>*>(x + c * p.x_step);
  __syncthreads();
  y += place.y + r0 * p.y_step + c0 + lane * kE;
#pragma unroll
  for (int w = warp; w < kTileSide; w += kTileRows) {
    if (c0 + lane * kE >= p.columns || r0 + w * kE >= p.rows) continue;
    Unit<kSize> u[kE];
#pragma unroll
    for (int k = 0; k < kE; ++k) u[k] = tile.at(lane * kE + k, w);
    transpose(u);
#pragma unroll
    for (int k = 0; k < kE; ++k) *reinterpret_cast<Unit<kSize>*>(y + (w * kE + k) * p.y_step) = u[k];
  }
}

/// The same for any side and alignment, element by element: small elements whose units do not fit.
template <int kSize> __global__ void __launch_bounds__(kTileSide* kTileRows)
    ragged_tile_kernel(typename WordOf<kSize>::Type* y, const typename WordOf<kSize>::Type* x, Planes p) {
  using Element = typename WordOf<kSize>::Type;
  __shared__ Element tile[kTileSide][kTileSide + 4 / kSize];  // a pitch of an odd number of banks
  const Place place(p, blockIdx.x);
  const int lane = static_cast<int>(threadIdx.x), warp = static_cast<int>(threadIdx.y);
  const std::int64_t r0 = std::int64_t{place.down} * kTileSide, c0 = std::int64_t{place.across} * kTileSide;
#pragma unroll
  for (int c = warp; c < kTileSide; c += kTileRows)
    if (c0 + c < p.columns && r0 + lane < p.rows) tile[c][lane] = x[place.x + (c0 + c) * p.x_step + r0 + lane];
  __syncthreads();
#pragma unroll
  for (int r = warp; r < kTileSide; r += kTileRows)
    if (r0 + r < p.rows && c0 + lane < p.columns) y[place.y + (r0 + r) * p.y_step + c0 + lane] = tile[lane][r];
}

// ---- strips ----------------------------------------------------------------------------------------------------------------------------

constexpr int kStrip = 256;  // long side, a thread each

/// Where element f of a strip lies in shared memory. With an even width, lanes that step by it would meet in a few banks: one more bank
/// every 128 bytes parts them.
template <int kSize> __device__ inline unsigned strip_place(unsigned f, bool even) {
  return even ? f + f / (128 / kSize) * (kSize < 4 ? 4 / kSize : 1) : f;
}
constexpr std::size_t strip_bytes(std::int64_t width, std::int64_t size) {
  const std::int64_t bytes = width * kStrip * size;
  return static_cast<std::size_t>(bytes + bytes / 128 * (size < 4 ? 4 : size));
}

/// Grid: strips of 256 along the long side, planes; block: 256; shared: a strip. kAlongX: R is the narrow side, so that x is read in
/// order and y written in R rows; otherwise C is, x is read in C rows and y written in order. Moves x and y once.
template <int kSize, bool kAlongX> __global__ void __launch_bounds__(kStrip)
    strip_kernel(typename WordOf<kSize>::Type* y, const typename WordOf<kSize>::Type* x, Planes p, Divider width) {
  using Element = typename WordOf<kSize>::Type;
  Element* const strip = reinterpret_cast<Element*>(dynamic_shared());
  const Place place(p, blockIdx.x);
  const std::int64_t first = std::int64_t{kAlongX ? place.across : place.down} * kStrip, side = kAlongX ? p.columns : p.rows;
  const unsigned count = side - first < kStrip ? static_cast<unsigned>(side - first) : kStrip, t = threadIdx.x, n = width.divisor;
  const bool even = n % 2 == 0;
  // `row` steps over the narrow side, `column` along the strip; in order of f = column * n + row the other array is walked through.
  if constexpr (kAlongX) {
    for (unsigned f = t; f < count * n; f += kStrip) {
      unsigned column = f;
      const unsigned row = width.split(column);
      strip[strip_place<kSize>(f, even)] = x[place.x + (first + column) * p.x_step + row];
    }
    __syncthreads();
    for (unsigned row = 0; row < n && t < count; ++row)
      y[place.y + row * p.y_step + first + t] = strip[strip_place<kSize>(t * n + row, even)];
  } else {
    for (unsigned row = 0; row < n && t < count; ++row)
      strip[strip_place<kSize>(t * n + row, even)] = x[place.x + row * p.x_step + first + t];
    __syncthreads();
    for (unsigned f = t; f < count * n; f += kStrip) {
      unsigned column = f;
      const unsigned row = width.split(column);
      y[place.y + (first + column) * p.y_step + row] = strip[strip_place<kSize>(f, even)];
    }
  }
}

// ---- launchers -------------------------------------------------------------------------------------------------------------------------

/// The axis that runs along x if the innermost one does not, else -1.
int transposed_axis(const CopyWalk& walk) {
  if (walk.rank < 2 || walk.stride[walk.rank - 1] == 1) return -1;
  for (int a = walk.rank - 2; a >= 0; --a)
    if (walk.stride[a] == 1) return a;
  return -1;
}

struct Transposition {
  Planes planes{};
  std::int64_t count = 1;  // of planes
  CommonWord steps;        // of every step and extent, in bytes

  Transposition(const CopyWalk& walk, int along, std::int64_t size) {
    const int inner = walk.rank - 1;
    planes.rows = walk.extent[along];
    planes.columns = walk.extent[inner];
    planes.x_step = walk.stride[inner];
    CopyWalk x, y;  // over the planes; axes are not merged, so that both have the same
    std::int64_t elements = walk.elements();
    for (int a = 0; a < inner; ++a) {
      elements /= walk.extent[a];
      if (a == along) {
        planes.y_step = elements;
        continue;
      }
      x.extent[x.rank] = y.extent[y.rank] = walk.extent[a];
      x.stride[x.rank++] = walk.stride[a];
      y.stride[y.rank++] = elements;
      count *= walk.extent[a];
      steps.add(walk.stride[a] * size);
      steps.add(elements * size);
    }
    for (const std::int64_t step : {planes.rows, planes.columns, planes.x_step, planes.y_step}) steps.add(step * size);
    planes.x_planes = DeviceWalk(x);
    planes.y_planes = DeviceWalk(y);
  }
  /// Blocks of `side` elements each way.
  unsigned cut(std::int64_t down, std::int64_t across) {
    const std::int64_t rows = (planes.rows + down - 1) / down, columns = (planes.columns + across - 1) / across;
    planes.down = Divider(rows);
    planes.across = Divider(columns);
    return blocks_for(rows * columns * count, 1);
  }
};

template <int kSize> void transpose_planes(Array y, ConstArray x, Transposition t) {
  using Element = typename WordOf<kSize>::Type;
  Element* const to = static_cast<Element*>(y.data);
  const Element* const from = static_cast<const Element*>(x.data);
  const std::int64_t rows = t.planes.rows, columns = t.planes.columns, width = rows < columns ? rows : columns;
  if (width < kNarrow) {
    const bool along_x = rows < columns;
    const unsigned blocks = along_x ? t.cut(rows, kStrip) : t.cut(kStrip, columns);
    return launch("permute", along_x ? strip_kernel<kSize, true> : strip_kernel<kSize, false>, blocks, kStrip, strip_bytes(width, kSize),
                  to, from, t.planes, Divider(width));
  }
  const dim3 block(kTileSide, kTileRows);
  if constexpr (kSize < 4) {
    t.steps.add(y.data);
    t.steps.add(x.data);
    if (t.steps.bytes() < 4) {
      const unsigned blocks = t.cut(kTileSide, kTileSide);
      return launch("permute", ragged_tile_kernel<kSize>, blocks, block, 0, to, from, t.planes);
    }
  }
  const unsigned blocks = t.cut(kTileSide * kEach<kSize>, kTileSide * kEach<kSize>);
  launch("permute", tile_kernel<kSize>, blocks, block, 0, to, from, t.planes);
}

}  // namespace

void permute(Array y, ConstArray x, const int* permutation) {
  GRADUS_ASSERT(x.dtype == y.dtype && x.elements() == y.elements());
  if (y.elements() == 0) return;
  const ArrayStrides strides(*x.shape);
  CopyWalk walk;
  for (int a = 0; a < y.shape->rank(); ++a) walk.push((*y.shape)[a], strides.of[permutation[a]]);
  const auto size = static_cast<std::int64_t>(size_of(y.dtype));
  const int along = transposed_axis(walk);
  if (along < 0) return copy_walk("permute", y.data, x.data, walk, size);
  const Transposition t(walk, along, size);
  const bool small = t.planes.rows < kNarrow ? t.planes.columns < kLong : t.planes.columns < kNarrow && t.planes.rows < kLong;
  if (small) return copy_walk("permute", y.data, x.data, walk, size);
  switch (size) {
    case 1: return transpose_planes<1>(y, x, t);
    case 2: return transpose_planes<2>(y, x, t);
    case 4: return transpose_planes<4>(y, x, t);
    default: return transpose_planes<8>(y, x, t);
  }
}

}  // namespace gradus::inline v0::cuda
