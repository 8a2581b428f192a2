// Ops that move elements and compute nothing. Any dtype; gradients of any order for f32 and f64. Axes may be negative: they count from
// the end. ShapeError for an axis, extent or range that is not there.
#pragma once

#include <initializer_list>
#include <span>

#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

/// `shape` with another extent on one axis, in [0, rank).
Shape with_extent(const Shape& shape, int axis, std::int64_t extent);

// ---- free views: no element moves

/// The same elements under another shape. One extent may be -1. ShapeError if the counts differ.
///
///     Tensor rows = reshape(images, {images.size(0), -1});
Tensor reshape(const Tensor& x, const Shape& shape);
Tensor reshape(const Tensor& x, std::initializer_list<std::int64_t> extents);
/// Without `axis`, whose extent must be 1.
Tensor squeeze(const Tensor& x, int axis);
/// With a new axis of extent 1 at position `axis` of the result.
Tensor unsqueeze(const Tensor& x, int axis);

/// Rows [first, last) of the leading axis, whose gradient is a window (T slices of a sequence cost O(T)).
Tensor slice_rows(const Tensor& x, std::int64_t first, std::int64_t last);
/// x as rows row .. row + x.size(0) - 1 of `rows` rows of zeros: the adjoint of slice_rows. Copies.
Tensor pad_rows(const Tensor& x, std::int64_t rows, std::int64_t row);

// ---- copies in another order

/// The two axes exchanged. Before a product it is free to ask matmul for the transpose instead.
Tensor transpose(const Tensor& x, int axis, int other);
/// Axis i of the result is axis axes[i] of x; every axis is named once. A view if only axes of extent 1 move.
///
///     Tensor heads = permute(reshape(x, {n, t, h, d}), {0, 2, 1, 3});
Tensor permute(const Tensor& x, const Axes& axes);
/// x with its elements in reverse order along the axes.
Tensor flip(const Tensor& x, const Axes& axes);

// ---- parts and wholes

/// Positions first, first + step, ... below last of an axis. A free view (slice_rows) where axis is 0 and step 1.
Tensor slice(const Tensor& x, int axis, std::int64_t first, std::int64_t last);
Tensor slice(const Tensor& x, int axis, std::int64_t first, std::int64_t last, std::int64_t step);

/// Tensors one after the other along an axis; dtypes and other extents are equal. ShapeError without any tensor.
///
///     Tensor both = concat({left, right}, 1);       // [N, A], [N, B] -> [N, A + B]
Tensor concat(std::span<const Tensor> tensors, int axis);
Tensor concat(std::initializer_list<Tensor> tensors, int axis);
/// Tensors of one shape, side by side along a new axis at position `axis` of the result.
Tensor stack(std::span<const Tensor> tensors, int axis);
Tensor stack(std::initializer_list<Tensor> tensors, int axis);

/// Elements added before and after an axis.
struct PadWidth {
  std::int64_t low = 0, high = 0;
};
/// x with `value` around it; one width per axis, none negative.
///
///     Tensor framed = pad(images, {{0, 0}, {0, 0}, {1, 1}, {1, 1}}, 0);
Tensor pad(const Tensor& x, std::span<const PadWidth> widths, double value);
Tensor pad(const Tensor& x, std::initializer_list<PadWidth> widths, double value);

}  // namespace gradus::inline v0
