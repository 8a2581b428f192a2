// Two-dimensional convolution (cross-correlation, as the field says it): a family of three ops closed under differentiation.
//
// With y = conv(x, w):  dx = input_grad(dy, w),  dw = weight_grad(x, dy); and each of the three differentiates into the others, so any
// order of gradient works.
#pragma once

#include <gradus/engine/ops/pair2d.h>
#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

struct ConvOptions {
  Pair2d stride = 1;
  Pair2d padding = 0;  ///< zeros on both sides
  std::int64_t groups = 1;
};

/// x [N, C, H, W], w [K, C / groups, R, S], bias [K] or empty: [N, K, OH, OW] with OH = (H + 2 padding - R) / stride + 1. f32 or f64.
/// A row of the batch does not depend on the rows beside it, bit for bit. Throws DTypeError; ShapeError naming the operands; ValueError for
/// a stride or group count below 1 or a negative padding.
///
///     Tensor y = conv2d(x, w, bias, {.padding = 1});
Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, const ConvOptions& options = {});
Tensor conv2d(const Tensor& x, const Tensor& w, const ConvOptions& options = {});

/// The gradient in x of conv2d: dy [N, K, OH, OW] and w give [N, C, height, width].
Tensor conv2d_input_grad(const Tensor& dy, const Tensor& w, std::int64_t height, std::int64_t width, const ConvOptions& options = {});
/// The gradient in w of conv2d: x and dy give [K, C / groups, rows, columns].
Tensor conv2d_weight_grad(const Tensor& x, const Tensor& dy, std::int64_t rows, std::int64_t columns, const ConvOptions& options = {});

/// The shape of conv2d(x, w). Throws as it does.
Shape conv2d_shape(const Shape& x, const Shape& w, const ConvOptions& options);

}  // namespace gradus::inline v0
