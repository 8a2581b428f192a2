// Batch normalisation, a group of channels at a time.
//
// Two layouts of the same arithmetic. Planes (inner > kFewColumns): a group is one channel, N contiguous runs of `inner` numbers, and
// vectors run along a plane. Columns (smaller inner, down to [N, C]): a group is several channels, kFewColumns to kColumns adjacent
// numbers of a row, vectors run across columns, and the columns of one channel are merged at the end.
//
// Sums are taken in T within a block of at most a few thousand numbers and in double across blocks. Reductions go group by group; results
// are written row after row, as memory likes it (group by group, from the cache, is slower even where a channel fits).

#include <gradus/kernels/cpu/normalization_table.h>
#include <gradus/kernels/cpu/runs.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {
namespace {

using Index = std::int64_t;

inline constexpr Index kColumns = 1024;     // at most so many in a group: rows far apart are still read in runs of 4 KiB
inline constexpr Index kFewColumns = 64;    // inner up to here is laid out in columns; a group has twice as many at the least
inline constexpr Index kRows = 64;          // of a block of columns
inline constexpr Index kPlaneBlock = 4096;  // numbers of a block of a plane: 16 KiB of f32, the second pass reads L1
inline constexpr Index kChunk = 1 << 15;    // numbers that are worth a thread's while

Index least(Index a, Index b) { return a < b ? a : b; }
Index blocks(Index n, Index size) { return (n + size - 1) / size; }
template <class T> const T* optional(const ConstArray& a) { return a.data ? a.as<T>() : nullptr; }

struct Layout {
  Index n, c, inner;

  explicit Layout(const Shape& s) : n(s[0]), c(s[1]), inner(s.product(2, s.rank())) {}
  Index row() const { return c * inner; }
  Index count() const { return n * inner; }
  bool planes() const { return inner > kFewColumns; }
};

/// Rows [begin, end) of `channels` channels from `first` on: `width` adjacent numbers of every row.
struct Group {
  const Layout& l;
  Index first, channels, begin, end;

  Index width() const { return channels * l.inner; }
  Index at(Index i) const { return i * l.row() + first * l.inner; }
};

/// Channels in at most `columns` columns.
Index fitting(const Layout& l, Index columns) { return l.planes() || l.inner == 0 ? 1 : columns / l.inner; }

/// Calls f(group) for all groups, whole columns each. A group takes an eighth of a narrow row, so that threads find work.
template <class F> void for_each_group(const Layout& l, const F& f) {
  const Index eighth = l.row() / 8, fit = fitting(l, eighth < 2 * kFewColumns ? 2 * kFewColumns : least(eighth, kColumns));
  const Index groups = blocks(l.c, fit), each = blocks(kChunk, l.count() * fit + 1);
  parallel_for(blocks(groups, each), [&](Index chunk) {
    for (Index g = chunk * each; g < least(groups, (chunk + 1) * each); ++g) f(Group{l, g * fit, least(fit, l.c - g * fit), 0, l.n});
  });
}

/// Calls f(group) for blocks of rows of all groups, in the order of memory.
template <class F> void for_each_tile(const Layout& l, const F& f) {
  const Index fit = fitting(l, kColumns), few = l.planes() ? 1 : 64;  // columns prepare their lines first: 64 rows repay it
  const Index fill = kChunk / (l.row() + 1), rows = fill < few ? few : fill;
  parallel_for(blocks(l.n, rows), [&](Index b) {
    for (Index c = 0; c < l.c; c += fit) f(Group{l, c, least(fit, l.c - c), b * rows, least(l.n, (b + 1) * rows)});
  });
}

/// What a channel does to its numbers: slope (x - mean) + shift, and in the backward pass + scale dy.
template <class T> struct Line { T mean, slope, shift, scale; };

template <class T> struct Parameters {
  const T *mean, *rstd, *gamma, *beta;

  Line<T> forward(Index c) const { return {mean[c], gamma ? rstd[c] * gamma[c] : rstd[c], beta ? beta[c] : T(0), T(0)}; }
  Line<T> backward(Index c, T dgamma, T dbeta, double share) const {
    const double scale = gamma ? static_cast<double>(rstd[c]) * gamma[c] : rstd[c];
    return {mean[c], static_cast<T>(-scale * rstd[c] * dgamma * share), static_cast<T>(-scale * dbeta * share), static_cast<T>(scale)};
  }
};

// ---- sums down columns ---------------------------------------------------------------------------------------------------------------

/// A pair of sums for each column of a group.
template <class T> struct ColumnSums {
  T a[kColumns], b[kColumns];

  GRADUS_INLINE Pair<T> load(Index j) const { return {Vec<T>::load(a + j), Vec<T>::load(b + j)}; }
  GRADUS_INLINE void store(Index j, Pair<T> p) { p.a.store(a + j), p.b.store(b + j); }
};

/// to += the sum over `rows` adjacent rows of f(j, x[row, j]...), a Pair. The last vector overlaps its neighbour: it starts from the same
/// sums and only writes the same values again. Groups of fewer columns than a vector has lanes are one partial vector.
template <class T, class F, class... In>
GRADUS_INLINE void add_rows(ColumnSums<T>& to, Index rows, const Group& g, const F& f, const In*... x) {
  constexpr Index W = Vec<T>::W;
  const Index width = g.width(), stride = g.l.row();
  const auto sum = [&](const auto& load, Index j) {
    Pair<T> s = f(j, load(x + j)...);
    for (Index i = 1; i < rows; ++i) s = s + f(j, load(x + i * stride + j)...);
    return s;
  };
  if (width < W) return to.store(0, to.load(0) + sum([&](const T* p) { return load_partial(p, width, T(0)); }, 0));
  const auto load = [](const T* p) { return Vec<T>::load(p); };
  const Pair<T> last = to.load(width - W);
  for (Index j = 0; j + W <= width; j += W) to.store(j, to.load(j) + sum(load, j));
  if (width % W != 0) to.store(width - W, last + sum(load, width - W));
}

/// The sums over `rows` rows of f(j, x[i, j]...) for every column j. Four rows are read side by side, from left to right.
template <class T, class F, class... In> void sum_columns(ColumnSums<T>& to, Index rows, const Group& g, const F& f, const In*... x) {
  for (Index j = 0; j < g.width() || j < Vec<T>::W; ++j) to.a[j] = to.b[j] = 0;
  Index i = 0;
  for (; i + 4 <= rows; i += 4) add_rows(to, 4, g, f, (x + i * g.l.row())...);
  if (i < rows) add_rows(to, rows - i, g, f, (x + i * g.l.row())...);
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

/// One pass, centred on the mean of the block's first rows. The mean of r of n numbers is at most sqrt(m2 / r) from their mean, so that
/// cancellation costs at most a factor n / r + 1 of rounding errors.
template <class T> void merge_block_of_columns(ColumnMoments& all, const T* x, Index rows, const Group& g) {
  const Index first = least(8, rows);
  ColumnSums<T> s;
  T centre[kColumns];
  sum_columns(
      s, first, g, [](Index, Vec<T> v) { return Pair<T>(v, v); }, x);
  for (Index j = 0; j < g.width() || j < Vec<T>::W; ++j) centre[j] = s.a[j] / static_cast<T>(first);
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

template <class T> Sums gradient_sums_of_planes(const T* dy, const T* x, T mean, const Group& g) {
  const auto f = [&](Vec<T> d, Vec<T> v) { return Pair<T>(d, d * (v - Vec<T>(mean))); };
  Sums all{0, 0};
  for (Index i = 0; i < g.l.n; ++i)
    for (Index at = 0; at < g.l.inner; at += kPlaneBlock)
      all = all + sum_run<Pair<T>>(least(kPlaneBlock, g.l.inner - at), f, dy + g.at(i) + at, x + g.at(i) + at);
  return all;
}

template <class T> void gradient_sums_of_columns(Sums* to, const T* dy, const T* x, const T* mean, const Group& g) {
  T centre[kColumns];
  for (Index c = 0, j = 0; c < g.channels; ++c)
    for (; j < (c + 1) * g.l.inner; ++j) centre[j] = mean[c];
  for (Index j = g.width(); j < Vec<T>::W; ++j) centre[j] = 0;
  const auto f = [&](Index j, Vec<T> d, Vec<T> v) { return Pair<T>(d, d * (v - Vec<T>::load(centre + j))); };
  for (Index c = 0; c < g.channels; ++c) to[c] = {0, 0};
  for (Index i = 0; i < g.l.n; i += kRows) {
    ColumnSums<T> s;
    sum_columns(s, least(kRows, g.l.n - i), g, f, dy + g.at(i), x + g.at(i));
    for (Index c = 0, j = 0; c < g.channels; ++c)
      for (Index end = j + g.l.inner; j < end; ++j) to[c] = to[c] + Sums{s.a[j], s.b[j]};
  }
}

/// dbeta = sum dy and dgamma = rstd sum dy (x - mean) for every channel of a group.
template <class T> void gradient_sums_of_group(T* dgamma, T* dbeta, const T* dy, const T* x, const Parameters<T>& p, const Group& g) {
  Sums sums[kColumns];
  if (g.l.planes()) sums[0] = gradient_sums_of_planes(dy, x, p.mean[g.first], g);
  else gradient_sums_of_columns(sums, dy, x, p.mean + g.first, g);
  for (Index c = 0; c < g.channels; ++c) {
    dbeta[g.first + c] = static_cast<T>(sums[c].a);
    dgamma[g.first + c] = static_cast<T>(p.rstd[g.first + c] * sums[c].b);
  }
}

// ---- y and dx ------------------------------------------------------------------------------------------------------------------------

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

template <class T, class... In> GRADUS_INLINE void apply_row(T* y, Index width, const LineColumns<T>& lines, const In*... x) {
  constexpr Index W = Vec<T>::W;
  if (width < W) return store_partial(lines.at(0)(load_partial(x, width)...), y, width);
  for (Index j = 0; j + W <= width; j += W) lines.at(j)(Vec<T>::load(x + j)...).store(y + j);
  if (width % W != 0) lines.at(width - W)(Vec<T>::load(x + width - W)...).store(y + width - W);
}

/// y = line of the channel(x...), `line(channel)` giving a Line.
template <class T, class F, class... In> void apply_lines(T* y, const Group& g, const F& line, const In*... x) {
  if (g.l.planes()) {
    const Line<T> own = line(g.first);
    const VectorLine<T> f{own.mean, own.slope, own.shift, own.scale};
    for (Index i = g.begin; i < g.end; ++i) map_range(0, g.l.inner, y + g.at(i), f, (x + g.at(i))...);
    return;
  }
  LineColumns<T> lines;
  for (Index c = 0, j = 0; c < g.channels; ++c)
    for (const Line<T> own = line(g.first + c); j < (c + 1) * g.l.inner; ++j) lines.set(j, own);
  for (Index j = g.width(); j < Vec<T>::W; ++j) lines.set(j, {});
  for (Index i = g.begin; i < g.end; ++i) apply_row(y + g.at(i), g.width(), lines, (x + g.at(i))...);
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
    const auto line = [&](Index c) { return p.forward(c); };
    for_each_tile(Layout(*x.shape), [&](const Group& g) { apply_lines(y.as<T>(), g, line, x.as<T>()); });
  });
}

void batch_norm_train(Array y, Array mean, Array var, Array rstd, ConstArray x, ConstArray gamma, ConstArray beta, double epsilon) {
  const Layout l(*x.shape);
  with_floating(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Statistics<T> to{mean.as<T>(), var.as<T>(), rstd.as<T>(), epsilon};
    const Parameters<T> p{mean.as<T>(), rstd.as<T>(), optional<T>(gamma), optional<T>(beta)};
    const auto line = [&](Index c) { return p.forward(c); };
    for_each_group(l, [&](const Group& g) { statistics_of_group(to, x.as<T>(), g); });
    for_each_tile(l, [&](const Group& g) { apply_lines(y.as<T>(), g, line, x.as<T>()); });
  });
}

void batch_norm_backward(Array dx, Array dgamma, Array dbeta, ConstArray dy, ConstArray x, ConstArray mean, ConstArray rstd,
                         ConstArray gamma) {
  const Layout l(*x.shape);
  with_floating(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Parameters<T> p{mean.as<T>(), rstd.as<T>(), optional<T>(gamma), nullptr};
    const double share = 1 / static_cast<double>(l.count());
    T *const slope = dgamma.as<T>(), *const shift = dbeta.as<T>();
    const auto line = [&](Index c) { return p.backward(c, slope[c], shift[c], share); };
    for_each_group(l, [&](const Group& g) { gradient_sums_of_group(slope, shift, dy.as<T>(), x.as<T>(), p, g); });
    if (dx.data) for_each_tile(l, [&](const Group& g) { apply_lines(dx.as<T>(), g, line, x.as<T>(), dy.as<T>()); });
  });
}

}  // namespace

extern const NormalizationTable normalization_table;
const NormalizationTable normalization_table{batch_norm_statistics, batch_norm, batch_norm_train, batch_norm_backward};

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
