// Comparisons, y (bool) = a ? b, and selection, y = condition ? a : b, with broadcasting; logical_not. Moves y and each whole operand once.
//
// A bool is read as the byte 0 or 1 that it is. Selection moves elements by their size.

#include <gradus/kernels/cuda/elementwise.cuh>
#include <gradus/kernels/elementwise.h>

namespace gradus::inline v0::cuda {
namespace {

using Byte = std::uint8_t;

template <class T> struct Compare {
  static __device__ Byte equal(T a, T b) { return a == b; }
  static __device__ Byte not_equal(T a, T b) { return a != b; }
  static __device__ Byte less(T a, T b) { return a < b; }
  static __device__ Byte less_equal(T a, T b) { return a <= b; }
};
template <class T> struct Select {
  static __device__ T select(Byte condition, T a, T b) { return condition != 0 ? a : b; }
};
template <class T> struct Test {
  static __device__ Byte is_zero(T x) { return x == T(0); }
};

template <auto f32, auto f64, auto i64, auto byte> void compare(const char* op, const Array& y, const ConstArray& a, const ConstArray& b) {
  GRADUS_ASSERT(a.dtype == b.dtype && y.dtype == DType::boolean && a.dtype != DType::bf16);
  switch (a.dtype) {
    case DType::f32: return broadcast<Byte, float, float>(op, Apply<f32>(), y, {a, b});
    case DType::f64: return broadcast<Byte, double, double>(op, Apply<f64>(), y, {a, b});
    case DType::i64: return broadcast<Byte, std::int64_t, std::int64_t>(op, Apply<i64>(), y, {a, b});
    default: return broadcast<Byte, Byte, Byte>(op, Apply<byte>(), y, {a, b});
  }
}
template <class T> void select(const Array& y, const ConstArray& condition, const ConstArray& a, const ConstArray& b) {
  broadcast<T, Byte, T, T>("where", Apply<Select<T>::select>(), y, {condition, a, b});
}
template <class T> void test_zero(const Array& y, const ConstArray& x) {
  map("logical_not", y.elements(), Apply<Test<T>::is_zero>(), static_cast<Byte*>(y.data), static_cast<const T*>(x.data));
}

}  // namespace

#define X(name, f, a, b)                                                                                        \
  void name(Array y, ConstArray left, ConstArray right) {                                                       \
    compare<Compare<float>::f, Compare<double>::f, Compare<std::int64_t>::f, Compare<Byte>::f>(#name, y, a, b); \
  }
X(equal, equal, left, right)
X(not_equal, not_equal, left, right)
X(less, less, left, right)
X(less_equal, less_equal, left, right)
X(greater, less, right, left)
X(greater_equal, less_equal, right, left)
#undef X

void where(Array y, ConstArray condition, ConstArray a, ConstArray b) {
  GRADUS_ASSERT(condition.dtype == DType::boolean && a.dtype == y.dtype && b.dtype == y.dtype);
  switch (size_of(y.dtype)) {
    case 1: return select<std::uint8_t>(y, condition, a, b);
    case 2: return select<std::uint16_t>(y, condition, a, b);
    case 4: return select<std::uint32_t>(y, condition, a, b);
    default: return select<std::uint64_t>(y, condition, a, b);
  }
}

void logical_not(Array y, ConstArray x) {
  GRADUS_ASSERT(x.elements() == y.elements() && y.dtype == DType::boolean && x.dtype != DType::bf16);
  switch (x.dtype) {
    case DType::f32: return test_zero<float>(y, x);
    case DType::f64: return test_zero<double>(y, x);
    case DType::i64: return test_zero<std::int64_t>(y, x);
    default: return test_zero<Byte>(y, x);
  }
}

}  // namespace gradus::inline v0::cuda
