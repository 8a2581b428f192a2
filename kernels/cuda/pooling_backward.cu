// The adjoints of pooling (kernels/pooling.h), without atomics.
//
//   max_pool2d_scatter   dx = 0, then dx[index] += dy, plane by plane: a warp owns a plane, in shared memory where it fits, and adds 32
//                        terms at a time; terms of one place take turns, so they are added in the order of the outputs, as on the CPU
//   max_pool2d_gather    dy = dx[index]: a thread an output
//   avg_pool2d_backward  dx = sum of dy / (kernel_h kernel_w) over the windows that see a pixel: a thread a pixel, dy in shared memory
// Bytes of f32: scatter 12 an output and 4 a pixel; gather 12 an output and what it reads of dx; avg 4 an output and 4 a pixel.

#include <gradus/kernels/cuda/pooling.cuh>

namespace gradus::inline v0::cuda {
namespace {

std::int64_t planes_of(const Shape& s) { return s.product(0, s.rank() - 2); }
std::int64_t plane_size(const Shape& s) { return s.product(s.rank() - 2, s.rank()); }

/// Grid: planes / warps; block: `warps` warps, each with a plane of its own. With kShared, dynamic shared memory holds the planes;
/// otherwise dx is zeroed and added to in place.
template <bool kShared, class T> __global__ void __launch_bounds__(kPoolThreads)
    scatter_planes(T* dx, const T* dy, const std::int64_t* index, std::int64_t planes, std::int64_t pixels, std::int64_t outputs) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t plane = static_cast<std::int64_t>(blockIdx.x) * (blockDim.x / kWarp) + warp;
  if (kShared && plane >= planes) return;  // the whole warp; without shared memory a block has one
  T* const to = dx + plane * pixels;
  T* const sum = kShared ? reinterpret_cast<T*>(dynamic_shared()) + warp * pixels : to;
  for (std::int64_t i = lane; i < pixels; i += kWarp) sum[i] = 0;
  __syncwarp();  // the match alone orders no memory
  for (std::int64_t i = lane; i - lane < outputs; i += kWarp) {
    const bool real = i < outputs;
    std::int64_t place = real ? index[plane * outputs + i] : -1;
    const T term = real ? dy[plane * outputs + i] : T(0);
    const bool here = static_cast<std::uint64_t>(place) < static_cast<std::uint64_t>(pixels);
    if (!here) place = -1 - lane;  // equal to nobody's
    const unsigned before = __match_any_sync(kAllLanes, place) & ((1u << lane) - 1);
    const int turn = here ? __popc(before) : -1;
    for (int t = 0; __any_sync(kAllLanes, turn >= t); ++t) {
      if (turn == t) sum[place] += term;
      __syncwarp();  // the vote alone orders no memory
    }
  }
  if constexpr (kShared)
    for (std::int64_t i = lane; i < pixels; i += kWarp) to[i] = sum[i];
}

/// Grid: outputs of all planes / 256; block: 256.
template <class T> __global__ void __launch_bounds__(kPoolThreads)
    gather_planes(T* dy, const T* dx, const std::int64_t* index, std::int64_t pixels, std::int64_t outputs, std::int64_t total) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kPoolThreads + threadIdx.x;
  if (i >= total) return;
  const std::int64_t place = index[i];
  const bool here = static_cast<std::uint64_t>(place) < static_cast<std::uint64_t>(pixels);
  dy[i] = here ? dx[i / outputs * pixels + place] : T(0);
}

/// Grid: stages; block: 256. A block owns the pixels of its planes or of its band of rows, a thread every 256th. With kStaged, dynamic
/// shared memory holds the rows of dy whose windows see them.
template <bool kStaged, class I, class T> __global__ void __launch_bounds__(kPoolThreads, 4)
    spread_windows(T* dx, const T* dy, const __grid_constant__ Windows<I> p, T scale, std::int64_t all_planes, Stage s) {
  using U = std::make_unsigned_t<I>;
  const std::int64_t group = blockIdx.x / static_cast<unsigned>(s.bands), plane = group * s.planes;
  const I band = static_cast<I>(blockIdx.x % static_cast<unsigned>(s.bands)), begin = band * static_cast<I>(s.rows);
  const I end = p.h - begin < static_cast<I>(s.rows) ? p.h : begin + static_cast<I>(s.rows);
  const I planes = static_cast<I>(all_planes - plane < s.planes ? all_planes - plane : s.planes), outputs = p.out_h * p.out_w;
  const auto seen_by = [&](I row) { return windows_at(row, p.by_stride_h, p.stride_h, p.pad_h, p.kernel_h, p.out_h); };
  const T* from = dy + plane * outputs;
  if constexpr (kStaged) {
    const I top = s.bands == 1 ? 0 : seen_by(begin).first, bottom = s.bands == 1 ? p.out_h : seen_by(end - 1).last;
    T* const held = reinterpret_cast<T*>(dynamic_shared());
    stage(held, from + top * p.out_w, s.bands == 1 ? planes * outputs : (bottom - top) * p.out_w);
    __syncthreads();
    from = held - top * p.out_w;
  }
  const std::int64_t first = (plane * p.h + begin) * p.w;
  const I count = planes * (end - begin) * p.w;
  for (I i = static_cast<I>(threadIdx.x); i < count; i += kPoolThreads) {
    U of_plane = 0, at = static_cast<U>(i);
    if (s.planes > 1) of_plane = at, at = p.by_pixels.split(of_plane);
    U row = at;
    const I column = static_cast<I>(p.by_w.split(row));
    const Range<I> rows = seen_by(begin + static_cast<I>(row));
    const Range<I> columns = windows_at(column, p.by_stride_w, p.stride_w, p.pad_w, p.kernel_w, p.out_w);
    const T* const source = from + static_cast<I>(of_plane) * outputs;
    T sum = 0;
    for (I r = rows.first; r < rows.last; ++r)
      for (I c = columns.first; c < columns.last; ++c) sum += scale * source[r * p.out_w + c];
    dx[first + i] = sum;
  }
}

}  // namespace

void max_pool2d_scatter(Array dx, ConstArray dy, ConstArray index) {
  const std::int64_t planes = planes_of(*dx.shape), pixels = plane_size(*dx.shape), outputs = plane_size(*dy.shape);
  if (planes * pixels == 0) return;
  with_floating(dx.dtype, [&](auto zero) {
    using T = decltype(zero);
    const std::int64_t fitting = static_cast<std::int64_t>(kStageBytes / sizeof(T)) / pixels;
    const std::int64_t warps = clamped(fitting, 1, kPoolThreads / kWarp);
    const std::size_t bytes = fitting > 0 ? static_cast<std::size_t>(warps * pixels) * sizeof(T) : 0;
    const auto kernel = fitting > 0 ? scatter_planes<true, T> : scatter_planes<false, T>;
    launch("max_pool2d_scatter", kernel, blocks_for(planes, warps), static_cast<unsigned>(warps * kWarp), bytes, dx.as<T>(), dy.as<T>(),
           index.as<std::int64_t>(), planes, pixels, outputs);
  });
}

void max_pool2d_gather(Array dy, ConstArray dx, ConstArray index) {
  const std::int64_t pixels = plane_size(*dx.shape), outputs = plane_size(*dy.shape), total = dy.elements();
  if (total == 0) return;
  with_floating(dy.dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("max_pool2d_gather", gather_planes<T>, blocks_for(total, kPoolThreads), kPoolThreads, 0, dy.as<T>(), dx.as<T>(),
           index.as<std::int64_t>(), pixels, outputs, total);
  });
}

void avg_pool2d_backward(Array dx, ConstArray dy, const Pool2d& p) {
  const std::int64_t planes = p.n * p.c;
  if (planes * p.h * p.w == 0) return;
  if (p.out_h * p.out_w == 0) return fill_bytes(dx.data, 0, static_cast<std::size_t>(dx.elements()) * size_of(dx.dtype));
  with_floating(dx.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T scale = T(1) / static_cast<T>(p.kernel_h * p.kernel_w);
    const auto rows_for = [&](std::int64_t rows) { return (rows + p.kernel_h - 2) / p.stride_h + 1; };
    Stage s = stage_of(planes, p.out_h, p.out_w, p.h, sizeof(T), rows_for);
    if (s.bands == 1) {  // planes that are small in dy may be large in dx
      s.planes = clamped(kStageNumbers / (p.h * p.w), 1, s.planes);
      s.bytes = static_cast<std::size_t>(s.planes * p.out_h * p.out_w) * sizeof(T);
      while (s.rows > 1 && s.rows * p.w > 4 * kStageNumbers) s.rows = (s.rows + 1) / 2;
      s.bands = ceil_div(p.h, s.rows);
    }
    if (s.bytes > 0 && fits_int(p))
      launch("avg_pool2d_backward", spread_windows<true, int, T>, s.grid(planes), kPoolThreads, s.bytes, dx.as<T>(), dy.as<T>(),
             Windows<int>(p), scale, planes, s);
    else
      launch("avg_pool2d_backward", spread_windows<false, std::int64_t, T>, s.grid(planes), kPoolThreads, 0, dx.as<T>(), dy.as<T>(),
             Windows<std::int64_t>(p), scale, planes, s);
  });
}

}  // namespace gradus::inline v0::cuda
