// The table of the hot file reduce.cpp (see isa.h): rows and columns. Axes and threads are the business of reduce_dispatch.cpp.
#pragma once

#include <gradus/kernels/cpu/isa.h>
#include <gradus/kernels/reduce.h>

namespace gradus::inline v0::cpu {

/// Adds numbers pairwise: a binary counter of partial sums.
class PairwiseSum {
 public:
  GRADUS_INLINE void add(double value) {
    for (std::uint64_t c = ++count_; (c & 1) == 0; c >>= 1) value += partial_[--size_];
    partial_[size_++] = value;
  }
  GRADUS_INLINE double total() const {
    double sum = 0;
    for (int i = size_ - 1; i >= 0; --i) sum += partial_[i];
    return sum;
  }

 private:
  double partial_[64];  // one per bit of the count
  std::uint64_t count_ = 0;
  int size_ = 0;
};

/// One reduction of one element type. `shift` is read by sums of exp(x - shift) alone.
struct Reduction {
  double (*row)(std::int64_t n, const void* x, double shift);
  /// y[r] = the reduction of row r of x [rows, n].
  void (*rows)(std::int64_t rows, std::int64_t n, void* y, const void* x);
  /// total[c] joined with column c of x [rows, columns], rows `stride` elements apart; shift[c].
  void (*columns)(std::int64_t rows, std::int64_t stride, std::int64_t columns, double* total, const void* x, const void* shift);
};

struct ArgmaxTable {
  /// index[r] for x [rows, n].
  void (*rows)(std::int64_t rows, std::int64_t n, std::int64_t* index, const void* x);
  /// index[c] for x [n, columns], rows `columns` elements apart.
  void (*columns)(std::int64_t n, std::int64_t columns, std::int64_t* index, const void* x);
};

struct ReduceTable {
  Reduction sum[2], max[2], min[2], exp_sum[2];  // f32, f64
  void (*logsumexp_rows[2])(std::int64_t rows, std::int64_t n, void* y, const void* x);
  ArgmaxTable argmax[2];
};
GRADUS_TABLE(ReduceTable, reduce_table)

}  // namespace gradus::inline v0::cpu
