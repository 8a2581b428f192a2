// How the kernels of reduce_kernels.cuh are started: from axes to lines or columns, and from those to blocks.
#pragma once

#include <algorithm>

#include <gradus/kernels/cuda/partials.cuh>
#include <gradus/kernels/cuda/reduce_kernels.cuh>

namespace gradus::inline v0::cuda {

template <class R> void join_partials(const char* op, const typename R::Given& given, const StoredStates<typename R::Partial>& partial,
                                      std::int64_t first, std::int64_t outputs, unsigned parts, std::int64_t inner = 1) {
  const unsigned fan = parts * static_cast<unsigned>(inner);
  int depth = 1;
  while (depth < kReduceThreads && static_cast<unsigned>(depth) < fan) depth *= 2;
  const int width = kReduceThreads / depth;
  launch(op, reduce_join<R>, blocks_for(outputs, width), kReduceThreads, 0, given, partial, first, outputs, fan, Divider(inner), width,
         depth);
}

/// Room for n partial results; none for 0.
template <class P> StoredStates<P> stored_partials(std::int64_t n) {
  return {n > 0 ? partials(static_cast<std::size_t>(n) * StoredStates<P>::kBytes) : nullptr, n};
}

/// Lanes for a short line. Single elements: as many as they are, so that rows that straddle sectors are read once. Packs: four a lane where
/// that leaves 8 lanes, so that what is read and written once a line (a target, a result) shares its sector with other lines.
inline int lanes_for(std::int64_t n, int pack) {
  const std::int64_t packs = (n + pack - 1) / pack;
  int lanes = 1;
  while (lanes < kWarp && lanes < packs && (pack == 1 || lanes < 8 || 4 * lanes < packs)) lanes *= 2;
  return lanes;
}

/// Lines of at most kShortLine elements; outputs >= 1.
template <class R, int kPack, class I, class T, int kInputs>
void reduce_short_lines(const char* op, const typename R::Given& given, const Inputs<T, kInputs>& x, const AxisGroups& groups) {
  const std::int64_t work = groups.product(0), outputs = groups.product(1);
  const int lanes = lanes_for(work, kPack);
  const std::int64_t most = std::int64_t{kMaxGrid} * kReduceThreads / lanes;
  for (std::int64_t first = 0; first < outputs; first += most) {
    const std::int64_t last = outputs - first < most ? outputs : first + most;
    launch(op, reduce_short<R, kPack, I>, blocks_for((last - first) * lanes, kReduceThreads), kReduceThreads, 0, given, x,
           walk_over<Walk<I>>(groups, 1), walk_over<LineWalk<I>>(groups, 0), first, last, static_cast<int>(work), lanes);
  }
}

/// Lines of any length; outputs >= 1.
template <class R, int kPack, class I, class T, int kInputs>
void reduce_long_lines(const char* op, const typename R::Given& given, const Inputs<T, kInputs>& x, const AxisGroups& groups) {
  using Stored = StoredStates<typename R::Partial>;
  const std::int64_t work = groups.product(0), outputs = groups.product(1);
  constexpr std::int64_t kTile = kReduceThreads * kLoad<I>;
  const std::int64_t tiles = work > 0 ? ceil_div(work, kTile) : 1;
  const std::int64_t each = ceil_div(tiles, clamped(ceil_div(work, kMinPart), 1, kMaxParts)), parts = ceil_div(tiles, each);
  std::int64_t most = kMaxGrid / parts;
  if (parts > 1) most = clamped(static_cast<std::int64_t>(kPartialBytes / Stored::kBytes) / parts, 1, most);
  for (std::int64_t first = 0; first < outputs; first += most) {
    const std::int64_t count = outputs - first < most ? outputs - first : most;
    const Stored partial = stored_partials<typename R::Partial>(parts > 1 ? count * parts : 0);
    launch(op, reduce_long<R, kPack, I>, static_cast<unsigned>(count * parts), kReduceThreads, 0, given, partial, x,
           walk_over<Walk<I>>(groups, 1), walk_over<LineWalk<I>>(groups, 0), first, static_cast<I>(work), static_cast<I>(each * kTile),
           static_cast<unsigned>(parts));
    if (parts > 1) join_partials<R>(op, given, partial, first, count, static_cast<unsigned>(parts));
  }
}

/// How blocks lie over [rows, columns] of what R reduces, kPack columns a thread.
template <class R, int kPack> ColumnShape column_shape(std::int64_t rows, std::int64_t columns) {
  constexpr int kSize = sizeof(typename R::Element);
  // Of this many rows a partial result, written and read again, is 3 %. Fewer rows only where multiprocessors would be idle.
  constexpr std::int64_t kFew = 64 * StoredStates<typename R::Partial>::kBytes / (kSize * R::kInputs);
  const std::int64_t packs = columns / kPack;
  ColumnShape s;
  s.width = static_cast<int>(clamped(packs, 1, kColumnLanes));
  int depth = kReduceThreads / s.width, unit = 1;  // what a block reads at a time should be whole sectors
  while (s.width * kPack * kSize * unit % 32 != 0) unit *= 2;
  if (depth >= unit) depth = depth / unit * unit;
  s.depth = static_cast<int>(clamped(rows, 1, depth));
  s.tiles = static_cast<unsigned>(ceil_div(packs, s.width));
  const std::int64_t most = std::min<std::int64_t>(kMaxParts / s.tiles, std::max(rows / kFew, ceil_div(kBusy, s.tiles)));
  const std::int64_t parts = clamped(rows * s.width * kPack / kMinPart, 1, std::max<std::int64_t>(most, 1));
  s.part = clamped(ceil_div(ceil_div(rows, parts), s.depth) * s.depth, 1, rows > 0 ? rows : 1);
  s.parts = static_cast<unsigned>(clamped(ceil_div(rows, s.part), 1, kMaxParts));
  return s;
}
inline unsigned threads_of(const ColumnShape& s) { return static_cast<unsigned>(ceil_div(s.width * s.depth, kWarp) * kWarp); }

/// Columns: the innermost axes kept; outputs >= 1.
template <class R, int kPack, class I, class T, int kInputs>
void reduce_columns_of(const char* op, const typename R::Given& given, const Inputs<T, kInputs>& x, const AxisGroups& groups) {
  const LineWalk<I> rows = walk_over<LineWalk<I>>(groups, 1);
  const Walk<I> kept = walk_over<Walk<I>>(groups, 2);
  const std::int64_t columns = groups.extent[0], height = groups.product(1), outer = groups.product(2);
  const ColumnShape shape = column_shape<R, kPack>(height, columns);
  using Stored = StoredStates<typename R::Partial>;
  const std::int64_t blocks = std::int64_t{shape.tiles} * shape.parts, results = columns * shape.parts;
  std::int64_t most = clamped(kMaxGrid / blocks, 1, kMaxGrid);
  if (shape.parts > 1) most = clamped(static_cast<std::int64_t>(kPartialBytes / Stored::kBytes) / results, 1, most);
  for (std::int64_t first = 0; first < outer; first += most) {
    const std::int64_t count = outer - first < most ? outer - first : most;
    const Stored partial = stored_partials<typename R::Partial>(shape.parts > 1 ? count * results : 0);
    launch(op, reduce_columns<R, kPack, I>, static_cast<unsigned>(count * blocks), threads_of(shape), 0, given, partial, x, kept, rows,
           first, columns, static_cast<I>(height), shape);
    if (shape.parts > 1) join_partials<R>(op, given, partial, first * columns, count * columns, shape.parts);
  }
}

/// f(I{}): 32-bit indices where x has less than 2^31 elements and lines of an ordinary kind.
template <class F> void with_index(std::int64_t elements, const AxisGroups& groups, F&& f) {
  if (elements < (std::int64_t{1} << 31) && line_levels(groups) <= LineWalk<unsigned>::kLevels) f(unsigned{});
  else f(std::uint64_t{});
}

}  // namespace gradus::inline v0::cuda
