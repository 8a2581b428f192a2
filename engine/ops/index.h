// Ops that read or add at positions given by an index (i64). An index outside its axis is an IndexError at once, naming the element.
// Sums are deterministic: the terms of one element are added in the order of their index.
#pragma once

#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

/// The slices of x at `index` [n] along `axis`: an embedding lookup, a shuffled batch. Any dtype.
/// Throws IndexError, DTypeError, ShapeError.
///
///     Tensor batch = index_select(images, rows, 0);        // [N, ...], [B] -> [B, ...]
Tensor index_select(const Tensor& x, const Tensor& index, int axis);
/// x with slice j of `source` added at index[j] along `axis`: the adjoint of index_select. f32, f64.
Tensor index_add(const Tensor& x, const Tensor& index, const Tensor& source, int axis);

/// y[.., j, ..] = x[.., index[.., j, ..], ..] along `axis`; index has the shape of y, and of x but for that axis. Any dtype.
/// Throws IndexError, DTypeError, ShapeError.
///
///     Tensor picked = gather(log_probabilities, unsqueeze(labels, 1), 1);      // [N, C], [N, 1] -> [N, 1]
Tensor gather(const Tensor& x, const Tensor& index, int axis);
/// x with source[.., j, ..] added at [.., index[.., j, ..], ..]: the adjoint of gather. f32, f64.
Tensor scatter_add(const Tensor& x, const Tensor& index, const Tensor& source, int axis);

/// 1 at index, 0 elsewhere, along a new last axis of `classes`; any dtype but bf16. A constant.
Tensor one_hot(const Tensor& index, std::int64_t classes, DType dtype);
Tensor one_hot(const Tensor& index, std::int64_t classes);

/// For ops that take indices: throws DTypeError unless `index` is i64, IndexError if an element is not in [0, bound), naming the first.
void require_indices(const char* op, const char* name, const Tensor& index, std::int64_t bound);

}  // namespace gradus::inline v0
