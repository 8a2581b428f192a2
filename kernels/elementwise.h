// Elementwise kernels: y[i] = f(x[i]), f(a[i], b[i]) with broadcasting, comparisons, selection, conversion.
//
// Every name is declared for both backends by one line of these lists. An element's value depends on its operands alone, never on its
// position, its neighbours or the length of the array: any batch split gives the same bits.
#pragma once

#include <gradus/kernels/array.h>

// y = f(x), same shape, f32 or f64.
#define GRADUS_UNARY_KERNELS(X) \
  X(neg)                        \
  X(abs)                        \
  X(sign)                       \
  X(exp)                        \
  X(log) X(log1p) X(expm1) X(sqrt) X(rsqrt) X(square) X(reciprocal) X(sin) X(cos) X(tanh) X(sigmoid) X(relu) X(gelu) X(erf) X(softplus)

// y = f(a, b), numpy broadcasting: y's shape is the broadcast shape; f32, f64 (add, sub, mul, maximum, minimum also i64).
#define GRADUS_BINARY_KERNELS(X) X(add) X(sub) X(mul) X(div) X(maximum) X(minimum) X(pow)

// y (bool) = a ? b, broadcasting, any dtype but bf16. NaN compares false, except not_equal.
#define GRADUS_COMPARE_KERNELS(X) X(equal) X(not_equal) X(less) X(less_equal) X(greater) X(greater_equal)

// dx = dy * f'(.), same shape: `saved` is y for relu, tanh, sigmoid, and x for gelu, softplus.
#define GRADUS_UNARY_BACKWARD_KERNELS(X) X(relu_backward) X(tanh_backward) X(sigmoid_backward) X(gelu_backward) X(softplus_backward)

namespace gradus::inline v0 {
#define GRADUS_DECLARE_ELEMENTWISE                                                                                      \
  void affine(Array y, ConstArray x, double scale, double shift);                      /* y = scale x + shift */        \
  void clamp(Array y, ConstArray x, double low, double high);                          /* NaN stays NaN */              \
  void clamp_backward(Array dx, ConstArray dy, ConstArray x, double low, double high); /* dy where low <= x <= high */  \
  void pow_scalar(Array y, ConstArray x, double exponent);                                                              \
  void add_scaled(Array y, ConstArray a, ConstArray b, double scale);    /* y = a + scale b, same shapes, y may be a */ \
  void lerp(Array y, ConstArray x, double weight);                       /* y += weight (x - y), in place */            \
  void where(Array y, ConstArray condition, ConstArray a, ConstArray b); /* broadcasting; any dtype */                  \
  void logical_not(Array y, ConstArray x);                                                                              \
  void fill(Array y, double value);                                                                                     \
  void copy(Array y, ConstArray x); /* same dtype and element count */                                                  \
  void cast(Array y, ConstArray x); /* any dtype to any dtype; bool is x != 0 */                                        \
  bool all_finite(ConstArray x);

namespace cpu {
#define X(name) void name(Array y, ConstArray x);
GRADUS_UNARY_KERNELS(X)
#undef X
#define X(name) void name(Array y, ConstArray a, ConstArray b);
GRADUS_BINARY_KERNELS(X)
GRADUS_COMPARE_KERNELS(X)
#undef X
#define X(name) void name(Array dx, ConstArray dy, ConstArray saved);
GRADUS_UNARY_BACKWARD_KERNELS(X)
#undef X
GRADUS_DECLARE_ELEMENTWISE
}  // namespace cpu

namespace cuda {
#define X(name) void name(Array y, ConstArray x);
GRADUS_UNARY_KERNELS(X)
#undef X
#define X(name) void name(Array y, ConstArray a, ConstArray b);
GRADUS_BINARY_KERNELS(X)
GRADUS_COMPARE_KERNELS(X)
#undef X
#define X(name) void name(Array dx, ConstArray dy, ConstArray saved);
GRADUS_UNARY_BACKWARD_KERNELS(X)
#undef X
GRADUS_DECLARE_ELEMENTWISE
}  // namespace cuda
}  // namespace gradus::inline v0
