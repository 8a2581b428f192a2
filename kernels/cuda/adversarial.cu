// Kernels of threat models: intervals around x, the L2 projection, distances, the Linf step. Rows are samples.
//
// Sums and bisections are in f64 as on the CPU; a sum over a row is taken in another order (256 or 1024 threads, then a tree), fixed by the
// row's length alone. linf_bounds, pgd_linf_step, linf_distance and zero_non_finite give the CPU's bits.

#include <type_traits>

#include <gradus/kernels/adversarial.h>
#include <gradus/kernels/cuda/dynamic_shared.cuh>
#include <gradus/kernels/cuda/elementwise.cuh>
#include <gradus/kernels/cuda/elementwise_math.cuh>
#include <gradus/kernels/cuda/partials.cuh>

namespace gradus::inline v0::cuda {
namespace {

constexpr int kRowThreads = 256;
constexpr int kProjectThreads = 1024;        // the bisection passes over a row 53 times: as many hands as a block has
constexpr std::size_t kRowBytes = 48 << 10;  // of shared memory for a row and its move, without opting in to more
constexpr unsigned kMostBlocks = 1024;       // of kernels that stride

struct Rows {
  std::int64_t count, width;
  explicit Rows(const Shape& shape) : count(shape.rank() ? shape[0] : 1), width(count ? shape.elements() / count : 0) {}
};

// ---- linf_bounds -----------------------------------------------------------------------------------------------------------------------

/// The next number below or above x, without a branch: nextafter would part the lanes of a warp, and their stores with them.
template <class T> __device__ inline T next(T x, bool up) {
  using Bits = std::conditional_t<sizeof(T) == sizeof(float), std::int32_t, std::int64_t>;
  const Bits bits = __builtin_bit_cast(Bits, x);
  const T beside = __builtin_bit_cast(T, bits + ((x > T(0)) == up ? Bits(1) : Bits(-1)));
  const T smallest = __builtin_bit_cast(T, Bits(1));
  return x == T(0) ? (up ? smallest : -smallest) : beside;
}

/// [max(x - eps, low), min(x + eps, high)], the ends rounded towards x.
template <class T> struct Bounds {
  double eps;
  T low, high;
  __device__ T lower(T x) const {
    const T nearest = static_cast<T>(static_cast<double>(x) - eps);
    const T down = static_cast<double>(x) - static_cast<double>(nearest) > eps ? next(nearest, true) : nearest;
    return down < low ? low : down;
  }
  __device__ T upper(T x) const {
    const T nearest = static_cast<T>(static_cast<double>(x) + eps);
    const T up = static_cast<double>(nearest) - static_cast<double>(x) > eps ? next(nearest, false) : nearest;
    return up > high ? high : up;
  }
};

/// Grid: packs and single elements over blocks of 256, as map_kernel. Reads x once, writes both ends once.
template <class T> __global__ void __launch_bounds__(kElementThreads)
    linf_bounds_kernel(T* lower, T* upper, const T* x, Split split, Bounds<T> bounds) {
  constexpr int kPack = pack_of<T>();
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kElementThreads + threadIdx.x;
  const auto low = [&](T v) { return bounds.lower(v); };
  const auto high = [&](T v) { return bounds.upper(v); };
  if (i < split.packs) {
    const Elements<T, kPack> v = load<kPack>(x + i * kPack);
    store<kPack>(lower + i * kPack, apply<T, kPack>(low, v));
    store<kPack>(upper + i * kPack, apply<T, kPack>(high, v));
  } else if (i < split.threads(kPack)) {
    const std::int64_t e = split.single(i, kPack);
    const T v = x[e];
    lower[e] = low(v);
    upper[e] = high(v);
  }
}

// ---- pgd_linf_step ---------------------------------------------------------------------------------------------------------------------

/// min(max(x + step sign(g), lower), upper).
template <class T> struct LinfStep {
  T step;
  __device__ T operator()(T x, T g, T lower, T upper) const { return smaller(larger(x + step * sign_of(g), lower), upper); }
};

// ---- distances -------------------------------------------------------------------------------------------------------------------------

/// |x| where it is larger, or NaN; NaN stays. The order does not matter.
struct LargestSize {
  __device__ double operator()(double d, double x) const {
    const double size = ::fabs(x);
    return size > d || size != size ? size : d;
  }
  static __device__ double merge(double a, double b) { return larger(a, b); }
  static __device__ double finish(double d) { return d; }
};
struct SquareSum {
  __device__ double operator()(double d, double x) const { return d + x * x; }
  static __device__ double merge(double a, double b) { return a + b; }
  static __device__ double finish(double d) { return ::sqrt(d); }
};

/// Grid: rows; block: 256. A thread: every 256th element, or pack where kPack > 1. Reads a and b once.
template <class T, int kPack, class Measure> __global__ void __launch_bounds__(kRowThreads)
    distance_kernel(double* distance, const T* a, const T* b, std::int64_t width) {
  __shared__ double scratch[kRowThreads / kWarp];
  a += blockIdx.x * width;
  b += blockIdx.x * width;
  double d = 0;
  for (std::int64_t i = static_cast<std::int64_t>(threadIdx.x) * kPack; i < width; i += kRowThreads * kPack) {
    const Elements<T, kPack> u = load<kPack>(a + i), v = load<kPack>(b + i);
#pragma unroll
    for (int k = 0; k < kPack; ++k) d = Measure()(d, static_cast<double>(u.at[k]) - static_cast<double>(v.at[k]));
  }
  d = block_reduce<kRowThreads>(d, scratch, [](double p, double q) { return Measure::merge(p, q); });
  if (threadIdx.x == 0) distance[blockIdx.x] = Measure::finish(d);
}

template <class Measure> void distances(const char* op, Array distance, ConstArray a, ConstArray b) {
  const Rows rows(*a.shape);
  with_floating(a.dtype, [&](auto zero) {
    using T = decltype(zero);
    constexpr int kPack = pack_of<T>();
    const bool packs = rows.width % kPack == 0 && aligned16(a.data) && aligned16(b.data);
    launch(op, packs ? distance_kernel<T, kPack, Measure> : distance_kernel<T, 1, Measure>, blocks_for(rows.count, 1), kRowThreads, 0,
           distance.as<double>(), a.as<T>(), b.as<T>(), rows.width);
  });
}

// ---- l2_project ------------------------------------------------------------------------------------------------------------------------

/// One sample, its move, and the ball and the box.
template <class T> struct Sample {
  const T *x, *moved;
  std::int64_t n;
  double eps, low, high;

  /// clip(x + s (moved - x)) as it will be stored.
  __device__ T along(std::int64_t i, double s) const {
    const double v = static_cast<double>(x[i]) + s * (static_cast<double>(moved[i]) - static_cast<double>(x[i]));
    return static_cast<T>(v < low ? low : v > high ? high : v);
  }
  /// Whether |along(s) - x|_2 <= eps; the block's threads together. The next call but one may have the same scratch.
  __device__ bool inside(double s, double* scratch) const {
    double sum = 0;
    for (std::int64_t i = threadIdx.x; i < n; i += kProjectThreads) {
      const double d = static_cast<double>(along(i, s)) - static_cast<double>(x[i]);
      sum += d * d;
    }
    return ::sqrt(block_reduce<kProjectThreads>(sum, scratch, [](double a, double b) { return a + b; })) <= eps;
  }
};

/// Grid: samples; block: 1024; shared: the sample and its move where kStaged. Reads x and moved once where they are staged, otherwise 54
/// times, from the second on out of the L2 cache; writes y once.
template <class T, bool kStaged> __global__ void __launch_bounds__(kProjectThreads, 1)
    l2_project_kernel(T* y, const T* x, const T* moved, std::int64_t n, double eps, double low, double high) {
  __shared__ double scratch[2][kProjectThreads / kWarp];
  const std::int64_t first = blockIdx.x * n;
  Sample<T> sample{x + first, moved + first, n, eps, low, high};
  if constexpr (kStaged) {
    T* const kept = reinterpret_cast<T*>(dynamic_shared());
    for (std::int64_t i = threadIdx.x; i < n; i += kProjectThreads) {
      kept[i] = sample.x[i];
      kept[n + i] = sample.moved[i];
    }
    sample.x = kept;
    sample.moved = kept + n;  // each thread reads what it has written itself
  }
  double inside = 0, outside = 1;
  if (sample.inside(1, scratch[1])) inside = 1;
  // 52 halvings exhaust a double; the length is monotone in s because clipping only shrinks each coordinate's move.
  for (int i = 0; i < 52 && inside < 1; ++i) {
    const double s = 0.5 * (inside + outside);
    (sample.inside(s, scratch[i % 2]) ? inside : outside) = s;
  }
  for (std::int64_t i = threadIdx.x; i < n; i += kProjectThreads) y[first + i] = sample.along(i, inside);
}

// ---- zero_non_finite -------------------------------------------------------------------------------------------------------------------

/// Grid: up to 1024 blocks of 256 that stride over the packs. Reads g once, writes y once; *count grows by the number of zeros written for
/// NaN and infinities: integers, whose sum does not depend on the order.
template <class T> __global__ void __launch_bounds__(kElementThreads)
    zero_non_finite_kernel(T* y, unsigned long long* count, const T* g, Split split) {
  constexpr int kPack = pack_of<T>();
  __shared__ unsigned scratch[kElementThreads / kWarp];
  const std::int64_t threads = split.threads(kPack), step = static_cast<std::int64_t>(gridDim.x) * kElementThreads;
  unsigned found = 0;
  const auto kept = [&](T v) {
    const bool finite = v - v == T(0);
    found += !finite;
    return finite ? v : T(0);
  };
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kElementThreads + threadIdx.x; i < threads; i += step) {
    if (i < split.packs) {
      store<kPack>(y + i * kPack, apply<T, kPack>(kept, load<kPack>(g + i * kPack)));
    } else {
      const std::int64_t e = split.single(i, kPack);
      y[e] = kept(g[e]);
    }
  }
  found = block_reduce<kElementThreads>(found, scratch, [](unsigned a, unsigned b) { return a + b; });
  if (found > 0 && threadIdx.x == 0) atomicAdd(count, found);
}

}  // namespace

void linf_bounds(Array lower, Array upper, ConstArray x, double eps, double low, double high) {
  with_floating(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Split split(x.elements(), pack_of<T>(), {{x.data, sizeof(T)}, {lower.data, sizeof(T)}, {upper.data, sizeof(T)}});
    launch("linf_bounds", linf_bounds_kernel<T>, blocks_for(split.threads(pack_of<T>()), kElementThreads), kElementThreads, 0,
           lower.as<T>() + split.head, upper.as<T>() + split.head, x.as<T>() + split.head, split,
           Bounds<T>{eps, static_cast<T>(low), static_cast<T>(high)});
  });
}

void pgd_linf_step(Array x_next, ConstArray x_now, ConstArray gradient, ConstArray lower, ConstArray upper, double step) {
  with_floating(x_now.dtype, [&](auto zero) {
    using T = decltype(zero);
    map("pgd_linf_step", x_now.elements(), LinfStep<T>{static_cast<T>(step)}, x_next.as<T>(), x_now.as<T>(), gradient.as<T>(),
        lower.as<T>(), upper.as<T>());
  });
}

void l2_project(Array y, ConstArray x, ConstArray moved, double eps, double low, double high) {
  const Rows rows(*x.shape);
  if (x.elements() == 0) return;
  with_floating(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const std::size_t bytes = 2 * sizeof(T) * static_cast<std::size_t>(rows.width);
    const bool staged = bytes + 2 * sizeof(double) * kProjectThreads / kWarp <= kRowBytes;
    launch("l2_project", staged ? l2_project_kernel<T, true> : l2_project_kernel<T, false>, blocks_for(rows.count, 1), kProjectThreads,
           staged ? bytes : 0, y.as<T>(), x.as<T>(), moved.as<T>(), rows.width, eps, low, high);
  });
}

void linf_distance(Array distance, ConstArray a, ConstArray b) { distances<LargestSize>("linf_distance", distance, a, b); }
void l2_distance(Array distance, ConstArray a, ConstArray b) { distances<SquareSum>("l2_distance", distance, a, b); }

/// Waits for the device.
std::int64_t zero_non_finite(Array y, ConstArray g) {
  if (g.elements() == 0) return 0;
  auto* const count = static_cast<unsigned long long*>(partials(sizeof(unsigned long long)));
  fill_bytes(count, 0, sizeof *count);
  with_floating(g.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Split split(g.elements(), pack_of<T>(), {{y.data, sizeof(T)}, {g.data, sizeof(T)}});
    const unsigned blocks = blocks_for(split.threads(pack_of<T>()), kElementThreads);
    launch("zero_non_finite", zero_non_finite_kernel<T>, blocks < kMostBlocks ? blocks : kMostBlocks, kElementThreads, 0,
           y.as<T>() + split.head, count, g.as<T>() + split.head, split);
  });
  unsigned long long found = 0;
  copy_to_host(&found, count, sizeof found);
  return static_cast<std::int64_t>(found);
}

}  // namespace gradus::inline v0::cuda
