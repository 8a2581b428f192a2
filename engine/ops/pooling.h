// Pooling over windows of [N, C, H, W]. Each op's gradient is its adjoint, whose gradient is the adjoint's adjoint: any order.
#pragma once

#include <gradus/engine/ops/pair2d.h>
#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

/// A stride of 0 means the kernel's extent.
struct Pool2dOptions {
  Pair2d kernel = 2;
  Pair2d stride = 0;
  Pair2d padding = 0;
};

/// The largest element of each window (the first of equal ones; NaN wins): [N, C, OH, OW]. Padding never wins. Throws DTypeError,
/// ShapeError, and ValueError for a kernel, stride or padding that makes no sense (padding above half the kernel).
///
///     Tensor y = max_pool2d(x, {.kernel = 2});
Tensor max_pool2d(const Tensor& x, const Pool2dOptions& options);

/// The mean of each window; padding counts as zeros and in the divisor, as PyTorch's default.
Tensor avg_pool2d(const Tensor& x, const Pool2dOptions& options);

/// The mean over all positions: [N, C, H, W] -> [N, C]. Throws ShapeError for no positions.
Tensor global_avg_pool(const Tensor& x);

}  // namespace gradus::inline v0
