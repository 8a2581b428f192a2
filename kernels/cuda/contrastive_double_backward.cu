// The contrastive losses' second derivatives in closed form (see kernels/contrastive.h, and kernels/cpu/contrastive_double_backward.cpp for
// the derivation). With c_ij = <query_i, key_j>, X_ij = <u_i, key_j> + <query_i, v_j>, b = 1 / temperature, r = -b^2 u.temperature, G the
// first gradient's weights without b, and t = b X + r c:
//   ddloss_i = e_i = sum over negatives of p_ij (t_ij - t_i,positive)                        first sweep: a kernel for each side with
//   anchors ddquery = (b W + r G) key + b G v, W_ij = g_i p_ij (t_ij - mean_i), and the same by columns   second sweep: a kernel for each
//   side ddtemperature = -b^2 (sum_ij W_ij c_ij + G_ij X_ij + (dr / db) G_ij c_ij)                     with the rows' side
// where mean_i = t_i,positive + e_i, and a positive pair has W = -g_i exp(-loss_i) e_i: nothing cancels when the pairs are aligned. Several
// positives have W as negatives have it, and G_ij = g_i (p_ij - 1 / |P|).
//   FLOPs    6 B M D for each side with anchors in the first sweep, 10 B M D a side in the second: 26 in all for a set of keys or a queue
//   memory   16 D (B + M) bytes read at the least in each sweep; from L2 8 D (first) or 16 D (second) bytes a column and block of 32 rows
//   scratch  the means, parts of e and of a gradient where columns are split: at most 44 (B + M) bytes, and 8 for each block of 32 rows;
//            8 bytes an anchor where labels say who the positives are

#include <gradus/kernels/cuda/contrastive_deviation.cuh>
#include <gradus/kernels/cuda/contrastive_kin.cuh>
#include <gradus/kernels/cuda/contrastive_rows.cuh>

namespace gradus::inline v0::cuda {
namespace {

using namespace contrast;

constexpr const char* kOp = "contrastive_double_backward";

// ---- second sweep -----------------------------------------------------------------------------------------------------------------------

template <class T> struct Pass {
  PairSide<T> pairs;
  Inputs<T> in;
  const T *mean, *ddloss;  // of all anchors
  T* out;                  // [splits, rows, dim]; null: none
  double* sums;            // of the derivative by b, a number a block; null: none
  int width;               // of a wide tile
  bool vector;             // out allows 16-byte access
};

/// What a pair adds: a = b W + r G to the gradient along the other operand, b = b G along its cotangent, and its share by b.
template <class T> struct Share {
  T a = 0, b = 0, by_beta = 0;
  __device__ Share() {}
  __device__ Share(T g, T w, T score, T cross, T beta, T r, T dr)
      : a(fma(beta, w, r * g)), b(beta * g), by_beta(fma(fma(dr, g, w), score, g * cross)) {}
};

template <class T, class K> struct Weigher {
  const Pass<T>& p;
  const RowAnchors<T, K::kRows>& rows;
  int first_row;
  T beta, r_, dr;

  /// Scores and cross products become a and b, in shared memory, but for the positives' ones; the result is the share by b.
  __device__ T weigh_negatives(T* a, T* b, int stride, const Pairs<T, K>& pairs, int first_column) const {
    T sum = 0;
#pragma unroll
    for (int j = 0; j < K::kTN; ++j) {
      const int at = column_lane() + j * kColumnLanes, column = first_column + at, name = p.pairs.side.column_name(column);
      const Column anchor(p, column);
#pragma unroll
      for (int i = 0; i < K::kTM; ++i) {
        const int row = row_lane() + i * kRowLanes;
        Share<T> share;
        if (rows.name[row] == name) share.a = pairs.score[i][j], share.b = pairs.cross[i][j];
        else if (p.pairs.side.allowed(first_row + row, column)) share = negative(row, pairs, i, j, anchor);
        sum = sum + share.by_beta;
        a[row * stride + at] = share.a;
        b[row * stride + at] = share.b;
      }
    }
    return sum;
  }

  /// What weigh_negatives() left, after a barrier.
  __device__ T weigh_positives(T* a, T* b, int stride, int first_column) const {
    T total = 0;
    for_each_positive<K>(p.pairs.side, rows.name, first_row, first_column, [&](int row, int column) {
      const int r = first_row + row, c = first_column + column, at = row * stride + column;
      Share<T> share;
      if (p.pairs.side.allowed(r, c)) {
        PositiveWeights<T> sum;
        if (p.pairs.row_anchors >= 0) sum.add(p.in, p.ddloss, p.pairs.row_anchors + r);
        if (p.pairs.column_anchors >= 0) sum.add(p.in, p.ddloss, p.pairs.column_anchors + c);
        share = Share<T>(sum.g, sum.w, a[at], b[at], beta, r_, dr);
      }
      a[at] = share.a, b[at] = share.b;
      total = total + share.by_beta;
    });
    return total;
  }

 private:
  /// The anchor of one of this thread's columns.
  struct Column {
    bool exists;
    int label;
    T weight = 0, lse = 0, mean = 0;
    __device__ Column(const Pass<T>& p, int column)
        : exists(p.pairs.column_anchors >= 0 && column < p.pairs.side.columns), label(p.pairs.side.label(column)) {
      if (!exists) return;
      const int anchor = p.pairs.column_anchors + column;
      if (p.pairs.side.has_positive(column)) weight = p.in.dloss[anchor];
      lse = reference_of(p.in.lse, anchor), mean = p.mean[anchor];
    }
  };

  __device__ Share<T> negative(int row, const Pairs<T, K>& pairs, int i, int j, const Column& column) const {
    const T score = pairs.score[i][j], t = pairs.t(i, j, beta, r_);
    T g = 0, w = 0;
    if (p.pairs.row_anchors >= 0) {
      g = rows.weight[row] * exp(fma(score, beta, -rows.lse[row]));
      w = g * (t - rows.mean[row]);
    }
    if (column.exists) {
      const T h = column.weight * exp(fma(score, beta, -column.lse));
      g = g + h;
      w = fma(h, t - column.mean, w);
    }
    if (column.label >= 0 && column.label == rows.label[row]) g = g - rows.target[row] * (rows.weight[row] + column.weight);
    return {g, w, score, pairs.cross[i][j], beta, r_, dr};
  }
};

/// The sum over a block's threads, in a fixed order.
__device__ inline void write_block_total(double* to, double value) {
  alignas(16) __shared__ double scratch[kThreads / kWarp];
  value = block_reduce<kThreads>(value, scratch, [](double a, double b) { return a + b; });
  if (threadIdx.x == 0) *to = value;
}

/// Grid (row blocks, splits of the columns), 128 threads; a block owns kRows rows, a thread 4 by 4 pairs. All four operands pass in chunks,
/// then the columns and their cotangents again for the gradient: in registers up to D = 256 (f64 128), else (kStreamed) slice by slice into
/// memory once a wide tile. 168 registers at D <= 128, 218 at D <= 256, no spills; 43 KiB of shared memory in f32, 76 if streamed.
template <class T, class K> __global__ void __launch_bounds__(kThreads, 2) second_kernel(Pass<T> p) {
  const Side<T>& s = p.pairs.side;
  T* const buffers = reinterpret_cast<T*>(dynamic_shared());
  auto& rows = *reinterpret_cast<RowAnchors<T, K::kRows>*>(buffers + Layout<T, K>::kAnchors);
  T *const a = buffers + Layout<T, K>::kOwn, *const b = a + Layout<T, K>::weights(p.width);
  const int first_row = static_cast<int>(blockIdx.x) * K::kRows, split = static_cast<int>(blockIdx.y), stride = p.width + kSkew;
  const ColumnRange range = columns_of(s.columns, p.width, split, static_cast<int>(gridDim.y));
  const int slices = !p.out ? 0 : K::kStreamed ? ceil_div(s.dim, K::kSlice) : 1;
  T* const out = p.out ? p.out + std::int64_t(split) * s.rows * s.dim : nullptr;
  const T beta = s.beta();
  rows.load(p.pairs, p.in, p.mean, first_row);
  const Weigher<T, K> weigher{p, rows, first_row, beta, p.in.weight(beta), p.in.weight_slope(beta)};
  const Source<T, K> source{s, p.pairs.row_cotangent, p.pairs.column_cotangent, first_row, range.first, range.last, p.width, slices};
  Feed<T, K> feed(source, buffers);
  Gradient<T, K> gradient;
  gradient.clear();
  double by_beta = 0;
  for (int column = range.first; column < range.last; column += p.width) {
    for (int tile = 0; tile < p.width; tile += K::kColumns) {
      Pairs<T, K> pairs;
      pairs.make(feed, p.pairs, source.chunks());
      T sum = weigher.weigh_negatives(a + tile, b + tile, stride, pairs, column + tile);
      __syncthreads();
      sum = sum + weigher.weigh_positives(a + tile, b + tile, stride, column + tile);
      by_beta += double(sum);
    }
    for (int slice = 0; slice < slices; ++slice) {
      if (K::kStreamed) gradient.clear();
      for (int line = 0; line < p.width; line += K::kLines) {
        const T* const lines = feed.next();
        gradient.add(a + line, stride, lines);
        if (p.pairs.column_cotangent) gradient.add(b + line, stride, lines + K::kLineCotangent);
      }
      if (K::kStreamed) gradient.write(out, first_row, s.rows, slice * K::kSlice, s.dim, p.vector, column > range.first);
    }
  }
  if (!K::kStreamed && out) gradient.write(out, first_row, s.rows, 0, s.dim, p.vector, false);
  if (p.sums) write_block_total(p.sums + std::int64_t(split) * gridDim.x + blockIdx.x, by_beta);
}

template <class T> struct QueueOutputs {
  T *query, *positive;  // any may be null
  double* sums;         // a number a block
};

/// The positives of a queue, which are in no tile. A warp a row.
template <class T> __global__ void __launch_bounds__(kRowThreads)
    queue_kernel(QueueOutputs<T> out, const T* ddloss, Inputs<T> in, Operands<T> x) {
  const int i = warp_of_grid();
  Share<T> share;
  if (i < x.rows) {
    const T beta = T(1) / *x.temperature;
    const PositivePair<T> pair(x, in, i);
    PositiveWeights<T> sum;
    sum.add(in, ddloss, i);
    share = Share<T>(sum.g, sum.w, pair.score, pair.cross, beta, in.weight(beta), in.weight_slope(beta));
    for (int d = static_cast<int>(threadIdx.x) % kWarp; d < x.dim; d += kWarp) {
      const std::int64_t at = std::int64_t(i) * x.dim + d;
      if (out.query) out.query[at] = fma(share.b, in.positive ? in.positive[at] : T(0), fma(share.a, x.positive[at], out.query[at]));
      if (out.positive) out.positive[at] = fma(share.b, in.query ? in.query[at] : T(0), share.a * x.query[at]);
    }
  }
  write_block_sum(out.sums, double(share.by_beta));
}

// ---- launchers --------------------------------------------------------------------------------------------------------------------------

// 32 rows by 64 columns; f64 32 by 32.
template <class T, int kSlice, bool kStreamed> using PairTile = Tile<T, 4, sizeof(T) == 4 ? 4 : 2, kSlice, kStreamed, true>;
template <class T> constexpr int kRowsOfTile = PairTile<T, 0, false>::kRows;
constexpr int kWideTile = 192;

/// Parts of e take at most 16 (B + M) bytes, those of a gradient 24 (f64: 16).
template <class T> int splits_of_sums(const Operands<T>& x) {
  const int each = static_cast<int>(x.form == ContrastiveForm::supervised ? 2 * sizeof(T) : sizeof(T));
  return splits_of(ceil_div(x.rows, kRowsOfTile<T>), ceil_div(x.columns, PairTile<T, 0, false>::kColumns), std::int64_t(x.anchors()) * each,
                   16 * (std::int64_t(x.rows) + x.columns));
}
template <class T> int splits_of_gradient(int rows, int columns, int dim) {
  return splits_of(ceil_div(rows, kRowsOfTile<T>), ceil_div(columns, kWideTile), std::int64_t(rows) * dim * std::int64_t(sizeof(T)),
                   (sizeof(T) == 4 ? 24 : 16) * (std::int64_t(rows) + columns));
}

template <class T> struct Scratch {
  T *mean, *deviations, *positive_deviations, *parts;
  Kin* kin;
  double *sums, *queue_sums;  // the one behind the other
  int sum_count;              // of both
  std::size_t bytes;

  Scratch(const Operands<T>& x, void* memory) {
    const auto elements = [](int splits, int rows, int dim) { return splits > 1 ? std::int64_t(splits) * rows * dim : 0; };
    const int of_rows = splits_of_gradient<T>(x.rows, x.columns, x.dim);
    const std::int64_t row_parts = elements(of_rows, x.rows, x.dim);
    const std::int64_t column_parts = elements(splits_of_gradient<T>(x.columns, x.rows, x.dim), x.columns, x.dim);
    const int blocks = x.columns ? ceil_div(x.rows, kRowsOfTile<T>) * of_rows : 0;
    sum_count = blocks + (x.form == ContrastiveForm::queue ? ceil_div(x.rows, kRowWarps) : 0);
    Carver carver{static_cast<char*>(memory)};
    mean = carver.take<T>(x.anchors());
    deviations = carver.take<T>(std::int64_t(splits_of_sums(x)) * x.anchors());
    positive_deviations = carver.take<T>(x.form == ContrastiveForm::supervised ? std::int64_t(splits_of_sums(x)) * x.anchors() : 0);
    kin = carver.take<Kin>(kin_count(x.form, x.rows));
    sums = carver.take<double>(sum_count);
    queue_sums = sums ? sums + blocks : nullptr;
    parts = carver.take<T>(row_parts > column_parts ? row_parts : column_parts);
    bytes = carver.bytes;
  }
};

/// The first sweep.
template <class T> void find_deviations(T* ddloss, const Operands<T>& x, const Inputs<T>& in, const Scratch<T>& scratch) {
  using K = PairTile<T, 0, false>;
  launch(kOp, centre_kernel<T>, blocks_for(x.rows, kRowWarps), kRowThreads, 0, scratch.mean, in, x);
  const int splits = splits_of_sums(x);
  const auto kernel = deviation_kernel<T, K>;
  allow_shared(kernel, Layout<T, K>::deviation_bytes());
  const auto sum_side = [&](bool transposed) {
    const PairSide<T> p = pair_side_of(x, in, transposed);
    launch(kOp, kernel, dim3(static_cast<unsigned>(ceil_div(p.side.rows, K::kRows)), static_cast<unsigned>(splits)), kThreads,
           Layout<T, K>::deviation_bytes(), scratch.deviations, scratch.positive_deviations, static_cast<const T*>(scratch.mean),
           x.anchors(), p, in);
  };
  sum_side(false);
  if (x.form == ContrastiveForm::symmetric) sum_side(true);
  launch(kOp, mean_kernel<T>, blocks_for(x.anchors(), 256), 256, 0, ddloss, scratch.mean, static_cast<const T*>(scratch.deviations),
         static_cast<const T*>(scratch.positive_deviations), x.kin, splits, x.anchors());
}

template <class T, class K> bool launch_tiles(Pass<T> p, int splits, std::size_t most) {
  p.width = K::kStreamed ? kWideTile : K::kColumns;
  while (Layout<T, K>::gradient_bytes(p.width) > most && p.width > K::kColumns) p.width -= K::kColumns;
  const std::size_t bytes = Layout<T, K>::gradient_bytes(p.width);
  if (bytes > most) return false;
  const auto kernel = second_kernel<T, K>;
  allow_shared(kernel, bytes);
  const Side<T>& s = p.pairs.side;
  launch(kOp, kernel, dim3(static_cast<unsigned>(ceil_div(s.rows, K::kRows)), static_cast<unsigned>(splits)), kThreads, bytes, p);
  return true;
}

/// The second sweep of one side. out, sums may be null.
template <class T> void run_pass(T* out, Pass<T> p, T* parts) {
  const Side<T>& s = p.pairs.side;
  const std::int64_t elements = std::int64_t(s.rows) * s.dim;
  if (s.columns == 0) return out ? fill_bytes(out, 0, static_cast<std::size_t>(elements) * sizeof(T)) : void();
  const int splits = splits_of_gradient<T>(s.rows, s.columns, s.dim);
  p.out = !out || elements == 0 ? nullptr : splits > 1 ? parts : out;
  if (!p.out && !p.sums) return;
  p.vector = vector_rows(p.out, s.dim);
  const std::size_t most = most_shared();
  const bool done = (s.dim <= 128 && launch_tiles<T, PairTile<T, 128, false>>(p, splits, most)) ||
                    (sizeof(T) == 4 && s.dim <= 256 && launch_tiles<T, PairTile<T, sizeof(T) == 4 ? 256 : 128, false>>(p, splits, most));
  if (!done) launch_tiles<T, PairTile<T, 128, true>>(p, splits, most);
  if (p.out && splits > 1) add_parts(kOp, out, static_cast<const T*>(parts), splits, elements);
}

template <class T> struct Outputs {
  T *ddloss, *query, *key, *positive, *temperature;  // all but the first may be null
};

template <class T> void run(const Outputs<T>& out, const Contrastive& operands, const Inputs<T>& in, Workspace workspace) {
  Operands<T> x(operands);
  const Scratch<T> scratch(x, workspace.data);
  find_kin(kOp, x, operands, scratch.kin);
  find_deviations(out.ddloss, x, in, scratch);
  Pass<T> pass{pair_side_of(x, in, false), in, scratch.mean, out.ddloss, nullptr, out.temperature ? scratch.sums : nullptr, 0, false};
  run_pass(out.query, pass, scratch.parts);
  pass.pairs = pair_side_of(x, in, true), pass.sums = nullptr;
  if (out.key) run_pass(out.key, pass, scratch.parts);
  if (x.positive)
    launch(kOp, queue_kernel<T>, blocks_for(x.rows, kRowWarps), kRowThreads, 0,
           QueueOutputs<T>{out.query, out.positive, scratch.queue_sums}, static_cast<const T*>(out.ddloss), in, x);
  if (!out.temperature) return;
  const double scale = compares_own_rows(x.form) ? -0.5 : -1;  // the matrix holds every pair twice
  launch(kOp, add_numbers_kernel<T>, 1, kRowThreads, 0, out.temperature, static_cast<const double*>(scratch.sums), scratch.sum_count,
         x.temperature, scale, 2);
}

}  // namespace

std::size_t contrastive_double_backward_workspace_bytes(const Contrastive& x) {
  std::size_t bytes = 0;
  with_floating(x.query.dtype, [&](auto zero) {
    using T = decltype(zero);
    bytes = Scratch<T>(Operands<T>(x), nullptr).bytes;
  });
  return bytes;
}

void contrastive_double_backward(Array ddloss, const ContrastiveGradients& dd, const ContrastiveCotangents& u, ConstArray dloss,
                                 ConstArray loss, ConstArray lse, const Contrastive& x, Workspace workspace) {
  with_floating(x.query.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Inputs<T> in{optional<T>(u.query), optional<T>(u.key), optional<T>(u.positive), optional<T>(u.temperature), dloss.as<T>(),
                       loss.as<T>(),         lse.as<T>()};
    run<T>({ddloss.as<T>(), optional<T>(dd.query), optional<T>(dd.key), optional<T>(dd.positive), optional<T>(dd.temperature)}, x, in,
           workspace);
  });
}

}  // namespace gradus::inline v0::cuda
