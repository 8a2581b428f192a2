// What the pooling tests of both devices share: sizes as one writes them.
#pragma once

#include <cstdint>
#include <string>

#include <gradus/kernels/pooling.h>

namespace gradus::testing {

using Index = std::int64_t;

inline Pool2d pool(Index n, Index c, Index h, Index w, Index kh, Index kw, Index sh, Index sw, Index ph, Index pw) {
  return {n, c, h, w, kh, kw, sh, sw, ph, pw, (h + 2 * ph - kh) / sh + 1, (w + 2 * pw - kw) / sw + 1};
}
inline std::string text(const Pool2d& p) {
  std::string s;
  for (const Index i : {p.n, p.c, p.h, p.w, p.kernel_h, p.kernel_w, p.stride_h, p.stride_w, p.pad_h, p.pad_w}) s += std::to_string(i) + " ";
  return s;
}
inline Shape input_shape(const Pool2d& p) { return {p.n, p.c, p.h, p.w}; }
inline Shape output_shape(const Pool2d& p) { return {p.n, p.c, p.out_h, p.out_w}; }

}  // namespace gradus::testing
