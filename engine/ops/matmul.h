// Matrix products.
#pragma once

#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

struct MatmulOptions {
  bool transpose_a = false;  ///< use the last two axes of a swapped
  bool transpose_b = false;
};

/// a [..., M, K] times b [..., K, N]: [..., M, N]. Leading axes are batches and broadcast as in numpy; both operands have at least two
/// axes. Throws DTypeError (f32 or f64, both the same), ShapeError naming both operands.
///
///     Tensor gram = matmul(x, x, {.transpose_a = true});          // x^T x without a copy of x^T
Tensor matmul(const Tensor& a, const Tensor& b, const MatmulOptions& options = {});

/// The shape of matmul(a, b). Throws ShapeError.
Shape matmul_shape(const Shape& a, const Shape& b, const MatmulOptions& options);

/// x [..., in] times weight [out, in] transposed, plus bias [out]: [..., out]. One op; an empty bias tensor means none.
/// Throws DTypeError, ShapeError.
///
///     Tensor h = relu(linear(x, layer.weight, layer.bias));
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias);

}  // namespace gradus::inline v0
