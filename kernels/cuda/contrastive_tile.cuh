// Tiles of the contrastive kernels: operands in shared memory and the two products, of 128 threads.
//
// Thread (a, b), a < 8 and b < 16, owns rows a + 8 i and columns b + 16 j of a score tile; a warp is four a by eight b. The features pass
// in *chunks* of 64 bytes a row (16 f32, 8 f64), two buffers deep: while one is used the next is copied (cp.async from sm_80 on).
//
// A chunk's row is four packs of 16 bytes; pack g of row r lies at 4 r + (g xor (r / 2 mod 4)). Eight neighbouring rows at one g, and eight
// neighbouring packs, thus meet all 32 banks: neither the copy nor the products have a bank conflict.
#pragma once

#include <math.h>

#include <gradus/kernels/cuda/contrastive_side.cuh>
#include <gradus/kernels/cuda/dynamic_shared.cuh>

namespace gradus::inline v0::cuda::contrast {

inline constexpr int kThreads = 128;
inline constexpr int kRowLanes = 8, kColumnLanes = 16;
inline constexpr int kGroups = 4;                                           // packs of a chunk's row
template <class T> inline constexpr int kPack = Pack<T>::kCount;            // 4 or 2 elements
template <class T> inline constexpr int kDepth = kGroups* Pack<T>::kCount;  // features of a chunk
inline constexpr int kSkew = 8;  // elements between a row of weights and the next: four rows of eight are 32 banks

__device__ inline int row_lane() { return static_cast<int>(threadIdx.x / 64 * 4 + threadIdx.x % 32 / 8); }
__device__ inline int column_lane() { return static_cast<int>(threadIdx.x / 32 % 2 * 8 + threadIdx.x % 8); }

/// The sizes of a kernel: kTM x kTN scores a thread; gradients in slices of kSlice features, 0 for none. kStreamed: the rows' features pass
/// in chunks as the columns' do, instead of staying in shared memory, and a gradient's slices are added to memory once a wide tile, instead
/// of staying in registers. kCotangents: the operands come with cotangents.
template <class T, int kTM_, int kTN_, int kSlice_, bool kStreamed_, bool kCotangents_ = false> struct Tile {
  static constexpr int kTM = kTM_, kTN = kTN_, kSlice = kSlice_;
  static constexpr bool kStreamed = kStreamed_, kCotangents = kCotangents_;
  static constexpr bool kRowsStreamed = kStreamed || kCotangents;  // two resident operands would be too much
  static constexpr int kRows = kRowLanes * kTM, kColumns = kColumnLanes * kTN;
  static constexpr int kLines = kSlice ? 1024 / kSlice : 0;          // columns of a chunk of the gradient's product
  static constexpr int kPacks = kSlice / (kColumnLanes * kPack<T>);  // of a thread, in a slice
  static constexpr int kOperands = kCotangents ? 2 : 1;
  // Where things lie in a buffer.
  static constexpr int kColumnCotangent = kColumns * kDepth<T>;
  static constexpr int kRow = kOperands * kColumns * kDepth<T>, kRowCotangent = kRow + kRows * kDepth<T>;
  static constexpr int kLineCotangent = kLines * kSlice;
  static constexpr int kScoreStage = kRow + (kRowsStreamed ? kOperands * kRows * kDepth<T> : 0);
  static constexpr int kLineStage = kOperands * kLines * kSlice;
  static constexpr int kStage = kScoreStage > kLineStage ? kScoreStage : kLineStage;
};

// ---- copies into shared memory
// ------------------------------------------------------------------------------------------------------------

template <int kBytes> struct alignas(kBytes) Word { unsigned char byte[kBytes]; };

/// Copies an aligned word, not to be read before wait_for_copies() and a barrier.
template <int kBytes> __device__ inline void copy_word(void* shared, const void* global) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  const unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(shared));
  const std::size_t from = __cvta_generic_to_global(global);
  if constexpr (kBytes == 16) asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(to), "l"(from) : "memory");
  else asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(to), "l"(from), "n"(kBytes) : "memory");
#else
  if constexpr (kBytes == 16) *static_cast<uint4*>(shared) = *static_cast<const uint4*>(global);
  else if constexpr (kBytes == 8) *static_cast<double*>(shared) = *static_cast<const double*>(global);
  else *static_cast<float*>(shared) = *static_cast<const float*>(global);
#endif
}
__device__ inline void wait_for_copies() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

/// n elements of x, zeros where `inside` is false.
template <class T, int n> __device__ inline void copy_or_clear(T* shared, const T* x, std::int64_t offset, bool inside) {
  if (inside) return copy_word<n* static_cast<int>(sizeof(T))>(shared, x + offset);
#pragma unroll
  for (int e = 0; e < n; ++e) shared[e] = T(0);
}

/// Where pack `group` of a chunk's row lies, in elements.
template <class T> __device__ inline int place(int row, int group) { return (row * kGroups + (group ^ (row / 2 % kGroups))) * kPack<T>; }

/// Features [d0, d0 + kDepth) of rows [first, first + kRows) of x [limit, dim], zeros outside.
template <class T, int kRows> __device__ void copy_chunk(T* to, const T* x, int first, int limit, int d0, int dim, bool vector) {
  if (vector) {
    for_each_of_block<kRows * kGroups, kThreads>([&](int n) {
      const int row = n / kGroups, group = n % kGroups, d = d0 + group * kPack<T>;
      copy_or_clear<T, kPack<T>>(to + place<T>(row, group), x, std::int64_t(first + row) * dim + d, first + row < limit && d < dim);
    });
    return;
  }
#pragma unroll 1
  for (int n = static_cast<int>(threadIdx.x); n < kRows * kDepth<T>; n += kThreads) {
    const int row = n / kDepth<T>, d = n % kDepth<T>;
    copy_or_clear<T, 1>(to + place<T>(row, d / kPack<T>) + d % kPack<T>, x, std::int64_t(first + row) * dim + d0 + d,
                        first + row < limit && d0 + d < dim);
  }
}

/// The same block of x row after row: features [d0, d0 + kSlice) of kLines rows.
template <class T, int kLines, int kSlice>
__device__ void copy_lines(T* to, const T* x, int first, int limit, int d0, int dim, bool vector) {
  if (vector) {
    for_each_of_block<kLines * kSlice / kPack<T>, kThreads>([&](int n) {
      const int row = n / (kSlice / kPack<T>), d = d0 + n % (kSlice / kPack<T>)*kPack<T>;
      copy_or_clear<T, kPack<T>>(to + n * kPack<T>, x, std::int64_t(first + row) * dim + d, first + row < limit && d < dim);
    });
    return;
  }
#pragma unroll 1
  for (int n = static_cast<int>(threadIdx.x); n < kLines * kSlice; n += kThreads) {
    const int row = n / kSlice, d = d0 + n % kSlice;
    copy_or_clear<T, 1>(to + n, x, std::int64_t(first + row) * dim + d, first + row < limit && d < dim);
  }
}

// ---- products ---------------------------------------------------------------------------------------------------------------------------

template <class T> __device__ inline Pack<T> load_pack(const T* shared) { return *reinterpret_cast<const Pack<T>*>(shared); }

template <class T, int m, int n> __device__ inline void clear(T (&x)[m][n]) {
#pragma unroll
  for (int i = 0; i < m; ++i)
#pragma unroll
    for (int j = 0; j < n; ++j) x[i][j] = T(0);
}

/// score[i][j] += <row, column> over one chunk: an a-pack serves kTN columns, a b-pack kTM rows.
template <class T, int kTM, int kTN> __device__ inline void add_products(T (&score)[kTM][kTN], const T* rows, const T* columns) {
  constexpr int kUnroll = kTM * kTN * sizeof(T) >= 64 ? 1 : kGroups;  // several groups at once would take too many registers
  const int a = row_lane(), b = column_lane();
#pragma unroll kUnroll
  for (int group = 0; group < kGroups; ++group) {
    Pack<T> x[kTM];
#pragma unroll
    for (int i = 0; i < kTM; ++i) x[i] = load_pack(rows + place<T>(a, group) + i * kRowLanes * kDepth<T>);
#pragma unroll
    for (int j = 0; j < kTN; ++j) {
      const Pack<T> y = load_pack(columns + place<T>(b, group) + j * kColumnLanes * kDepth<T>);
#pragma unroll
      for (int e = 0; e < kPack<T>; ++e)
#pragma unroll
        for (int i = 0; i < kTM; ++i) score[i][j] = fma(x[i].value[e], y.value[e], score[i][j]);
    }
  }
}

/// A slice of the gradients of this thread's rows: packs b + 16 n of it.
template <class T, class K> struct Gradient {
  T value[K::kTM][K::kPacks * kPack<T>];

  __device__ void clear() { contrast::clear(value); }

  /// value[i] += sum over kLines columns of weight[row i][column] line[column]
  __device__ void add(const T* weights, int stride, const T* lines) {
    const int a = row_lane(), b = column_lane();
#pragma unroll
    for (int l = 0; l < K::kLines; l += kPack<T>) {
      Pack<T> w[K::kTM];
#pragma unroll
      for (int i = 0; i < K::kTM; ++i) w[i] = load_pack(weights + (a + i * kRowLanes) * stride + l);
#pragma unroll
      for (int p = 0; p < kPack<T>; ++p)
#pragma unroll
        for (int n = 0; n < K::kPacks; ++n) {
          const Pack<T> y = load_pack(lines + (l + p) * K::kSlice + (b + n * kColumnLanes) * kPack<T>);
#pragma unroll
          for (int e = 0; e < kPack<T>; ++e)
#pragma unroll
            for (int i = 0; i < K::kTM; ++i) value[i][n * kPack<T> + e] = fma(w[i].value[p], y.value[e], value[i][n * kPack<T> + e]);
        }
    }
  }

  /// out [rows, dim], from feature d0 on: = value, or += value.
  __device__ void write(T* out, int first_row, int rows, int d0, int dim, bool vector, bool add) const {
#pragma unroll
    for (int i = 0; i < K::kTM; ++i) {
      const int row = first_row + row_lane() + i * kRowLanes;
      if (row >= rows) continue;
      T* const to = out + std::int64_t(row) * dim;
#pragma unroll
      for (int n = 0; n < K::kPacks; ++n)
        write_pack(to, value[i] + n * kPack<T>, d0 + (column_lane() + n * kColumnLanes) * kPack<T>, dim, vector, add);
    }
  }

 private:
  __device__ static void write_pack(T* row, const T* x, int d, int dim, bool vector, bool add) {
    if (vector) {
      if (d >= dim) return;
      Pack<T>& to = *reinterpret_cast<Pack<T>*>(row + d);
      Pack<T> sum = add ? to : Pack<T>{};
#pragma unroll
      for (int e = 0; e < kPack<T>; ++e) sum.value[e] = add ? sum.value[e] + x[e] : x[e];
      to = sum;
      return;
    }
#pragma unroll
    for (int e = 0; e < kPack<T>; ++e)
      if (d + e < dim) row[d + e] = add ? row[d + e] + x[e] : x[e];
  }
};

}  // namespace gradus::inline v0::cuda::contrast
