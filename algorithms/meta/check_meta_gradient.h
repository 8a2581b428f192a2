// Any meta-gradient against central differences: for this library's inner loops and for users' own.
#pragma once

#include <functional>

#include <gradus/engine/tensor.h>
#include <gradus/kernels/philox.h>

namespace gradus::inline v0 {

struct MetaGradientCheck {
  double relative_error = 0;  ///< |analytic - numeric| / |numeric|, norms over the directions
  double cosine = 0;          ///< between analytic and numeric directional derivatives
};

/// Compares `gradient` with central differences of `objective` at `values` (f64) along random unit directions d. The error is relative
/// to the norm of the vector of directional derivatives. A right second-order meta-gradient reaches 1e-7; a first-order one does not.
/// Throws DTypeError if a value is not f64.
///
///     auto check = check_meta_gradient([&](const TensorList& v) { return query_loss_after_adaptation(v); }, values, g.initial, key);
MetaGradientCheck check_meta_gradient(const std::function<double(const TensorList& values)>& objective, const TensorList& values,
                                      const TensorList& gradient, Key key, int directions = 6, double step = 1e-5);

}  // namespace gradus::inline v0
