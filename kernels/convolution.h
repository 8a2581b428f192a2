// The convolution family, NCHW: three products of one relation, closed under differentiation.
//
//   y[n, k, i, j]  = bias[k] + sum over c, a, b of w[k, c, a, b] x[n, c, i stride_h + a - pad_h, j stride_w + b - pad_w]   (zero outside x)
//   dx, dw         the same sum collected at x and at w: the gradients of <dy, y>
//
// x is [n, c, h, w], w is [k, c / groups, r, s], y and dy are [n, k, out_h, out_w]. Group g joins the g-th part of the channels of x with
// the g-th part of those of y. An image's y and dx do not depend on the images beside it, nor on the thread count; dw sums over images in
// an order that the shape alone decides.
#pragma once

#include <cstddef>

#include <gradus/kernels/array.h>

namespace gradus::inline v0 {

/// The sizes of one convolution; out = (in + 2 pad - kernel) / stride + 1 on either axis.
struct Conv2dShape {
  std::int64_t n = 0, c = 0, h = 0, w = 0;  // x
  std::int64_t k = 0, r = 0, s = 0;         // output channels, kernel rows and columns
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t pad_h = 0, pad_w = 0;
  std::int64_t groups = 1;
  std::int64_t out_h = 0, out_w = 0;
};

// No array of patches is ever made. Scratch on the CPU: a few MiB for each thread of the current pool, whatever the batch. On a GPU: none
// for y and dx; for dw its sums over parts of the images; what cuDNN asks for where it does the work, whose order of sums is its own.
#define GRADUS_DECLARE_CONVOLUTION                                                                                 \
  std::size_t conv2d_workspace_bytes(DType dtype, const Conv2dShape& conv);                                        \
  /* y = conv(x, w) (+ bias [k]; bias.data may be null) */                                                         \
  void conv2d(Array y, ConstArray x, ConstArray w, ConstArray bias, const Conv2dShape& conv, Workspace workspace); \
  std::size_t conv2d_input_grad_workspace_bytes(DType dtype, const Conv2dShape& conv);                             \
  /* dx from dy and w; pixels of x that no window reaches get zero */                                              \
  void conv2d_input_grad(Array dx, ConstArray dy, ConstArray w, const Conv2dShape& conv, Workspace workspace);     \
  std::size_t conv2d_weight_grad_workspace_bytes(DType dtype, const Conv2dShape& conv);                            \
  /* dw from x and dy, summed over the batch */                                                                    \
  void conv2d_weight_grad(Array dw, ConstArray x, ConstArray dy, const Conv2dShape& conv, Workspace workspace);

namespace cpu {
GRADUS_DECLARE_CONVOLUTION
}  // namespace cpu
namespace cuda {
GRADUS_DECLARE_CONVOLUTION
}  // namespace cuda

}  // namespace gradus::inline v0
