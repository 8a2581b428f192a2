// Reductions over any axes.
#pragma once

#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

/// x summed down to `shape`, to which x's shape is a broadcast: the adjoint of broadcasting.
Tensor sum_to(const Tensor& x, const Shape& shape);
/// x repeated along axes of extent 1 (and missing leading axes) up to `shape`: the adjoint of sum_to.
Tensor broadcast_to(const Tensor& x, const Shape& shape);

}  // namespace gradus::inline v0
