// The weight gradient of a convolution as an implicit product.
//
//   dw[row, column] = sum over pixels (n, i, j) of dy[n, row, i, j] x[n, window(column, i, j)]     column: (channel of x, tap)
//
// 2 rows columns pixels FLOPs a group; compulsory bytes: x, dy and dw once each. Outputs are few and the sum is long, so the pixels are cut
// into segments, whose number the shape alone decides; each segment's sums go to the workspace and are added in order. With tiles of R x C
// a group asks
//
//   rows pixels size ceil(columns / C) for dy, columns pixels size ceil(rows / R) for the windows, (2 segments + 1) rows columns size for
//   dw
//
// of which the windows' overlap (taps / stride^2 reads of a pixel of x) is caught by L1. Tiles as in convolution.cu.
#include <algorithm>

#include <gradus/kernels/cuda/convolution_call.cuh>
#include <gradus/kernels/cuda/vendor.h>

#if defined(GRADUS_CUDNN)
#include <gradus/kernels/cuda/cudnn.h>
#endif

namespace gradus::inline v0::cuda {

using namespace product;

namespace {

template <class T> struct WeightGradCall {
  ConvCall<T> conv;  // the forward pass, with source = x
  T* dw;             // [segment][group][rows][columns]
  const T* dy;
  int segment;  // pixels of a segment
  bool vector_dy, vector_dw;
};

/// Where a segment begins; panels count images from there.
struct SegmentStart {
  std::int64_t image;
  unsigned pixel;

  template <class T> __device__ SegmentStart(const ConvCall<T>& c, std::int64_t first) {
    image = first / static_cast<std::int64_t>(c.plane.divisor);
    pixel = static_cast<unsigned>(first - image * c.plane.divisor);
  }
};

/// a: rows of dy from row `first` of a group on, along the segment's pixels; a large tile takes whole vectors only.
template <class Tile> class GradientRows : public Panel<typename Tile::T, Tile::kRows, Along::depth> {
  using T = typename Tile::T;
  using Layout = Panel<T, Tile::kRows, Along::depth>;

 public:
  __device__ GradientRows(const WeightGradCall<T>& call, int group, int first, const SegmentStart& start)
      : call_(call), pixel_(start.pixel), rows_(min(call.conv.rows - first, Tile::kRows)) {
    dy_ = call.dy + start.image * call.conv.out_image + (group * call.conv.rows + first) * call.conv.out_plane;
  }
  __device__ void copy(T* to, int k0, int depth) const {
    if (Tile::kLarge || call_.vector_dy) copy_by<Layout::kW>(to, k0, depth);
    else copy_by<1>(to, k0, depth);
  }

 private:
  template <int kCount> __device__ void copy_by(T* to, int k0, int depth) const {
    using P = Piece<Layout, Tile::kThreads, kCount>;
    const ConvCall<T>& c = call_.conv;
    unsigned image = pixel_ + static_cast<unsigned>(k0 + P::at());
    const unsigned pixel = c.plane.split(image);
    const T* const from = dy_ + image * c.out_image + P::line() * c.out_plane + pixel;
    P::copy(to, from, c.out_plane, rows_, depth - k0);
  }

  const WeightGradCall<T>& call_;
  const T* dy_;
  unsigned pixel_;
  int rows_;
};

/// Where a column's window begins.
struct alignas(16) WindowColumn {
  int channel, row, column, unused;
};

/// b: columns (channel, tap) from column `first` on, along the segment's pixels; lanes run over neighbouring pixels.
template <class Tile> class WindowColumns : public Panel<typename Tile::T, Tile::kColumns, Along::depth> {
  using T = typename Tile::T;
  using Layout = Panel<T, Tile::kColumns, Along::depth>;
  using P = Piece<Layout, Tile::kThreads, 1>;

 public:
  /// Fills the table; a barrier has to follow.
  __device__ WindowColumns(const ConvCall<T>& c, WindowColumn* table, int group, int first, const SegmentStart& start)
      : c_(c), table_(table), x_(c.source + start.image * c.source_image + group * c.channels * c.source_plane), pixel_(start.pixel) {
    for_each_of_block<Tile::kColumns, Tile::kThreads>([&](int i) {
      auto channel = static_cast<unsigned>(first + i);
      unsigned a = c.taps.split(channel);
      const unsigned b = c.tap_width.split(a);
      const bool exists = first + i < c.depth;  // a column that does not sees nothing but zeros
      table[i] = {static_cast<int>(channel), exists ? static_cast<int>(a) : -(1 << 30), static_cast<int>(b), 0};
    });
  }
  __device__ void copy(T* to, int k0, int depth) const {
    const int k = k0 + P::at();
    unsigned image = pixel_ + static_cast<unsigned>(k), i = c_.plane.split(image);
    const unsigned j = c_.width.split(i);
    const int row = k < depth ? static_cast<int>(i) * c_.h.step + c_.h.base : -(1 << 30),
              column = static_cast<int>(j) * c_.v.step + c_.v.base;
    const T* const x = x_ + image * c_.source_image;
    T* const start = P::start(to);
#pragma unroll 1
    for (int n = 0; n < P::kCopies; ++n) {
      const WindowColumn w = table_[P::line() + n * P::kLines];
      const int at_row = row + w.row, at_column = column + w.column;
      const bool inside = static_cast<unsigned>(at_row) < static_cast<unsigned>(c_.h.in) &&
                          static_cast<unsigned>(at_column) < static_cast<unsigned>(c_.v.in);
      copy_async<1>(start + P::offset(n), x + w.channel * c_.source_plane + std::int64_t{at_row} * c_.v.in + at_column, inside);
    }
  }

 private:
  const ConvCall<T>& c_;
  const WindowColumn* table_;
  const T* x_;
  unsigned pixel_;
};

// Grid: tiles of columns, times tiles of rows, times groups, times segments; block: Tile::kThreads, a thread owns kThreadRows x
// kThreadColumns elements of dw. Bytes: as above.
template <class Tile>
__global__ __launch_bounds__(Tile::kThreads, Tile::kBlocks) void weight_gradient(WeightGradCall<typename Tile::T> call) {
  using T = typename Tile::T;
  using A = GradientRows<Tile>;
  using B = WindowColumns<Tile>;
  __shared__ Stages<Tile, A, B> stages;
  __shared__ WindowColumn table[Tile::kColumns];
  __shared__ Output<T> out;  // waits here for the end, out of the registers
  const ConvCall<T>& c = call.conv;
  const auto column_tiles = static_cast<unsigned>((c.depth + Tile::kColumns - 1) / Tile::kColumns);
  const auto row_tiles = static_cast<unsigned>((c.rows + Tile::kRows - 1) / Tile::kRows), groups = static_cast<unsigned>(c.groups);
  const int column = static_cast<int>(blockIdx.x % column_tiles) * Tile::kColumns;
  unsigned rest = blockIdx.x / column_tiles;
  const int row = static_cast<int>(rest % row_tiles) * Tile::kRows, group = static_cast<int>(rest / row_tiles % groups);
  const unsigned segment = rest / row_tiles / groups;

  const std::int64_t first = std::int64_t{segment} * call.segment;
  const int pixels = static_cast<int>(min(c.pixels - first, std::int64_t{call.segment}));
  const SegmentStart start(c, first);
  if (threadIdx.x == 0)
    out = {call.dw + ((std::int64_t{segment} * c.groups + group) * c.rows + row) * c.weight_row + column,
           c.weight_row,
           nullptr,
           min(c.rows - row, Tile::kRows),
           min(c.depth - column, Tile::kColumns),
           call.vector_dw,
           false};
  const A a(call, group, row, start);
  const B b(c, table, group, column, start);
  __syncthreads();
  T acc[Tile::kThreadRows][Tile::kThreadColumns];
  multiply<Tile>(acc, a, b, stages, pixels);

  if (out.vector) store_vectors<Tile>(out, acc, Tile::row(), Tile::column());
  else store_elements<Tile>(out, acc, Tile::row(), Tile::column());
}

// Grid: weights / 256; block: 256 in a row. Bytes: (segments + 1) weights size.
template <class T> __global__ __launch_bounds__(256) void merge_kernel(T* dw, const T* partial, std::int64_t weights, int segments) {
  const std::int64_t at = std::int64_t{blockIdx.x} * 256 + threadIdx.x;
  if (at >= weights) return;
  T sum = partial[at];
  for (int s = 1; s < segments; ++s) sum += partial[s * weights + at];
  dw[at] = sum;
}

// ---- how the work is cut: by the shape alone

constexpr std::int64_t kBlocks = 264;                // two for each multiprocessor of a large device
constexpr std::int64_t kChain = 8192;                // pixels of a chain, where the workspace allows as many segments
constexpr std::int64_t kShortest = 256;              // pixels that are worth a block
constexpr std::int64_t kMaxPartialBytes = 32 << 20;  // of all segments

struct Cut {
  bool large, thin;
  std::int64_t segments, segment;  // pixels of one: whole steps, so that vectors stay aligned
};

Cut cut_of(DType dtype, const Conv2dShape& v) {
  const std::int64_t rows = v.k / v.groups, columns = v.c / v.groups * v.r * v.s, pixels = v.n * v.out_h * v.out_w;
  const auto over = [](std::int64_t n, std::int64_t each) { return (n + each - 1) / each; };
  Cut cut{dtype == DType::f32 && rows > 64 && columns > 64, rows <= 16, 1, 0};
  const std::int64_t tile_rows = cut.large ? 128 : cut.thin ? 16 : 64, tile_columns = cut.large || cut.thin ? 128 : 64;
  const std::int64_t tiles = std::max<std::int64_t>(1, over(rows, tile_rows) * over(columns, tile_columns) * v.groups);
  const std::int64_t bytes = std::max<std::int64_t>(1, v.k * columns * static_cast<std::int64_t>(size_of(dtype)));
  cut.segments = std::max(over(kBlocks, tiles), over(pixels, kChain));
  cut.segments = std::max<std::int64_t>(1, std::min({cut.segments, kMaxPartialBytes / bytes, over(pixels, kShortest)}));
  cut.segment = over(over(pixels, cut.segments), 64) * 64;
  cut.segments = std::max<std::int64_t>(1, cut.segment > 0 ? over(pixels, cut.segment) : 1);
  return cut;
}

// ---- launchers

template <class Tile> void launch_tile(const WeightGradCall<typename Tile::T>& call, std::int64_t segments) {
  const std::int64_t columns = (call.conv.depth + Tile::kColumns - 1) / Tile::kColumns,
                     rows = (call.conv.rows + Tile::kRows - 1) / Tile::kRows;
  const dim3 grid(static_cast<unsigned>(columns * rows * call.conv.groups * segments));
  launch("conv2d_weight_grad", weight_gradient<Tile>, grid, dim3(Tile::kThreads), 0, call);
}

template <class T> void weight_grad(const Conv2dShape& v, T* dw, const T* x, const T* dy, Workspace workspace) {
  if (is_depthwise(v) && depthwise_weight_grad(v, dw, x, dy, workspace)) return;
  const Cut cut = cut_of(dtype_of<T>, v);
  T* const partial = cut.segments > 1 ? static_cast<T*>(workspace.data) : dw;
  WeightGradCall<T> call{forward_call<T>(v, nullptr, x, nullptr, nullptr), partial, dy, static_cast<int>(cut.segment), false, false};
  call.vector_dy = aligned16(dy) && call.conv.out_plane % Pack<T>::kCount == 0;
  call.vector_dw = aligned16(partial) && call.conv.depth % Pack<T>::kCount == 0;
  if (cut.thin) launch_tile<Tile<T, 16, 128, 4, 4>>(call, cut.segments);
  else if (!cut.large || !call.vector_dy) launch_tile<Tile<T, 64, 64, 4, 4>>(call, cut.segments);
  else if constexpr (sizeof(T) == 4) launch_tile<Tile<T, 128, 128, 8, 8>>(call, cut.segments);
  if (cut.segments > 1) merge_segments(dw, partial, v.k * (v.c / v.groups) * v.r * v.s, static_cast<int>(cut.segments));
}

}  // namespace

template <class T> void product::merge_segments(T* dw, const T* partial, std::int64_t weights, int segments) {
  launch("conv2d_weight_grad", merge_kernel<T>, dim3(blocks_for(weights, 256)), dim3(256), 0, dw, partial, weights, segments);
}
template void product::merge_segments<float>(float*, const float*, std::int64_t, int);
template void product::merge_segments<double>(double*, const double*, std::int64_t, int);

std::size_t conv2d_weight_grad_workspace_bytes(DType dtype, const Conv2dShape& v) {
#if defined(GRADUS_CUDNN)
  if (uses_cudnn() && cudnn_takes(CudnnOp::weight_grad, dtype, v)) return cudnn_workspace_bytes(CudnnOp::weight_grad, dtype, v);
#endif
  if (is_depthwise(v)) {
    std::optional<std::size_t> bytes;
    with_floating(dtype, [&](auto t) { bytes = depthwise_weight_grad_bytes<decltype(t)>(v); });
    if (bytes) return *bytes;
  }
  const Cut cut = cut_of(dtype, v);
  const std::int64_t weights = v.k * (v.c / v.groups) * v.r * v.s;
  return cut.segments > 1 ? static_cast<std::size_t>(cut.segments * weights) * size_of(dtype) : 0;
}

void conv2d_weight_grad(Array dw, ConstArray x, ConstArray dy, const Conv2dShape& v, Workspace workspace) {
#if defined(GRADUS_CUDNN)
  if (uses_cudnn() && cudnn_takes(CudnnOp::weight_grad, dw.dtype, v))
    return cudnn_weight_grad(dw.dtype, v, dw.data, x.data, dy.data, workspace);
#endif
  if (dw.elements() == 0) return;
  with_floating(dw.dtype, [&](auto t) {
    using T = decltype(t);
    weight_grad(v, dw.as<T>(), x.as<T>(), dy.as<T>(), workspace);
  });
}

}  // namespace gradus::inline v0::cuda
