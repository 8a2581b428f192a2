// Bilinear resampling through an affine map per image, and filled rectangles. The arithmetic is the CPU's, operation by operation, so the
// bits are equal (kernels/cpu/resample.cpp).

#include <gradus/kernels/cuda/divider.cuh>
#include <gradus/kernels/cuda/launch.cuh>
#include <gradus/kernels/resample.h>

namespace gradus::inline v0::cuda {
namespace {

constexpr int kPixelThreads = 256;
constexpr int kChannels = 8;                                       // of a thread, which finds the place of a pixel once for them
constexpr std::int64_t kMostPixels = (std::int64_t{1} << 31) - 1;  // of a launch
constexpr std::int64_t kMostGroups = 65535;                        // the y and z extents of a grid

struct Image {
  std::int64_t n, c, h, w;
  explicit Image(const Shape& s) : n(s[0]), c(s[1]), h(s[2]), w(s[3]) {}
};

/// Of the map from output pixels to input pixels, what the shapes say; in T.
template <class T> struct Scales {
  T width_by_width, width_by_height, height_by_width, height_by_height;  // input by output
  T half_width, half_height, last_column, last_row;                      // W / 2, (W - 1) / 2 of the input ...
  T middle_column, middle_row;                                           // (W' - 1) / 2 of the output

  Scales(const Image& to, const Image& from) {
    const T w = T(from.w), h = T(from.h), to_w = T(to.w), to_h = T(to.h);
    width_by_width = w / to_w;
    width_by_height = w / to_h;
    height_by_width = h / to_w;
    height_by_height = h / to_h;
    half_width = w * T(0.5);
    half_height = h * T(0.5);
    last_column = (w - T(1)) * T(0.5);
    last_row = (h - T(1)) * T(0.5);
    middle_column = T(to.w - 1) * T(0.5);
    middle_row = T(to.h - 1) * T(0.5);
  }
};

/// The place of a point between the four input pixels around it.
template <class T> struct Place {
  std::int64_t corner = 0;  // offset of the upper left one in a channel; it may lie outside the image
  T across, down;
  bool left = false, right = false, top = false, bottom = false;  // whether the pixels of that side lie inside

  __device__ Place(T column, T row, int h, int w) {
    if (!(column > T(-1) && column < T(w) && row > T(-1) && row < T(h))) {
      across = down = (column - column) + (row - row);  // 0, or NaN if a coordinate is not finite
      return;
    }
    const int x = column < T(0) ? -1 : static_cast<int>(column), y = row < T(0) ? -1 : static_cast<int>(row);
    corner = std::int64_t{y} * w + x;
    across = column - T(x);
    down = row - T(y);
    left = x >= 0;
    right = x + 1 < w;
    top = y >= 0;
    bottom = y + 1 < h;
  }
  __device__ T sample(const T* x, int w, T fill) const {
    const T* const q = x + corner;
    const T upper_left = top && left ? q[0] : fill, upper_right = top && right ? q[1] : fill;
    const T lower_left = bottom && left ? q[w] : fill, lower_right = bottom && right ? q[w + 1] : fill;
    const T upper = upper_left + across * (upper_right - upper_left), lower = lower_left + across * (lower_right - lower_left);
    return upper + down * (lower - upper);
  }
};

/// Grid: output pixels of all images x groups of 8 channels. A thread: one pixel in its channels. Writes y once, 128 bytes a warp; reads
/// the four neighbours, which neighbouring threads share.
template <class T> __global__ void __launch_bounds__(kPixelThreads)
    affine_resample_kernel(T* y, const T* x, const T* matrices, unsigned pixels, Divider to_h, Divider to_w, int channels, int from_h,
                           int from_w, Scales<T> s, T fill) {
  const unsigned at = blockIdx.x * kPixelThreads + threadIdx.x;
  if (at >= pixels) return;
  unsigned n = at;
  const unsigned j = to_w.split(n), i = to_h.split(n);
  const T* const m = matrices + std::int64_t{n} * 6;
  const T p = T(static_cast<int>(j)) - s.middle_column, q = T(static_cast<int>(i)) - s.middle_row;
  const T xx = m[0] * s.width_by_width, xy = m[1] * s.width_by_height, x0 = m[2] * s.half_width + s.last_column;
  const T yx = m[3] * s.height_by_width, yy = m[4] * s.height_by_height, y0 = m[5] * s.half_height + s.last_row;
  const Place<T> place(xx * p + xy * q + x0, yx * p + yy * q + y0, from_h, from_w);
  const std::int64_t plane = std::int64_t{from_h} * from_w, to_plane = std::int64_t{to_h.divisor} * to_w.divisor;
  const int first = static_cast<int>(blockIdx.y) * kChannels, count = channels - first < kChannels ? channels - first : kChannels;
  const std::int64_t image = std::int64_t{n} * channels + first;
  x += image * plane;
  y += image * to_plane + std::int64_t{i} * to_w.divisor + j;
#pragma unroll 4
  for (int c = 0; c < count; ++c) y[c * to_plane] = place.sample(x + c * plane, from_w, fill);
}

/// Grid: planes x parts of a rectangle; block: 256. A thread: pixels of the rectangle, in order. Writes the rectangle once.
template <class T> __global__ void __launch_bounds__(kPixelThreads)
    fill_rectangles_kernel(T* y, const std::int64_t* boxes, int channels, int h, int w, T value) {
  const std::int64_t* const box = boxes + static_cast<std::int64_t>(blockIdx.x / static_cast<unsigned>(channels)) * 4;
  const auto clip = [](std::int64_t i, int extent) { return static_cast<int>(i < 0 ? 0 : i > extent ? extent : i); };
  const int top = clip(box[0], h), left = clip(box[1], w), bottom = clip(box[2], h), right = clip(box[3], w);
  if (top >= bottom || left >= right) return;
  const std::int64_t width = right - left, pixels = (bottom - top) * width;
  y += (static_cast<std::int64_t>(blockIdx.x) * h + top) * w + left;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.y) * kPixelThreads + threadIdx.x; i < pixels;
       i += static_cast<std::int64_t>(gridDim.y) * kPixelThreads) {
    const std::int64_t row = i / width;
    y[row * w + (i - row * width)] = value;
  }
}

}  // namespace

void affine_resample(Array y, ConstArray x, ConstArray matrices, double fill) {
  const Image to(*y.shape), from(*x.shape);
  GRADUS_ASSERT(to.n == from.n && to.c == from.c && from.h * from.w <= kMostPixels && to.h * to.w <= kMostPixels);
  if (y.elements() == 0) return;
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Scales<T> scales(to, from);
    const std::int64_t most = kMostPixels / (to.h * to.w);  // images of a launch
    const dim3 groups(1, blocks_for(to.c, kChannels));
    GRADUS_ASSERT(groups.y <= kMostGroups);
    for (std::int64_t first = 0; first < to.n; first += most) {
      const std::int64_t images = to.n - first < most ? to.n - first : most, pixels = images * to.h * to.w;
      launch("affine_resample", affine_resample_kernel<T>, dim3(blocks_for(pixels, kPixelThreads), groups.y), kPixelThreads, 0,
             y.as<T>() + first * to.c * to.h * to.w, x.as<T>() + first * from.c * from.h * from.w, matrices.as<T>() + first * 6,
             static_cast<unsigned>(pixels), Divider(to.h), Divider(to.w), static_cast<int>(to.c), static_cast<int>(from.h),
             static_cast<int>(from.w), scales, static_cast<T>(fill));
    }
  });
}

void fill_rectangles(Array y, ConstArray boxes, double value) {
  const Image image(*y.shape);
  if (y.elements() == 0) return;
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const unsigned parts = blocks_for(image.h * image.w, 16 * kPixelThreads);  // a thread has at most 16 pixels, unless images are huge
    const dim3 grid(blocks_for(image.n * image.c, 1), parts < kMostGroups ? parts : static_cast<unsigned>(kMostGroups));
    launch("fill_rectangles", fill_rectangles_kernel<T>, grid, kPixelThreads, 0, y.as<T>(), boxes.as<std::int64_t>(),
           static_cast<int>(image.c), static_cast<int>(image.h), static_cast<int>(image.w), static_cast<T>(value));
  });
}

}  // namespace gradus::inline v0::cuda
