// The first sweep of the contrastive second derivative: how far t lies from its positive's, on the average of each anchor's negatives,
//   ddloss_i = e_i = sum over negatives of p_ij (t_ij - t_i,positive),   mean_i = t_i,positive + e_i
// An anchor with several positives counts from the first one's t, over all pairs, and takes from e_i the mean of the positives' deviations.
// (contrastive_double_backward.cu has the definitions and the second sweep).
#pragma once

#include <gradus/kernels/cuda/contrastive_pairs.cuh>

namespace gradus::inline v0::cuda::contrast {

/// mean [anchors] = t of the positive, for now. A warp a row.
template <class T> __global__ void __launch_bounds__(kRowThreads) centre_kernel(T* mean, Inputs<T> in, Operands<T> x) {
  const int i = warp_of_grid();
  if (i >= x.rows) return;
  const T beta = T(1) / *x.temperature, t = PositivePair<T>(x, in, i).t(beta, in.weight(beta));
  if (threadIdx.x % kWarp != 0) return;
  mean[i] = t;
  if (x.form == ContrastiveForm::symmetric) mean[x.rows + i] = t;
}

/// What a block knows of its rows, in shared memory.
template <class T, int kRows> struct RowAnchors {
  T weight[kRows], lse[kRows], mean[kRows], target[kRows];
  int name[kRows], label[kRows];

  __device__ void load(const PairSide<T>& p, const Inputs<T>& in, const T* means, int first_row) {
    name_rows<kRows>(name, p.side, first_row);
    for_each_of_block<kRows, kThreads>([&](int i) {
      const bool anchor = p.row_anchors >= 0 && first_row + i < p.side.rows;
      const int at = p.row_anchors + first_row + i;
      weight[i] = anchor && p.side.has_positive(first_row + i) ? in.dloss[at] : T(0);
      lse[i] = anchor ? reference_of(in.lse, at) : T(0);
      mean[i] = anchor ? means[at] : T(0);
      target[i] = p.side.target(first_row + i);
      label[i] = p.side.label(first_row + i);
    });
  }
};

/// What a thread has seen of its rows: e, and the sum over several positives of t - mean.
template <class T, class K> struct Deviations {
  T all[K::kTM] = {}, positive[K::kTM] = {};
};

/// The deviations of this thread's rows and columns.
template <class T, class K> __device__ void add_deviations(Deviations<T, K>& sum, const Pairs<T, K>& pairs, const Side<T>& s,
                                                           const RowAnchors<T, K::kRows>& rows, int first_row, int first_column, T beta,
                                                           T r) {
#pragma unroll
  for (int j = 0; j < K::kTN; ++j) {
    // A column's name is itself: the keys of a key_set are no anchors.
    const int column = first_column + column_lane() + j * kColumnLanes, label = s.label(column);
#pragma unroll
    for (int i = 0; i < K::kTM; ++i) {
      const int row = row_lane() + i * kRowLanes;
      if (rows.name[row] == column || !s.allowed(first_row + row, column)) continue;
      const T p = exp(fma(pairs.score[i][j], beta, -rows.lse[row]));
      sum.all[i] = fma(p, pairs.t(i, j, beta, r) - rows.mean[row], sum.all[i]);
    }
    if (label < 0) continue;
#pragma unroll
    for (int i = 0; i < K::kTM; ++i) {
      const int row = row_lane() + i * kRowLanes;
      if (rows.label[row] == label && first_row + row != column)
        sum.positive[i] = sum.positive[i] + (pairs.t(i, j, beta, r) - rows.mean[row]);
    }
  }
}

/// The lanes of a row by a butterfly, its two warps through shared memory [2, kRows].
template <class T, class K> __device__ void write_deviations(T* out, const T (&sum)[K::kTM], T* exchange, int count) {
#pragma unroll
  for (int i = 0; i < K::kTM; ++i) {
    T e = sum[i];
#pragma unroll
    for (int mask = 4; mask > 0; mask /= 2) e = e + __shfl_xor_sync(kAllLanes, e, mask);
    if (column_lane() % 8 == 0) exchange[column_lane() / 8 * K::kRows + row_lane() + i * kRowLanes] = e;
  }
  __syncthreads();
  const int row = static_cast<int>(threadIdx.x);
  if (row < K::kRows && row < count) out[row] = exchange[row] + exchange[K::kRows + row];
}

/// Shared memory of a block in elements: two chunks, the row anchors, and a sweep's own.
template <class T, class K> struct Layout {
  using Rows = RowAnchors<T, K::kRows>;
  static constexpr int kAnchors = 2 * K::kStage, kOwn = kAnchors + static_cast<int>(sizeof(Rows) / sizeof(T));
  static __host__ __device__ int weights(int width) { return K::kRows * (width + kSkew); }  // of one of the two matrices
  static std::size_t deviation_bytes() { return static_cast<std::size_t>(kOwn + 2 * K::kRows) * sizeof(T); }
  static std::size_t gradient_bytes(int width) { return static_cast<std::size_t>(kOwn + 2 * weights(width)) * sizeof(T); }
};

/// Grid (row blocks, splits of the columns), 128 threads; a block owns kRows rows, a thread 4 by 4 scores and cross products. All four
/// operands pass in chunks. 25 KiB of shared memory in f32. out [splits, anchors]; with labels positive_out likewise.
template <class T, class K> __global__ void __launch_bounds__(kThreads, 3)
    deviation_kernel(T* out, T* positive_out, const T* means, int anchors, PairSide<T> p, Inputs<T> in) {
  T* const buffers = reinterpret_cast<T*>(dynamic_shared());
  auto& rows = *reinterpret_cast<RowAnchors<T, K::kRows>*>(buffers + Layout<T, K>::kAnchors);
  const int first_row = static_cast<int>(blockIdx.x) * K::kRows, split = static_cast<int>(blockIdx.y);
  const ColumnRange range = columns_of(p.side.columns, K::kColumns, split, static_cast<int>(gridDim.y));
  const T beta = p.side.beta(), r = in.weight(beta);
  rows.load(p, in, means, first_row);
  const Source<T, K> source{p.side, p.row_cotangent, p.column_cotangent, first_row, range.first, range.last, K::kColumns, 0};
  Feed<T, K> feed(source, buffers);
  Deviations<T, K> sum;
  for (int column = range.first; column < range.last; column += K::kColumns) {
    Pairs<T, K> pairs;
    pairs.make(feed, p, source.chunks());
    add_deviations<T, K>(sum, pairs, p.side, rows, first_row, column, beta, r);
  }
  const std::int64_t at = std::int64_t(split) * anchors + p.row_anchors + first_row;
  T* const exchange = buffers + Layout<T, K>::kOwn;
  write_deviations<T, K>(out + at, sum.all, exchange, p.side.rows - first_row);
  if (!p.side.kin) return;
  __syncthreads();
  write_deviations<T, K>(positive_out + at, sum.positive, exchange, p.side.rows - first_row);
}

/// ddloss = the sum of e's parts, less the mean over several positives; mean becomes the mean of t. A thread an anchor.
template <class T> __global__ void __launch_bounds__(256)
    mean_kernel(T* ddloss, T* mean, const T* parts, const T* positive_parts, const Kin* kin, int splits, int anchors) {
  const int a = static_cast<int>(blockIdx.x * 256 + threadIdx.x);
  if (a >= anchors) return;
  T e = 0, positive = 0;
  for (int s = 0; s < splits; ++s) e = e + parts[std::int64_t(s) * anchors + a];
  mean[a] = mean[a] + e;
  if (kin && kin[a].several()) {
    for (int s = 0; s < splits; ++s) positive = positive + positive_parts[std::int64_t(s) * anchors + a];
    positive = positive / static_cast<T>(kin[a].count);
  }
  ddloss[a] = kin && kin[a].count == 0 ? T(0) : e - positive;
}

}  // namespace gradus::inline v0::cuda::contrast
