// Convolutions as implicit products: forward and input gradient. convolution_weight.cu has the weight gradient, convolution_depthwise.cu
// groups of one channel.
//
//   out[n, row, p] = sum over d of a[row, d] b[d, (n, p)] (+ bias[row])       rows: channels of out; depth d: (source channel, tap)
//
// 2 rows depth pixels FLOPs a group; compulsory bytes: source, weights and out once each. b is never stored: the panel of a step is
// gathered from the image as it is needed, zero outside. With tiles of R x C a group asks
//
//   rows depth size ceil(pixels / C) for the weights, pixels depth size ceil(rows / R) for the windows, rows pixels size for out
//
// of which the windows' overlap (taps / stride^2 reads of a source pixel) is caught by L1, since a block walks through the taps of one
// channel before the next. Tiles: 128 x 128 (f32, many channels), 64 x 64, 16 x 128 (few channels). An output is one chain of fma over d in
// order, whatever the tile and the images beside it.
#include <algorithm>

#include <gradus/kernels/cuda/convolution_call.cuh>
#include <gradus/kernels/cuda/vendor.h>

#if defined(GRADUS_CUDNN)
#include <gradus/kernels/cuda/cudnn.h>
#endif

namespace gradus::inline v0::cuda {

using namespace product;

namespace {

// ---- panels of a: rows of weights, from row `first` of a group on

/// Forward: the weights where they are, [rows][depth].
template <class Tile> struct WeightRows : MatrixPanel<typename Tile::T, Tile::kRows, Tile::kThreads, Along::depth, Tile::kLarge> {
  using T = typename Tile::T;
  static constexpr bool kForward = true;
  __device__ WeightRows(const ConvCall<T>& c, int group, int first)
      : MatrixPanel<T, Tile::kRows, Tile::kThreads, Along::depth, Tile::kLarge>(
            c.w + (std::int64_t{group} * c.rows + first) * c.weight_row, c.weight_row, min(c.rows - first, Tile::kRows), c.vector_w) {}
};

/// Input gradient of a 1 x 1 kernel: [depth][rows].
template <class Tile> struct WeightColumns : MatrixPanel<typename Tile::T, Tile::kRows, Tile::kThreads, Along::extent, Tile::kLarge> {
  using T = typename Tile::T;
  static constexpr bool kForward = false;
  __device__ WeightColumns(const ConvCall<T>& c, int group, int first)
      : MatrixPanel<T, Tile::kRows, Tile::kThreads, Along::extent, Tile::kLarge>(c.w + group * c.weight_row * c.weight_column + first,
                                                                                 c.weight_column, min(c.rows - first, Tile::kRows),
                                                                                 c.vector_w && c.rows % Pack<T>::kCount == 0) {}
};

/// Input gradient: row i is a channel of x, depth (channel of y, tap of the phase). Lanes run along depth, over neighbouring taps.
template <class Tile> struct TapRows : Panel<typename Tile::T, Tile::kRows, Along::depth> {
  using T = typename Tile::T;
  using P = Piece<Panel<T, Tile::kRows, Along::depth>, Tile::kThreads, 1>;
  static constexpr bool kForward = false;
  const ConvCall<T>& c;
  const T* w;
  int rows;

  __device__ TapRows(const ConvCall<T>& call, int group, int first) : c(call), rows(min(call.rows - first, Tile::kRows)) {
    w = c.w + (std::int64_t{group} * c.channels * c.rows + first + P::line()) * c.kernel;
  }
  __device__ void copy(T* to, int k0, int depth) const {
    auto channel = static_cast<unsigned>(k0 + P::at());
    unsigned a = c.taps.split(channel);
    const unsigned b = c.tap_width.split(a);
    const int tap = (c.h.tap + static_cast<int>(a) * c.h.tap_step) * c.kernel_width + c.v.tap + static_cast<int>(b) * c.v.tap_step;
    P::copy(to, w + std::int64_t{channel} * c.rows * c.kernel + tap, c.kernel, rows, depth - k0);
  }
};

// ---- panels of b: windows of pixels, from pixel `first` on

/// Any correlation, element by element, lanes along pixels.
template <class Tile> struct WindowPixels : Panel<typename Tile::T, Tile::kColumns, Along::extent> {
  using T = typename Tile::T;
  using P = Piece<Panel<T, Tile::kColumns, Along::extent>, Tile::kThreads, 1>;
  const ConvCall<T>& c;
  const T* image;
  int row, column;

  __device__ WindowPixels(const ConvCall<T>& call, int group, unsigned first) : c(call) {
    const ConvPixel p = pixel_at(c, first + P::at());
    image = c.source + std::int64_t{p.n} * c.source_image + group * c.channels * c.source_plane;
    row = p.n < c.images ? p.i * c.h.step + c.h.base : -(1 << 30);  // a pixel that does not exist sees nothing but zeros
    column = p.j * c.v.step + c.v.base;
  }
  __device__ void copy(T* to, int k0, int depth) const {
    T* const start = P::start(to);
#pragma unroll 1
    for (int n = 0; n < P::kCopies; ++n) {
      const int d = k0 + P::line() + n * P::kLines;
      auto channel = static_cast<unsigned>(d);
      unsigned a = c.taps.split(channel);
      const unsigned b = c.tap_width.split(a);
      const int i = row + c.h.sign * static_cast<int>(a), j = column + c.v.sign * static_cast<int>(b);
      const bool inside =
          d < depth && static_cast<unsigned>(i) < static_cast<unsigned>(c.h.in) && static_cast<unsigned>(j) < static_cast<unsigned>(c.v.in);
      copy_async<1>(start + P::offset(n), image + channel * c.source_plane + std::int64_t{i} * c.v.in + j, inside);
    }
  }
};

/// One tap on the pixel itself, planes of whole vectors: pixels are neighbours as they lie.
template <class Tile> struct PlainPixels : MatrixPanel<typename Tile::T, Tile::kColumns, Tile::kThreads, Along::extent, true> {
  using T = typename Tile::T;
  using Matrix = MatrixPanel<T, Tile::kColumns, Tile::kThreads, Along::extent, true>;
  __device__ PlainPixels(const ConvCall<T>& c, int group, unsigned first)
      : Matrix(begin(c, group, first), c.source_plane,
               static_cast<int>(min(static_cast<unsigned>(c.pixels) - first, unsigned{Tile::kColumns})), true) {}

 private:
  /// Where pixel `first` would be if this thread's pixels, in whatever image they are, continued a row that begins there.
  static __device__ const T* begin(const ConvCall<T>& c, int group, unsigned first) {
    const ConvPixel p = pixel_at(c, first + Matrix::Vectors::at());
    return c.source + std::int64_t{p.n} * c.source_image + group * c.channels * c.source_plane + p.i * c.v.in + p.j - Matrix::Vectors::at();
  }
};

// ---- the kernel

/// Where this thread's first row of pixel `pixel` goes; null if there is no such pixel.
template <class T> __device__ inline T* out_of(const ConvCall<T>& c, int channel, unsigned pixel) {
  const ConvPixel p = pixel_at(c, pixel);
  return p.n < c.images ? c.out + std::int64_t{p.n} * c.out_image + channel * c.out_plane + c.out_at(p.i, p.j) : nullptr;
}

/// Planes of whole vectors: W neighbours of a row at once.
template <class Tile, class T> __device__ inline void store_pixel_vectors(const ConvCall<T>& c,
                                                                          const T (&acc)[Tile::kThreadRows][Tile::kThreadColumns],
                                                                          int channel, int rows, unsigned first, const T* biases) {
  constexpr int W = Tile::kW;
#pragma unroll
  for (int j = 0; j < Tile::kThreadColumns; j += W) {
    T* const out = out_of(c, channel, first + Tile::column_of(j));
#pragma unroll
    for (int i = 0; i < Tile::kThreadRows; ++i) {
      if (!out || Tile::row_of(i) >= rows) continue;
      const T bias = biases ? biases[channel + Tile::row_of(i)] : T(0);
      Pack<T> v;
#pragma unroll
      for (int w = 0; w < W; ++w) v.value[w] = acc[i][j + w] + bias;
      *reinterpret_cast<Pack<T>*>(out + Tile::row_of(i) * c.out_plane) = v;
    }
  }
}
template <class Tile, class T> __device__ inline void store_pixels(const ConvCall<T>& c,
                                                                   const T (&acc)[Tile::kThreadRows][Tile::kThreadColumns], int channel,
                                                                   int rows, unsigned first, const T* biases) {
#pragma unroll
  for (int j = 0; j < Tile::kThreadColumns; ++j) {
    T* const out = out_of(c, channel, first + Tile::column_of(j));
#pragma unroll
    for (int i = 0; i < Tile::kThreadRows; ++i)
      if (out && Tile::row_of(i) < rows)
        out[Tile::row_of(i) * c.out_plane] = acc[i][j] + (biases ? biases[channel + Tile::row_of(i)] : T(0));
  }
}

// Grid: tiles of rows, times groups, times tiles of pixels, so that blocks that run together share windows; block: Tile::kThreads, a thread
// owns kThreadRows x kThreadColumns outputs. Bytes: as above.
template <class Tile, class A, class B>
__global__ __launch_bounds__(Tile::kThreads, Tile::kBlocks) void convolve(ConvCall<typename Tile::T> c) {
  using T = typename Tile::T;
  __shared__ Stages<Tile, A, B> stages;
  const auto row_tiles = static_cast<unsigned>((c.rows + Tile::kRows - 1) / Tile::kRows), rest = blockIdx.x / row_tiles;
  const int row = static_cast<int>(blockIdx.x % row_tiles) * Tile::kRows, group = static_cast<int>(rest % static_cast<unsigned>(c.groups));
  const unsigned pixel = rest / static_cast<unsigned>(c.groups) * Tile::kColumns;
  T acc[Tile::kThreadRows][Tile::kThreadColumns];
  multiply<Tile>(acc, A(c, group, row), B(c, group, pixel), stages, c.depth);
  // Of this thread: its first channel of out, how many of that group follow, its first pixel.
  const int channel = group * c.rows + row + Tile::row(), rows = c.rows - row - Tile::row();
  const T* const biases = A::kForward ? c.bias : nullptr;
  if (c.vector_out) store_pixel_vectors<Tile>(c, acc, channel, rows, pixel + Tile::column(), biases);
  else store_pixels<Tile>(c, acc, channel, rows, pixel + Tile::column(), biases);
}

// Grid: elements / 256; block: 256 in a row. y[n, k, p] += bias[k], after a vendor's convolution. Bytes: y twice.
template <class T>
__global__ __launch_bounds__(256) void add_channel_bias(T* y, const T* bias, std::int64_t elements, std::int64_t plane, int k) {
  const std::int64_t at = std::int64_t{blockIdx.x} * 256 + threadIdx.x;
  if (at < elements) y[at] += bias[at / plane % k];
}

// ---- launchers

template <class Tile, class T> std::int64_t tiles_of(const ConvCall<T>& c) {
  return std::int64_t{c.rows + Tile::kRows - 1} / Tile::kRows * c.groups * ((c.pixels + Tile::kColumns - 1) / Tile::kColumns);
}

/// One tap, on the pixel itself.
template <class T> bool is_plain(const ConvCall<T>& c) {
  const auto plain = [](const ConvAxis& a) { return a.taps == 1 && a.step == 1 && a.base == 0 && a.in == a.out; };
  return plain(c.h) && plain(c.v) && c.vector_source;
}

template <class Tile, class T> void launch_tile(const char* op, const ConvCall<T>& c, bool input_grad) {
  const dim3 grid(static_cast<unsigned>(tiles_of<Tile>(c))), block(Tile::kThreads);
  if (!input_grad && is_plain(c)) launch(op, convolve<Tile, WeightRows<Tile>, PlainPixels<Tile>>, grid, block, 0, c);
  else if (!input_grad) launch(op, convolve<Tile, WeightRows<Tile>, WindowPixels<Tile>>, grid, block, 0, c);
  else if (is_plain(c) && c.kernel == 1) launch(op, convolve<Tile, WeightColumns<Tile>, PlainPixels<Tile>>, grid, block, 0, c);
  else launch(op, convolve<Tile, TapRows<Tile>, WindowPixels<Tile>>, grid, block, 0, c);
}

/// Whether the panel of weights moves by vectors, which the large tile wants.
template <class T> bool whole_weights(const ConvCall<T>& c, bool input_grad) {
  if (!input_grad) return c.vector_w;
  return !(is_plain(c) && c.kernel == 1) || (c.vector_w && c.rows % Pack<T>::kCount == 0);
}

template <class T> void correlate_images(const char* op, const ConvCall<T>& c, bool input_grad) {
  using Large = Tile<float, 128, 128, 8, 8>;
  if constexpr (sizeof(T) == 4)
    if (c.rows > 64 && whole_weights(c, input_grad) && tiles_of<Large>(c) >= kBusy) return launch_tile<Large>(op, c, input_grad);
  if (c.rows <= 16) launch_tile<Tile<T, 16, 128, 4, 4>>(op, c, input_grad);
  else launch_tile<Tile<T, 64, 64, 4, 4>>(op, c, input_grad);
}

/// By as many images at a time as have fewer than 2^31 pixels: nearly always all of them.
template <class T> void correlate(const char* op, ConvCall<T> c, bool input_grad) {
  const std::int64_t plane = std::int64_t{c.h.out} * c.v.out, images = c.images;
  if (c.pixels <= 0 || c.rows <= 0) return;
  for (std::int64_t done = 0; done < images; done += c.images) {
    c.images = static_cast<int>(std::min(images - done, std::max<std::int64_t>(1, 0x7FFFFF00 / plane)));
    c.pixels = plane * c.images;
    correlate_images(op, c, input_grad);
    c.source += c.source_image * c.images, c.out += c.out_image * c.images;
  }
}

template <class T> void forward(const Conv2dShape& v, T* y, const T* x, const T* w, const T* bias) {
  const ConvCall<T> call = forward_call(v, y, x, w, bias);
  if (is_depthwise(v) && correlate_depthwise("conv2d", call, false)) return;
  correlate("conv2d", call, false);
}

/// A launch a phase; pixels that no window reaches belong to phases without taps, or see nothing but zeros.
template <class T> void input_grad(const Conv2dShape& v, T* dx, const T* dy, const T* w) {
  for (std::int64_t i = 0; i < v.stride_h && i < v.h; ++i)
    for (std::int64_t j = 0; j < v.stride_w && j < v.w; ++j) {
      const ConvCall<T> call = backward_call(v, i, j, dx, dy, w);
      if (is_depthwise(v) && correlate_depthwise("conv2d_input_grad", call, true)) continue;
      correlate("conv2d_input_grad", call, true);
    }
}

#if defined(GRADUS_CUDNN)
void add_bias(Array y, ConstArray bias, const Conv2dShape& v) {
  with_floating(y.dtype, [&](auto t) {
    using T = decltype(t);
    launch("conv2d", add_channel_bias<T>, dim3(blocks_for(y.elements(), 256)), dim3(256), 0, y.as<T>(), bias.as<T>(), y.elements(),
           v.out_h * v.out_w, static_cast<int>(v.k));
  });
}
#endif

}  // namespace

std::size_t conv2d_workspace_bytes([[maybe_unused]] DType dtype, [[maybe_unused]] const Conv2dShape& v) {
#if defined(GRADUS_CUDNN)
  if (uses_cudnn() && cudnn_takes(CudnnOp::forward, dtype, v)) return cudnn_workspace_bytes(CudnnOp::forward, dtype, v);
#endif
  return 0;
}

void conv2d(Array y, ConstArray x, ConstArray w, ConstArray bias, const Conv2dShape& v, [[maybe_unused]] Workspace workspace) {
#if defined(GRADUS_CUDNN)
  if (uses_cudnn() && cudnn_takes(CudnnOp::forward, y.dtype, v)) {
    cudnn_convolve(y.dtype, v, y.data, x.data, w.data, workspace);
    if (bias) add_bias(y, bias, v);
    return;
  }
#endif
  with_floating(y.dtype, [&](auto t) {
    using T = decltype(t);
    forward(v, y.as<T>(), x.as<T>(), w.as<T>(), bias ? bias.as<T>() : nullptr);
  });
}

std::size_t conv2d_input_grad_workspace_bytes([[maybe_unused]] DType dtype, [[maybe_unused]] const Conv2dShape& v) {
#if defined(GRADUS_CUDNN)
  if (uses_cudnn() && cudnn_takes(CudnnOp::input_grad, dtype, v)) return cudnn_workspace_bytes(CudnnOp::input_grad, dtype, v);
#endif
  return 0;
}

void conv2d_input_grad(Array dx, ConstArray dy, ConstArray w, const Conv2dShape& v, [[maybe_unused]] Workspace workspace) {
#if defined(GRADUS_CUDNN)
  if (uses_cudnn() && cudnn_takes(CudnnOp::input_grad, dx.dtype, v))
    return cudnn_input_grad(dx.dtype, v, dx.data, dy.data, w.data, workspace);
#endif
  with_floating(dx.dtype, [&](auto t) {
    using T = decltype(t);
    input_grad(v, dx.as<T>(), dy.as<T>(), w.as<T>());
  });
}

}  // namespace gradus::inline v0::cuda
