// The contrastive losses' forward pass: loss and lse [anchors] of query [B, D], key [M, D] (see kernels/contrastive.h).
//
//   lse of an anchor's negatives = log sum exp(<row, column> / temperature),   loss = softplus(lse of the negatives - positive's score)
//
// Two kernels. The first makes the scores of a row block tile by tile and keeps, per thread and row, the largest score so far and the sum
// of exp(score - largest) of the columns that the thread saw. The second merges the parts of an anchor in a fixed order and takes the
// positive's score into account. Nothing of size B x M exists but the mask.
//   FLOPs    2 B M D and B M exponentials for each side that has anchors (two for the symmetric form, one for NT-Xent: the full square)
//   memory   4 D (B + M) bytes at the least, from L2 4 D bytes a column and block of 64 rows; writes 8 bytes an anchor
//   scratch  a (largest, sum) for each anchor and split, and a sum of the positives' scores where labels say which they are: at most
//            40 (B + M) bytes; for those labels 8 bytes an anchor more

#include <gradus/kernels/cuda/contrastive_feed.cuh>
#include <gradus/kernels/cuda/contrastive_kin.cuh>
#include <gradus/kernels/cuda/partials.cuh>

namespace gradus::inline v0::cuda {
namespace {

using namespace contrast;

/// Some negatives of an anchor: the largest score and the sum of exp(score - largest).
template <class T> struct Partial { T largest, sum; };

/// The union of two disjoint sets of negatives. Symmetric in a and b to the bit.
template <class T> __device__ Partial<T> merge(Partial<T> a, Partial<T> b) {
  const T largest = b.largest > a.largest ? b.largest : a.largest, shift = largest == -kInfinity<T> ? T(0) : largest;
  return {largest, a.sum * exp(a.largest - shift) + b.sum * exp(b.largest - shift)};
}
template <class T> __device__ Partial<T> from_lane(Partial<T> a, int mask) {
  return {__shfl_xor_sync(kAllLanes, a.largest, mask), __shfl_xor_sync(kAllLanes, a.sum, mask)};
}

// ---- the sums ---------------------------------------------------------------------------------------------------------------------------

/// What a thread has seen of its rows. A NaN may be lost to `largest`, not to the sum.
template <class T, class K> struct Running {
  Partial<T> row[K::kTM];

  __device__ Running() {
#pragma unroll
    for (int i = 0; i < K::kTM; ++i) row[i] = {-kInfinity<T>, T(0)};
  }

  __device__ void add(T (&score)[K::kTM][K::kTN], const Side<T>& s, const int* row_names, int first_row, int first_column, T beta) {
    const int r = first_row + row_lane(), c = first_column + column_lane();
#pragma unroll
    for (int j = 0; j < K::kTN; ++j) {
      // A column's name is itself: only the gradient of a key_set's keys has an index by columns.
      const int column = c + j * kColumnLanes, itself = s.itself(column);
#pragma unroll
      for (int i = 0; i < K::kTM; ++i)
        if (column >= s.columns || row_names[row_lane() + i * kRowLanes] == column || r + i * kRowLanes == itself)
          score[i][j] = -kInfinity<T>;
      if (!s.mask) continue;
#pragma unroll
      for (int i = 0; i < K::kTM; ++i)
        if (!s.unmasked(r + i * kRowLanes, column)) score[i][j] = -kInfinity<T>;
    }
#pragma unroll
    for (int i = 0; i < K::kTM; ++i) add_row(row[i], score[i], beta);
  }

 private:
  __device__ static void add_row(Partial<T>& seen, const T (&score)[K::kTN], T beta) {
    T top = score[0];
#pragma unroll
    for (int j = 1; j < K::kTN; ++j) top = score[j] > top ? score[j] : top;
    top = beta * top;
    if (top > seen.largest) {
      seen.sum = seen.sum * exp(seen.largest - top);
      seen.largest = top;
    }
    const T shift = seen.largest == -kInfinity<T> ? T(0) : -seen.largest;
#pragma unroll
    for (int j = 0; j < K::kTN; ++j) seen.sum = seen.sum + exp(fma(score[j], beta, shift));
  }
};

/// Sums of the scores of several positives, in shared memory: a place for each row and column lane, its thread's own.
template <class T, class K> struct PositiveSums {
  T value[K::kTM][kThreads];
  int label[K::kRows];

  __device__ void begin(const Side<T>& s, int first_row) {
#pragma unroll
    for (int i = 0; i < K::kTM; ++i) value[i][threadIdx.x] = T(0);
    for (int r = static_cast<int>(threadIdx.x); r < K::kRows; r += kThreads) label[r] = s.label(first_row + r);
  }
  /// After a barrier. Few registers: the scores take most of them.
  __device__ void add(const T (&score)[K::kTM][K::kTN], const Side<T>& s, int first_row, int first_column) {
#pragma unroll
    for (int j = 0; j < K::kTN; ++j) {
      const int column = first_column + column_lane() + j * kColumnLanes, name = s.label(column);
      if (name < 0) continue;
#pragma unroll
      for (int i = 0; i < K::kTM; ++i) {
        const int row = row_lane() + i * kRowLanes;
        if (label[row] == name && first_row + row != column) value[i][threadIdx.x] = value[i][threadIdx.x] + score[i][j];
      }
    }
  }
  /// After a barrier: a thread a row.
  __device__ void write(T* out, int count) const {
    const int row = static_cast<int>(threadIdx.x);
    if (row >= K::kRows || row >= count) return;
    const int a = row % kRowLanes, thread = a / 4 * 64 + a % 4 * 8;  // of column lane 0: see row_lane()
    T sum = 0;
    for (int b = 0; b < kColumnLanes; ++b) sum = sum + value[row / kRowLanes][thread + b / 8 * 32 + b % 8];
    out[row] = sum;
  }
};

/// The lanes of a row merge by a butterfly, its two warps through shared memory [2, kRows].
template <class T, class K> __device__ void write_rows(Partial<T>* out, Running<T, K>& running, Partial<T>* exchange, int count) {
  const int half = column_lane() / 8;
#pragma unroll
  for (int i = 0; i < K::kTM; ++i) {
    Partial<T> sum = running.row[i];
#pragma unroll
    for (int mask = 4; mask > 0; mask /= 2) sum = merge(sum, from_lane(sum, mask));
    if (column_lane() % 8 == 0) exchange[half * K::kRows + row_lane() + i * kRowLanes] = sum;
  }
  __syncthreads();
  const int row = static_cast<int>(threadIdx.x);
  if (row < K::kRows && row < count) out[row] = merge(exchange[row], exchange[K::kRows + row]);
}

/// Grid (row blocks, splits of the columns), 128 threads; a block owns kRows rows and every column of its split, a thread 8 by 8 scores.
/// 168 registers (f64 108), no spills. Shared memory at D = 128 in f32: 32 KiB of rows, 16 of two chunks of columns, 1.3 for the exchange;
/// above D = 256, or where that does not fit, the rows pass in chunks too: 25 KiB. out [splits, anchors]; with labels positive_sums
/// likewise, and 4 KiB more of shared memory.
template <class T, class K> __global__ void __launch_bounds__(kThreads, 3)
    lse_kernel(Partial<T>* out, T* positive_sums, int anchors, Side<T> s) {
  T* const resident = reinterpret_cast<T*>(dynamic_shared());
  T* const buffers = resident + resident_elements<T, K>(s.dim);
  auto* const exchange = reinterpret_cast<Partial<T>*>(buffers + 2 * K::kStage);
  int* const names = reinterpret_cast<int*>(exchange + 2 * K::kRows);
  auto& positives = *reinterpret_cast<PositiveSums<T, K>*>(names + K::kRows);
  const int first_row = static_cast<int>(blockIdx.x) * K::kRows, split = static_cast<int>(blockIdx.y);
  const ColumnRange range = columns_of(s.columns, K::kColumns, split, static_cast<int>(gridDim.y));
  const T beta = s.beta();
  Running<T, K> running;
  if (s.kin) positives.begin(s, first_row);
  name_rows<K::kRows>(names, s, first_row);
  copy_resident<T, K>(resident, s, first_row);
  const Source<T, K> source{s, nullptr, nullptr, first_row, range.first, range.last, K::kColumns, 0};
  Feed<T, K> feed(source, buffers);
  for (int column = range.first; column < range.last; column += K::kColumns) {
    T score[K::kTM][K::kTN];
    make_scores<T, K>(score, feed, resident, source.chunks());
    if (s.kin) positives.add(score, s, first_row, column);
    running.add(score, s, names, first_row, column, beta);
  }
  wait_for_copies();  // without columns nobody has waited for the rows
  write_rows<T, K>(out + std::int64_t(split) * anchors + first_row, running, exchange, s.rows - first_row);
  if (s.kin) positives.write(positive_sums + std::int64_t(split) * anchors + first_row, s.rows - first_row);
}

// ---- the losses -------------------------------------------------------------------------------------------------------------------------

__device__ double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

/// The mean score of several positives.
template <class T> __device__ double mean_score(const T* positive_sums, int splits, int anchor, const Operands<T>& x) {
  double sum = 0;
  for (int n = 0; n < splits; ++n) sum += double(positive_sums[std::int64_t(n) * x.anchors() + anchor]);
  return double(T(1) / *x.temperature) * sum / x.kin[anchor].count;
}

/// Score of an anchor's positive, in every lane; -inf where it is masked.
template <class T> __device__ T positive_score(const Operands<T>& x, int anchor) {
  const int i = x.row_of(anchor), j = x.positive_of(i);
  const T beta = T(1) / *x.temperature;
  if (x.positive) return beta * warp_dot(x.query_row(i), x.positive + std::int64_t(i) * x.dim, x.dim);
  if (j < 0 || !x.allowed(i, j)) return -kInfinity<T>;
  return beta * warp_dot(x.query_row(i), x.key_row(j), x.dim);
}

/// A warp an anchor, 8 a block. The last steps are in double: a handful of operations an anchor. Reads 2 D numbers and the partials of an
/// anchor, writes 2.
template <class T> __global__ void __launch_bounds__(kRowThreads)
    loss_kernel(T* loss, T* lse, const Partial<T>* partials, const T* positive_sums, int splits, Operands<T> x) {
  const int anchor = warp_of_grid(), lane = static_cast<int>(threadIdx.x) % kWarp;
  if (anchor >= x.anchors()) return;
  Partial<T> all{-kInfinity<T>, T(0)};
  for (int n = lane; n < splits; n += kWarp) all = merge(all, partials[std::int64_t(n) * x.anchors() + anchor]);
#pragma unroll
  for (int mask = kWarp / 2; mask > 0; mask /= 2) all = merge(all, from_lane(all, mask));
  const double positive = double(positive_score(x, anchor)), negatives = double(all.largest) + log(double(all.sum));
  if (lane != 0) return;
  if (x.kin && x.kin[anchor].only() < 0) {  // several positives, or none: `negatives` is lse
    loss[anchor] = x.kin[anchor].several() ? T(negatives - mean_score(positive_sums, splits, anchor, x)) : T(0);
    lse[anchor] = T(negatives);
    return;
  }
  constexpr double kNone = -kInfinity<double>;
  const double l = positive == kNone ? (negatives == kNone ? 0 : negatives - positive) : softplus(negatives - positive);
  loss[anchor] = T(l);
  lse[anchor] = T(positive == kNone ? negatives : positive + l);
}

// ---- launchers --------------------------------------------------------------------------------------------------------------------------

// 64 rows by 128 columns; 16 by 64 where that would leave most of a device idle. f64: 32 by 32.
template <class T, bool kStreamed> using LargeTile = Tile<T, sizeof(T) == 4 ? 8 : 4, sizeof(T) == 4 ? 8 : 2, 0, kStreamed>;
template <class T, bool kStreamed> using SmallTile = Tile<T, sizeof(T) == 4 ? 2 : 4, sizeof(T) == 4 ? 4 : 2, 0, kStreamed>;

template <class T> bool few_tiles(const Operands<T>& x) {
  using K = LargeTile<T, false>;
  return std::int64_t(ceil_div(x.rows, K::kRows)) * ceil_div(x.columns, K::kColumns) < kEnoughBlocks / 2;
}

/// Partials take at most 40 (B + M) bytes (f64: 32), so that with loss and lse no more than 64 (B + M) are extra.
template <class T, class K> int splits_for(const Operands<T>& x) {
  const std::int64_t bytes = (sizeof(T) == 4 ? 40 : 32) * (std::int64_t(x.rows) + x.columns);
  const std::size_t each = sizeof(Partial<T>) + (x.form == ContrastiveForm::supervised ? sizeof(T) : 0);
  return splits_of(ceil_div(x.rows, K::kRows), ceil_div(x.columns, K::kColumns), x.anchors() * std::int64_t(each), bytes);
}
template <class T> int splits_for(const Operands<T>& x) {
  return few_tiles(x) ? splits_for<T, SmallTile<T, false>>(x) : splits_for<T, LargeTile<T, false>>(x);
}

template <class T, class K> std::size_t shared_bytes(int dim, ContrastiveForm form) {
  return (static_cast<std::size_t>(resident_elements<T, K>(dim)) + 2 * K::kStage) * sizeof(T) +
         K::kRows * (2 * sizeof(Partial<T>) + sizeof(int)) + (form == ContrastiveForm::supervised ? sizeof(PositiveSums<T, K>) : 0);
}

template <class T> struct Scratch {
  Partial<T>* partials;
  T* positive_sums;
  Kin* kin;
  std::size_t bytes;

  Scratch(const Operands<T>& x, void* memory) {
    const std::int64_t parts = std::int64_t(splits_for(x)) * x.anchors();
    Carver carver{static_cast<char*>(memory)};
    partials = carver.take<Partial<T>>(parts);
    positive_sums = carver.take<T>(x.form == ContrastiveForm::supervised ? parts : 0);
    kin = carver.take<Kin>(kin_count(x.form, x.rows));
    bytes = carver.bytes;
  }
};

template <class T, class K> void launch_sums(Partial<T>* out, T* positive_sums, const Operands<T>& x, const Side<T>& s) {
  const std::size_t bytes = shared_bytes<T, K>(s.dim, x.form);
  const auto kernel = lse_kernel<T, K>;
  allow_shared(kernel, bytes);
  launch("contrastive", kernel, dim3(static_cast<unsigned>(ceil_div(s.rows, K::kRows)), static_cast<unsigned>(splits_for(x))), kThreads,
         bytes, out, positive_sums, x.anchors(), s);
}

template <class T> void sum_side(Partial<T>* out, T* positive_sums, const Operands<T>& x, bool transposed) {
  const Side<T> s = side_of(x, transposed);
  const bool streamed = x.dim > 256 || shared_bytes<T, LargeTile<T, false>>(x.dim, x.form) > most_shared();
  const auto launch_tiles = few_tiles(x) ? (streamed ? launch_sums<T, SmallTile<T, true>> : launch_sums<T, SmallTile<T, false>>)
                                         : (streamed ? launch_sums<T, LargeTile<T, true>> : launch_sums<T, LargeTile<T, false>>);
  launch_tiles(out, positive_sums, x, s);
}

/// A warp a row: one with a masked positive looks for an allowed negative. Grid: 8 rows a block.
__global__ void __launch_bounds__(kRowThreads)
    unreachable_kernel(unsigned long long* first, const unsigned char* mask, const std::int64_t* index, int rows, int columns) {
  const int i = warp_of_grid(), lane = static_cast<int>(threadIdx.x) % kWarp;
  if (i >= rows) return;
  const std::int64_t j = index ? index[i] : i;
  if (j < 0 || j >= columns || mask[std::int64_t(i) * columns + j]) return;
  bool row = false, column = false;
  for (int c = lane; c < columns; c += kWarp) row = row || mask[std::int64_t(i) * columns + c];
  for (int r = lane; !index && r < rows; r += kWarp) column = column || mask[std::int64_t(r) * columns + j];
  row = __any_sync(kAllLanes, row), column = __any_sync(kAllLanes, column);
  if (lane == 0 && row) atomicMin(first, static_cast<unsigned long long>(i));
  if (lane == 0 && column) atomicMin(first, static_cast<unsigned long long>(rows + j));
}

}  // namespace

std::size_t contrastive_workspace_bytes(const Contrastive& x) {
  std::size_t bytes = 0;
  with_floating(x.query.dtype, [&](auto zero) {
    using T = decltype(zero);
    bytes = Scratch<T>(Operands<T>(x), nullptr).bytes;
  });
  return bytes;
}

void contrastive(Array loss, Array lse, const Contrastive& x, Workspace workspace) {
  with_floating(x.query.dtype, [&](auto zero) {
    using T = decltype(zero);
    Operands<T> o(x);
    const Scratch<T> scratch(o, workspace.data);
    find_kin("contrastive", o, x, scratch.kin);
    sum_side(scratch.partials, scratch.positive_sums, o, false);
    if (x.form == ContrastiveForm::symmetric) sum_side(scratch.partials + o.rows, scratch.positive_sums, o, true);
    launch("contrastive", loss_kernel<T>, blocks_for(o.anchors(), kRowWarps), kRowThreads, 0, loss.as<T>(), lse.as<T>(),
           static_cast<const Partial<T>*>(scratch.partials), static_cast<const T*>(scratch.positive_sums), splits_for(o), o);
  });
}

/// Waits for the device.
std::int64_t unreachable_positive(const Contrastive& x) {
  if (!x.mask || x.form == ContrastiveForm::queue) return -1;  // a queue's mask is about negatives only
  const int rows = narrow((*x.mask.shape)[0]), columns = narrow((*x.mask.shape)[1]);
  constexpr unsigned long long kNone = ~0ull;
  auto* const first = static_cast<unsigned long long*>(partials(sizeof kNone));
  fill_bytes(first, 0xFF, sizeof kNone);
  const auto* const mask = reinterpret_cast<const unsigned char*>(x.mask.as<bool>());
  const std::int64_t* const index = x.form == ContrastiveForm::symmetric ? nullptr : x.positive_index.as<std::int64_t>();
  launch("contrastive", unreachable_kernel, blocks_for(rows, kRowWarps), kRowThreads, 0, first, mask, index, rows, columns);
  unsigned long long found = kNone;
  copy_to_host(&found, first, sizeof found);
  return found == kNone ? -1 : static_cast<std::int64_t>(found);
}

}  // namespace gradus::inline v0::cuda
