// What the convolution tests of both devices share: sizes as one writes them, and the sums written out product by product.
#pragma once

#include <cstdint>
#include <string>

#include <gradus/kernels/convolution.h>

namespace gradus::testing {

using Index = std::int64_t;

struct Size2d {
  Index h, w;
};

inline Conv2dShape conv(Index n, Index c, Size2d image, Index k, Size2d kernel, Size2d stride, Size2d pad, Index groups = 1) {
  return {n,
          c,
          image.h,
          image.w,
          k,
          kernel.h,
          kernel.w,
          stride.h,
          stride.w,
          pad.h,
          pad.w,
          groups,
          (image.h + 2 * pad.h - kernel.h) / stride.h + 1,
          (image.w + 2 * pad.w - kernel.w) / stride.w + 1};
}
inline std::string text(const Conv2dShape& v) {
  std::string s;
  for (const Index i : {v.n, v.c, v.h, v.w, v.k, v.r, v.s, v.stride_h, v.stride_w, v.pad_h, v.pad_w, v.groups})
    s += std::to_string(i) + " ";
  return s;
}
inline Shape input_shape(const Conv2dShape& v) { return {v.n, v.c, v.h, v.w}; }
inline Shape weight_shape(const Conv2dShape& v) { return {v.k, v.c / v.groups, v.r, v.s}; }
inline Shape output_shape(const Conv2dShape& v) { return {v.n, v.k, v.out_h, v.out_w}; }

/// f(offset in x, offset in w, offset in y) for every product of the convolution.
template <class F> void for_each_product(const Conv2dShape& v, const F& f) {
  const Index group_in = v.c / v.groups, group_out = v.k / v.groups;
  for (Index n = 0; n < v.n; ++n)
    for (Index k = 0; k < v.k; ++k)
      for (Index i = 0; i < v.out_h; ++i)
        for (Index j = 0; j < v.out_w; ++j)
          for (Index c = 0; c < group_in; ++c)
            for (Index a = 0; a < v.r; ++a)
              for (Index b = 0; b < v.s; ++b) {
                const Index row = i * v.stride_h + a - v.pad_h, column = j * v.stride_w + b - v.pad_w;
                if (row < 0 || row >= v.h || column < 0 || column >= v.w) continue;
                f(((n * v.c + k / group_out * group_in + c) * v.h + row) * v.w + column, ((k * group_in + c) * v.r + a) * v.s + b,
                  ((n * v.k + k) * v.out_h + i) * v.out_w + j);
              }
}

}  // namespace gradus::testing
