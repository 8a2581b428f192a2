// Batch normalisation, a group of channels at a time: everything about a group is done while its numbers are in the cache.
//
// Two layouts of the same arithmetic. Planes (inner > kColumns): a group is one channel, N contiguous runs of `inner` numbers, and
// vectors run along a plane. Columns (smaller inner, down to [N, C]): a group is as many channels as fill kColumns adjacent numbers of a
// row, vectors run across columns, and the columns of one channel are merged at the end.
//
// Sums are taken in T within a block of at most a few thousand numbers and in double across blocks.

#include <gradus/kernels/cpu/normalization_table.h>
#include <gradus/kernels/cpu/simd.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {
namespace {

using Index = std::int64_t;

inline constexpr Index kColumns = 512;      // at most so many in a group: rows far apart are still read in runs of 2 KiB
inline constexpr Index kFewColumns = 64;    // at least so many, where the row has them: four cache lines of f32
inline constexpr Index kRows = 64;          // of a block of columns
inline constexpr Index kPlaneBlock = 4096;  // numbers of a block of a plane: 16 KiB of f32, the second pass reads L1
inline constexpr Index kChunk = 1 << 15;    // numbers that are worth a thread's while

Index least(Index a, Index b) { return a < b ? a : b; }
Index blocks(Index n, Index size) { return (n + size - 1) / size; }
template <class T> T* optional(const Array& a) { return a.data ? a.as<T>() : nullptr; }
template <class T> const T* optional(const ConstArray& a) { return a.data ? a.as<T>() : nullptr; }

struct Layout {
  Index n, c, inner;

  explicit Layout(const Shape& s) : n(s[0]), c(s[1]), inner(s.product(2, s.rank())) {}
  Index row() const { return c * inner; }
  Index count() const { return n * inner; }
  bool planes() const { return inner > kFewColumns; }
};

/// `channels` channels from `first` on: `width` adjacent numbers of every row.
struct Group {
  const Layout& l;
  Index first, channels;

  Index width() const { return channels * l.inner; }
  Index at(Index i) const { return i * l.row() + first * l.inner; }
};

/// Channels of a group: an eighth of a narrow row, so that threads find work.
Index channels_per_group(const Layout& l) {
  if (l.planes() || l.inner == 0) return 1;
  const Index eighth = l.row() / 8, wide = eighth < kFewColumns ? kFewColumns : least(eighth, kColumns);
  return wide / l.inner;
}

template <class F> void for_each_group(const Layout& l, const F& f) {
  const Index fit = channels_per_group(l), groups = blocks(l.c, fit);
  const Index each = blocks(kChunk, l.count() * fit + 1);
  parallel_for(blocks(groups, each), [&](Index chunk) {
    for (Index g = chunk * each; g < least(groups, (chunk + 1) * each); ++g) f(Group{l, g * fit, least(fit, l.c - g * fit)});
  });
}

// ---- sums along a run ----------------------------------------------------------------------------------------------------------------

/// Two sums that are taken in one pass.
template <class T> struct Pair {
  Vec<T> a, b;
  GRADUS_INLINE Pair(T value) : a(value), b(value) {}
  GRADUS_INLINE Pair(Vec<T> first, Vec<T> second) : a(first), b(second) {}
  GRADUS_INLINE friend Pair operator+(Pair x, Pair y) { return {x.a + y.a, x.b + y.b}; }
};
struct Sums {
  double a, b;
  GRADUS_INLINE friend Sums operator+(Sums x, Sums y) { return {x.a + y.a, x.b + y.b}; }
};

template <class T> GRADUS_INLINE double sum_first(Vec<T> v, Index n) {
  T lanes[Vec<T>::W];
  v.store(lanes);
  double total = 0;
  for (Index i = 0; i < n; ++i) total += lanes[i];
  return total;
}
template <class T> GRADUS_INLINE Sums sum_first(Pair<T> v, Index n) { return {sum_first(v.a, n), sum_first(v.b, n)}; }

/// The sum of f(x[i]...) for i in [0, n); f gives a Vec or a Pair (Sum). Four chains hide the latency of an addition.
template <class Sum, class T, class F, class... In> GRADUS_INLINE auto sum_run(Index n, const F& f, const T* x, const In*... more) {
  constexpr Index W = Vec<T>::W;
  Sum s[4] = {Sum(T(0)), Sum(T(0)), Sum(T(0)), Sum(T(0))};
  Index i = 0;
  for (; i + 4 * W <= n; i += 4 * W)
    for (int u = 0; u < 4; ++u) s[u] = s[u] + f(Vec<T>::load(x + i + u * W), Vec<T>::load(more + i + u * W)...);
  for (; i + W <= n; i += W) s[0] = s[0] + f(Vec<T>::load(x + i), Vec<T>::load(more + i)...);
  auto total = sum_first((s[0] + s[1]) + (s[2] + s[3]), W);
  if (i < n) total = total + sum_first(f(load_partial(x + i, n - i), load_partial(more + i, n - i)...), n - i);
  return total;
}

// ---- sums down columns ---------------------------------------------------------------------------------------------------------------

template <class T> GRADUS_INLINE Vec<T> load_lanes(const T* x, Index n) {
  return n >= Vec<T>::W ? Vec<T>::load(x) : load_partial(x, n, T(0));
}
template <class T> GRADUS_INLINE void store_lanes(Vec<T> v, T* y, Index n) { n >= Vec<T>::W ? v.store(y) : store_partial(v, y, n); }

/// Where the vector at j starts when `width` columns are covered: the last one overlaps its neighbour. Columns are independent, so it only
/// writes the same values again. Fewer columns than lanes are one partial vector.
template <class T> GRADUS_INLINE Index start_of(Index j, Index width) {
  const Index last = width - Vec<T>::W;
  return j < last ? j : last < 0 ? 0 : last;
}

/// A pair of numbers for each column of a group.
template <class T> struct ColumnSums { T a[kColumns], b[kColumns]; };

/// The sums over `rows` rows of f(j, x[i, j]...), a Pair, for every column j. Four vectors at a time: whole cache lines, and four chains
/// hide the latency of an addition.
template <class T, class F, class... In>
GRADUS_INLINE void sum_columns(ColumnSums<T>& to, Index rows, const Group& g, const F& f, const In*... x) {
  constexpr Index W = Vec<T>::W;
  const Index width = g.width(), stride = g.l.row();
  for (Index j = 0; j < width; j += 4 * W) {
    const Index at[4] = {start_of<T>(j, width), start_of<T>(j + W, width), start_of<T>(j + 2 * W, width), start_of<T>(j + 3 * W, width)};
    Pair<T> sum[4] = {T(0), T(0), T(0), T(0)};
    for (Index i = 0; i < rows; ++i)
      for (int u = 0; u < 4; ++u) sum[u] = sum[u] + f(at[u], load_lanes(x + i * stride + at[u], width)...);
    for (int u = 0; u < 4; ++u) store_lanes(sum[u].a, to.a + at[u], width), store_lanes(sum[u].b, to.b + at[u], width);
  }
}

/// array[j] = of(j) for the columns of a group, and whole vectors where a group is narrower than one.
template <class T, class F> GRADUS_INLINE void fill_columns(T* array, Index width, const F& of) {
  for (Index j = 0; j < width; ++j) array[j] = of(j);
  for (Index j = width; j < Vec<T>::W; ++j) array[j] = 0;
}

// ---- statistics ----------------------------------------------------------------------------------------------------------------------

struct Moments {
  double count = 0, mean = 0, m2 = 0;  // m2: the sum of squared distances from the mean

  /// Of numbers with these sums of (x - centre) and (x - centre)^2.
  GRADUS_INLINE static Moments around(double centre, double count, double sum, double squares) {
    const double shift = sum / count;
    return {count, centre + shift, squares - sum * shift};
  }
  void merge(const Moments& b) {
    if (b.count == 0) return;
    const double total = count + b.count, delta = b.mean - mean, share = b.count / total;
    mean += delta * share;
    m2 += b.m2 + delta * delta * count * share;
    count = total;
  }
};

/// Two passes: what the mean lost to rounding is put back from the second one.
template <class T> Moments moments_of_run(const T* x, Index n) {
  const double count = static_cast<double>(n);
  const T centre = static_cast<T>(sum_run<Vec<T>>(
                                      n, [](Vec<T> v) { return v; }, x) /
                                  count);
  const auto from_centre = [&](Vec<T> v) {
    const Vec<T> d = v - Vec<T>(centre);
    return Pair<T>(d, d * d);
  };
  const Sums s = sum_run<Pair<T>>(n, from_centre, x);
  return Moments::around(centre, count, s.a, s.b);
}

template <class T> Moments moments_of_planes(const T* x, const Group& g) {
  Moments all;
  for (Index i = 0; i < g.l.n; ++i)
    for (Index at = 0; at < g.l.inner; at += kPlaneBlock) all.merge(moments_of_run(x + g.at(i) + at, least(kPlaneBlock, g.l.inner - at)));
  return all;
}

/// Moments of each column of a group, all of the same count.
struct ColumnMoments {
  double count = 0, mean[kColumns], m2[kColumns];

  Moments of(Index j) const { return {count, mean[j], m2[j]}; }
};

/// One pass, centred on the first row of the block. A centre that is one of the n numbers is at most sqrt(m2) from their mean, so that
/// cancellation costs at most a factor n + 1 of rounding errors.
template <class T> void merge_block_of_columns(ColumnMoments& all, const T* x, Index rows, const Group& g) {
  T centre[kColumns];
  fill_columns(centre, g.width(), [&](Index j) { return x[j]; });
  ColumnSums<T> s;
  const auto from_centre = [&](Index j, Vec<T> v) {
    const Vec<T> d = v - Vec<T>::load(centre + j);
    return Pair<T>(d, d * d);
  };
  sum_columns(s, rows, g, from_centre, x);
  const double n = static_cast<double>(rows), share = n / (all.count + n), weight = all.count * share;
  for (Index j = 0; j < g.width(); ++j) {
    const Moments block = Moments::around(centre[j], n, s.a[j], s.b[j]);
    const double delta = block.mean - all.mean[j];
    all.mean[j] += delta * share;
    all.m2[j] += block.m2 + delta * delta * weight;
  }
  all.count += n;
}

template <class T> void moments_of_columns(ColumnMoments& all, const T* x, const Group& g) {
  for (Index j = 0; j < g.width(); ++j) all.mean[j] = all.m2[j] = 0;
  for (Index i = 0; i < g.l.n; i += kRows) merge_block_of_columns(all, x + g.at(i), least(kRows, g.l.n - i), g);
}

template <class T> struct Statistics {
  T *mean, *var, *rstd;  // rstd may be null
  double epsilon;

  void put(Index channel, const Moments& m) const {
    const double spread = m.m2 < 0 ? 0 : m.m2 / m.count;  // rounding may leave m2 just below zero; of nothing: 0 / 0, NaN
    mean[channel] = static_cast<T>(m.count > 0 ? m.mean : spread);
    var[channel] = static_cast<T>(spread);
    if (rstd) rstd[channel] = static_cast<T>(1 / __builtin_sqrt(spread + epsilon));
  }
};

template <class T> void statistics_of_group(const Statistics<T>& to, const T* x, const Group& g) {
  if (g.l.planes()) return to.put(g.first, moments_of_planes(x, g));
  ColumnMoments columns;
  moments_of_columns(columns, x, g);
  for (Index c = 0; c < g.channels; ++c) {
    Moments all;
    for (Index j = c * g.l.inner; j < (c + 1) * g.l.inner; ++j) all.merge(columns.of(j));
    to.put(g.first + c, all);
  }
}

/// sum dy and sum dy (x - mean) for every channel of a group.
template <class T> void gradient_sums_of_group(Sums* to, const T* dy, const T* x, const T* mean, const Group& g) {
  for (Index c = 0; c < g.channels; ++c) to[c] = {0, 0};
  if (g.l.planes()) {
    const auto f = [&](Vec<T> d, Vec<T> v) { return Pair<T>(d, d * (v - Vec<T>(mean[g.first]))); };
    for (Index i = 0; i < g.l.n; ++i)
      for (Index at = g.at(i); at < g.at(i) + g.l.inner; at += kPlaneBlock)
        to[0] = to[0] + sum_run<Pair<T>>(least(kPlaneBlock, g.at(i) + g.l.inner - at), f, dy + at, x + at);
    return;
  }
  T centre[kColumns];
  fill_columns(centre, g.width(), [&](Index j) { return mean[g.first + j / g.l.inner]; });
  ColumnSums<T> s;
  const auto f = [&](Index j, Vec<T> d, Vec<T> v) { return Pair<T>(d, d * (v - Vec<T>::load(centre + j))); };
  for (Index i = 0; i < g.l.n; i += kRows) {
    sum_columns(s, least(kRows, g.l.n - i), g, f, dy + g.at(i), x + g.at(i));
    for (Index j = 0; j < g.width(); ++j) to[j / g.l.inner] = to[j / g.l.inner] + Sums{s.a[j], s.b[j]};
  }
}

// ---- y and dx ------------------------------------------------------------------------------------------------------------------------

/// What a channel does to its numbers: slope (x - mean) + shift, and in the backward pass + scale dy.
template <class T> struct Line { T mean, slope, shift, scale; };
template <class T> struct VectorLine {
  Vec<T> mean, slope, shift, scale;

  GRADUS_INLINE Vec<T> operator()(Vec<T> x) const { return fma(x - mean, slope, shift); }
  GRADUS_INLINE Vec<T> operator()(Vec<T> x, Vec<T> dy) const { return fma(scale, dy, fma(x - mean, slope, shift)); }
};

template <class T> struct LineColumns {
  T mean[kColumns], slope[kColumns], shift[kColumns], scale[kColumns];

  void set(Index j, const Line<T>& l) { mean[j] = l.mean, slope[j] = l.slope, shift[j] = l.shift, scale[j] = l.scale; }
  GRADUS_INLINE VectorLine<T> at(Index j) const {
    return {Vec<T>::load(mean + j), Vec<T>::load(slope + j), Vec<T>::load(shift + j), Vec<T>::load(scale + j)};
  }
};

/// y = line of the channel(x...), `line(channel)` giving a Line.
template <class T, class F, class... In> void apply_lines(T* y, const Group& g, const F& line, const In*... x) {
  if (g.l.planes()) {
    const Line<T> own = line(g.first);
    const VectorLine<T> f{own.mean, own.slope, own.shift, own.scale};
    for (Index i = 0; i < g.l.n; ++i) map_range(0, g.l.inner, y + g.at(i), f, (x + g.at(i))...);
    return;
  }
  LineColumns<T> lines;
  for (Index j = 0; j < g.width(); ++j) lines.set(j, line(g.first + j / g.l.inner));
  for (Index j = g.width(); j < Vec<T>::W; ++j) lines.set(j, {});
  for (Index i = 0; i < g.l.n; ++i)
    for (Index j = 0; j < g.width(); j += Vec<T>::W) {
      const Index at = start_of<T>(j, g.width());
      store_lanes(lines.at(at)(load_lanes(x + g.at(i) + at, g.width())...), y + g.at(i) + at, g.width());
    }
}

template <class T> struct Parameters {
  const T *mean, *rstd, *gamma, *beta;

  Line<T> forward(Index c) const { return {mean[c], gamma ? rstd[c] * gamma[c] : rstd[c], beta ? beta[c] : T(0), T(0)}; }
  Line<T> backward(Index c, double dgamma, double dbeta, double count) const {
    const double scale = gamma ? static_cast<double>(rstd[c]) * gamma[c] : rstd[c];
    return {mean[c], static_cast<T>(-scale * rstd[c] * dgamma / count), static_cast<T>(-scale * dbeta / count), static_cast<T>(scale)};
  }
};

template <class T> void normalize_group(T* y, const T* x, const Group& g, const Parameters<T>& p) {
  apply_lines(
      y, g, [&](Index c) { return p.forward(c); }, x);
}

template <class T> void backward_group(T* dx, T* dgamma, T* dbeta, const T* dy, const T* x, const Group& g, const Parameters<T>& p) {
  Sums sums[kColumns];
  gradient_sums_of_group(sums, dy, x, p.mean, g);
  for (Index c = 0; c < g.channels; ++c) {
    sums[c].b *= p.rstd[g.first + c];
    if (dbeta) dbeta[g.first + c] = static_cast<T>(sums[c].a);
    if (dgamma) dgamma[g.first + c] = static_cast<T>(sums[c].b);
  }
  const double count = static_cast<double>(g.l.count());
  if (dx)
    apply_lines(
        dx, g, [&](Index c) { return p.backward(c, sums[c - g.first].b, sums[c - g.first].a, count); }, x, dy);
}

// ---- the kernels ---------------------------------------------------------------------------------------------------------------------

void batch_norm_statistics(Array mean, Array var, ConstArray x) {
  with_floating(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Statistics<T> to{mean.as<T>(), var.as<T>(), nullptr, 0};
    for_each_group(Layout(*x.shape), [&](const Group& g) { statistics_of_group(to, x.as<T>(), g); });
  });
}

void batch_norm(Array y, ConstArray x, ConstArray mean, ConstArray rstd, ConstArray gamma, ConstArray beta) {
  with_floating(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Parameters<T> p{mean.as<T>(), rstd.as<T>(), optional<T>(gamma), optional<T>(beta)};
    for_each_group(Layout(*x.shape), [&](const Group& g) { normalize_group(y.as<T>(), x.as<T>(), g, p); });
  });
}

void batch_norm_train(Array y, Array mean, Array var, Array rstd, ConstArray x, ConstArray gamma, ConstArray beta, double epsilon) {
  with_floating(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Statistics<T> to{mean.as<T>(), var.as<T>(), rstd.as<T>(), epsilon};
    const Parameters<T> p{mean.as<T>(), rstd.as<T>(), optional<T>(gamma), optional<T>(beta)};
    for_each_group(Layout(*x.shape), [&](const Group& g) {
      statistics_of_group(to, x.as<T>(), g);
      normalize_group(y.as<T>(), x.as<T>(), g, p);
    });
  });
}

void batch_norm_backward(Array dx, Array dgamma, Array dbeta, ConstArray dy, ConstArray x, ConstArray mean, ConstArray rstd,
                         ConstArray gamma) {
  with_floating(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Parameters<T> p{mean.as<T>(), rstd.as<T>(), optional<T>(gamma), nullptr};
    for_each_group(Layout(*x.shape), [&](const Group& g) {
      backward_group(optional<T>(dx), optional<T>(dgamma), optional<T>(dbeta), dy.as<T>(), x.as<T>(), g, p);
    });
  });
}

}  // namespace

extern const NormalizationTable normalization_table;
const NormalizationTable normalization_table{batch_norm_statistics, batch_norm, batch_norm_train, batch_norm_backward};

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
