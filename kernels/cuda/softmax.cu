// Softmax and log-softmax along an axis (kernels/softmax.h): x seen as [outer, n, inner].
//
//   y_i = exp(x_i - lse), or x_i - lse            lse = log sum_j exp x_j
//   dx = y (dy - sum y dy), or dy - exp(y) sum dy
// Who owns a line and what holds it: softmax_lines.cuh. Bytes of an f32 element: forward 8, backward 12, where the line is held on the
// chip; 4 more (8 for softmax's gradient), mostly from L2, for rows of more than 11,776 numbers (5,888 for that gradient) and for columns
// of more than 4096 (f32; for the others softmax_lines.cuh has the number).

#include <gradus/kernels/softmax.h>

#include <gradus/kernels/cuda/softmax_lines.cuh>

namespace gradus::inline v0::cuda {
namespace {

/// y from x. Grid: lines / lines of a block; block: 256. A held line is visited three times: for the largest, for the sum (softmax keeps
/// the exponentials), for y. One that is not is read twice: an online sum, and y.
template <bool kLog, class Hold, int kPack, class T, class G> __global__ void __launch_bounds__(G::kThreads, kLeastBlocks<T, G>)
    softmax_forward(T* y, const T* x, LineShape shape, G group) {
  __shared__ double scratch[G::kScratch];
  const Part<kPack, Hold::kUnroll> part(group, shape);
  Hold hold(shape.packs, 0);
  Two<T, typename G::template Sum<T>> s{-infinity<T>(), 0};
  part.each_access([&](auto whole, int k, std::int64_t i) {
    T v[kPack];
    load_pack<kPack, decltype(whole)::value>(v, x + part.at(i));
    if constexpr (Hold::kHolds) hold.put(k, v);
    else take_in(s, v);
  });
  if constexpr (Hold::kHolds) {
    part.each([&](int k, std::int64_t) {
      T v[kPack];
      hold.get(v, k);
#pragma unroll
      for (int j = 0; j < kPack; ++j) s.a = v[j] > s.a ? v[j] : s.a;
    });
    s.a = group_max(group, scratch, s.a);
    part.each([&](int k, std::int64_t) {
      T v[kPack];
      hold.get(v, k);
#pragma unroll
      for (int j = 0; j < kPack; ++j) v[j] = ::exp(v[j] - s.a);
      if constexpr (!kLog) hold.put(k, v);
      s.b += pack_sum(v);
    });
    s.b = group_sum(group, scratch, s.b);
  } else {
    const T largest = group_max(group, scratch, s.a);
    s = {largest, group_exp_sum(group, scratch, s, largest)};
  }
  const T rest = static_cast<T>(kLog ? ::log(s.b) : 1 / s.b);
  part.each_access([&](auto whole, int k, std::int64_t i) {
    T v[kPack];
    if constexpr (Hold::kHolds) hold.get(v, k);
    else load_pack<kPack, decltype(whole)::value>(v, x + part.at(i));
#pragma unroll
    for (int j = 0; j < kPack; ++j) {
      if constexpr (kLog) v[j] = (v[j] - s.a) - rest;
      else v[j] = (Hold::kHolds ? v[j] : ::exp(v[j] - s.a)) * rest;
    }
    store_pack<kPack, decltype(whole)::value>(y + part.at(i), v);
  });
}

template <class T> struct SoftmaxRule {  // dy, y
  static constexpr bool kTermNeedsSecond = true, kRowsOnly = false;
  __device__ void begin(std::int64_t) {}
  __device__ T first(T dy, std::int64_t) const { return dy; }
  __device__ T term(T dy, T y) const { return dy * y; }
  __device__ T result(T dy, T y, T mean) const { return y * (dy - mean); }
};
template <class T> struct LogSoftmaxRule {  // dy, y
  static constexpr bool kTermNeedsSecond = false, kRowsOnly = false;
  __device__ void begin(std::int64_t) {}
  __device__ T first(T dy, std::int64_t) const { return dy; }
  __device__ T term(T dy, T) const { return dy; }
  __device__ T result(T dy, T y, T mass) const { return dy - ::exp(y) * mass; }
};

LineShape line_shape(const Shape& s, int axis, bool aligned) {
  const std::int64_t inner = s.product(axis + 1, s.rank());
  return {s.product(0, axis) * inner, s[axis], inner, 0, aligned};
}

template <bool kLog> void forward(const char* op, const Array& y, const ConstArray& x, int axis) {
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const LineShape shape = line_shape(*x.shape, axis, aligned16(y.data) && aligned16(x.data));
    with_group<T, 1, kLog ? 2 : 1>(shape, [&](auto group, auto* hold, auto pack, unsigned grid, const LineShape& s, std::size_t bytes) {
      using Hold = std::remove_pointer_t<decltype(hold)>;
      launch(op, softmax_forward<kLog, Hold, decltype(pack)::value, T, decltype(group)>, grid, group.kThreads, bytes, y.as<T>(), x.as<T>(),
             s, group);
    });
  });
}

template <template <class> class Rule> void backward(const char* op, const Array& dx, const ConstArray& dy, const ConstArray& y, int axis) {
  with_floating(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const LineShape shape = line_shape(*y.shape, axis, aligned16(dx.data) && aligned16(dy.data) && aligned16(y.data));
    launch_line_backward(op, dx.as<T>(), dy.as<T>(), y.as<T>(), Rule<T>(), shape);
  });
}

}  // namespace

void softmax(Array y, ConstArray x, int axis) { forward<false>("softmax", y, x, axis); }
void log_softmax(Array y, ConstArray x, int axis) { forward<true>("log_softmax", y, x, axis); }
void softmax_backward(Array dx, ConstArray dy, ConstArray y, int axis) { backward<SoftmaxRule>("softmax_backward", dx, dy, y, axis); }
void log_softmax_backward(Array dx, ConstArray dy, ConstArray y, int axis) {
  backward<LogSoftmaxRule>("log_softmax_backward", dx, dy, y, axis);
}

}  // namespace gradus::inline v0::cuda
