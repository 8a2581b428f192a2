// Pooling over the planes of an image batch: [N, C, H, W] -> [N, C, OH, OW]. Every plane is independent of the others.
//
// Each kernel is the adjoint of another one, so derivatives of any order come from the same few functions: max-pooling picks one pixel
// per window and remembers where (index); gather and scatter by that index are adjoint to each other, as are avg_pool2d and its backward.
#pragma once

#include <cstdint>

#include <gradus/kernels/array.h>

namespace gradus::inline v0 {

/// The geometry of one pooling: windows start at o * stride - pad, out = floor((size + 2 pad - kernel) / stride) + 1.
/// pad <= kernel / 2, so that every window holds a real pixel.
struct Pool2d {
  std::int64_t n = 0, c = 0, h = 0, w = 0;
  std::int64_t kernel_h = 1, kernel_w = 1;
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t pad_h = 0, pad_w = 0;
  std::int64_t out_h = 0, out_w = 0;
};

namespace cpu {
/// y = the largest pixel of each window, index (i64) = its place in the plane, row * W + column. The first maximum wins; a window with
/// a NaN gives NaN and the place of its last NaN; padding never wins.
void max_pool2d(Array y, Array index, ConstArray x, const Pool2d& p);
/// dx [N, C, H, W] = 0, then dx[index] += dy, plane by plane.
void max_pool2d_scatter(Array dx, ConstArray dy, ConstArray index);
/// dy [N, C, OH, OW] = dx[index], plane by plane.
void max_pool2d_gather(Array dy, ConstArray dx, ConstArray index);
/// y = the mean of each window; padding counts as zeros.
void avg_pool2d(Array y, ConstArray x, const Pool2d& p);
/// dx = 0, then every real pixel of a window += dy / (kernel_h kernel_w).
void avg_pool2d_backward(Array dx, ConstArray dy, const Pool2d& p);
}  // namespace cpu

namespace cuda {
void max_pool2d(Array y, Array index, ConstArray x, const Pool2d& p);
void max_pool2d_scatter(Array dx, ConstArray dy, ConstArray index);
void max_pool2d_gather(Array dy, ConstArray dx, ConstArray index);
void avg_pool2d(Array y, ConstArray x, const Pool2d& p);
void avg_pool2d_backward(Array dx, ConstArray dy, const Pool2d& p);
}  // namespace cuda

}  // namespace gradus::inline v0
