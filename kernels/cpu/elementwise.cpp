// Rows of y[i] = f(x[i]), of fused backward functions, and of those with scalar parameters.

#include <gradus/kernels/cpu/elementwise_table.h>
#include <gradus/kernels/cpu/math.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {
namespace {

template <class T> struct Unary {
  using V = Vec<T>;
  static V neg(V x) { return -x; }
  static V abs(V x) { return GRADUS_ISA::abs(x); }
  static V sign(V x) { return select((x < V(T(0))) | (x > V(T(0))), copysign(V(T(1)), x), x); }  // zero and NaN as they are
  static V exp(V x) { return GRADUS_ISA::exp(x); }
  static V log(V x) { return GRADUS_ISA::log(x); }
  static V log1p(V x) { return GRADUS_ISA::log1p(x); }
  static V expm1(V x) { return GRADUS_ISA::expm1(x); }
  static V sqrt(V x) { return GRADUS_ISA::sqrt(x); }
  static V rsqrt(V x) { return V(T(1)) / GRADUS_ISA::sqrt(x); }
  static V square(V x) { return x * x; }
  static V reciprocal(V x) { return V(T(1)) / x; }
  static V sin(V x) { return GRADUS_ISA::sin(x); }
  static V cos(V x) { return GRADUS_ISA::cos(x); }
  static V tanh(V x) { return GRADUS_ISA::tanh(x); }
  static V sigmoid(V x) { return GRADUS_ISA::sigmoid(x); }
  static V relu(V x) { return select(x <= V(T(0)), V(T(0)), x); }  // NaN stays, -0 becomes 0
  static V gelu(V x) { return GRADUS_ISA::gelu(x); }
  static V erf(V x) { return GRADUS_ISA::erf(x); }
  static V softplus(V x) { return GRADUS_ISA::softplus(x); }
  static V cube(V x) { return x * x * x; }
  static V identity(V x) { return x; }
};

/// dx from dy and what the forward kept.
template <class T> struct Backward {
  using V = Vec<T>;
  static V relu_backward(V dy, V y) { return select(y <= V(T(0)), V(T(0)), dy); }
  static V tanh_backward(V dy, V y) { return dy * fma(-y, y, V(T(1))); }
  static V sigmoid_backward(V dy, V y) { return dy * (y * (V(T(1)) - y)); }
  static V gelu_backward(V dy, V x) { return dy * gelu_derivative(x); }
  static V softplus_backward(V dy, V x) { return dy * sigmoid(x); }
};

template <class T, Vec<T> (*f)(Vec<T>)> void unary_row(std::int64_t n, void* y, const void* x) {
  map_range(
      0, n, static_cast<T*>(y), [](Vec<T> v) { return f(v); }, static_cast<const T*>(x));
}

template <class T, Vec<T> (*f)(Vec<T>, Vec<T>)> void backward_row(std::int64_t n, void* dx, const void* dy, const void* saved, unsigned) {
  map_range(
      0, n, static_cast<T*>(dx), [](Vec<T> d, Vec<T> s) { return f(d, s); }, static_cast<const T*>(dy), static_cast<const T*>(saved));
}

/// The plain sum and the plain product are exact cases of their own: 1 * x + 0 would turn -0 into 0.
template <class T> void affine_row(std::int64_t n, void* y, const void* x, double scale, double shift) {
  const Vec<T> a = T(scale), b = T(shift);
  T* const to = static_cast<T*>(y);
  const T* const from = static_cast<const T*>(x);
  if (shift == 0)
    return map_range(
        0, n, to, [=](Vec<T> v) { return v * a; }, from);
  if (scale == 1)
    return map_range(
        0, n, to, [=](Vec<T> v) { return v + b; }, from);
  map_range(
      0, n, to, [=](Vec<T> v) { return fma(v, a, b); }, from);
}

template <class T> void clamp_row(std::int64_t n, void* y, const void* x, double low, double high) {
  const Vec<T> l = T(low), h = T(high);
  map_range(
      0, n, static_cast<T*>(y), [=](Vec<T> v) { return at_most(at_least(v, l), h); }, static_cast<const T*>(x));
}

template <class T> void clamp_backward_row(std::int64_t n, void* dx, const void* dy, const void* x, double low, double high) {
  const Vec<T> l = T(low), h = T(high);
  const auto f = [=](Vec<T> d, Vec<T> v) { return select((l <= v) & (v <= h), d, Vec<T>(T(0))); };
  map_range(0, n, static_cast<T*>(dx), f, static_cast<const T*>(dy), static_cast<const T*>(x));
}

/// Small powers by multiplication and roots; the rest by pow.
template <class T> void pow_scalar_row(std::int64_t n, void* y, const void* x, double exponent, double) {
  if (exponent == 1) return unary_row<T, Unary<T>::identity>(n, y, x);
  if (exponent == 2) return unary_row<T, Unary<T>::square>(n, y, x);
  if (exponent == 3) return unary_row<T, Unary<T>::cube>(n, y, x);
  if (exponent == -1) return unary_row<T, Unary<T>::reciprocal>(n, y, x);
  if (exponent == 0.5) return unary_row<T, Unary<T>::sqrt>(n, y, x);
  map_range(
      0, n, static_cast<T*>(y), [=](Vec<T> v) { return pow(v, exponent); }, static_cast<const T*>(x));
}

template <class T> void lerp_row(std::int64_t n, void* y, const void* x, double weight, double) {
  const Vec<T> w = T(weight);
  const auto f = [=](Vec<T> old, Vec<T> v) { return fma(w, v - old, old); };
  map_range(0, n, static_cast<T*>(y), f, static_cast<const T*>(y), static_cast<const T*>(x));
}

template <class T> void add_scaled_row(std::int64_t n, void* y, const void* a, const void* b, double scale, double) {
  const Vec<T> s = T(scale);
  const auto f = [=](Vec<T> u, Vec<T> v) { return fma(s, v, u); };
  map_range(0, n, static_cast<T*>(y), f, static_cast<const T*>(a), static_cast<const T*>(b));
}

}  // namespace

const ElementwiseTable elementwise_table = {
#define X(name) {{unary_row<float, Unary<float>::name>, unary_row<double, Unary<double>::name>}},
    GRADUS_UNARY_KERNELS(X)
#undef X
#define X(name) {{backward_row<float, Backward<float>::name>, backward_row<double, Backward<double>::name>}},
        GRADUS_UNARY_BACKWARD_KERNELS(X)
#undef X
    // clang-format off
    {{affine_row<float>, affine_row<double>}},
    {{clamp_row<float>, clamp_row<double>}},
    {{pow_scalar_row<float>, pow_scalar_row<double>}},
    {{lerp_row<float>, lerp_row<double>}},
    {{add_scaled_row<float>, add_scaled_row<double>}},
    {{clamp_backward_row<float>, clamp_backward_row<double>}},
    // clang-format on
};

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
