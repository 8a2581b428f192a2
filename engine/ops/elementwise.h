// Elementwise ops, with numpy broadcasting where there are two operands or three.
//
// Real functions take f32 or f64 and throw DTypeError otherwise; there is no promotion, and a C++ number takes the tensor's type. Every op
// with two tensors throws DTypeError if their types differ and ShapeError if their shapes do not broadcast. NaN in, NaN out.
#pragma once

#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

// ---- one tensor

/// -x.
Tensor neg(const Tensor& x);
/// |x|; its gradient at 0 is 0.
Tensor abs(const Tensor& x);
/// -1, 0 or 1 (NaN for NaN). A constant: it has no gradient.
Tensor sign(const Tensor& x);
/// e^x.
Tensor exp(const Tensor& x);
/// The natural logarithm; -infinity at 0, NaN below.
Tensor log(const Tensor& x);
/// log(1 + x), accurate near 0.
Tensor log1p(const Tensor& x);
/// e^x - 1, accurate near 0.
Tensor expm1(const Tensor& x);
/// The square root, correctly rounded; its gradient at 0 is infinite.
Tensor sqrt(const Tensor& x);
/// 1 / sqrt(x).
Tensor rsqrt(const Tensor& x);
/// x^2.
Tensor square(const Tensor& x);
/// 1 / x.
Tensor reciprocal(const Tensor& x);
Tensor sin(const Tensor& x);
Tensor cos(const Tensor& x);
/// tanh(x).
Tensor tanh(const Tensor& x);
/// 1 / (1 + exp(-x)).
Tensor sigmoid(const Tensor& x);
/// max(x, 0); its gradient at 0 is 0.
Tensor relu(const Tensor& x);
/// x Phi(x), Phi the normal distribution function: the exact form (Hendrycks and Gimpel 2016, "Gaussian error linear units", section 2).
///
///     Tensor y = gelu(Tensor::from({-1.f, 0.f, 1.f}));         // -.1587, 0, .8413
Tensor gelu(const Tensor& x);
/// The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.
Tensor erf(const Tensor& x);
/// log(1 + exp(x)), stable.
///
///     Tensor y = softplus(Tensor::from({-1.f, 0.f, 1.f}));     // .3133, .6931, 1.3133
Tensor softplus(const Tensor& x);
/// x, but within [low, high]. The gradient passes where low <= x <= high. Throws ValueError unless low <= high.
///
///     Tensor pixels = clamp(image + noise, 0, 1);
Tensor clamp(const Tensor& x, double low, double high);
/// scale x + shift: what `x * 2`, `x + 1`, `1 - x` become.
Tensor affine(const Tensor& x, double scale, double shift);
/// x^exponent, NaN where that is not real. The gradient of x^0 is 0 everywhere.
Tensor pow(const Tensor& x, double exponent);
/// The elements in another type. Floating to integer truncates and saturates, NaN becomes 0; bool is x != 0; rounding is to nearest even.
/// Gradients pass between f32 and f64 alone: bf16 is for storage, and its tensors are constants as integers are.
///
///     double accuracy = mean(cast(argmax(logits, 1) == labels, DType::f32)).item();
Tensor cast(const Tensor& x, DType dtype);

// ---- two tensors; add, sub, mul, maximum and minimum also take i64, which wraps around

Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);
/// The larger of a and b, NaN if either is. Where they are equal, each gets half of the gradient.
Tensor maximum(const Tensor& a, const Tensor& b);
/// The smaller of a and b, likewise.
Tensor minimum(const Tensor& a, const Tensor& b);
/// a^b. The gradient of b is 0 where a is 0.
Tensor pow(const Tensor& a, const Tensor& b);
/// a + scale b of one shape, in one pass: a step along a direction.
///
///     Tensor moved = add_scaled(w, gradient, -0.1);
Tensor add_scaled(const Tensor& a, const Tensor& b, double scale);

// The same with a C++ number. For i64 it must be an integer: ValueError.
Tensor add(const Tensor& x, double s);
Tensor sub(const Tensor& x, double s);
Tensor sub(double s, const Tensor& x);
Tensor mul(const Tensor& x, double s);
/// x (1 / s): the reciprocal is rounded once, to x's type.
Tensor div(const Tensor& x, double s);
Tensor div(double s, const Tensor& x);
Tensor maximum(const Tensor& x, double s);
Tensor minimum(const Tensor& x, double s);

// ---- comparison and selection

// bool tensors, constants. Any type but bf16, the same on both sides; a comparison with NaN is false, not_equal true.
Tensor equal(const Tensor& a, const Tensor& b);
Tensor not_equal(const Tensor& a, const Tensor& b);
Tensor less(const Tensor& a, const Tensor& b);
Tensor less_equal(const Tensor& a, const Tensor& b);
Tensor greater(const Tensor& a, const Tensor& b);
Tensor greater_equal(const Tensor& a, const Tensor& b);
/// not x, of a bool tensor.
Tensor logical_not(const Tensor& x);

/// a where the bool tensor `condition` is true, b elsewhere; any type, the same for a and b. The condition has no gradient.
///
///     Tensor masked = where(mask, logits, -std::numeric_limits<double>::infinity());
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
Tensor where(const Tensor& condition, const Tensor& a, double b);
Tensor where(const Tensor& condition, double a, const Tensor& b);

// ---- operators

inline Tensor operator-(const Tensor& x) { return neg(x); }
inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator+(const Tensor& x, double s) { return add(x, s); }
inline Tensor operator+(double s, const Tensor& x) { return add(x, s); }
inline Tensor operator-(const Tensor& x, double s) { return sub(x, s); }
inline Tensor operator-(double s, const Tensor& x) { return sub(s, x); }
inline Tensor operator*(const Tensor& x, double s) { return mul(x, s); }
inline Tensor operator*(double s, const Tensor& x) { return mul(x, s); }
inline Tensor operator/(const Tensor& x, double s) { return div(x, s); }
inline Tensor operator/(double s, const Tensor& x) { return div(s, x); }

/// A number as a tensor of x's type, for ops that have no form of their own for numbers.
Tensor number_like(double value, const Tensor& x);

inline Tensor operator==(const Tensor& a, const Tensor& b) { return equal(a, b); }
inline Tensor operator!=(const Tensor& a, const Tensor& b) { return not_equal(a, b); }
inline Tensor operator<(const Tensor& a, const Tensor& b) { return less(a, b); }
inline Tensor operator<=(const Tensor& a, const Tensor& b) { return less_equal(a, b); }
inline Tensor operator>(const Tensor& a, const Tensor& b) { return greater(a, b); }
inline Tensor operator>=(const Tensor& a, const Tensor& b) { return greater_equal(a, b); }
inline Tensor operator==(const Tensor& x, double s) { return equal(x, number_like(s, x)); }
inline Tensor operator!=(const Tensor& x, double s) { return not_equal(x, number_like(s, x)); }
inline Tensor operator<(const Tensor& x, double s) { return less(x, number_like(s, x)); }
inline Tensor operator<=(const Tensor& x, double s) { return less_equal(x, number_like(s, x)); }
inline Tensor operator>(const Tensor& x, double s) { return greater(x, number_like(s, x)); }
inline Tensor operator>=(const Tensor& x, double s) { return greater_equal(x, number_like(s, x)); }

}  // namespace gradus::inline v0
