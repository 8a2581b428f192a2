// y[i] = f(x[i]) for f32 and f64. Moves x and y once: 8 bytes an element in f32.

#include <gradus/kernels/cuda/elementwise.cuh>
#include <gradus/kernels/cuda/elementwise_math.cuh>
#include <gradus/kernels/elementwise.h>

namespace gradus::inline v0::cuda {
namespace {

template <class T> struct Unary {
  static __device__ T neg(T x) { return -x; }
  static __device__ T abs(T x) { return ::fabs(x); }
  static __device__ T sign(T x) { return sign_of(x); }
  static __device__ T exp(T x) { return ::exp(x); }
  static __device__ T log(T x) { return ::log(x); }
  static __device__ T log1p(T x) { return ::log1p(x); }
  static __device__ T expm1(T x) { return ::expm1(x); }
  static __device__ T sqrt(T x) { return ::sqrt(x); }
  static __device__ T rsqrt(T x) { return T(1) / ::sqrt(x); }  // as on the CPU: two correct roundings
  static __device__ T square(T x) { return x * x; }
  static __device__ T reciprocal(T x) { return T(1) / x; }
  static __device__ T sin(T x) { return ::sin(x); }
  static __device__ T cos(T x) { return ::cos(x); }
  static __device__ T tanh(T x) { return ::tanh(x); }
  static __device__ T sigmoid(T x) { return sigmoid_of(x); }
  static __device__ T relu(T x) { return x <= T(0) ? T(0) : x; }  // NaN stays, -0 becomes 0
  static __device__ T gelu(T x) { return gelu_of(x); }
  static __device__ T erf(T x) { return ::erf(x); }
  static __device__ T softplus(T x) { return softplus_of(x); }
};

template <class F32, class F64> void unary(const char* op, const Array& y, const ConstArray& x) {
  GRADUS_ASSERT(x.elements() == y.elements() && x.dtype == y.dtype && is_floating(y.dtype));
  if (y.dtype == DType::f32) map(op, y.elements(), F32(), y.as<float>(), x.as<float>());
  else map(op, y.elements(), F64(), y.as<double>(), x.as<double>());
}

}  // namespace

#define X(name) \
  void name(Array y, ConstArray x) { unary<Apply<Unary<float>::name>, Apply<Unary<double>::name>>(#name, y, x); }
GRADUS_UNARY_KERNELS(X)
#undef X

}  // namespace gradus::inline v0::cuda
