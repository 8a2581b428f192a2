// Figures of classifiers.
#pragma once

#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

/// Share of rows of logits [N, K] whose largest entry is at labels i64 [N]; the first of equal entries counts. NaN for N = 0.
/// Throws ShapeError, DTypeError.
///
///     double share = accuracy(model(batch.inputs), batch.labels);
double accuracy(const Tensor& logits, const Tensor& labels);

}  // namespace gradus::inline v0
