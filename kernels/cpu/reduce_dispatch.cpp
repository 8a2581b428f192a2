// The public reductions: from axes to rows or columns, and from those to pieces of work for threads.

#include <gradus/kernels/axis_groups.h>
#include <gradus/kernels/cpu/reduce_table.h>
#include <gradus/kernels/parallel.h>

#include <cmath>
#include <limits>

namespace gradus::inline v0::cpu {
namespace {

using Index = std::int64_t;

constexpr Index kChunk = 1 << 15;       // elements that a thread takes at a time, about 10 us
constexpr Index kBlock = 1024;          // a row is split at multiples of the blocks that reduce.cpp adds up
constexpr Index kEnoughTasks = 16;      // with so many outputs there is no need to split one of them between threads
constexpr Index kMaxSplits = 64;        // parts of one output: 512 bytes of partial results
constexpr Index kTile = 256;            // columns at a time: 2 KiB of totals
constexpr Index kFoldedColumns = 64;    // fewer columns are folded up to this many: 8 packets of AVX2 f32
constexpr Index kMaxColumnSplits = 16;  // 16 tiles of totals: 32 KiB of stack

enum class Join { add, max, min };

/// A reduction with what the hot code need not know: how partial results join and what y becomes.
struct Task {
  const Reduction& kernel;
  Join join;
  bool logarithm = false;  // y = y + log(total), with y the shift
  double identity() const {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    return join == Join::add ? 0 : join == Join::max ? -infinity : infinity;
  }
  double joined(double a, double b) const {
    switch (join) {
      case Join::add: return a + b;
      case Join::max: return b > a || b != b ? b : a;
      case Join::min: return b < a || b != b ? b : a;
    }
    return a;
  }
};

/// Joins values in order; sums pairwise.
class Joined {
 public:
  explicit Joined(const Task& task) : task_(task), value_(task.identity()) {}
  void add(double value) {
    if (task_.join == Join::add) sum_.add(value);
    else value_ = task_.joined(value_, value);
  }
  double total() const { return task_.join == Join::add ? sum_.total() : value_; }

 private:
  const Task& task_;
  PairwiseSum sum_;
  double value_;
};

/// The offset in x of position i of groups first, first + 2, ...
Index offset_of(const AxisGroups& groups, int first, Index i) {
  Index offset = 0;
  for (int g = first; g < groups.count && i > 0; g += 2) {
    offset += i % groups.extent[g] * groups.stride[g];
    i /= groups.extent[g];
  }
  return offset;
}

struct Part {
  Index first, last;
};
/// Part s of [0, n) cut into `parts` at multiples of `unit`.
Part part(Index n, Index parts, Index s, Index unit) {
  const Index units = (n + unit - 1) / unit, size = (units + parts - 1) / parts * unit;
  const Index first = s * size < n ? s * size : n;
  return {first, n - first < size ? n : first + size};
}

/// How many parts an output of so much work is cut into.
Index splits_of(Index work, Index most, Index limit) {
  const Index wanted = (work + kChunk - 1) / kChunk, allowed = most < limit ? most : limit;
  return wanted < 2 ? 1 : wanted < allowed ? wanted : allowed;
}

/// f(first, last) over [0, count) with about kChunk elements of work in each piece.
template <class F> void in_pieces(Index count, Index work_of_one, const F& f) {
  const Index each = work_of_one >= kChunk ? 1 : kChunk / (work_of_one > 0 ? work_of_one : 1);
  parallel_for((count + each - 1) / each, [&](Index piece) {
    const Index first = piece * each;
    f(first, count - first < each ? count : first + each);
  });
}

template <class T> class Reducer {
 public:
  Reducer(const Task& task, T* y, const T* x, const Shape& shape, unsigned axes) : task_(task), y_(y), x_(x), groups_(shape, axes) {}

  void run() const {
    if (groups_.reduced[0]) along_rows();
    else along_columns();
  }

 private:
  void finish(T& y, double total) const {
    if (!task_.logarithm) y = static_cast<T>(total);
    else if (!std::isinf(y)) y = static_cast<T>(y + std::log(total));
  }

  // ---- the innermost group is reduced: an output is a number of rows, `repeats` of them
  void along_rows() const {
    const Index n = groups_.extent[0], outputs = groups_.product(1), repeats = groups_.product(2), work = n * repeats;
    const Index splits = splits_of(work, repeats > 1 ? repeats : (n + kBlock - 1) / kBlock, kMaxSplits);
    if (outputs < kEnoughTasks && splits > 1) return split_outputs(outputs, splits);
    if (groups_.count <= 2 && !task_.logarithm && splits == 1)
      return in_pieces(outputs, work, [&](Index first, Index last) { task_.kernel.rows(last - first, n, y_ + first, x_ + first * n); });
    in_pieces(outputs, work, [&](Index first, Index last) {
      for (Index o = first; o < last; ++o) {
        Joined joined(task_);
        for (Index s = 0; s < splits; ++s) joined.add(split_of(o, splits, s));
        finish(y_[o], joined.total());
      }
    });
  }

  /// Part s of an output. The parts follow from its own extents, so an output's bits do not depend on how many others there are.
  double split_of(Index output, Index splits, Index s) const {
    const Index n = groups_.extent[0], repeats = groups_.product(2);
    return repeats > 1 ? of_rows(output, part(repeats, splits, s, 1)) : of_row_part(output, part(n, splits, s, kBlock));
  }

  double of_rows(Index output, Part repeats) const {
    const T* const x = x_ + offset_of(groups_, 1, output);
    const double shift = task_.logarithm ? y_[output] : 0;
    Joined joined(task_);
    for (Index i = repeats.first; i < repeats.last; ++i)
      joined.add(task_.kernel.row(groups_.extent[0], x + offset_of(groups_, 2, i), shift));
    return joined.total();
  }

  double of_row_part(Index output, Part p) const {
    const double shift = task_.logarithm ? y_[output] : 0;
    return task_.kernel.row(p.last - p.first, x_ + offset_of(groups_, 1, output) + p.first, shift);
  }

  void split_outputs(Index outputs, Index splits) const {
    double partial[kEnoughTasks * kMaxSplits];
    parallel_for(outputs * splits, [&](Index i) { partial[i] = split_of(i / splits, splits, i % splits); });
    for (Index output = 0; output < outputs; ++output) {
      Joined joined(task_);
      for (Index s = 0; s < splits; ++s) joined.add(partial[output * splits + s]);
      finish(y_[output], joined.total());
    }
  }

  // ---- the innermost group is kept: an output is a row of columns

  /// Columns [first, first + width) of one outer position, folded: `fold` rows of x side by side count as one row, so that a few columns
  /// still fill the packets.
  struct Tile {
    Index outer, first, width, fold;
    Index folded() const { return width * fold; }
  };

  void along_columns() const {
    const Index columns = groups_.extent[0], rows = groups_.extent_or_one(1), outer = groups_.product(2), repeats = groups_.product(3);
    const Index tiles = (columns + kTile - 1) / kTile, work = rows * repeats * (columns < kTile ? columns : kTile);
    const Index room = kFoldedColumns / columns, fold = room < 1 ? 1 : room < rows ? room : rows;
    const auto tile = [&](Index i) {
      const Index first = i % tiles * kTile;
      return Tile{i / tiles, first, columns - first < kTile ? columns - first : kTile, fold};
    };
    const Index splits = splits_of(work, by_repeats() ? repeats : (rows + fold - 1) / fold, kMaxColumnSplits);
    if (outer * tiles < kEnoughTasks && splits > 1) {
      for (Index i = 0; i < outer * tiles; ++i) split_tile(tile(i), splits);
      return;
    }
    in_pieces(outer * tiles, work, [&](Index first, Index last) {
      for (Index i = first; i < last; ++i) whole_tile(tile(i), splits);
    });
  }

  T* output(const Tile& t) const { return y_ + t.outer * groups_.extent[0] + t.first; }
  bool by_repeats() const { return groups_.product(3) >= kMaxColumnSplits; }

  /// Totals of part s of a tile's rows.
  void add_part(const Tile& t, Index splits, Index s, double* total) const {
    const Index rows = groups_.extent_or_one(1), repeats = groups_.product(3);
    if (by_repeats()) add_tile(t, {0, rows}, part(repeats, splits, s, 1), total);
    else add_tile(t, part(rows, splits, s, t.fold), {0, repeats}, total);
  }

  void join_totals(const Tile& t, double* total, const double* other) const {
    for (Index c = 0; c < t.folded(); ++c) total[c] = task_.joined(total[c], other[c]);
  }

  void whole_tile(const Tile& t, Index splits) const {
    double total[kTile], other[kTile];
    add_part(t, splits, 0, total);
    for (Index s = 1; s < splits; ++s) {
      add_part(t, splits, s, other);
      join_totals(t, total, other);
    }
    finish_tile(t, total);
  }

  void split_tile(const Tile& t, Index splits) const {
    double total[kMaxColumnSplits][kTile];
    parallel_for(splits, [&](Index s) { add_part(t, splits, s, total[s]); });
    for (Index s = 1; s < splits; ++s) join_totals(t, total[0], total[s]);
    finish_tile(t, total[0]);
  }

  void add_tile(const Tile& t, Part rows, Part repeats, double* total) const {
    const Index stride = groups_.extent[0], folded_rows = (rows.last - rows.first) / t.fold, rest = (rows.last - rows.first) % t.fold;
    for (Index c = 0; c < t.folded(); ++c) total[c] = task_.identity();
    T shift[kTile];  // read by logsumexp alone
    for (Index c = 0; task_.logarithm && c < t.folded(); ++c) shift[c] = output(t)[c % t.width];
    for (Index i = repeats.first; i < repeats.last; ++i) {
      const T* const x = x_ + offset_of(groups_, 2, t.outer) + offset_of(groups_, 3, i) + t.first + rows.first * stride;
      if (folded_rows > 0) task_.kernel.columns(folded_rows, stride * t.fold, t.folded(), total, x, shift);
      if (rest > 0) task_.kernel.columns(1, 0, rest * t.width, total, x + folded_rows * t.fold * stride, shift);
    }
  }

  void finish_tile(const Tile& t, const double* total) const {
    for (Index c = 0; c < t.width; ++c) {
      double joined = total[c];
      for (Index k = 1; k < t.fold; ++k) joined = task_.joined(joined, total[k * t.width + c]);
      finish(output(t)[c], joined);
    }
  }

  const Task& task_;
  T* y_;
  const T* x_;
  AxisGroups groups_;
};

int column_of(DType dtype) { return dtype == DType::f64; }

void run(const Task& task, const Array& y, const ConstArray& x, unsigned axes) {
  if (y.elements() == 0) return;
  if (x.elements() == 0) {
    with_floating(y.dtype, [&](auto t) {
      for (Index i = 0; i < y.elements(); ++i) y.as<decltype(t)>()[i] = static_cast<decltype(t)>(task.identity());
    });
    return;
  }
  with_floating(y.dtype, [&](auto t) {
    using T = decltype(t);
    Reducer<T>(task, y.as<T>(), x.as<T>(), *x.shape, axes).run();
  });
}

}  // namespace

void sum(Array y, ConstArray x, unsigned axes) { run({reduce_table().sum[column_of(x.dtype)], Join::add}, y, x, axes); }
void max(Array y, ConstArray x, unsigned axes) { run({reduce_table().max[column_of(x.dtype)], Join::max}, y, x, axes); }
void min(Array y, ConstArray x, unsigned axes) { run({reduce_table().min[column_of(x.dtype)], Join::min}, y, x, axes); }

void logsumexp(Array y, ConstArray x, unsigned axes) {
  const ReduceTable& table = reduce_table();
  const int column = column_of(x.dtype);
  const AxisGroups groups(*x.shape, axes);
  // Many rows: one visit each, while the row is in the cache. Otherwise the maximum first, for all, and then the sums.
  if (x.elements() > 0 && groups.count <= 2 && groups.reduced[0] && groups.extent[0] <= kChunk) {
    const Index n = groups.extent[0], outputs = groups.extent_or_one(1), size = static_cast<Index>(size_of(x.dtype));
    return in_pieces(outputs, n, [&](Index first, Index last) {
      table.logsumexp_rows[column](last - first, n, static_cast<char*>(y.data) + first * size,
                                   static_cast<const char*>(x.data) + first * n * size);
    });
  }
  max(y, x, axes);
  if (x.elements() > 0) run({table.exp_sum[column], Join::add, true}, y, x, axes);
}

void argmax(Array index, ConstArray x, int axis) {
  const Shape& shape = *x.shape;
  const ArgmaxTable& table = reduce_table().argmax[column_of(x.dtype)];
  const Index outer = shape.product(0, axis), n = shape[axis], inner = shape.product(axis + 1, shape.rank());
  const Index size = static_cast<Index>(size_of(x.dtype));
  Index* const y = index.as<Index>();
  const char* const data = static_cast<const char*>(x.data);
  if (inner == 1)
    return in_pieces(outer, n, [&](Index first, Index last) { table.rows(last - first, n, y + first, data + first * n * size); });
  in_pieces(outer, n * inner, [&](Index first, Index last) {
    for (Index o = first; o < last; ++o) table.columns(n, inner, y + o * inner, data + o * n * inner * size);
  });
}

}  // namespace gradus::inline v0::cpu
