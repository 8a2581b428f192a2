// Batch normalisation over x [N, C, inner] (kernels/normalization.h).
//
//   mean_c, var_c, rstd_c = 1 / sqrt(var_c + epsilon);   y = (x - mean_c) rstd_c gamma_c + beta_c
//   dbeta = sum dy,  dgamma = rstd sum dy (x - mean),    dx = gamma rstd (dy - dbeta / M - xhat dgamma / M),  M = N inner
//
// Sums are reductions (reduce_kernels.cuh): of runs of `inner` where those are long, of the columns of [N, C inner] where they are short,
// whose sums are then joined channel by channel. y and dx are one elementwise pass over [N, C inner] with a line for every column.
// Bytes of an f32 element: training forward 12 (x twice, y), backward 20 (dy, x; dy, x, dx).

#include <gradus/kernels/normalization.h>

#include <gradus/kernels/cuda/reduce_launch.cuh>

namespace gradus::inline v0::cuda {

/// The count, mean, and sum of squared distances from the mean of some numbers.
struct Moments {
  double count, mean, m2;
};

template <int kCount> struct SharedStates<Moments, kCount> {
  Spaced<double, kCount> count, mean, m2;
  __device__ void put(int i, const Moments& m) { count[i] = m.count, mean[i] = m.mean, m2[i] = m.m2; }
  __device__ Moments get(int i) const { return {count[i], mean[i], m2[i]}; }
};
template <> struct StoredStates<Moments> {
  static constexpr std::size_t kBytes = sizeof(Moments);
  double *count, *mean, *m2;
  StoredStates(void* memory, std::int64_t n) : count(static_cast<double*>(memory)), mean(count + n), m2(mean + n) {}
  __device__ bool null() const { return count == nullptr; }
  __device__ void put(std::int64_t i, const Moments& m) const { count[i] = m.count, mean[i] = m.mean, m2[i] = m.m2; }
  __device__ Moments get(std::int64_t i) const { return {count[i], mean[i], m2[i]}; }
};

namespace {

constexpr std::int64_t kShortRun = 64;  // runs up to here are taken as columns: a longer one wastes no more than 1/8 of its sectors

/// mean and var: sums around a centre near the mean within a block, merged between blocks by Chan, Golub & LeVeque 1983.
///
/// The centre is the mean of the block's first r numbers, which is at most sqrt(m2 / r) from that of all n: so cancellation costs at most
/// a factor n / r + 1 of rounding errors.
template <class T> struct Spread {
  using Element = T;
  using State = Two<double, double>;  // sums of x - centre and of its square
  using Partial = Moments;
  struct Given {
    T *mean, *var, *rstd;  // rstd may be null
    double epsilon;
  };
  static constexpr int kInputs = 1;
  static constexpr bool kCentres = true;
  T centre;

  __device__ Spread() {}
  __device__ Spread(const Given&, std::int64_t) {}
  __device__ static State none() { return {0, 0}; }
  __device__ static Partial nothing() { return {0, 0, 0}; }
  template <int N, class P> __device__ void add(State& s, const T (&x)[1][N], const P& at) const {
    T distance[N], square[N];
#pragma unroll
    for (int k = 0; k < N; ++k) {
      distance[k] = at.valid(k) ? x[0][k] - centre : T(0);
      square[k] = distance[k] * distance[k];
    }
    s.a += static_cast<double>(tree_sum<N>(distance));
    s.b += static_cast<double>(tree_sum<N>(square));
  }
  __device__ static State merge(State a, State b) { return {a.a + b.a, a.b + b.b}; }
  __device__ Partial partial(State s, double count) const {
    if (count == 0) return nothing();
    const double shift = s.a / count;
    return {count, static_cast<double>(centre) + shift, s.b - s.a * shift};
  }
  __device__ static Partial join(const Partial& a, const Partial& b) {
    if (b.count == 0) return a;
    const double total = a.count + b.count, delta = b.mean - a.mean, share = b.count / total;
    return {total, a.mean + delta * share, a.m2 + b.m2 + delta * delta * a.count * share};
  }
  __device__ static void finish(const Given& g, std::int64_t channel, const Partial& m) {
    const double spread = m.m2 < 0 ? 0 : m.m2 / m.count;  // rounding may leave m2 just below zero; of nothing: 0 / 0, NaN
    g.mean[channel] = static_cast<T>(m.count > 0 ? m.mean : spread);
    g.var[channel] = static_cast<T>(spread);
    if (g.rstd) g.rstd[channel] = static_cast<T>(1 / ::sqrt(spread + g.epsilon));
  }
};

/// dbeta = sum dy and dgamma = rstd sum dy (x - mean).
template <class T> struct GradientSums {
  using Element = T;
  using State = Two<double, double>;
  using Partial = State;
  struct Given {
    T *dgamma, *dbeta;
    const T *mean, *rstd;
    Divider inner;  // columns a channel, where an output of the first stage is a column
  };
  static constexpr int kInputs = 2;  // dy, x
  static constexpr bool kCentres = false;
  T mean;

  __device__ GradientSums() {}
  __device__ GradientSums(const Given& g, std::int64_t column) : mean(g.mean[g.inner.quotient(static_cast<unsigned>(column))]) {}
  __device__ static State none() { return {0, 0}; }
  __device__ static Partial nothing() { return {0, 0}; }
  template <int N, class P> __device__ void add(State& s, const T (&x)[2][N], const P& at) const {
    T dy[N], product[N];
#pragma unroll
    for (int k = 0; k < N; ++k) {
      dy[k] = at.valid(k) ? x[0][k] : T(0);
      product[k] = at.valid(k) ? dy[k] * (x[1][k] - mean) : T(0);
    }
    s.a += static_cast<double>(tree_sum<N>(dy));
    s.b += static_cast<double>(tree_sum<N>(product));
  }
  __device__ static State merge(State a, State b) { return {a.a + b.a, a.b + b.b}; }
  __device__ Partial partial(State s, double) const { return s; }
  __device__ static Partial join(Partial a, Partial b) { return merge(a, b); }
  __device__ static void finish(const Given& g, std::int64_t channel, Partial s) {
    g.dbeta[channel] = static_cast<T>(s.a);
    g.dgamma[channel] = static_cast<T>(static_cast<double>(g.rstd[channel]) * s.b);
  }
};

// ---- y and dx ------------------------------------------------------------------------------------------------------------------------

template <class T> struct Channels {
  const T *mean, *rstd, *gamma, *beta;  // gamma and beta may be null
  const T *dgamma, *dbeta;              // read by the backward pass alone
  double share;                         // 1 / M
};

/// What a channel does to its numbers: slope (x - mean) + shift, and in the backward pass + scale dy.
template <class T> struct Line { T mean, slope, shift, scale; };

template <bool kBackward, class T> __device__ inline Line<T> line_of(const Channels<T>& p, std::int64_t c) {
  const T rstd = p.rstd[c], gamma = p.gamma ? p.gamma[c] : T(1);
  if constexpr (kBackward) {
    const double scale = static_cast<double>(rstd) * static_cast<double>(gamma);
    return {p.mean[c], static_cast<T>(-scale * rstd * p.dgamma[c] * p.share), static_cast<T>(-scale * p.dbeta[c] * p.share),
            static_cast<T>(scale)};
  } else {
    return {p.mean[c], rstd * gamma, p.beta ? p.beta[c] : T(0), T(0)};
  }
}

/// The lines of a block's columns, each part in an array of its own.
template <class T, int kColumns> struct SharedLines { alignas(16) T mean[kColumns], slope[kColumns], shift[kColumns], scale[kColumns]; };

constexpr int kApplyWarps = 8;

/// y [N, width] from x, and dy in the backward pass, width = C inner. Grid: tiles * chunks of `rows` rows; block: 32 by 8. A block owns
/// 32 packs of columns, whose lines it prepares in shared memory (a sector or two of each per-channel array for a chunk of rows); a thread
/// owns one pack and every eighth row. Bytes: 8, backward 12.
template <bool kBackward, int kPack, class T> __global__ void __launch_bounds__(kWarp* kApplyWarps)
    apply_lines(T* __restrict__ y, const T* __restrict__ x, const T* __restrict__ dy, Channels<T> channels, std::int64_t n,
                std::int64_t width, std::int64_t inner, unsigned tiles, std::int64_t rows) {
  constexpr int kColumns = kWarp * kPack;
  __shared__ SharedLines<T, kColumns> lines;
  const unsigned tile = blockIdx.x % tiles, chunk = blockIdx.x / tiles;
  const std::int64_t left = static_cast<std::int64_t>(tile) * kColumns;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp * kPack, warp = thread / kWarp;
  if (thread < kColumns && left + thread < width) {
    const Line<T> l = line_of<kBackward>(channels, inner == 1 ? left + thread : (left + thread) / inner);
    lines.mean[thread] = l.mean, lines.slope[thread] = l.slope, lines.shift[thread] = l.shift, lines.scale[thread] = l.scale;
  }
  __syncthreads();
  if (left + lane >= width) return;
  T mean[kPack], slope[kPack], shift[kPack], scale[kPack];
  constexpr bool kWhole = kPack > 1;
  load_pack<kPack, kWhole>(mean, lines.mean + lane);
  load_pack<kPack, kWhole>(slope, lines.slope + lane);
  load_pack<kPack, kWhole>(shift, lines.shift + lane);
  if constexpr (kBackward) load_pack<kPack, kWhole>(scale, lines.scale + lane);
  const std::int64_t begin = chunk * rows, end = n - begin < rows ? n : begin + rows;
#pragma unroll 2
  for (std::int64_t i = begin + warp; i < end; i += kApplyWarps) {
    const std::int64_t at = i * width + left + lane;
    T v[kPack], d[kPack];
    load_pack<kPack, kWhole>(v, x + at);
    if constexpr (kBackward) load_pack<kPack, kWhole>(d, dy + at);
#pragma unroll
    for (int j = 0; j < kPack; ++j) {
      v[j] = ::fma(v[j] - mean[j], slope[j], shift[j]);
      if constexpr (kBackward) v[j] = ::fma(scale[j], d[j], v[j]);
    }
    store_pack<kPack, kWhole>(y + at, v);
  }
}

struct Layout {
  std::int64_t n, c, inner;

  explicit Layout(const Shape& s) : n(s[0]), c(s[1]), inner(s.product(2, s.rank())) {}
  std::int64_t width() const { return c * inner; }
  double count() const { return static_cast<double>(n * inner); }
  /// Whether the first stage of a sum takes columns of [N, C inner], rather than channels.
  bool by_columns() const { return inner >= 1 && inner <= kShortRun && (c != 1 || n * inner == 1); }
};

template <bool kBackward, class T> void apply(const char* op, T* y, const T* x, const T* dy, const Channels<T>& channels, const Layout& l) {
  if (l.n * l.width() == 0) return;
  constexpr int kPack = Pack<T>::kCount;
  const bool wide = l.width() % kPack == 0 && aligned16(y) && aligned16(x) && (!kBackward || aligned16(dy));
  const std::int64_t tiles = ceil_div(l.width(), kWarp * (wide ? kPack : 1));
  std::int64_t rows = 64;  // per block: the lines then add 1/32 to its traffic; fewer where that leaves processors idle
  while (rows > 2 * kApplyWarps && tiles * ceil_div(l.n, rows) < 264) rows /= 2;
  const auto kernel = wide ? apply_lines<kBackward, kPack, T> : apply_lines<kBackward, 1, T>;
  launch(op, kernel, static_cast<unsigned>(tiles * ceil_div(l.n, rows)), kWarp * kApplyWarps, 0, y, x, dy, channels, l.n, l.width(),
         l.inner, static_cast<unsigned>(tiles), rows);
}

// ---- sums of channels ----------------------------------------------------------------------------------------------------------------

template <class T> typename Spread<T>::Given from_channel(std::int64_t c, typename Spread<T>::Given g, Spread<T>*) {
  g.mean += c, g.var += c;
  if (g.rstd) g.rstd += c;
  return g;
}
template <class T> typename GradientSums<T>::Given from_channel(std::int64_t c, typename GradientSums<T>::Given g, GradientSums<T>*) {
  g.dgamma += c, g.dbeta += c, g.mean += c, g.rstd += c;
  return g;
}

/// Channels with runs too short for a warp: the columns of [N, C inner], then those of one channel. `columns` and what is at x of them.
template <class R, int kPack, class I, class T, int kInputs> void reduce_channels_as_columns(const char* op, const typename R::Given& given,
                                                                                             const Inputs<T, kInputs>& x, const Layout& l,
                                                                                             std::int64_t columns) {
  LineWalk<I> rows;
  rows.push(l.n, l.width());
  const ColumnShape shape = column_shape<R, kPack>(l.n, columns);
  const bool direct = shape.parts == 1 && l.inner == 1;
  const auto partial = stored_partials<typename R::Partial>(direct ? 0 : columns * shape.parts);
  launch(op, reduce_columns<R, kPack, I>, shape.tiles * shape.parts, threads_of(shape), 0, given, partial, x, Walk<I>(), rows,
         std::int64_t{0}, columns, static_cast<I>(l.n), shape);
  if (!direct) join_partials<R>(op, given, partial, 0, columns / l.inner, shape.parts, l.inner);
}

template <class R, class I, class T, int kInputs>
void reduce_channels(const char* op, const typename R::Given& given, const Inputs<T, kInputs>& x, const Layout& l) {
  constexpr int kPack = sizeof(I) == 4 ? Pack<T>::kCount : 1;
  if (!l.by_columns()) {
    const AxisGroups groups(Shape{l.n, l.c, l.inner}, 0b101);
    if (groups.extent[0] % kPack == 0) return reduce_long_lines<R, kPack, I>(op, given, x, groups);
    return reduce_long_lines<R, 1, I>(op, given, x, groups);
  }
  // In slabs whose partial results fit. Of a slab's parts there is more than one only where it has less than 512 tiles (column_shape).
  const std::int64_t slab = (std::int64_t{1} << 17) / l.inner / 4 * 4;
  for (std::int64_t c = 0; c < l.c; c += slab) {
    const std::int64_t columns = (l.c - c < slab ? l.c - c : slab) * l.inner;
    Inputs<T, kInputs> part = x;
    for (const T*& p : part.at) p += c * l.inner;
    const auto to = from_channel(c, given, static_cast<R*>(nullptr));
    if (columns % kPack == 0 && l.width() % kPack == 0) reduce_channels_as_columns<R, kPack, I>(op, to, part, l, columns);
    else reduce_channels_as_columns<R, 1, I>(op, to, part, l, columns);
  }
}

template <class R, class T, int kInputs>
void reduce_channels(const char* op, const typename R::Given& given, const Inputs<T, kInputs>& x, const Layout& l) {
  if (l.c == 0) return;
  if (l.n * l.width() < (std::int64_t{1} << 31)) reduce_channels<R, unsigned>(op, given, x, l);
  else reduce_channels<R, std::uint64_t>(op, given, x, l);
}

template <class T> const T* optional(const ConstArray& a) { return a.data ? a.as<T>() : nullptr; }

}  // namespace

void batch_norm_statistics(Array mean, Array var, ConstArray x) {
  with_floating(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Inputs<T, 1> in{{x.as<T>()}, aligned16(x.data)};
    reduce_channels<Spread<T>>("batch_norm_statistics", {mean.as<T>(), var.as<T>(), nullptr, 0}, in, Layout(*x.shape));
  });
}

void batch_norm(Array y, ConstArray x, ConstArray mean, ConstArray rstd, ConstArray gamma, ConstArray beta) {
  with_floating(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Channels<T> channels{mean.as<T>(), rstd.as<T>(), optional<T>(gamma), optional<T>(beta), nullptr, nullptr, 0};
    apply<false, T>("batch_norm", y.as<T>(), x.as<T>(), nullptr, channels, Layout(*x.shape));
  });
}

void batch_norm_train(Array y, Array mean, Array var, Array rstd, ConstArray x, ConstArray gamma, ConstArray beta, double epsilon) {
  const Layout l(*x.shape);
  with_floating(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Inputs<T, 1> in{{x.as<T>()}, aligned16(x.data)};
    reduce_channels<Spread<T>>("batch_norm_train", {mean.as<T>(), var.as<T>(), rstd.as<T>(), epsilon}, in, l);
    const Channels<T> channels{mean.as<T>(), rstd.as<T>(), optional<T>(gamma), optional<T>(beta), nullptr, nullptr, 0};
    apply<false, T>("batch_norm_train", y.as<T>(), x.as<T>(), nullptr, channels, l);
  });
}

void batch_norm_backward(Array dx, Array dgamma, Array dbeta, ConstArray dy, ConstArray x, ConstArray mean, ConstArray rstd,
                         ConstArray gamma) {
  const Layout l(*x.shape);
  with_floating(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Inputs<T, 2> in{{dy.as<T>(), x.as<T>()}, aligned16(dy.data) && aligned16(x.data)};
    const Divider inner(l.by_columns() ? l.inner : 1);
    reduce_channels<GradientSums<T>>("batch_norm_backward", {dgamma.as<T>(), dbeta.as<T>(), mean.as<T>(), rstd.as<T>(), inner}, in, l);
    if (dx.data == nullptr) return;
    const Channels<T> channels{mean.as<T>(), rstd.as<T>(), optional<T>(gamma), nullptr, dgamma.as<T>(), dbeta.as<T>(), 1 / l.count()};
    apply<true, T>("batch_norm_backward", dx.as<T>(), x.as<T>(), dy.as<T>(), channels, l);
  });
}

}  // namespace gradus::inline v0::cuda
