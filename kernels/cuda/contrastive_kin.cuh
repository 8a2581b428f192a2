// Who the positives of the supervised form are: B^2 comparisons of labels, beside which a tile's products cost 2 D each.
#pragma once

#include <gradus/kernels/cuda/contrastive_side.cuh>

namespace gradus::inline v0::cuda::contrast {

inline constexpr int kKinThreads = 256;

/// A thread a row; the labels pass through shared memory, 256 at a time. Reads 8 B bytes a block, writes 8 B.
static __global__ void __launch_bounds__(kKinThreads) kin_kernel(Kin* kin, const std::int64_t* labels, int rows) {
  __shared__ std::int64_t others[kKinThreads];
  const int lane = static_cast<int>(threadIdx.x), row = static_cast<int>(blockIdx.x) * kKinThreads + lane;
  const std::int64_t own = row < rows ? labels[row] : 0;
  Kin found{-1, 0};
  for (int first = 0; first < rows; first += kKinThreads) {
    __syncthreads();
    if (first + lane < rows) others[lane] = labels[first + lane];
    __syncthreads();
    const int count = rows - first < kKinThreads ? rows - first : kKinThreads;
    for (int n = 0; n < count; ++n) {
      if (others[n] != own || first + n == row) continue;
      if (found.count++ == 0) found.first = first + n;
    }
  }
  if (row < rows) kin[row] = found;
}

/// Bytes that find_kin() needs: 8 an anchor; 0 in other forms.
inline std::int64_t kin_count(ContrastiveForm form, int rows) { return form == ContrastiveForm::supervised ? rows : 0; }

/// Makes x.kin in `memory`, if labels say who the positives are.
template <class T> void find_kin(const char* op, Operands<T>& x, const Contrastive& operands, Kin* memory) {
  if (x.form != ContrastiveForm::supervised || x.rows == 0) return;
  launch(op, kin_kernel, blocks_for(x.rows, kKinThreads), kKinThreads, 0, memory, operands.labels.as<std::int64_t>(), x.rows);
  x.kin = memory;
}

}  // namespace gradus::inline v0::cuda::contrast
