// Convolutions whose groups have one channel of x and few of y: no products worth a tile, but bands of planes in shared memory.
//
//   out[n, g, row, i, j] = sum over channel, a, b of w(g, row, channel, a, b) source[n, g, channel, window(i, j, a, b)]
//   (convolution_call.cuh) dw[k, a, b]          = sum over n, i, j of dy[n, k, i, j] x[n, g, window(i, j, a, b)]
//
// 2 taps FLOPs an output and channel. Compulsory bytes: source, weights and out once each. A block copies the source rows that its output
// rows see, framed with zeros, and reads them from there once for every tap. Bytes: source size (1 + (taps_h - step) / rows of a band),
// which is source size where whole planes fit, + out size; weights once a block.
#include <algorithm>
#include <optional>

#include <gradus/kernels/cuda/convolution_call.cuh>

namespace gradus::inline v0::cuda {

using namespace product;

namespace {

constexpr int kThreads = 256;
constexpr int kTileBytes = 32 << 10, kWeightBytes = 4 << 10;  // of shared memory: six blocks fit a multiprocessor
constexpr int kOutputs = 4096;                                // of a block, where planes are small: 16 a thread

/// How a block's planes lie in shared memory: each as a frame, the source rows and columns that the outputs of a band see, with zeros where
/// there is no source.
template <class T> struct BandCall {
  ConvCall<T> conv;
  int taps;         // of this phase
  int band, bands;  // output rows of a band; bands of a plane
  int frame_rows, frame_width;
  Divider band_size;  // band v.out
  Divider in_rows, in_width;

  __device__ int frame() const { return frame_rows * frame_width; }
  __device__ int top(int out_row) const { return first_source(conv.h, out_row); }  // the source row that a frame begins with
  static __host__ __device__ int first_source(const ConvAxis& a, int out) {
    return out * a.step + a.base - (a.sign < 0 && a.taps ? a.taps - 1 : 0);
  }
};

/// Elements before `at` that share its 128 bytes: lanes that start so much earlier touch whole sectors.
template <class T> __device__ inline int misplaced(const T* at) {
  return static_cast<int>(reinterpret_cast<std::uintptr_t>(at) % 128 / sizeof(T));
}

template <class T> __device__ inline void clear(T* frames, int n) {
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kThreads) frames[i] = 0;
}

/// Copies `count` planes that follow each other, whole, or of each only the rows of a band.
template <class T> __device__ inline void copy_planes(T* frames, const BandCall<T>& call, const T* planes, int count, int out_row) {
  const ConvCall<T>& c = call.conv;
  const int top = call.top(out_row), left = call.first_source(c.v, 0);
  const int begin = call.bands == 1 ? 0 : max(top, 0) * c.v.in;
  const int end = call.bands == 1 ? static_cast<int>(c.source_plane) * count : min(top + call.frame_rows, c.h.in) * c.v.in;
  for (int done = 0; done < (call.bands == 1 ? 1 : count); ++done, planes += c.source_plane, frames += call.frame())
    for (int at = begin - misplaced(planes + begin) + static_cast<int>(threadIdx.x); at < end; at += kThreads) {
      if (at < begin) continue;
      auto plane = static_cast<unsigned>(at);
      const int column = static_cast<int>(call.in_width.split(plane)) - left;
      const int row = static_cast<int>(call.in_rows.split(plane)) - top;
      if (row >= 0 && row < call.frame_rows && column >= 0 && column < call.frame_width)
        frames[static_cast<int>(plane) * call.frame() + row * call.frame_width + column] = planes[at];
    }
}

// ---- forward and input gradient

/// (image, group) pairs: a block has several where planes are small.
struct Units {
  int each, all;
  bool input_grad;
  Divider groups, rows, channels;
};

/// Elements of a plane's weights in shared memory: [channel][tap], then the bias.
template <class T> __host__ __device__ inline int filter_size(const BandCall<T>& call) { return call.conv.channels * call.taps + 1; }

/// The weights of a block's units in the order of their use: [unit][row], a filter each.
template <class T> __device__ inline void copy_weights(T* to, const BandCall<T>& call, const Units& units, int first, int count) {
  const ConvCall<T>& c = call.conv;
  const int filters = c.groups * c.rows, size = filter_size(call);
  for (int at = static_cast<int>(threadIdx.x); at < count * c.rows; at += kThreads)
    to[at * size + size - 1] = c.bias ? c.bias[(first * c.rows + at) % filters] : T(0);
  for (int at = static_cast<int>(threadIdx.x); at < count * c.rows * c.channels * call.taps; at += kThreads) {
    auto unit = static_cast<unsigned>(at);
    unsigned a = c.taps.split(unit);
    const unsigned b = c.tap_width.split(a), tap_of_filter = a * static_cast<unsigned>(c.v.taps) + b;
    const unsigned channel = units.channels.split(unit), plane = unit, row = units.rows.split(unit);
    auto group = static_cast<unsigned>(first) + unit;
    group = units.groups.split(group);
    const unsigned filter =
        units.input_grad ? (group * c.channels + channel) * c.rows + row : (group * c.rows + row) * c.channels + channel;
    const int tap = (c.h.tap + static_cast<int>(a) * c.h.tap_step) * c.kernel_width + c.v.tap + static_cast<int>(b) * c.v.tap_step;
    to[static_cast<int>(plane) * size + static_cast<int>(channel) * call.taps + static_cast<int>(tap_of_filter)] =
        c.w[std::int64_t{filter} * c.kernel + tap];
  }
}

/// The taps of one channel at one output, whose window begins at `window`: kSize x kSize, or as many as the call says. Where the sign is
/// negative the first tap meets the window's last row and column.
template <int kSize, class T> __device__ inline T add_taps(T sum, const T* window, const T* w, const BandCall<T>& call) {
  const int rows = kSize ? kSize : call.conv.h.taps, columns = kSize ? kSize : call.conv.v.taps;
  const int row_step = call.conv.h.sign * call.frame_width, column_step = call.conv.v.sign;
  if (call.conv.h.sign < 0) window += (rows - 1) * call.frame_width + columns - 1;
#pragma unroll
  for (int a = 0; a < rows; ++a)
#pragma unroll
    for (int b = 0; b < columns; ++b) sum = fma(w[a * columns + b], window[a * row_step + b * column_step], sum);
  return sum;
}

/// One output of the block: number `at` of its bands, plane after plane.
template <int kSize, class T>
__device__ inline void correlate_output(const BandCall<T>& call, T* out, const T* frames, const T* weights, int out_row, int at) {
  const ConvCall<T>& c = call.conv;
  auto plane = static_cast<unsigned>(at);
  unsigned i = call.band_size.split(plane);
  const auto j = static_cast<int>(c.width.split(i));
  const int row = out_row + static_cast<int>(i), p = static_cast<int>(plane);
  if (row >= c.h.out) return;  // the last band of a plane may be lower
  const T* window = frames + p / c.rows * c.channels * call.frame() + static_cast<int>(i) * c.h.step * call.frame_width + j * c.v.step;
  const T* w = weights + p * filter_size(call);
  T sum = 0;
  for (int channel = 0; channel < c.channels; ++channel, window += call.frame(), w += call.taps)
    sum = add_taps<kSize>(sum, window, w, call);
  out[p * c.out_plane + c.out_at(row, j)] = c.bias ? sum + *w : sum;
}

// Grid: bands of a plane, times blocks of units; block: 256 threads, which take the outputs of the band in turn, lanes along columns.
// Shared: frames 32 KiB, weights 4 KiB. Bytes: as above.
template <class T, int kSize> __global__ __launch_bounds__(kThreads) void correlate_bands(BandCall<T> call, Units units) {
  __shared__ T frames[kTileBytes / sizeof(T)];
  __shared__ T weights[kWeightBytes / sizeof(T)];
  const ConvCall<T>& c = call.conv;
  const int out_row = static_cast<int>(blockIdx.x % static_cast<unsigned>(call.bands)) * call.band;
  const int first = static_cast<int>(blockIdx.x / static_cast<unsigned>(call.bands)) * units.each,
            count = min(units.each, units.all - first);
  clear(frames, count * c.channels * call.frame());
  copy_weights(weights, call, units, first, count);
  __syncthreads();
  copy_planes(frames, call, c.source + std::int64_t{first} * c.channels * c.source_plane, count * c.channels, out_row);
  __syncthreads();
  T* const out = c.out + std::int64_t{first} * c.rows * c.out_plane;
  const int early = c.v.pixel_step == 1 ? misplaced(out + c.out_at(out_row, 0)) : 0;
  for (int at = static_cast<int>(threadIdx.x) - early; at < count * c.rows * call.band * c.v.out; at += kThreads)
    if (at >= 0) correlate_output<kSize>(call, out, frames, weights, out_row, at);
}

// ---- weight gradient

/// Bands of `images` planes at a time; a segment is a number of such jobs.
struct Jobs {
  int images, all, each;  // images of a job; jobs of a channel; jobs of a segment
};

constexpr int kTaps = 9;  // accumulators of a thread: a 3 x 3 kernel; larger ones take several rounds

/// acc[t] += dy times x at tap first_tap + t, over this thread's outputs of one job, whose planes of x are in `frames`.
template <int kSize, class T> __device__ inline void add_job(T (&acc)[kTaps], const BandCall<T>& call, const T* frames, const T* dy,
                                                             int count, int out_row, int first_tap) {
  const ConvCall<T>& c = call.conv;
  int offset[kTaps];
#pragma unroll
  for (int t = 0; t < kTaps; ++t) {
    const int tap = kSize ? t : min(first_tap + t, call.taps - 1), columns = kSize ? kSize : c.v.taps;
    offset[t] = tap / columns * call.frame_width + tap % columns;
  }
  for (int at = static_cast<int>(threadIdx.x); at < count * call.band * c.v.out; at += kThreads) {
    auto image = static_cast<unsigned>(at);
    unsigned i = call.band_size.split(image);
    const auto j = static_cast<int>(c.width.split(i));
    const int row = out_row + static_cast<int>(i);
    if (row >= c.h.out) continue;
    const T d = dy[image * c.out_image + row * c.v.out + j];
    const T* const window =
        frames + static_cast<int>(image) * call.frame() + static_cast<int>(i) * c.h.step * call.frame_width + j * c.v.step;
#pragma unroll
    for (int t = 0; t < kTaps; ++t) acc[t] = fma(d, window[offset[t]], acc[t]);
  }
}

// Grid: channels of dy, times segments; block: 256 threads, which take the pixels of a job in turn and keep a sum for each of 9 taps; sums
// of threads are added in a fixed order. Shared: frames 32 KiB. Bytes: x (and dy) once for every 9 taps.
template <class T, int kSize> __global__ __launch_bounds__(kThreads) void weight_bands(BandCall<T> call, Jobs jobs, T* dw, const T* dy) {
  __shared__ T frames[kTileBytes / sizeof(T)];
  __shared__ T scratch[2][kThreads / kWarp];  // by turns: a reduction's is free after the next one's barrier
  const ConvCall<T>& c = call.conv;
  const int filters = c.groups * c.rows, k = static_cast<int>(blockIdx.x) % filters, segment = static_cast<int>(blockIdx.x) / filters;
  const int begin = segment * jobs.each, end = min(begin + jobs.each, jobs.all);
  for (int first_tap = 0; first_tap < call.taps; first_tap += kTaps) {
    T acc[kTaps] = {};
    for (int job = begin; job < end; ++job) {
      const int image = job / call.bands * jobs.images, count = min(jobs.images, c.images - image), out_row = job % call.bands * call.band;
      clear(frames, count * call.frame());
      __syncthreads();
      for (int n = 0; n < count; ++n)
        copy_planes(frames + n * call.frame(), call, c.source + (image + n) * c.source_image + k / c.rows * c.source_plane, 1, out_row);
      __syncthreads();
      add_job<kSize>(acc, call, frames, dy + image * c.out_image + k * c.out_plane, count, out_row, first_tap);
      __syncthreads();
    }
    for (int t = 0; t < kTaps; ++t) {
      const T sum = block_reduce<kThreads>(acc[t], scratch[(first_tap + t) % 2], [](T x, T y) { return x + y; });
      if (threadIdx.x == 0 && first_tap + t < call.taps) dw[(std::int64_t{segment} * filters + k) * call.taps + first_tap + t] = sum;
    }
  }
}

// ---- how planes are cut

constexpr int kBlocks = 264;  // two for each multiprocessor of a large device

/// Bands as high as `planes` frames at once allow; nothing if not even one row of outputs fits.
template <class T> std::optional<BandCall<T>> banded(const ConvCall<T>& c, int planes) {
  const std::int64_t elements = kTileBytes / static_cast<std::int64_t>(sizeof(T));
  BandCall<T> call{};
  call.conv = c, call.taps = c.h.taps * c.v.taps;
  if (std::int64_t{filter_size(call)} * c.rows > kWeightBytes / static_cast<std::int64_t>(sizeof(T)) || c.h.out <= 0 || c.v.out <= 0)
    return {};
  // A frame as wide as a row of outputs and whole turns of the banks: lanes that go on in the next row then meet no bank twice.
  constexpr std::int64_t kTurn = 128 / static_cast<std::int64_t>(sizeof(T));
  const std::int64_t least = std::int64_t{c.v.out - 1} * c.v.step + c.v.taps;
  const std::int64_t turns = c.v.out + (std::max<std::int64_t>(0, least - c.v.out) + kTurn - 1) / kTurn * kTurn;
  const auto rows_of = [&](std::int64_t frame_width) { return elements / planes / std::max<std::int64_t>(1, frame_width); };
  const std::int64_t width = c.v.step == 1 && rows_of(turns) >= c.h.taps + 7 ? turns : least, rows = rows_of(width);  // 8 rows of outputs
  if (rows < std::max(1, c.h.taps)) return {};
  const auto most = static_cast<int>(std::min<std::int64_t>(c.h.out, (rows - c.h.taps) / c.h.step + 1));
  call.bands = (c.h.out + most - 1) / most;
  call.band = (c.h.out + call.bands - 1) / call.bands;
  call.bands = (c.h.out + call.band - 1) / call.band;
  call.frame_width = static_cast<int>(width), call.frame_rows = (call.band - 1) * c.h.step + c.h.taps;
  call.band_size = Divider(std::int64_t{call.band} * c.v.out);
  call.in_rows = Divider(std::max(1, c.h.in)), call.in_width = Divider(std::max(1, c.v.in));
  return call;
}

/// Planes that a block takes at once: as many as fit, have not more than kOutputs outputs and leave enough blocks.
template <class T> int planes_at_once(const BandCall<T>& call, std::int64_t frames_each, std::int64_t outputs_each, std::int64_t all) {
  if (call.bands > 1) return 1;
  const std::int64_t fit =
      kTileBytes / static_cast<std::int64_t>(sizeof(T)) / std::max<std::int64_t>(1, frames_each * call.frame_rows * call.frame_width);
  const std::int64_t most = std::min({fit, kOutputs / std::max<std::int64_t>(1, outputs_each), all / kBlocks});
  return static_cast<int>(std::max<std::int64_t>(1, most));
}

template <class T> std::optional<BandCall<T>> weight_bands_of(const Conv2dShape& v, const T* x) {
  return banded(forward_call<T>(v, nullptr, x, nullptr, nullptr), 1);
}
template <class T> Jobs jobs_of(const BandCall<T>& call) {
  const ConvCall<T>& c = call.conv;
  const int segments = std::max(1, kBlocks / std::max(1, c.groups * c.rows));
  Jobs jobs{planes_at_once(call, 1, std::int64_t{c.h.out} * c.v.out, std::int64_t{c.images} * kBlocks / segments), 0, 0};
  jobs.all = (c.images + jobs.images - 1) / jobs.images * call.bands;
  jobs.each = std::max(1, (jobs.all + segments - 1) / segments);
  return jobs;
}
int segments_of(const Jobs& jobs) { return std::max(1, (jobs.all + jobs.each - 1) / jobs.each); }

}  // namespace

// ---- launchers

template <class T> bool product::correlate_depthwise(const char* op, const ConvCall<T>& c, bool input_grad) {
  const auto call = banded(c, c.channels);
  if (c.pixels <= 0) return true;
  if (!call) return false;
  Units units{1, c.images * c.groups, input_grad, Divider(c.groups), Divider(c.rows), Divider(c.channels)};
  const int weights = kWeightBytes / static_cast<int>(sizeof(T)) / (c.rows * filter_size(*call));
  units.each = std::min(weights, planes_at_once(*call, c.channels, std::int64_t{c.rows} * c.h.out * c.v.out, units.all));
  const dim3 grid(static_cast<unsigned>((units.all + units.each - 1) / units.each * call->bands));
  if (c.h.taps == 3 && c.v.taps == 3) launch(op, correlate_bands<T, 3>, grid, dim3(kThreads), 0, *call, units);
  else launch(op, correlate_bands<T, 0>, grid, dim3(kThreads), 0, *call, units);
  return true;
}
template bool product::correlate_depthwise<float>(const char*, const ConvCall<float>&, bool);
template bool product::correlate_depthwise<double>(const char*, const ConvCall<double>&, bool);

template <class T> std::optional<std::size_t> product::depthwise_weight_grad_bytes(const Conv2dShape& v) {
  const auto call = weight_bands_of<T>(v, nullptr);
  if (!call) return {};
  const int segments = segments_of(jobs_of(*call));
  return segments > 1 ? static_cast<std::size_t>(segments * v.k * v.r * v.s) * sizeof(T) : 0;
}
template std::optional<std::size_t> product::depthwise_weight_grad_bytes<float>(const Conv2dShape&);
template std::optional<std::size_t> product::depthwise_weight_grad_bytes<double>(const Conv2dShape&);

template <class T> bool product::depthwise_weight_grad(const Conv2dShape& v, T* dw, const T* x, const T* dy, Workspace workspace) {
  const auto call = weight_bands_of(v, x);
  if (!call) return false;
  const Jobs jobs = jobs_of(*call);
  const int segments = segments_of(jobs);
  T* const to = segments > 1 ? static_cast<T*>(workspace.data) : dw;
  const dim3 grid(static_cast<unsigned>(v.k * segments));
  if (v.r == 3 && v.s == 3) launch("conv2d_weight_grad", weight_bands<T, 3>, grid, dim3(kThreads), 0, *call, jobs, to, dy);
  else launch("conv2d_weight_grad", weight_bands<T, 0>, grid, dim3(kThreads), 0, *call, jobs, to, dy);
  if (segments > 1) merge_segments(dw, static_cast<const T*>(to), v.k * v.r * v.s, segments);
  return true;
}
template bool product::depthwise_weight_grad<float>(const Conv2dShape&, float*, const float*, const float*, Workspace);
template bool product::depthwise_weight_grad<double>(const Conv2dShape&, double*, const double*, const double*, Workspace);

}  // namespace gradus::inline v0::cuda
