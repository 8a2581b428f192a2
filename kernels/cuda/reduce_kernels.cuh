// The kernels of every reduction (states.cuh), over any set of axes.
//
//   rows     x[.., i] with the innermost axes reduced away: an output is a line of W neighbouring elements, or several such runs
//     short  W <= 1024: 2 to 32 lanes a line, one kernel
//     long   256 threads a line, or a part of one; the parts of a line are joined by a second kernel
//   columns  the innermost axes kept: neighbouring threads own neighbouring columns, and walk down the rows
// How a line is cut (parts, loads, lanes) follows from its own extents alone, never from the number of lines nor from an address: so the
// bits of an output depend on its elements only. x is read once: 4 bytes an f32 element; partial results of columns add 3 % (9 % to the
// moments of a small batch), those of lines nothing.
#pragma once

#include <gradus/kernels/cuda/states.cuh>
#include <gradus/kernels/cuda/walk.cuh>

namespace gradus::inline v0::cuda {

inline constexpr int kReduceThreads = 256;
inline constexpr int kShortLine = 1024;                                       // elements that a warp reduces alone: 32 a lane
template <class I> inline constexpr int kShortLoad = sizeof(I) == 4 ? 8 : 1;  // of them, elements that a lane loads at a time
template <class I> inline constexpr int kLoad = sizeof(I) == 4 ? 16 : 1;      // and a thread of a long line; beyond 2^31: short code
inline constexpr int kMinPart = 8192;          // elements that repay a block's overhead: two loads of each thread
inline constexpr int kMaxParts = 1024;         // of a line: a wave of 8 blocks on each of 128 multiprocessors
inline constexpr int kColumnLanes = 32;        // threads side by side along a row
inline constexpr unsigned kMaxGrid = 1 << 30;  // blocks of one launch; longer ones are cut

/// Up to two arrays of one shape, read side by side.
template <class T, int kInputs> struct Inputs {
  const T* at[kInputs];
  bool aligned;  // all of them, to 16 bytes
};

template <int kPack, bool kWhole, class T, int N, class P, class I>
__device__ inline void load_offsets(T (&v)[N], const T* x, const I (&offset)[N / kPack], const P& at) {
#pragma unroll
  for (int p = 0; p < N / kPack; ++p)
    if (at.valid(p * kPack)) load_pack<kPack, kWhole>(v + p * kPack, x + offset[p]);
}

/// The elements at some places of a line that starts at `base`; where a place is not valid v stays.
template <int kPack, class T, int kInputs, int N, class P, class I>
__device__ inline void load_line(T (&v)[kInputs][N], const Inputs<T, kInputs>& x, std::int64_t base, const LineWalk<I>& line, const P& at) {
  I offset[N / kPack];
#pragma unroll
  for (int p = 0; p < N / kPack; ++p) offset[p] = line.offset(at.position(p * kPack));
#pragma unroll
  for (int input = 0; input < kInputs; ++input) {
    const T* from = x.at[input] + base;
    if (kPack > 1 && x.aligned) load_offsets<kPack, (kPack > 1)>(v[input], from, offset, at);
    else load_offsets<kPack, false>(v[input], from, offset, at);
  }
}

// ---- rows ----------------------------------------------------------------------------------------------------------------------------

/// Lines [0, outputs) of W <= kShortLine elements. Grid: outputs * lanes / 256; block: 256. A group of `lanes` lanes (a power of two, at
/// most 32) owns a line; its lanes hold neighbouring packs.
template <class R, int kPack, class I> __global__ void __launch_bounds__(kReduceThreads)
    reduce_short(typename R::Given given, Inputs<typename R::Element, R::kInputs> x, Walk<I> kept, LineWalk<I> line, std::int64_t first,
                 std::int64_t outputs, int work, int lanes) {
  using T = typename R::Element;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const std::int64_t output = first + (static_cast<std::int64_t>(blockIdx.x) * kReduceThreads + threadIdx.x) / lanes;
  const bool here = output < outputs;
  const std::int64_t base = here ? static_cast<std::int64_t>(kept.offset(static_cast<I>(output))) : 0;
  const R r(given, here ? output : 0);
  typename R::State s = R::none();
  const I end = static_cast<I>(here ? work : 0), stride = static_cast<I>(lanes * kPack);
  for (int begin = 0; begin < work; begin += lanes * kShortLoad<I>) {
    T v[R::kInputs][kShortLoad<I>] = {};
    const Places<kPack, I> at{static_cast<I>(begin + lane * kPack), stride, end};
    load_line<kPack>(v, x, base, line, at);
    r.add(s, v, at);
  }
  for (int offset = lanes / 2; offset > 0; offset /= 2) s = R::merge(s, from_lane(s, offset));
  if (here && lane == 0) R::finish(given, output, r.partial(s, work));
}

/// The state of a block from those of its threads, in thread 0.
template <class R, int kWarps>
__device__ inline typename R::State merge_block(typename R::State s, SharedStates<typename R::State, kWarps>& shared) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
#pragma unroll
  for (int offset = kWarp / 2; offset > 0; offset /= 2) s = R::merge(s, from_lane(s, offset));
  if (threadIdx.x % kWarp == 0) shared.put(warp, s);
  __syncthreads();
  if (threadIdx.x == 0)
    for (int w = 1; w < kWarps; ++w) s = R::merge(s, shared.get(w));
  return s;
}

/// The mean of a block's first load.
template <class T, int N, class P> __device__ inline T centre_of(const T (&x)[N], const P& at, std::int64_t count, T* scratch) {
  T v[N];
#pragma unroll
  for (int k = 0; k < N; ++k) v[k] = at.valid(k) ? x[k] : T(0);
  const T sum = block_reduce<kReduceThreads>(tree_sum<N>(v), scratch, [](T a, T b) { return a + b; });
  return sum / static_cast<T>(count > 0 ? count : 1);
}

/// Lines [first, ..) of W elements, each in `parts` parts of `part` elements. Grid: outputs * parts; block: 256. A block owns a part; a
/// thread loads packs that lie 256 packs apart. With one part the result is finished here, otherwise partial[part, output - first] is left.
template <class R, int kPack, class I> __global__ void __launch_bounds__(kReduceThreads)
    reduce_long(typename R::Given given, StoredStates<typename R::Partial> partial, Inputs<typename R::Element, R::kInputs> x, Walk<I> kept,
                LineWalk<I> line, std::int64_t first, I work, I part, unsigned parts) {
  using T = typename R::Element;
  const unsigned outputs = gridDim.x / parts, local = blockIdx.x / parts, mine = blockIdx.x - local * parts;
  const std::int64_t output = first + local, base = static_cast<std::int64_t>(kept.offset(static_cast<I>(output)));
  const I begin = static_cast<I>(mine) * part, end = work - begin < part ? work : begin + part;
  constexpr I kTile = kReduceThreads * kLoad<I>;
  __shared__ SharedStates<typename R::State, kReduceThreads / kWarp> shared;
  R r(given, output);
  typename R::State s = R::none();
  T v[R::kInputs][kLoad<I>] = {};
  I at = begin;
  const I thread = static_cast<I>(threadIdx.x * kPack);
  if constexpr (R::kCentres) {
    const Places<kPack, I> places{at + thread, kReduceThreads * kPack, end};
    load_line<kPack>(v, x, base, line, places);
    __shared__ T scratch[kReduceThreads / kWarp];
    r.centre = centre_of(v[0], places, static_cast<std::int64_t>(end - at < kTile ? end - at : kTile), scratch);
    r.add(s, v, places);
    at = end - at < kTile ? end : at + kTile;
  }
  for (; at < end; at += kTile) {
    const Places<kPack, I> places{at + thread, kReduceThreads * kPack, end};
    load_line<kPack>(v, x, base, line, places);
    r.add(s, v, places);
  }
  s = merge_block<R>(s, shared);
  if (threadIdx.x != 0) return;
  const typename R::Partial p = r.partial(s, static_cast<double>(end - begin));
  if (parts == 1) R::finish(given, output, p);
  else partial.put(static_cast<std::int64_t>(mine) * outputs + local, p);
}

// ---- columns -------------------------------------------------------------------------------------------------------------------------

/// How a block lies over columns: `width` threads side by side along a row, each with a pack, `depth` rows at a time. Threads from
/// width * depth on are idle.
struct ColumnShape {
  int width, depth;
  unsigned tiles, parts;  // blocks side by side; blocks below each other
  std::int64_t part;      // rows of each of those
};

/// Merges the states of the threads that share a column; the result is in those of row 0. `s` are kPack states of each thread.
template <class R, int kPack> __device__ inline void merge_down(typename R::State (&s)[kPack],
                                                                SharedStates<typename R::State, kReduceThreads * kPack>& shared, int width,
                                                                int depth, int row) {
  int half = 1;
  while (half < depth) half *= 2;
  for (half /= 2; half > 0; half /= 2) {
    const bool sends = row >= half && row < 2 * half && row < depth, takes = row < half && row + half < depth;
#pragma unroll
    for (int j = 0; j < kPack; ++j)
      if (sends) shared.put(j * kReduceThreads + static_cast<int>(threadIdx.x), s[j]);
    __syncthreads();
#pragma unroll
    for (int j = 0; j < kPack; ++j)
      if (takes) s[j] = R::merge(s[j], shared.get(j * kReduceThreads + static_cast<int>(threadIdx.x) + half * width));
  }
}

/// Rows that a thread loads at a time: at most 8, and 128 bytes in all, or 64 beside states of two numbers.
template <class R, int kPack, class I> constexpr int row_load() {
  const int bytes = sizeof(typename R::State) > 8 ? 64 : 128,
            rows = bytes / static_cast<int>(sizeof(typename R::Element)) / kPack / R::kInputs;
  return sizeof(I) == 8 || rows < 1 ? 1 : rows < 8 ? rows : 8;
}

template <int kPack, bool kWhole, int kInput, class T, int kInputs, int N, class P, class I>
__device__ inline void load_rows_of(T (&v)[kPack][kInputs][N], const T* x, const LineWalk<I>& rows, const P& at) {
#pragma unroll
  for (int k = 0; k < N; ++k) {
    T pack[kPack] = {};
    if (at.valid(k)) load_pack<kPack, kWhole>(pack, x + rows.offset(at.position(k)));
#pragma unroll
    for (int j = 0; j < kPack; ++j) v[j][kInput][k] = pack[j];
  }
}

/// The elements of some rows of a thread's columns: v[column][input][row].
template <int kPack, int kInput = 0, class T, int kInputs, int N, class P, class I>
__device__ inline void load_rows(T (&v)[kPack][kInputs][N], const Inputs<T, kInputs>& x, std::int64_t base, const LineWalk<I>& rows,
                                 const P& at) {
  const T* const from = x.at[kInput] + base;
  if (kPack > 1 && x.aligned) load_rows_of<kPack, (kPack > 1), kInput>(v, from, rows, at);
  else load_rows_of<kPack, false, kInput>(v, from, rows, at);
  if constexpr (kInput + 1 < kInputs) load_rows<kPack, kInput + 1>(v, x, base, rows, at);
}

/// Centres the reductions of a column on the mean of the rows that the block's top threads load first.
template <class R, int kPack, int N, class P>
__device__ inline void centre_columns(R* r, const typename R::Element (&v)[kPack][R::kInputs][N], const P& at,
                                      typename R::Element (&centre)[kPack][kColumnLanes], int lane, int row) {
  using T = typename R::Element;
  if (row == 0) {
#pragma unroll
    for (int j = 0; j < kPack; ++j) {
      T sum = 0, count = 0;
#pragma unroll
      for (int k = 0; k < N; ++k)
        if (at.valid(k)) sum += v[j][0][k], count += 1;
      centre[j][lane] = count > 0 ? sum / count : T(0);
    }
  }
  __syncthreads();
#pragma unroll
  for (int j = 0; j < kPack; ++j) r[j].centre = centre[j][lane];
}

/// x seen as [outer, rows, columns], the rows reduced away. Grid: outer * tiles * parts; block: 256. A block owns a tile of columns and a
/// part of the rows; a thread kPack columns and every depth-th row. Leaves partial[part, outer, column], or finishes where parts is 1 and
/// there is no `partial`.
template <class R, int kPack, class I> __global__ void __launch_bounds__(kReduceThreads)
    reduce_columns(typename R::Given given, StoredStates<typename R::Partial> partial, Inputs<typename R::Element, R::kInputs> x,
                   Walk<I> kept, LineWalk<I> walk, std::int64_t first, std::int64_t columns, I rows, ColumnShape shape) {
  using T = typename R::Element;
  __shared__ SharedStates<typename R::State, kReduceThreads * kPack> shared;
  constexpr int kRows = row_load<R, kPack, I>();
  const int lane = static_cast<int>(threadIdx.x) % shape.width, row = static_cast<int>(threadIdx.x) / shape.width;
  const unsigned part = blockIdx.x % shape.parts, block = blockIdx.x / shape.parts, tile = block % shape.tiles, local = block / shape.tiles;
  const std::int64_t column = (static_cast<std::int64_t>(tile) * shape.width + lane) * kPack, outer = first + local;
  const bool here = row < shape.depth && column < columns;
  const I height = static_cast<I>(shape.part), begin = static_cast<I>(part) * height, end = rows - begin < height ? rows : begin + height;
  const I stride = static_cast<I>(shape.depth), stop = here ? end : 0;
  const std::int64_t base = (here ? static_cast<std::int64_t>(kept.offset(static_cast<I>(outer))) + column : 0);
  const std::int64_t output = here ? outer * columns + column : 0;

  R r[kPack];
  typename R::State s[kPack];
#pragma unroll
  for (int j = 0; j < kPack; ++j) r[j] = R(given, output + j), s[j] = R::none();
  T v[kPack][R::kInputs][kRows];
  Places<1, I> at{begin + static_cast<I>(row), stride, stop};
  const auto add = [&] {
#pragma unroll
    for (int j = 0; j < kPack; ++j) r[j].add(s[j], v[j], at);
  };
  if constexpr (R::kCentres) {
    load_rows<kPack>(v, x, base, walk, at);
    __shared__ T centre[kPack][kColumnLanes];
    centre_columns<R, kPack>(r, v, at, centre, lane, row);
    add();
    at.first += stride * kRows;
  }
  for (; at.first < stop; at.first += stride * kRows) {
    load_rows<kPack>(v, x, base, walk, at);
    add();
  }
  merge_down<R, kPack>(s, shared, shape.width, shape.depth, row);
  // From row 0, whose threads have kPack columns each, to a thread a column: so that neighbours write to neighbours.
  __shared__ SharedStates<typename R::Partial, kColumnLanes * kPack> done;
  const int thread = static_cast<int>(threadIdx.x), tile_columns = shape.width * kPack;
#pragma unroll
  for (int j = 0; j < kPack; ++j)
    if (row == 0) done.put(lane * kPack + j, r[j].partial(s[j], static_cast<double>(end - begin)));
  if constexpr (kPack > 1) __syncthreads();
  for (int c = thread; c < tile_columns; c += static_cast<int>(blockDim.x)) {
    const std::int64_t mine = static_cast<std::int64_t>(tile) * tile_columns + c,
                       outputs = gridDim.x / (shape.parts * shape.tiles) * columns;
    if (mine >= columns) break;
    if (partial.null()) R::finish(given, outer * columns + mine, done.get(c));
    else partial.put(part * outputs + local * columns + mine, done.get(c));
  }
}

// ---- partial results -----------------------------------------------------------------------------------------------------------------

/// Finishes outputs [first, first + outputs) from their `fan` = parts * inner partial results each, those of output o at
/// partial[part, o * inner + i]. Grid: outputs / width; block: 256 = width outputs by depth (powers of two).
template <class R> __global__ void __launch_bounds__(kReduceThreads)
    reduce_join(typename R::Given given, StoredStates<typename R::Partial> partial, std::int64_t first, std::int64_t outputs, unsigned fan,
                Divider inner, int width, int depth) {
  using Partial = typename R::Partial;
  __shared__ SharedStates<Partial, kReduceThreads> shared;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % width, row = thread / width;
  const std::int64_t output = static_cast<std::int64_t>(blockIdx.x) * width + lane;
  const bool here = output < outputs;
  Partial p = R::nothing();
  for (unsigned q = static_cast<unsigned>(row); here && q < fan; q += static_cast<unsigned>(depth)) {
    unsigned part = q;
    const unsigned i = inner.split(part);
    p = R::join(p, partial.get((part * outputs + output) * inner.divisor + i));
  }
  for (int half = depth / 2; half > 0; half /= 2) {
    if (row >= half && row < 2 * half) shared.put(thread, p);
    __syncthreads();
    if (row < half) p = R::join(p, shared.get(thread + half * width));
  }
  if (here && row == 0) R::finish(given, first + output, p);
}

}  // namespace gradus::inline v0::cuda
