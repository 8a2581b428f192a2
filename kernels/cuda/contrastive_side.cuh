// What the contrastive kernels compute on: the operands, and one side of the score matrix as a kernel sees it.
//
// A kernel owns some rows of the score matrix and streams its columns. What concerns the keys (their gradient, the column anchors of the
// symmetric form) runs the same kernels on the transposed matrix: another *side*. So every sum stays within a block and has one order, at
// the price of making the scores once for each side. Where the rows are compared with each other (NT-Xent, the supervised form) the matrix
// is symmetric: its one side holds everything.
#pragma once

#include <cstdint>

#include <gradus/kernels/contrastive.h>
#include <gradus/kernels/cuda/launch.cuh>

namespace gradus::inline v0::cuda::contrast {

template <class T> inline constexpr T kInfinity = static_cast<T>(__builtin_inf());

template <class T> inline T* optional(const Array& a) { return a.data ? a.as<T>() : nullptr; }
template <class T> inline const T* optional(const ConstArray& a) { return a ? a.as<T>() : nullptr; }

/// Rows, columns and features are counted in 32 bits, elements in 64.
inline int narrow(std::int64_t n) {
  GRADUS_ASSERT(n >= 0 && n < 0x7FFFFF00);
  return static_cast<int>(n);
}
constexpr int ceil_div(int n, int d) { return static_cast<int>((std::int64_t(n) + d - 1) / d); }
constexpr int smaller(int a, int b) { return a < b ? a : b; }
constexpr int larger(int a, int b) { return a > b ? a : b; }

/// The positives of an anchor of the supervised form: the other rows with its label.
struct Kin {
  int first, count;  // first: -1 without any

  /// A number that rows have in common where they have a label in common: the first of the rows that bear it. `row` is the anchor's own.
  __device__ int label(int row) const { return first < 0 || row < first ? row : first; }
  /// The only positive, which has the softplus form; -1: none, or several.
  __device__ int only() const { return count == 1 ? first : -1; }
  __device__ bool several() const { return count > 1; }
};

/// The operands, typed.
template <class T> struct Operands {
  ContrastiveForm form;
  const T *query, *key, *positive, *temperature;
  const std::int64_t* index;  // key_set
  const unsigned char* mask;
  const Kin* kin = nullptr;  // supervised: see find_kin()
  int rows, columns, dim;

  explicit Operands(const Contrastive& x)
      : form(x.form),
        query(x.query.as<T>()),
        key(compares_own_rows(x.form) ? query : x.key.as<T>()),
        positive(optional<T>(x.positive)),
        temperature(x.temperature.as<T>()),
        index(optional<std::int64_t>(x.positive_index)),
        mask(reinterpret_cast<const unsigned char*>(optional<bool>(x.mask))),
        rows(narrow((*x.query.shape)[0])),
        columns(narrow((*x.key.shape)[0])),
        dim(narrow((*x.query.shape)[1])) {}

  __host__ __device__ int anchors() const { return form == ContrastiveForm::symmetric ? rows + columns : rows; }
  /// The row whose positive is an anchor's too.
  __device__ int row_of(int anchor) const { return anchor < rows ? anchor : anchor - rows; }
  /// The column of row i's positive, of the first one if labels say which they are; -1 for a queue and for an index out of range.
  __device__ int positive_of(int i) const {
    if (form == ContrastiveForm::symmetric) return i;
    if (form == ContrastiveForm::nt_xent) return i < rows / 2 ? i + rows / 2 : i - rows / 2;
    if (form == ContrastiveForm::queue) return -1;
    if (kin) return kin[i].first;
    const std::int64_t j = index[i];
    return j >= 0 && j < columns ? static_cast<int>(j) : -1;
  }
  __device__ bool allowed(int i, int j) const { return !mask || mask[std::int64_t(i) * columns + j] != 0; }
  __device__ const T* query_row(int i) const { return query + std::int64_t(i) * dim; }
  __device__ const T* key_row(int j) const { return key + std::int64_t(j) * dim; }
};

/// How the positives of a side are found: a pair is positive when the names of its row and its column are equal.
enum class Naming : std::uint8_t {
  none,          // a queue: no positive is in the matrix
  diagonal,      // symmetric
  halves,        // NT-Xent: (i + N) mod 2N; the diagonal does not count at all
  labels,        // supervised: a row with one positive knows it, others have no name; the diagonal does not count
  row_index,     // key_set: a row knows its column
  column_index,  // key_set transposed
};

template <class T> struct Side {
  const T *row, *column;  // [rows, dim], [columns, dim]
  const T* temperature;
  const std::int64_t* index;
  const unsigned char* mask;
  const Kin* kin;
  std::int64_t mask_row, mask_column;  // from one row, one column to the next
  int rows, columns, dim;
  Naming naming;
  bool own_rows;  // compared with each other
  bool vector;    // both matrices allow 16-byte reads

  __device__ T beta() const { return T(1) / *temperature; }
  __device__ int row_name(int r) const {
    if (naming == Naming::diagonal || naming == Naming::column_index) return r;
    if (naming == Naming::halves) return r < rows / 2 ? r + rows / 2 : r - rows / 2;
    if (naming == Naming::labels) return r < rows ? kin[r].only() : -1;
    return naming == Naming::row_index && r < rows ? indexed(r, columns) : -1;
  }
  __device__ int column_name(int c) const { return naming == Naming::column_index ? (c < columns ? indexed(c, rows) : -1) : c; }
  /// The row that column c is; -1: none.
  __device__ int itself(int c) const { return own_rows ? c : -1; }
  /// Whether there is such a pair: there is none of a row with itself where rows are compared with each other.
  __device__ bool inside(int r, int c) const { return r < rows && c < columns && !is_itself(r, c); }
  __device__ bool is_itself(int r, int c) const { return r == itself(c); }
  /// Whether anchor i, an index of either side, has any positive.
  __device__ bool has_positive(int i) const { return !kin || kin[i].count > 0; }
  /// 1 / |P| and the label of an anchor with several positives; 0 and -1 of others, and beyond the matrix.
  __device__ T target(int i) const { return kin && i < rows && kin[i].several() ? T(1) / static_cast<T>(kin[i].count) : T(0); }
  __device__ int label(int i) const { return kin && i < rows && kin[i].several() ? kin[i].label(i) : -1; }
  /// Whether the mask lets it count. Beyond the matrix nothing is read.
  __device__ bool unmasked(int r, int c) const { return r < rows && c < columns && mask[r * mask_row + c * mask_column] != 0; }
  __device__ bool allowed(int r, int c) const { return inside(r, c) && (!mask || unmasked(r, c)); }

 private:
  __device__ int indexed(int i, int bound) const {
    const std::int64_t j = index[i];
    return j >= 0 && j < bound ? static_cast<int>(j) : -1;
  }
};

template <class T> bool vector_rows(const T* matrix, int dim) { return dim % Pack<T>::kCount == 0 && aligned16(matrix); }

/// The rows' side, or the columns' side.
template <class T> Side<T> side_of(const Operands<T>& x, bool transposed) {
  constexpr Naming kNames[] = {Naming::row_index, Naming::none, Naming::diagonal, Naming::halves, Naming::labels};
  const Naming naming = kNames[static_cast<int>(x.form)];
  const bool vector = vector_rows(x.query, x.dim) && vector_rows(x.key, x.dim);
  Side<T> s{
      x.query, x.key, x.temperature, x.index, x.mask, x.kin, x.columns, 1, x.rows, x.columns, x.dim, naming, compares_own_rows(x.form),
      vector};
  if (!transposed) return s;
  s.row = x.key, s.column = x.query;
  s.rows = x.columns, s.columns = x.rows;
  s.mask_row = 1, s.mask_column = x.columns;
  if (naming == Naming::row_index) s.naming = Naming::column_index;
  return s;
}

/// Blocks that keep a large device busy: two for each of 128 multiprocessors. A constant, so that bits do not depend on the device.
inline constexpr int kEnoughBlocks = 256;

/// Into how many parts to cut the columns, so that `row_blocks` times as many blocks start: within `bytes`, a part taking `bytes_each`.
inline int splits_of(int row_blocks, int column_tiles, std::int64_t bytes_each, std::int64_t bytes) {
  std::int64_t most = bytes_each > 0 ? bytes / bytes_each : 1;
  if (row_blocks > 0 && most > kEnoughBlocks / row_blocks) most = kEnoughBlocks / row_blocks;
  if (most > column_tiles) most = column_tiles;
  return most > 1 ? static_cast<int>(most) : 1;
}

struct ColumnRange {
  int first, last;
};
/// The columns of part `split` of `splits`, in whole tiles of `width`.
__device__ inline ColumnRange columns_of(int columns, int width, int split, int splits) {
  const std::int64_t tiles = ceil_div(columns, width);
  const int first = static_cast<int>(tiles * split / splits) * width, last = static_cast<int>(tiles * (split + 1) / splits) * width;
  return {first, last < columns ? last : columns};
}

/// Scratch handed out piece by piece. Without memory it only counts.
struct Carver {
  char* next = nullptr;
  std::size_t bytes = 0;

  template <class T> T* take(std::int64_t count) {
    const std::size_t size = (static_cast<std::size_t>(count) * sizeof(T) + 15) / 16 * 16;
    char* const piece = next;
    bytes += size;
    if (next) next += size;
    return reinterpret_cast<T*>(piece);
  }
};

// ---- rows one by one, a warp each
// --------------------------------------------------------------------------------------------------------

inline constexpr int kRowThreads = 256, kRowWarps = kRowThreads / kWarp;

/// Which warp of the grid this is.
__device__ inline int warp_of_grid() { return static_cast<int>(blockIdx.x) * kRowWarps + static_cast<int>(threadIdx.x) / kWarp; }

/// <a, b>, in every lane of the warp.
template <class T> __device__ T warp_dot(const T* a, const T* b, int n) {
  T sum = 0;
  for (int d = static_cast<int>(threadIdx.x) % kWarp; d < n; d += kWarp) sum = fma(a[d], b[d], sum);
  return warp_reduce(sum, [](T x, T y) { return x + y; });
}

}  // namespace gradus::inline v0::cuda::contrast
