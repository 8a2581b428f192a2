// The order in which a contrastive kernel's operands pass through shared memory.
//
// Columns pass in *wide tiles* of `width` columns, a multiple of a score tile's. For each: all chunks of all its score tiles, then, where
// there is a gradient, for each slice of the gradient the features of the wide tile's columns again, kLines at a time.
#pragma once

#include <gradus/kernels/cuda/contrastive_tile.cuh>

namespace gradus::inline v0::cuda::contrast {

/// Copies chunk after chunk. It refers to the kernel's parameter: nvcc 13.0 took a copy of a part of it for the parameter itself, and read
/// what followed the copy from there.
template <class T, class K> struct Source {
  const Side<T>& side;
  const T *row_cotangent, *column_cotangent;   // any may be null
  int first_row, column, last, width, slices;  // columns [column, last) are to come; slices 0: no gradient
  int tile = 0, chunk = 0, slice = 0, line = 0;
  bool in_lines = false;

  __device__ int chunks() const { return side.dim > kDepth<T> ? ceil_div(side.dim, kDepth<T>) : 1; }

  __device__ void copy_next(T* to) {
    if (column >= last) return;
    if (in_lines) next_lines(to);
    else next_scores(to);
  }

 private:
  __device__ void next_scores(T* to) {
    const int c = column + tile, d = chunk * kDepth<T>;
    copy_chunk<T, K::kColumns>(to, side.column, c, side.columns, d, side.dim, side.vector);
    if constexpr (K::kRowsStreamed) copy_chunk<T, K::kRows>(to + K::kRow, side.row, first_row, side.rows, d, side.dim, side.vector);
    if constexpr (K::kCotangents) {
      if (column_cotangent)
        copy_chunk<T, K::kColumns>(to + K::kColumnCotangent, column_cotangent, c, side.columns, d, side.dim, side.vector);
      if (row_cotangent) copy_chunk<T, K::kRows>(to + K::kRowCotangent, row_cotangent, first_row, side.rows, d, side.dim, side.vector);
    }
    if (++chunk < chunks()) return;
    chunk = 0;
    if ((tile += K::kColumns) < width) return;
    tile = 0;
    if (slices > 0) in_lines = true;
    else column += width;
  }

  __device__ void next_lines(T* to) {
    if constexpr (K::kSlice > 0) {
      const int c = column + line, d = slice * K::kSlice;
      copy_lines<T, K::kLines, K::kSlice>(to, side.column, c, side.columns, d, side.dim, side.vector);
      if (K::kCotangents && column_cotangent)
        copy_lines<T, K::kLines, K::kSlice>(to + K::kLineCotangent, column_cotangent, c, side.columns, d, side.dim, side.vector);
      if ((line += K::kLines) < width) return;
      line = 0;
      if (++slice < slices) return;
      slice = 0, in_lines = false;
      column += width;
    }
  }
};

/// Two buffers: next() gives the chunk that has arrived and starts the copy of the one after it. The one barrier a chunk says both that the
/// chunk is there for all and that all are done with the buffer that is filled next.
template <class T, class K> class Feed {
 public:
  __device__ Feed(const Source<T, K>& source, T* buffers) : source_(source), filling_(buffers), ready_(buffers + K::kStage) {
    source_.copy_next(filling_);
  }
  __device__ const T* next() {
    wait_for_copies();
    __syncthreads();
    T* const arrived = filling_;
    filling_ = ready_, ready_ = arrived;
    source_.copy_next(filling_);
    return arrived;
  }

 private:
  Source<T, K> source_;
  T *filling_, *ready_;
};

/// Elements of the rows that stay in shared memory: chunk after chunk.
template <class T, class K> __host__ __device__ constexpr int resident_elements(int dim) {
  return K::kRowsStreamed ? 0 : (dim > kDepth<T> ? ceil_div(dim, kDepth<T>) : 1) * K::kRows * kDepth<T>;
}
template <class T, class K> __device__ void copy_resident(T* to, const Side<T>& s, int first_row) {
  if constexpr (!K::kRowsStreamed) {
#pragma unroll 1
    for (int n = 0; n < resident_elements<T, K>(s.dim) / (K::kRows * kDepth<T>); ++n)
      copy_chunk<T, K::kRows>(to + n * K::kRows * kDepth<T>, s.row, first_row, s.rows, n * kDepth<T>, s.dim, s.vector);
  }
}

template <int kRows, class T> __device__ void name_rows(int* names, const Side<T>& s, int first_row) {
  for_each_of_block<kRows, kThreads>([&](int r) { names[r] = s.row_name(first_row + r); });
}

/// f(row, column) for the places of a tile whose names agree, in or out of the matrix, each by one thread: a row owns its positive, or with
/// an index by columns a column does. `names` are the rows'.
template <class K, class T, class F>
__device__ void for_each_positive(const Side<T>& s, const int* names, int first_row, int first_column, const F& f) {
  const bool by_column = s.naming == Naming::column_index;
  const int owners = by_column ? K::kColumns : K::kRows;
  for (int n = static_cast<int>(threadIdx.x); n < owners; n += kThreads) {
    const int row = by_column ? s.column_name(first_column + n) - first_row : n, column = by_column ? n : names[n] - first_column;
    if (row >= 0 && row < K::kRows && column >= 0 && column < K::kColumns) f(row, column);
  }
}

/// The scores <row, column> of the next tile, without the temperature.
template <class T, class K> __device__ void make_scores(T (&score)[K::kTM][K::kTN], Feed<T, K>& feed, const T* resident, int chunks) {
  clear(score);
#pragma unroll 1
  for (int n = 0; n < chunks; ++n) {
    const T* const chunk = feed.next();
    add_products(score, K::kRowsStreamed ? chunk + K::kRow : resident + n * K::kRows * kDepth<T>, chunk);
  }
}

/// Asks for more shared memory than every kernel may have, where it takes more.
template <class... P> void allow_shared(void (*kernel)(P...), std::size_t bytes) {
  if (bytes > 48 * 1024) cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
}
/// Bytes of shared memory that a block of the current device may have.
inline std::size_t most_shared() {
  int device = 0, bytes = 48 * 1024;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  return static_cast<std::size_t>(bytes) - 256;  // less what a kernel declares itself
}

}  // namespace gradus::inline v0::cuda::contrast
