// What is done to one element: the functions of kernels/elementwise.h on the device, with the CPU's special values (kernels/cpu/math.h).
//
// Elementary functions are the CUDA library's precise ones: within 4 units in the last place in f32 and f64, denormals kept.
#pragma once

#include <cuda_runtime.h>

namespace gradus::inline v0::cuda {

/// a b + c, rounded once.
__device__ inline float fused(float a, float b, float c) { return fmaf(a, b, c); }
__device__ inline double fused(double a, double b, double c) { return ::fma(a, b, c); }

/// Phi, the normal distribution function, without cancellation in the left tail.
__device__ inline float normal_cumulative(float x) { return normcdff(x); }
__device__ inline double normal_cumulative(double x) { return ::normcdf(x); }

/// |x|, cut off where Phi(-|x|) is 0: that keeps infinity out of the products. NaN stays.
template <class T> __device__ inline T tail_argument(T x) {
  constexpr T kHigh = sizeof(T) == sizeof(float) ? T(14.3) : T(38.7);
  const T a = ::fabs(x);
  return a > kHigh ? kHigh : a;
}

/// x Phi(x) = max(x, 0) - |x| Phi(-|x|); below 0 the first term is -0, so that the left tail ends in -0.
template <class T> __device__ inline T gelu_of(T x) {
  const T a = tail_argument(x), positive = x < T(0) ? T(-0.0) : x;
  return positive - a * normal_cumulative(-a);
}

/// Phi(x) + x phi(x). The rounding error of x^2 would be a relative error of its exponential: it is put back.
template <class T> __device__ inline T gelu_derivative_of(T x) {
  const T a = tail_argument(x), square = a * a, rest = fused(a, a, -square);
  const T e = ::exp(T(-0.5) * square), density = fused(e, T(-0.5) * rest, e);
  const T signed_a = ::copysign(a, x);
  return fused(signed_a, density * T(0.3989422804014327), normal_cumulative(signed_a));  // 1 / sqrt(2 pi)
}

/// 1 / (1 + e^-x), from e^-|x|: nothing overflows and the left tail keeps its digits.
template <class T> __device__ inline T sigmoid_of(T x) {
  const T e = ::exp(-::fabs(x));
  return (x < T(0) ? e : T(1)) / (T(1) + e);
}

/// log(1 + e^x) = max(x, 0) + log1p(e^-|x|).
template <class T> __device__ inline T softplus_of(T x) { return (x < T(0) ? T(0) : x) + ::log1p(::exp(-::fabs(x))); }

/// -1, 0 or 1; zero and NaN as they are.
template <class T> __device__ inline T sign_of(T x) { return x < T(0) || x > T(0) ? ::copysign(T(1), x) : x; }

/// The larger one; NaN in either gives NaN; of equals (the zeros of either sign) the second.
template <class T> __device__ inline T larger(T a, T b) { return a > b || a != a ? a : b; }
template <class T> __device__ inline T smaller(T a, T b) { return a < b || a != a ? a : b; }

}  // namespace gradus::inline v0::cuda
