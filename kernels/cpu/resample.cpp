// Bilinear resampling: the four taps of an output pixel are found once and used for every channel.
#include <gradus/kernels/resample.h>

#include <algorithm>
#include <cmath>

#include <gradus/kernels/parallel.h>

namespace gradus::inline v0::cpu {
namespace {

struct Image {
  std::int64_t n, c, h, w;
  explicit Image(const Shape& s) : n(s[0]), c(s[1]), h(s[2]), w(s[3]) {}
};

/// The map in pixels: column = xx p + xy q + x0, row = yx p + yy q + y0, with (p, q) the output pixel's centre counted from the image's.
template <class T> struct PixelMap {
  T xx, xy, x0, yx, yy, y0;
  PixelMap(const T* m, const Image& to, const Image& from) {
    // u = p / (W' / 2) and column = x W / 2 + (W - 1) / 2. Halves and ratios of 1 are exact, so a map that should be exact is.
    const T w = T(from.w), h = T(from.h), to_w = T(to.w), to_h = T(to.h);
    xx = m[0] * (w / to_w);
    xy = m[1] * (w / to_h);
    x0 = m[2] * (w * T(0.5)) + (w - T(1)) * T(0.5);
    yx = m[3] * (h / to_w);
    yy = m[4] * (h / to_h);
    y0 = m[5] * (h * T(0.5)) + (h - T(1)) * T(0.5);
  }
};

/// The four input pixels around a point: offsets into one channel, -1 outside the image, and the point's place between them.
template <class T> struct Taps {
  std::int64_t at[4];
  T across, down;

  Taps(T column, T row, const Image& from) {
    const T left = std::floor(column), top = std::floor(row);
    across = column - left;
    down = row - top;
    // Compared as floats: a coordinate beyond any integer, or NaN, is outside.
    const bool in_left = left >= 0 && left < T(from.w), in_right = left >= -1 && left < T(from.w - 1);
    const bool in_top = top >= 0 && top < T(from.h), in_bottom = top >= -1 && top < T(from.h - 1);
    const std::int64_t x = in_left || in_right ? static_cast<std::int64_t>(left) : 0,
                       y = in_top || in_bottom ? static_cast<std::int64_t>(top) : 0;
    const std::int64_t corner = y * from.w + x;
    at[0] = in_top && in_left ? corner : -1;
    at[1] = in_top && in_right ? corner + 1 : -1;
    at[2] = in_bottom && in_left ? corner + from.w : -1;
    at[3] = in_bottom && in_right ? corner + from.w + 1 : -1;
  }
  T sample(const T* x, T fill) const {
    const T a = at[0] < 0 ? fill : x[at[0]], b = at[1] < 0 ? fill : x[at[1]], c = at[2] < 0 ? fill : x[at[2]],
            d = at[3] < 0 ? fill : x[at[3]];
    const T upper = a + across * (b - a), lower = c + across * (d - c);
    return upper + down * (lower - upper);
  }
};

/// Row i of one output image, all channels.
template <class T> void resample_row(T* y, const T* x, const PixelMap<T>& map, const Image& to, const Image& from, std::int64_t i, T fill) {
  const T q = T(i) - T(to.h - 1) * T(0.5);
  for (std::int64_t j = 0; j < to.w; ++j) {
    const T p = T(j) - T(to.w - 1) * T(0.5);
    const Taps<T> taps(map.xx * p + map.xy * q + map.x0, map.yx * p + map.yy * q + map.y0, from);
    for (std::int64_t c = 0; c < to.c; ++c) y[(c * to.h + i) * to.w + j] = taps.sample(x + c * from.h * from.w, fill);
  }
}

}  // namespace

void affine_resample(Array y, ConstArray x, ConstArray matrices, double fill) {
  const Image to(*y.shape), from(*x.shape);
  GRADUS_ASSERT(to.n == from.n && to.c == from.c);
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    parallel_for(to.n, [&](std::int64_t n) {
      const PixelMap<T> map(matrices.as<T>() + n * 6, to, from);
      for (std::int64_t i = 0; i < to.h; ++i)
        resample_row(y.as<T>() + n * to.c * to.h * to.w, x.as<T>() + n * to.c * from.h * from.w, map, to, from, i, static_cast<T>(fill));
    });
  });
}

void fill_rectangles(Array y, ConstArray boxes, double value) {
  const Image image(*y.shape);
  const auto* const box = boxes.as<std::int64_t>();
  const auto clip = [](std::int64_t i, std::int64_t extent) { return std::clamp<std::int64_t>(i, 0, extent); };
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    parallel_for(image.n * image.c, [&](std::int64_t plane) {
      const std::int64_t* const b = box + plane / image.c * 4;
      const std::int64_t bottom = clip(b[2], image.h), left = clip(b[1], image.w), right = clip(b[3], image.w);
      for (std::int64_t i = clip(b[0], image.h); left < right && i < bottom; ++i) {
        T* const row = y.as<T>() + (plane * image.h + i) * image.w;
        std::fill(row + left, row + right, static_cast<T>(value));
      }
    });
  });
}

}  // namespace gradus::inline v0::cpu
