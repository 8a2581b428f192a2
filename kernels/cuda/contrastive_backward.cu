// The contrastive losses' gradients (see kernels/contrastive.h).
//
// For a row r and a column c of a side, with weights g of the row anchors and h of the column anchors (0 without), beta = 1 / temperature,
//   H_rc = beta (g_r exp(s_rc - lse_r) + h_c exp(s_rc - lse'_c)),   H_rc = beta (g_r expm1(-loss_r) + h_c expm1(-loss'_c)) for a positive,
//   or, where the anchors have several positives, H_rc = beta (g_r (exp(s_rc - lse_r) - 1 / |P|) + h_c (exp(s_rc - lse'_c) - 1 / |P|)),
//   gradient of row r = sum over c of H_rc column_c.
// One kernel for each side: rows for dquery, columns for dkey; where rows are compared with each other there is one. A block owns its rows,
// so no sum crosses blocks, unless there are so few rows that the columns are split: then the parts, in the workspace, are added in their
// order.
//   FLOPs    4 B M D a side (8 B M D together, NT-Xent and the supervised form 4) and B M exponentials for each kind of anchor
//   memory   8 D (B + M) bytes read at the least and 4 D (B + M) written; from L2 8 D bytes a column and row block
//   scratch  parts where columns are split, at most 48 (B + M) bytes, 8 bytes for 8 rows for the temperature's gradient,
//            and 8 bytes an anchor where labels say who the positives are

#include <gradus/kernels/cuda/contrastive_feed.cuh>
#include <gradus/kernels/cuda/contrastive_kin.cuh>
#include <gradus/kernels/cuda/contrastive_rows.cuh>

namespace gradus::inline v0::cuda {
namespace {

using namespace contrast;

constexpr const char* kOp = "contrastive_backward";

/// Upstream gradient and what the forward pass kept, of the anchors of a side's rows or columns; null: they have none.
template <class T> struct Anchors {
  const T *dloss, *loss, *lse;

  __device__ T weight(int i, T beta) const { return beta * dloss[i]; }
  /// An anchor without any key has lse -inf; its scores are all -inf and its p shall be 0.
  __device__ T reference(int i) const { return lse[i] == -kInfinity<T> ? T(0) : lse[i]; }
  __device__ T positive_weight(int i, T beta) const { return weight(i, beta) * expm1(-loss[i]); }
};

template <class T> struct Pass {
  Side<T> side;
  Anchors<T> rows, columns;
  T* out;       // [splits, rows, dim]
  int width;    // of a wide tile
  bool vector;  // out allows 16-byte access
};

/// The row anchors of a block, in shared memory.
template <class T, int kRows> struct RowAnchors {
  T weight[kRows], lse[kRows];
  int name[kRows];

  __device__ void load(const Pass<T>& p, int first_row, T beta) {
    name_rows<kRows>(name, p.side, first_row);
    for_each_of_block<kRows, kThreads>([&](int i) {
      const bool anchor = p.rows.dloss && first_row + i < p.side.rows;
      weight[i] = anchor && p.side.has_positive(first_row + i) ? p.rows.weight(first_row + i, beta) : T(0);
      lse[i] = anchor ? p.rows.reference(first_row + i) : T(0);
    });
  }
};

/// The anchors of this thread's columns of a tile.
template <class T, int kTN> struct ColumnAnchors {
  T weight[kTN], lse[kTN];
  int name[kTN];

  __device__ ColumnAnchors(const Pass<T>& p, int column, T beta) {
#pragma unroll
    for (int j = 0; j < kTN; ++j) {
      const int c = column + j * kColumnLanes;
      const bool anchor = p.columns.dloss && c < p.side.columns;
      name[j] = p.side.column_name(c);
      weight[j] = anchor && p.side.has_positive(c) ? p.columns.weight(c, beta) : T(0);
      lse[j] = anchor ? p.columns.reference(c) : T(0);
    }
  }
};

/// Scores of negatives become H, in shared memory.
template <class T, class K> __device__ void weigh_negatives(T* to, int stride, const T (&score)[K::kTM][K::kTN], const Pass<T>& p,
                                                            const RowAnchors<T, K::kRows>& rows, int first_row, int first_column, T beta) {
  const int a = row_lane(), b = column_lane();
  const ColumnAnchors<T, K::kTN> columns(p, first_column + b, beta);
#pragma unroll
  for (int i = 0; i < K::kTM; ++i) {
    const int row = a + i * kRowLanes, name = rows.name[row];
    const T weight = rows.weight[row], lse = rows.lse[row];
#pragma unroll
    for (int j = 0; j < K::kTN; ++j) {
      if (name == columns.name[j]) continue;
      T h = 0;
      if (p.side.allowed(first_row + row, first_column + b + j * kColumnLanes)) {
        if (p.rows.dloss) h = weight * exp(fma(score[i][j], beta, -lse));
        if (p.columns.dloss) h = fma(columns.weight[j], exp(fma(score[i][j], beta, -columns.lse[j])), h);
      }
      to[row * stride + b + j * kColumnLanes] = h;
    }
  }
}

/// H of several positives, which weigh_negatives() takes for negatives. A thread mends what it wrote.
template <class T, class K> __device__ void subtract_targets(T* to, int stride, const Pass<T>& p, int first_row, int first_column, T beta) {
  int label[K::kTN];
#pragma unroll
  for (int j = 0; j < K::kTN; ++j) label[j] = p.side.label(first_column + column_lane() + j * kColumnLanes);
#pragma unroll 1
  for (int i = 0; i < K::kTM; ++i) {
    const int row = row_lane() + i * kRowLanes, r = first_row + row, own = p.side.label(r);
    if (own < 0) continue;
    const T target = p.side.target(r), weight = p.rows.weight(r, beta);
#pragma unroll
    for (int j = 0; j < K::kTN; ++j) {
      const int column = column_lane() + j * kColumnLanes, c = first_column + column;
      if (label[j] == own && c != r) to[row * stride + column] -= target * (weight + p.columns.weight(c, beta));
    }
  }
}

/// H of the positives, which weigh_negatives() leaves out.
template <class T, class K> __device__ void weigh_positives(T* to, int stride, const Pass<T>& p, const RowAnchors<T, K::kRows>& rows,
                                                            int first_row, int first_column, T beta) {
  for_each_positive<K>(p.side, rows.name, first_row, first_column, [&](int row, int column) {
    const int r = first_row + row, c = first_column + column;
    T h = 0;
    if (p.side.allowed(r, c)) {
      if (p.rows.dloss) h = p.rows.positive_weight(r, beta);
      if (p.columns.dloss) h = h + p.columns.positive_weight(c, beta);
    }
    to[row * stride + column] = h;
  });
}

/// Shared memory of a block, piece by piece; on the host it counts the elements.
template <class T, class K> struct Layout {
  int buffers, weights, anchors, elements;
  __host__ __device__ Layout(int dim, int width)
      : buffers(resident_elements<T, K>(dim)),
        weights(buffers + 2 * K::kStage),
        anchors(weights + K::kRows * (width + kSkew)),
        elements(anchors + static_cast<int>(sizeof(RowAnchors<T, K::kRows>) / sizeof(T))) {}
};

/// Grid (row blocks, splits of the columns), 128 threads; a block owns kRows rows and all columns of its split, a thread 8 by 4 scores and
/// 8 rows by 8 features of the gradient (16 at D > 128) in registers: 168 registers (255 at D > 128), no spills. Shared memory at D = 128
/// in f32: 32 KiB of rows, 8 of two chunks, 18 of H, 1 of anchors. The columns pass twice, the second time from L2. Above D = 256, or where
/// that does not fit (kStreamed), the rows pass in chunks too and the gradient's slices are added to memory once a wide tile of 192
/// columns: 67 KiB at any D.
template <class T, class K> __global__ void __launch_bounds__(kThreads, K::kSlice > 128 || K::kStreamed ? 2 : 3)
    gradient_kernel(Pass<T> p) {
  const Side<T>& s = p.side;
  const Layout<T, K> l(s.dim, p.width);
  T* const resident = reinterpret_cast<T*>(dynamic_shared());
  T* const weights = resident + l.weights;
  auto& rows = *reinterpret_cast<RowAnchors<T, K::kRows>*>(resident + l.anchors);
  const int first_row = static_cast<int>(blockIdx.x) * K::kRows, split = static_cast<int>(blockIdx.y), stride = p.width + kSkew;
  const ColumnRange range = columns_of(s.columns, p.width, split, static_cast<int>(gridDim.y));
  const int slices = K::kStreamed ? ceil_div(s.dim, K::kSlice) : 1;
  const T beta = s.beta();
  T* const out = p.out + std::int64_t(split) * s.rows * s.dim;
  rows.load(p, first_row, beta);
  copy_resident<T, K>(resident, s, first_row);
  const Source<T, K> source{s, nullptr, nullptr, first_row, range.first, range.last, p.width, slices};
  Feed<T, K> feed(source, resident + l.buffers);
  Gradient<T, K> gradient;
  gradient.clear();
  for (int column = range.first; column < range.last; column += p.width) {
    for (int tile = 0; tile < p.width; tile += K::kColumns) {
      T score[K::kTM][K::kTN];
      make_scores<T, K>(score, feed, resident, source.chunks());
      weigh_negatives<T, K>(weights + tile, stride, score, p, rows, first_row, column + tile, beta);
      if (s.kin) subtract_targets<T, K>(weights + tile, stride, p, first_row, column + tile, beta);
      weigh_positives<T, K>(weights + tile, stride, p, rows, first_row, column + tile, beta);
    }
    for (int slice = 0; slice < slices; ++slice) {
      if (K::kStreamed) gradient.clear();
      for (int line = 0; line < p.width; line += K::kLines) gradient.add(weights + line, stride, feed.next());
      if (K::kStreamed) gradient.write(out, first_row, s.rows, slice * K::kSlice, s.dim, p.vector, column > range.first);
    }
  }
  if (!K::kStreamed) gradient.write(out, first_row, s.rows, 0, s.dim, p.vector, false);
}

/// The positives of a queue, which are in no tile: dquery += h positive, dpositive = h query. Either may be null. A warp a row.
template <class T> __global__ void __launch_bounds__(kRowThreads) queue_kernel(T* dquery, T* dpositive, Anchors<T> anchors, Operands<T> x) {
  const int i = warp_of_grid();
  if (i >= x.rows) return;
  const T h = anchors.positive_weight(i, T(1) / *x.temperature);
  for (int d = static_cast<int>(threadIdx.x) % kWarp; d < x.dim; d += kWarp) {
    const std::int64_t at = std::int64_t(i) * x.dim + d;
    if (dquery) dquery[at] = fma(h, x.positive[at], dquery[at]);
    if (dpositive) dpositive[at] = h * x.query[at];
  }
}

/// sums[block] = sum of <query_i, dquery_i> over the rows of a block, which are strided. A warp a row at a time; reads 2 B D numbers.
template <class T> __global__ void __launch_bounds__(kRowThreads) row_dots_kernel(double* sums, const T* dquery, Operands<T> x) {
  double sum = 0;
  for (int i = warp_of_grid(); i < x.rows; i += static_cast<int>(gridDim.x) * kRowWarps)
    sum += double(warp_dot(x.query_row(i), dquery + std::int64_t(i) * x.dim, x.dim));
  write_block_sum(sums, sum);
}

// ---- launchers --------------------------------------------------------------------------------------------------------------------------

constexpr int kMostDotBlocks = 512;  // of row_dots_kernel: at most 8 bytes for 8 rows
inline int dot_blocks(int rows) { return smaller(ceil_div(rows, kRowWarps), kMostDotBlocks); }

// 64 rows by 64 columns, or 16 by 64 where there are few rows; f64 32 by 32.
template <class T, bool kFewRows, int kSlice, bool kStreamed> using BackwardTile =
    Tile<T, sizeof(T) == 4 ? (kFewRows ? 2 : 8) : 4, sizeof(T) == 4 ? 4 : 2, kSlice, kStreamed>;
constexpr int kWideTile = 192;  // columns: adding to the gradient in memory is then a sixth of the kernel's traffic

/// What one side does: how many rows a block has and into how many parts its columns are cut.
template <class T> struct Plan {
  bool few_rows;
  int splits;

  /// Parts of the gradient take at most 48 (B + M) bytes (f64: 40).
  Plan(int rows, int columns, int dim) {
    const std::int64_t part = std::int64_t(rows) * dim * std::int64_t(sizeof(T));
    const std::int64_t bytes = (sizeof(T) == 4 ? 48 : 40) * (std::int64_t(rows) + columns);
    const int tiles = ceil_div(columns, kWideTile);
    const int large = BackwardTile<T, false, 128, false>::kRows, small = BackwardTile<T, true, 128, false>::kRows;
    splits = splits_of(ceil_div(rows, large), tiles, part, bytes);
    few_rows = small < large && std::int64_t(ceil_div(rows, large)) * splits < kEnoughBlocks / 4;
    if (few_rows) splits = splits_of(ceil_div(rows, small), tiles, part, bytes);
  }
};

template <class T, class K> bool launch_tiles(Pass<T> p, int splits, std::size_t most) {
  p.width = K::kStreamed ? kWideTile : K::kColumns;
  while (Layout<T, K>(p.side.dim, p.width).elements * sizeof(T) > most && p.width > K::kColumns) p.width -= K::kColumns;
  const std::size_t bytes = static_cast<std::size_t>(Layout<T, K>(p.side.dim, p.width).elements) * sizeof(T);
  if (bytes > most) return false;
  const auto kernel = gradient_kernel<T, K>;
  allow_shared(kernel, bytes);
  launch(kOp, kernel, dim3(static_cast<unsigned>(ceil_div(p.side.rows, K::kRows)), static_cast<unsigned>(splits)), kThreads, bytes, p);
  return true;
}

/// With the rows in shared memory and the gradient in registers where both fit.
template <class T, bool kFewRows> void launch_pass(const Pass<T>& p, int splits) {
  const std::size_t most = most_shared();
  if (p.side.dim <= 128 && launch_tiles<T, BackwardTile<T, kFewRows, 128, false>>(p, splits, most)) return;
  if (p.side.dim <= 256 && launch_tiles<T, BackwardTile<T, kFewRows, 256, false>>(p, splits, most)) return;
  launch_tiles<T, BackwardTile<T, kFewRows, 128, true>>(p, splits, most);
}

/// out [rows, dim] = the side's gradient; `parts` is scratch.
template <class T> void run_pass(T* out, Pass<T> p, T* parts) {
  const std::int64_t elements = std::int64_t(p.side.rows) * p.side.dim;
  if (elements == 0) return;
  if (p.side.columns == 0) return fill_bytes(out, 0, static_cast<std::size_t>(elements) * sizeof(T));
  const Plan<T> plan(p.side.rows, p.side.columns, p.side.dim);
  p.out = plan.splits > 1 ? parts : out;
  p.vector = vector_rows(p.out, p.side.dim);
  if (plan.few_rows) launch_pass<T, true>(p, plan.splits);
  else launch_pass<T, false>(p, plan.splits);
  if (plan.splits > 1) add_parts(kOp, out, static_cast<const T*>(parts), plan.splits, elements);
}

template <class T> struct Scratch {
  double* sums;  // of row_dots_kernel
  T* parts;
  Kin* kin;
  std::size_t bytes;

  Scratch(const Contrastive& x, void* memory) {
    const int rows = narrow((*x.query.shape)[0]), columns = narrow((*x.key.shape)[0]), dim = narrow((*x.query.shape)[1]);
    const int of_rows = Plan<T>(rows, columns, dim).splits, of_columns = Plan<T>(columns, rows, dim).splits;
    const std::int64_t row_parts = of_rows > 1 ? std::int64_t(of_rows) * rows * dim : 0;
    const std::int64_t column_parts = of_columns > 1 ? std::int64_t(of_columns) * columns * dim : 0;
    Carver carver{static_cast<char*>(memory)};
    sums = carver.take<double>(dot_blocks(rows));
    parts = carver.take<T>(row_parts > column_parts ? row_parts : column_parts);  // one side after the other
    kin = carver.take<Kin>(kin_count(x.form, rows));
    bytes = carver.bytes;
  }
};

template <class T> void find_temperature(T* dtemperature, const T* dquery, const Operands<T>& x, double* sums) {
  const int blocks = dot_blocks(x.rows);
  launch(kOp, row_dots_kernel<T>, static_cast<unsigned>(blocks), kRowThreads, 0, sums, dquery, x);
  const double scale = compares_own_rows(x.form) ? -0.5 : -1;  // a gradient of z holds every pair twice
  launch(kOp, add_numbers_kernel<T>, 1, kRowThreads, 0, dtemperature, static_cast<const double*>(sums), blocks, x.temperature, scale, 1);
}

}  // namespace

std::size_t contrastive_backward_workspace_bytes(const Contrastive& x) {
  std::size_t bytes = 0;
  with_floating(x.query.dtype, [&](auto zero) { bytes = Scratch<decltype(zero)>(x, nullptr).bytes; });
  return bytes;
}

void contrastive_backward(const ContrastiveGradients& d, ConstArray dloss, ConstArray loss, ConstArray lse, const Contrastive& x,
                          Workspace workspace) {
  with_floating(x.query.dtype, [&](auto zero) {
    using T = decltype(zero);
    Operands<T> o(x);
    const Scratch<T> scratch(x, workspace.data);
    find_kin(kOp, o, x, scratch.kin);
    const Anchors<T> rows{dloss.as<T>(), loss.as<T>(), lse.as<T>()};
    Anchors<T> columns{};
    if (x.form == ContrastiveForm::symmetric) columns = {rows.dloss + o.rows, rows.loss + o.rows, rows.lse + o.rows};
    if (compares_own_rows(x.form)) columns = rows;
    T *const dquery = optional<T>(d.query), *const dkey = optional<T>(d.key), *const dpositive = optional<T>(d.positive);
    if (dquery) run_pass(dquery, Pass<T>{side_of(o, false), rows, columns, nullptr, 0, false}, scratch.parts);
    if (dkey) run_pass(dkey, Pass<T>{side_of(o, true), columns, rows, nullptr, 0, false}, scratch.parts);
    if (o.positive && (dquery || dpositive))
      launch(kOp, queue_kernel<T>, blocks_for(o.rows, kRowWarps), kRowThreads, 0, dquery, dpositive, rows, o);
    if (d.temperature.data) find_temperature(d.temperature.as<T>(), static_cast<const T*>(dquery), o, scratch.sums);
  });
}

}  // namespace gradus::inline v0::cuda
