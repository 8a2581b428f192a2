// Elementwise functions with scalar parameters, and the fused backward functions. f32, f64; operands of one shape. Moves each operand and y
// once.

#include <cmath>

#include <gradus/kernels/cuda/elementwise.cuh>
#include <gradus/kernels/cuda/elementwise_math.cuh>
#include <gradus/kernels/elementwise.h>

namespace gradus::inline v0::cuda {
namespace {

// ---- parameters: function objects, in the element's precision --------------------------------------------------------------------------

template <class T> struct Scale {
  T scale;
  __device__ T operator()(T x) const { return x * scale; }
};
template <class T> struct Shift {
  T shift;
  __device__ T operator()(T x) const { return x + shift; }
};
template <class T> struct ScaleAndShift {
  T scale, shift;
  __device__ T operator()(T x) const { return fused(x, scale, shift); }
};

/// NaN stays.
template <class T> struct Clamp {
  T low, high;
  __device__ T operator()(T x) const {
    const T y = x < low ? low : x;
    return y > high ? high : y;
  }
};
template <class T> struct ClampBackward {
  T low, high;
  __device__ T operator()(T dy, T x) const { return low <= x && x <= high ? dy : T(0); }
};

template <class T> struct AddScaled {
  T scale;
  __device__ T operator()(T a, T b) const { return fused(scale, b, a); }
};
template <class T> struct Lerp {
  T weight;
  __device__ T operator()(T old, T x) const { return fused(weight, x - old, old); }
};

template <class T> struct Power {
  static __device__ T identity(T x) { return x; }
  static __device__ T square(T x) { return x * x; }
  static __device__ T cube(T x) { return x * x * x; }
  static __device__ T reciprocal(T x) { return T(1) / x; }
  static __device__ T root(T x) { return ::sqrt(x); }
};

/// x^b for an exponent that f32 may not hold: b = nearest + rest, and |x|^b = |x|^nearest (1 + rest log |x|), where the bracket is within
/// 3e-6 of 1 as long as the power is finite. The sign is decided from b itself.
struct PowerF32 {
  float nearest, rest;
  bool integer, odd;

  explicit PowerF32(double b) : nearest(static_cast<float>(b)) {
    const double left = b - static_cast<double>(nearest);
    rest = std::isfinite(left) ? static_cast<float>(left) : 0.0f;  // b or its nearest may be infinite
    integer = std::trunc(b) == b;                                  // infinity counts as an even one
    odd = integer && std::fabs(std::fmod(b, 2)) == 1;
  }
  __device__ float operator()(float x) const {
    const float size = ::fabs(x);
    float y = ::powf(size, nearest);
    if (size > 0 && size < __builtin_huge_valf() && y < __builtin_huge_valf()) y = fused(y, rest * ::logf(size), y);
    if (odd) return ::copysign(y, x);
    return x < 0 && x > -__builtin_huge_valf() && !integer ? __builtin_nanf("") : y;
  }
};
struct PowerF64 {
  double b;
  __device__ double operator()(double x) const { return ::pow(x, b); }
};

// ---- backward functions: dx from dy and what the forward kept --------------------------------------------------------------------------

template <class T> struct Backward {
  static __device__ T relu_backward(T dy, T y) { return y <= T(0) ? T(0) : dy; }
  static __device__ T tanh_backward(T dy, T y) { return dy * fused(-y, y, T(1)); }
  static __device__ T sigmoid_backward(T dy, T y) { return dy * (y * (T(1) - y)); }
  static __device__ T gelu_backward(T dy, T x) { return dy * gelu_derivative_of(x); }
  static __device__ T softplus_backward(T dy, T x) { return dy * sigmoid_of(x); }
};

// ---- launchers -------------------------------------------------------------------------------------------------------------------------

template <class T, class F> void map_one(const char* op, F f, const Array& y, const ConstArray& x) {
  GRADUS_ASSERT(x.elements() == y.elements() && x.dtype == y.dtype);
  map(op, y.elements(), f, y.as<T>(), x.as<T>());
}
template <class T, class F> void map_two(const char* op, F f, const Array& y, const ConstArray& a, const ConstArray& b) {
  GRADUS_ASSERT(a.elements() == y.elements() && b.elements() == y.elements() && a.dtype == y.dtype && b.dtype == y.dtype);
  map(op, y.elements(), f, y.as<T>(), a.as<T>(), b.as<T>());
}

template <class T> bool small_power(const char* op, const Array& y, const ConstArray& x, double exponent) {
  if (exponent == 1) return map_one<T>(op, Apply<Power<T>::identity>(), y, x), true;
  if (exponent == 2) return map_one<T>(op, Apply<Power<T>::square>(), y, x), true;
  if (exponent == 3) return map_one<T>(op, Apply<Power<T>::cube>(), y, x), true;
  if (exponent == -1) return map_one<T>(op, Apply<Power<T>::reciprocal>(), y, x), true;
  if (exponent == 0.5) return map_one<T>(op, Apply<Power<T>::root>(), y, x), true;
  return false;
}

}  // namespace

/// The plain sum and the plain product are exact cases of their own: 1 * x + 0 would turn -0 into 0.
void affine(Array y, ConstArray x, double scale, double shift) {
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T a = static_cast<T>(scale), b = static_cast<T>(shift);
    if (shift == 0) map_one<T>("affine", Scale<T>{a}, y, x);
    else if (scale == 1) map_one<T>("affine", Shift<T>{b}, y, x);
    else map_one<T>("affine", ScaleAndShift<T>{a, b}, y, x);
  });
}

void clamp(Array y, ConstArray x, double low, double high) {
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    map_one<T>("clamp", Clamp<T>{static_cast<T>(low), static_cast<T>(high)}, y, x);
  });
}
void clamp_backward(Array dx, ConstArray dy, ConstArray x, double low, double high) {
  with_floating(dx.dtype, [&](auto zero) {
    using T = decltype(zero);
    map_two<T>("clamp_backward", ClampBackward<T>{static_cast<T>(low), static_cast<T>(high)}, dx, dy, x);
  });
}

/// Small powers by multiplication and roots; the rest by pow.
void pow_scalar(Array y, ConstArray x, double exponent) {
  if (y.dtype == DType::f32) {
    if (!small_power<float>("pow_scalar", y, x, exponent)) map_one<float>("pow_scalar", PowerF32(exponent), y, x);
  } else {
    if (!small_power<double>("pow_scalar", y, x, exponent)) map_one<double>("pow_scalar", PowerF64{exponent}, y, x);
  }
}

void add_scaled(Array y, ConstArray a, ConstArray b, double scale) {
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    map_two<T>("add_scaled", AddScaled<T>{static_cast<T>(scale)}, y, a, b);
  });
}
void lerp(Array y, ConstArray x, double weight) {
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    map_two<T>("lerp", Lerp<T>{static_cast<T>(weight)}, y, y, x);
  });
}

#define X(name)                                                                                       \
  void name(Array dx, ConstArray dy, ConstArray saved) {                                              \
    if (dx.dtype == DType::f32) map_two<float>(#name, Apply<Backward<float>::name>(), dx, dy, saved); \
    else map_two<double>(#name, Apply<Backward<double>::name>(), dx, dy, saved);                      \
  }
GRADUS_UNARY_BACKWARD_KERNELS(X)
#undef X

}  // namespace gradus::inline v0::cuda
