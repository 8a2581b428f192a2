// y = sum, max, min, logsumexp, argmax of x over any set of axes (kernels/reduce.h).
//
// All of the work is in reduce_kernels.cuh, what is done with an element in states.cuh. Bytes: 4 an f32 element of x, read once, also by
// logsumexp; y once. Sums of long lines are in f64 from one load of a thread (16 elements) to the next.

#include <gradus/kernels/reduce.h>

#include <gradus/kernels/cuda/reduce_launch.cuh>

namespace gradus::inline v0::cuda {
namespace {

/// Short: the reduction of lines that one warp takes; Long: of the others.
template <class Short, class Long, int kPack, class I, class T>
void reduce(const char* op, const typename Long::Given& given, const Inputs<T, 1>& x, const AxisGroups& groups) {
  if (!groups.along_rows()) reduce_columns_of<Long, kPack, I>(op, given, x, groups);
  else if (groups.product(0) <= kShortLine) reduce_short_lines<Short, kPack, I>(op, given, x, groups);
  else reduce_long_lines<Long, kPack, I>(op, given, x, groups);
}
template <class Short, class Long, class I, class T>
void reduce(const char* op, const typename Long::Given& given, const T* x, const AxisGroups& groups) {
  constexpr int kPack = sizeof(I) == 4 ? Pack<T>::kCount : 1;
  // By the shape alone whether to go in packs: the bits must not depend on an address.
  if (groups.extent[0] % kPack == 0) reduce<Short, Long, kPack, I>(op, given, Inputs<T, 1>{{x}, aligned16(x)}, groups);
  else reduce<Short, Long, 1, I>(op, given, Inputs<T, 1>{{x}, false}, groups);
}

/// F::Short<T> and F::Long<T> are the reduction.
template <class F> void reduce_axes(const char* op, Array y, ConstArray x, unsigned axes) {
  if (y.elements() == 0) return;
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const AxisGroups groups(*x.shape, axes);
    with_index(x.elements(), groups, [&](auto index) {
      reduce<typename F::template Short<T>, typename F::template Long<T>, decltype(index)>(op, {y.as<T>()}, x.as<T>(), groups);
    });
  });
}

struct Sums {
  template <class T> using Short = Sum<T, T>;
  template <class T> using Long = Sum<T, double>;
};
struct LogSumExps {
  template <class T> using Short = LogSumExp<T, T>;
  template <class T> using Long = LogSumExp<T, double>;
};
template <bool kLargest> struct Extrema {
  template <class T> using Short = Extremum<T, kLargest>;
  template <class T> using Long = Extremum<T, kLargest>;
};

}  // namespace

void sum(Array y, ConstArray x, unsigned axes) { reduce_axes<Sums>("sum", y, x, axes); }
void max(Array y, ConstArray x, unsigned axes) { reduce_axes<Extrema<true>>("max", y, x, axes); }
void min(Array y, ConstArray x, unsigned axes) { reduce_axes<Extrema<false>>("min", y, x, axes); }
void logsumexp(Array y, ConstArray x, unsigned axes) { reduce_axes<LogSumExps>("logsumexp", y, x, axes); }

void argmax(Array index, ConstArray x, int axis) {
  if (index.elements() == 0) return;
  with_floating(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const AxisGroups groups(*x.shape, 1u << axis);
    with_index(x.elements(), groups, [&](auto place) {
      using R = Argmax<T, decltype(place)>;
      reduce<R, R, decltype(place)>("argmax", {index.as<std::int64_t>()}, x.as<T>(), groups);
    });
  });
}

}  // namespace gradus::inline v0::cuda
