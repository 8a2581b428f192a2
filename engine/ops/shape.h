// Ops that move elements and compute nothing.
#pragma once

#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

/// The same elements under another shape: a free view. One extent may be -1. ShapeError if the counts differ.
Tensor reshape(const Tensor& x, const Shape& shape);
Tensor reshape(const Tensor& x, std::initializer_list<std::int64_t> extents);

/// Rows [first, last) of the leading axis: a free view, whose gradient is a window (T slices of a sequence cost O(T)).
Tensor slice_rows(const Tensor& x, std::int64_t first, std::int64_t last);
/// x as rows row .. row + x.size(0) - 1 of `rows` rows of zeros: the adjoint of slice_rows.
Tensor pad_rows(const Tensor& x, std::int64_t rows, std::int64_t row);

}  // namespace gradus::inline v0
