// Reductions over any axes, of f32 and f64 tensors. DTypeError for other types (cast first), ShapeError for an axis that is not there
// or is named twice.
//
//     Tensor total = sum(x);                        // all axes: shape []
//     Tensor rows = sum(x, {1});                    // [N, C] -> [N]
//     Tensor centred = x - mean(x, {0}, keepdims);  // [1, C], which broadcasts against x
#pragma once

#include <initializer_list>

#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

/// Axes to reduce over; negative ones count from the end.
class Axes {
 public:
  Axes(std::initializer_list<int> axes) : axes_(axes.begin(), axes.size()) {}
  Axes(std::span<const int> axes) : axes_(axes) {}
  std::span<const int> list() const { return axes_; }

 private:
  std::span<const int> axes_;
};

/// Leaves reduced axes in the shape, with extent 1.
struct KeepDims {};
inline constexpr KeepDims keepdims;

/// The sum. Over nothing: 0.
Tensor sum(const Tensor& x);
Tensor sum(const Tensor& x, const Axes& axes);
Tensor sum(const Tensor& x, const Axes& axes, KeepDims);

/// The mean. Throws ShapeError over nothing.
Tensor mean(const Tensor& x);
Tensor mean(const Tensor& x, const Axes& axes);
Tensor mean(const Tensor& x, const Axes& axes, KeepDims);

/// The largest element, NaN if there is one. Equal largest elements share the gradient evenly. Throws ShapeError over nothing.
Tensor max(const Tensor& x);
Tensor max(const Tensor& x, const Axes& axes);
Tensor max(const Tensor& x, const Axes& axes, KeepDims);

/// The smallest element, likewise.
Tensor min(const Tensor& x);
Tensor min(const Tensor& x, const Axes& axes);
Tensor min(const Tensor& x, const Axes& axes, KeepDims);

/// log sum exp x, stable. Where every element is -infinity the result is, and its gradient is 0. Throws ShapeError over nothing.
Tensor logsumexp(const Tensor& x);
Tensor logsumexp(const Tensor& x, const Axes& axes);
Tensor logsumexp(const Tensor& x, const Axes& axes, KeepDims);

/// i64: where along `axis` the largest element is, the first of equal ones, the first NaN if there is one. The axis is left out.
/// A constant. Throws ShapeError if the axis has no elements.
///
///     Tensor predicted = argmax(logits, 1);         // [N, C] -> [N]
Tensor argmax(const Tensor& x, int axis);

/// x summed down to `shape`, to which x's shape is a broadcast: the adjoint of broadcasting.
Tensor sum_to(const Tensor& x, const Shape& shape);
/// x repeated along axes of extent 1 (and missing leading axes) up to `shape`: the adjoint of sum_to.
Tensor broadcast_to(const Tensor& x, const Shape& shape);

}  // namespace gradus::inline v0
