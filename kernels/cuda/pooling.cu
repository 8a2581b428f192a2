// Max- and mean-pooling of planes [H, W] (kernels/pooling.h); their adjoints are in pooling_backward.cu.
//
//   2x2      windows of 2 by 2, stride 2, rows of whole packs: a thread makes two outputs (f64: one) from two accesses of 16 bytes
//   planes   the mean of whole planes: a sum of rows (reduce_kernels.cuh)
//   staged   everything else: a block holds small planes, or a band of rows of a large one, in shared memory, where windows overlap freely
//            (stride 2 meets each bank twice there: less than a third of the time that global memory takes)
//   direct   rows too long for that, from global memory
// All visit the pixels of a window in row-major order, which decides between equal maxima. Bytes of an f32 pixel: 4, and 12 of each maximum
// or 4 of each mean; bands read kernel_h - stride_h rows twice.

#include <gradus/kernels/cuda/pooling.cuh>

namespace gradus::inline v0::cuda {
namespace {

/// NaN replaces whatever is there, as a larger value does.
template <class T> __device__ inline bool wins(T candidate, T best) { return candidate > best || candidate != candidate; }

/// What is made of a window: add(pixel, place) in row-major order, then put().
template <class T, class I> struct MaxOutput {
  T* y;
  std::int64_t* index;
  struct State {
    T best;
    I place;
  };
  __device__ static State start(I first_place) { return {-infinity<T>(), first_place}; }
  __device__ static void add(State& s, T pixel, I place) {
    if (wins(pixel, s.best)) s = {pixel, place};
  }
  __device__ void put(std::int64_t output, const State& s) const { y[output] = s.best, index[output] = s.place; }
  __device__ void put(std::int64_t output, const State& s, const State& next) const {  // output is even
    *reinterpret_cast<float2*>(y + output) = {s.best, next.best};
    *reinterpret_cast<longlong2*>(index + output) = {s.place, next.place};
  }
};
template <class T, class I> struct MeanOutput {
  T* y;
  T scale;
  struct State {
    T sum;
  };
  __device__ static State start(I) { return {0}; }
  __device__ static void add(State& s, T pixel, I) { s.sum += pixel; }
  __device__ void put(std::int64_t output, const State& s) const { y[output] = s.sum * scale; }
  __device__ void put(std::int64_t output, const State& s, const State& next) const {
    *reinterpret_cast<float2*>(y + output) = {s.sum * scale, next.sum * scale};
  }
};

/// Grid: stages; block: 256. A block owns the outputs of its planes or of its band, a thread every 256th. With kStaged, dynamic shared
/// memory holds the rows that they see.
template <bool kStaged, class I, class T, class Output> __global__ void __launch_bounds__(kPoolThreads)
    pool_windows(Output output, const T* x, const __grid_constant__ Windows<I> p, std::int64_t all_planes, Stage s) {
  using U = std::make_unsigned_t<I>;
  constexpr int kUnroll = kStaged ? 4 : 1;  // 64-bit places of four pixels at once would not fit in registers
  const std::int64_t group = blockIdx.x / static_cast<unsigned>(s.bands), plane = group * s.planes;
  const I band = static_cast<I>(blockIdx.x % static_cast<unsigned>(s.bands)), begin = band * static_cast<I>(s.rows);
  const I end = p.out_h - begin < static_cast<I>(s.rows) ? p.out_h : begin + static_cast<I>(s.rows);
  const I planes = static_cast<I>(all_planes - plane < s.planes ? all_planes - plane : s.planes), pixels = p.h * p.w;
  const T* from = x + plane * pixels;  // row 0 of the first plane
  if constexpr (kStaged) {
    const I top = s.bands == 1 ? 0 : window_of(begin, p.stride_h, p.pad_h, p.kernel_h, p.h).first;
    const I bottom = s.bands == 1 ? p.h : window_of(end - 1, p.stride_h, p.pad_h, p.kernel_h, p.h).last;
    T* const held = reinterpret_cast<T*>(dynamic_shared());
    stage(held, from + top * p.w, s.bands == 1 ? planes * pixels : (bottom - top) * p.w);
    __syncthreads();
    from = held - top * p.w;
  }
  const std::int64_t first = (plane * p.out_h + begin) * p.out_w;
  const I count = planes * (end - begin) * p.out_w;
  for (I i = static_cast<I>(threadIdx.x); i < count; i += kPoolThreads) {
    U of_plane = 0, at = static_cast<U>(i);
    if (s.planes > 1) of_plane = at, at = p.by_outputs.split(of_plane);
    U row = at;
    const I column = static_cast<I>(p.by_out_w.split(row));
    const Range<I> rows = window_of(begin + static_cast<I>(row), p.stride_h, p.pad_h, p.kernel_h, p.h);
    const Range<I> columns = window_of(column, p.stride_w, p.pad_w, p.kernel_w, p.w);
    const T* const source = from + static_cast<I>(of_plane) * pixels;
    auto state = Output::start(rows.first * p.w + columns.first);
    for (I r = rows.first; r < rows.last; ++r)
#pragma unroll kUnroll
      for (I c = columns.first; c < columns.last; ++c) Output::add(state, source[r * p.w + c], r * p.w + c);
    output.put(first + i, state);
  }
}

/// Windows of 2 by 2, stride 2, w a multiple of kPack = 4 (f64: 2): kPack / 2 outputs a thread. Grid: packs of row pairs / 256; block: 256.
template <class T, class Output> __global__ void __launch_bounds__(kPoolThreads)
    pool_2x2(Output output, const T* x, std::int64_t h, unsigned w, Divider by_packs, Divider by_out_h, unsigned threads) {
  constexpr int kPack = Pack<T>::kCount, kOut = kPack / 2;
  unsigned row = blockIdx.x * kPoolThreads + threadIdx.x;
  if (row >= threads) return;
  const unsigned pack = by_packs.split(row);
  unsigned plane = row;
  const std::int64_t place = 2 * static_cast<std::int64_t>(by_out_h.split(plane)) * w + pack * kPack;
  const T* const from = x + plane * h * w + place;
  const Pack<T> top = read_pack(from), bottom = read_pack(from + w);
  typename Output::State s[kOut];
#pragma unroll
  for (int j = 0; j < kOut; ++j) {
    const std::int64_t corner = place + 2 * j;
    s[j] = Output::start(corner);
    Output::add(s[j], top.value[2 * j], corner);
    Output::add(s[j], top.value[2 * j + 1], corner + 1);
    Output::add(s[j], bottom.value[2 * j], corner + w);
    Output::add(s[j], bottom.value[2 * j + 1], corner + w + 1);
  }
  const std::int64_t out = static_cast<std::int64_t>(row) * (w / 2) + pack * kOut;
  if constexpr (kOut == 2) output.put(out, s[0], s[1]);
  else output.put(out, s[0]);
}

bool is_2x2(const Pool2d& p) {
  return p.kernel_h == 2 && p.kernel_w == 2 && p.stride_h == 2 && p.stride_w == 2 && p.pad_h == 0 && p.pad_w == 0;
}

/// Into Output<T, I>{arguments...}, in 32-bit indices where a stage fits. `aligned`: what is written, to 16 bytes.
template <template <class, class> class Output, class T, class... A>
void pool(const char* op, const T* x, const Pool2d& p, bool aligned, A... arguments) {
  constexpr std::int64_t kPack = Pack<T>::kCount;
  const std::int64_t planes = p.n * p.c, threads = planes * p.out_h * (p.w / kPack);
  if (planes * p.out_h * p.out_w == 0) return;
  if (is_2x2(p) && p.w % kPack == 0 && threads < (std::int64_t{1} << 31) && aligned && aligned16(x))
    return launch(op, pool_2x2<T, Output<T, std::int64_t>>, blocks_for(threads, kPoolThreads), kPoolThreads, 0,
                  Output<T, std::int64_t>{arguments...}, x, p.h, static_cast<unsigned>(p.w), Divider(p.w / kPack), Divider(p.out_h),
                  static_cast<unsigned>(threads));
  const auto rows_for = [&](std::int64_t rows) { return (rows - 1) * p.stride_h + p.kernel_h; };
  const Stage s = stage_of(planes, p.h, p.w, p.out_h, sizeof(T), rows_for);
  if (s.bytes > 0 && fits_int(p))
    launch(op, pool_windows<true, int, T, Output<T, int>>, s.grid(planes), kPoolThreads, s.bytes, Output<T, int>{arguments...}, x,
           Windows<int>(p), planes, s);
  else
    launch(op, pool_windows<false, std::int64_t, T, Output<T, std::int64_t>>, s.grid(planes), kPoolThreads, 0,
           Output<T, std::int64_t>{arguments...}, x, Windows<std::int64_t>(p), planes, s);
}

bool is_whole_plane(const Pool2d& p) {
  return p.kernel_h == p.h && p.kernel_w == p.w && p.out_h == 1 && p.out_w == 1 && p.pad_h == 0 && p.pad_w == 0;
}

/// The mean of a line.
template <class T, class A> struct Mean : Sum<T, A> {
  struct Given {
    T* y;
    T scale;
  };
  __device__ Mean() {}
  __device__ Mean(const Given&, std::int64_t) {}
  __device__ static void finish(const Given& g, std::int64_t plane, A sum) { g.y[plane] = static_cast<T>(sum) * g.scale; }
};

template <class T> void mean_of_planes(T* y, const T* x, T scale, const Pool2d& p) {
  const AxisGroups groups(Shape{p.n * p.c, p.h * p.w}, 2);
  constexpr int kPack = Pack<T>::kCount;
  const auto run = [&](auto pack) {
    constexpr int kCount = decltype(pack)::value;
    const Inputs<T, 1> in{{x}, kCount > 1 && aligned16(x)};
    if (p.h * p.w <= kShortLine) reduce_short_lines<Mean<T, T>, kCount, unsigned>("avg_pool2d", {y, scale}, in, groups);
    else reduce_long_lines<Mean<T, double>, kCount, unsigned>("avg_pool2d", {y, scale}, in, groups);
  };
  if (p.h * p.w % kPack == 0) run(std::integral_constant<int, kPack>());
  else run(std::integral_constant<int, 1>());
}

}  // namespace

void max_pool2d(Array y, Array index, ConstArray x, const Pool2d& p) {
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    pool<MaxOutput>("max_pool2d", x.as<T>(), p, aligned16(y.data) && aligned16(index.data), y.as<T>(), index.as<std::int64_t>());
  });
}

void avg_pool2d(Array y, ConstArray x, const Pool2d& p) {
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T scale = T(1) / static_cast<T>(p.kernel_h * p.kernel_w);
    const std::int64_t pixels = p.n * p.c * p.h * p.w;
    if (is_whole_plane(p) && p.h * p.w > 1 && pixels > 0 && pixels < (std::int64_t{1} << 31))
      return mean_of_planes(y.as<T>(), x.as<T>(), scale, p);
    pool<MeanOutput>("avg_pool2d", x.as<T>(), p, aligned16(y.data), y.as<T>(), scale);
  });
}

}  // namespace gradus::inline v0::cuda
