// Elementwise ops, with numpy broadcasting where there are two operands.
#pragma once

#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

/// log(1 + exp(x)), stable. x: any shape, f32 or f64; DTypeError otherwise.
///
///     Tensor y = softplus(Tensor::from({-1.f, 0.f, 1.f}));     // .3133, .6931, 1.3133
Tensor softplus(const Tensor& x);
/// 1 / (1 + exp(-x)).
Tensor sigmoid(const Tensor& x);
/// tanh(x).
Tensor tanh(const Tensor& x);

/// a + b with broadcasting; the same dtype, f32, f64 or i64. ShapeError, DTypeError.
Tensor add(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
/// scale x + shift: what `x * 2`, `x + 1`, `1 - x` become.
Tensor affine(const Tensor& x, double scale, double shift);

inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator*(const Tensor& x, double s) { return affine(x, s, 0); }
inline Tensor operator*(double s, const Tensor& x) { return affine(x, s, 0); }
inline Tensor operator+(const Tensor& x, double s) { return affine(x, 1, s); }
inline Tensor operator+(double s, const Tensor& x) { return affine(x, 1, s); }
inline Tensor operator-(double s, const Tensor& x) { return affine(x, -1, s); }

}  // namespace gradus::inline v0
