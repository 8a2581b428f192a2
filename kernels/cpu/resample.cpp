// Bilinear resampling: the place of an output pixel is found once and used for every channel.
#include <gradus/kernels/resample.h>

#include <algorithm>

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

/// The place of a point between the four input pixels around it.
template <class T> struct Place {
  std::int64_t corner;  // offset of the upper left one in a channel; it may lie outside the image
  T across, down;
  bool left, right, top, bottom;  // whether the pixels of that side lie inside

  Place() = default;
  Place(T column, T row, const Image& from) {
    if (!(column > -1 && column < T(from.w) && row > -1 && row < T(from.h))) {
      *this = Place();
      across = down = (column - column) + (row - row);  // 0, or NaN if a coordinate is not finite
      return;
    }
    const std::int64_t x = column < 0 ? -1 : static_cast<std::int64_t>(column), y = row < 0 ? -1 : static_cast<std::int64_t>(row);
    corner = y * from.w + x;
    across = column - T(x);
    down = row - T(y);
    left = x >= 0;
    right = x + 1 < from.w;
    top = y >= 0;
    bottom = y + 1 < from.h;
  }
};

template <class T> T between(const Place<T>& p, T upper_left, T upper_right, T lower_left, T lower_right) {
  const T upper = upper_left + p.across * (upper_right - upper_left), lower = lower_left + p.across * (lower_right - lower_left);
  return upper + p.down * (lower - upper);
}

template <class T> T sample(const Place<T>& p, const T* x, std::int64_t w, T fill) {
  const T* const q = x + p.corner;
  if (p.left && p.right && p.top && p.bottom) return between(p, q[0], q[1], q[w], q[w + 1]);
  return between(p, p.top && p.left ? q[0] : fill, p.top && p.right ? q[1] : fill, p.bottom && p.left ? q[w] : fill,
                 p.bottom && p.right ? q[w + 1] : fill);
}

constexpr std::int64_t kStrip = 64;  // pixels whose places are found at a time: 3 KiB of stack in f64

/// Row i of one output image, all channels, strip by strip.
template <class T> void resample_row(T* y, const T* x, const PixelMap<T>& map, const Image& to, const Image& from, std::int64_t i, T fill) {
  const T q = T(i) - T(to.h - 1) * T(0.5);
  for (std::int64_t first = 0; first < to.w; first += kStrip) {
    const std::int64_t n = std::min(kStrip, to.w - first);
    Place<T> places[kStrip];
    for (std::int64_t j = 0; j < n; ++j) {
      const T p = T(first + j) - T(to.w - 1) * T(0.5);
      places[j] = Place<T>(map.xx * p + map.xy * q + map.x0, map.yx * p + map.yy * q + map.y0, from);
    }
    for (std::int64_t c = 0; c < to.c; ++c) {
      T* const out = y + (c * to.h + i) * to.w + first;
      for (std::int64_t j = 0; j < n; ++j) out[j] = sample(places[j], x + c * from.h * from.w, from.w, fill);
    }
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
