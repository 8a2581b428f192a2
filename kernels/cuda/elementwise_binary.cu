// y = f(a, b) with broadcasting: f32, f64, and i64 where it means something. Moves y once and each operand once where it is as large as
// y: 12 bytes an element in f32.

#include <gradus/kernels/cuda/elementwise.cuh>
#include <gradus/kernels/cuda/elementwise_math.cuh>
#include <gradus/kernels/elementwise.h>

namespace gradus::inline v0::cuda {
namespace {

template <class T> struct Binary {
  static __device__ T add(T a, T b) { return a + b; }
  static __device__ T sub(T a, T b) { return a - b; }
  static __device__ T mul(T a, T b) { return a * b; }
  static __device__ T div(T a, T b) { return a / b; }
  static __device__ T maximum(T a, T b) { return larger(a, b); }
  static __device__ T minimum(T a, T b) { return smaller(a, b); }
  static __device__ T pow(T a, T b) { return ::pow(a, b); }
};

/// Integers wrap around, as two's complement does.
struct Integer {
  using I = std::int64_t;
  using U = std::uint64_t;
  static __device__ I add(I a, I b) { return static_cast<I>(static_cast<U>(a) + static_cast<U>(b)); }
  static __device__ I sub(I a, I b) { return static_cast<I>(static_cast<U>(a) - static_cast<U>(b)); }
  static __device__ I mul(I a, I b) { return static_cast<I>(static_cast<U>(a) * static_cast<U>(b)); }
  static __device__ I maximum(I a, I b) { return a > b ? a : b; }
  static __device__ I minimum(I a, I b) { return a < b ? a : b; }
};

template <class T, auto f> void binary(const char* op, const Array& y, const ConstArray& a, const ConstArray& b) {
  GRADUS_ASSERT(a.dtype == y.dtype && b.dtype == y.dtype && y.dtype == dtype_of<T>);
  broadcast<T, T, T>(op, Apply<f>(), y, {a, b});
}
template <auto f32, auto f64> void floating(const char* op, const Array& y, const ConstArray& a, const ConstArray& b) {
  if (y.dtype == DType::f32) binary<float, f32>(op, y, a, b);
  else binary<double, f64>(op, y, a, b);
}
template <auto f32, auto f64, auto i64> void numbers(const char* op, const Array& y, const ConstArray& a, const ConstArray& b) {
  if (y.dtype == DType::i64) binary<std::int64_t, i64>(op, y, a, b);
  else floating<f32, f64>(op, y, a, b);
}

}  // namespace

#define X(name) \
  void name(Array y, ConstArray a, ConstArray b) { numbers<Binary<float>::name, Binary<double>::name, Integer::name>(#name, y, a, b); }
X(add)
X(sub)
X(mul)
X(maximum)
X(minimum)
#undef X

#define X(name) \
  void name(Array y, ConstArray a, ConstArray b) { floating<Binary<float>::name, Binary<double>::name>(#name, y, a, b); }
X(div)
X(pow)
#undef X

}  // namespace gradus::inline v0::cuda
