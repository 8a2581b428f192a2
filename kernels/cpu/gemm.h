// The blocked matrix product behind gemm() and the convolutions. Included by hot files only (see isa.h).
//
// The micro-kernel keeps a tile of c, up to 6 rows by 2 vectors, in registers: 12 accumulators, 2 vectors of b and 1 of a are 15 of the
// 16 registers of SSE and AVX2. Around it the usual blocks (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication",
// 2008): depth kGemmDepth, so that a panel of b stays in L1, and kRowBlock rows of a, which stay in L2.
//
// An output is one chain of fma over k in order, restarted every kGemmDepth, whatever the path: which operand is packed, how tiles are
// cut and who computes them is therefore a matter of speed alone.
#pragma once

#include <cstdint>

#include <gradus/kernels/array.h>
#include <gradus/kernels/matmul.h>
#include <gradus/kernels/cpu/simd.h>
#include <gradus/kernels/parallel.h>

// Register tiles are arrays that only become registers once their loops are gone.
#define GRADUS_UNROLL _Pragma("GCC unroll 16")
// A copy inlined among other code has fewer registers left than it needs.
#define GRADUS_NOINLINE __attribute__((noinline))

namespace gradus::inline v0::cpu::GRADUS_ISA {

inline constexpr std::int64_t kTileRows = 6;
// Of a block of k: a panel of b is then 20 KiB, and with a tile's rows of a it still fits a 32 KiB L1.
inline constexpr std::int64_t kMaxDepth = 320;
inline constexpr std::int64_t kRowBlock = 192;                            // 192 x 256 f32 is 192 KiB: fits a 256 KiB L2
template <class T> inline constexpr std::int64_t kPanel = 2 * Vec<T>::W;  // columns of a packed panel of b
template <class T> inline constexpr std::int64_t kWidePanel = 4 * Vec<T>::W;
template <class T> inline constexpr std::int64_t kColumnBlock = 4096 / std::int64_t(sizeof(T));  // x 256 deep: 1 MiB of packed b
inline constexpr std::int64_t kMaxTiles = kRowBlock / kTileRows + 1;

GRADUS_INLINE constexpr std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
GRADUS_INLINE constexpr std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
GRADUS_INLINE constexpr std::int64_t blocks_of(std::int64_t n, std::int64_t block) { return (n + block - 1) / block; }

/// Rows of the next tile: 6, but 7 to 9 rows are halved, since a tile of 1 to 3 rows has too few chains to hide the latency of an fma.
GRADUS_INLINE constexpr std::int64_t next_tile(std::int64_t left) {
  return left > 9 || left == 6 ? kTileRows : left > 6 ? (left + 1) / 2 : left;
}

/// Rows of a for one tile: element (i, p) is data[i * row + p * depth].
template <class T> struct RowPanel {
  const T* data;
  std::int64_t row, depth;
};

/// Columns of b for one tile: row p begins at data + p * depth, except that the last `tail_rows` rows of the block are at `tail`, full
/// panels apart: reading a whole tile of them in place would pass the end of b. With `offsets`, row p is at data + offsets[p].
template <class T> struct ColumnPanel {
  const T* data;
  std::int64_t depth;
  const T* tail = nullptr;
  std::int64_t tail_rows = 0;
  const std::int64_t* offsets = nullptr;
};

/// Where a tile of c goes, and what is added to it.
template <class T> struct Destination {
  T* c;
  std::int64_t ldc;
  std::int64_t columns;            // of the tile that exist
  bool add;                        // to what c holds: an earlier block of k, or accumulate
  const T* column_bias = nullptr;  // one value a column, or
  const T* row_bias = nullptr;     // one a row; added after the last block
};

/// acc[j][i] += a(i, p) b(p, vector j) for one p.
template <class T, int M, int N> GRADUS_INLINE void multiply_add_step(Vec<T> (&acc)[N][M], const T* a, std::int64_t row, const T* b) {
  Vec<T> bp[N];
  GRADUS_UNROLL for (int j = 0; j < N; ++j) bp[j] = Vec<T>::load(b + j * Vec<T>::W);
  GRADUS_UNROLL for (int i = 0; i < M; ++i) {
    const Vec<T> ai(a[i * row]);
    GRADUS_UNROLL for (int j = 0; j < N; ++j) acc[j][i] = fma(ai, bp[j], acc[j][i]);
  }
}
/// The same for p in [0, k), in order.
template <class T, int M, int N> GRADUS_INLINE void multiply_add(Vec<T> (&acc)[N][M], std::int64_t k, const T* a, std::int64_t row,
                                                                 std::int64_t depth, const T* b, std::int64_t ldb) {
  for (; k > 0; --k, a += depth, b += ldb) multiply_add_step(acc, a, row, b);
}

/// Adds what a tile's destination asks for and stores one vector column of it, columns [j, j + W).
template <class T, int M> GRADUS_INLINE void put_whole(const Destination<T>& d, Vec<T> (&acc)[M], int j) {
  if (d.add) GRADUS_UNROLL for (int i = 0; i < M; ++i) acc[i] = Vec<T>::load(d.c + i * d.ldc + j) + acc[i];
  if (d.column_bias) GRADUS_UNROLL for (int i = 0; i < M; ++i) acc[i] = acc[i] + Vec<T>::load(d.column_bias + j);
  if (d.row_bias) GRADUS_UNROLL for (int i = 0; i < M; ++i) acc[i] = acc[i] + Vec<T>(d.row_bias[i]);
  GRADUS_UNROLL for (int i = 0; i < M; ++i) acc[i].store(d.c + i * d.ldc + j);
}
/// The same for the n < W columns from j on.
template <class T, int M> GRADUS_INLINE void put_first(const Destination<T>& d, Vec<T> (&acc)[M], int j, std::int64_t n) {
  if (d.add) GRADUS_UNROLL for (int i = 0; i < M; ++i) acc[i] = load_partial(d.c + i * d.ldc + j, n, T(0)) + acc[i];
  if (d.column_bias) {
    const Vec<T> bias = load_partial(d.column_bias + j, n, T(0));
    GRADUS_UNROLL for (int i = 0; i < M; ++i) acc[i] = acc[i] + bias;
  }
  if (d.row_bias) GRADUS_UNROLL for (int i = 0; i < M; ++i) acc[i] = acc[i] + Vec<T>(d.row_bias[i]);
  GRADUS_UNROLL for (int i = 0; i < M; ++i) store_partial(acc[i], d.c + i * d.ldc + j, n);
}

template <class T, int M, int N> GRADUS_INLINE void put(const Destination<T>& d, Vec<T> (&acc)[N][M]) {
  constexpr int W = Vec<T>::W;
  GRADUS_UNROLL for (int j = 0; j < N; ++j) {
    const std::int64_t left = d.columns - j * W;
    if (left >= W) put_whole(d, acc[j], j * W);
    else if (left > 0) put_first(d, acc[j], j * W, left);
  }
}

/// One tile of c over one block of k: M rows, N vectors. A packed panel is kPanel wide, or kWidePanel for N > 2.
template <class T, int M, int N> GRADUS_NOINLINE void compute_tile(std::int64_t k, const RowPanel<T>& rows, const ColumnPanel<T>& columns,
                                                                   const Destination<T>& destination) {
  const RowPanel<T> a = rows;  // copies, so that no store into c can be thought to change them
  const ColumnPanel<T> b = columns;
  const Destination<T> d = destination;
  Vec<T> acc[N][M];
  GRADUS_UNROLL for (int j = 0; j < N; ++j) GRADUS_UNROLL for (int i = 0; i < M; ++i) acc[j][i] = Vec<T>(T(0));
  if (b.offsets) {
    for (std::int64_t p = 0; p < k; ++p) multiply_add_step(acc, a.data + p * a.depth, a.row, b.data + b.offsets[p]);
    return put(d, acc);
  }
  const std::int64_t whole = k - b.tail_rows;
  multiply_add(acc, whole, a.data, a.row, a.depth, b.data, b.depth);
  if (b.tail_rows > 0) multiply_add(acc, b.tail_rows, a.data + whole * a.depth, a.row, a.depth, b.tail, N > 2 ? kWidePanel<T> : kPanel<T>);
  put(d, acc);
}

// Instantiated once, in matmul.cpp, for all who include this: they are large.
#define GRADUS_TILES_OF(X, T) \
  X(T, 1, 1) X(T, 2, 1) X(T, 3, 1) X(T, 4, 1) X(T, 5, 1) X(T, 6, 1) X(T, 1, 2) X(T, 2, 2) X(T, 3, 2) X(T, 4, 2) X(T, 5, 2) X(T, 6, 2)
#define GRADUS_TILE_SIGNATURE(T, M, N) \
  void compute_tile<T, M, N>(std::int64_t, const RowPanel<T>&, const ColumnPanel<T>&, const Destination<T>&);
#define X(T, M, N) extern template GRADUS_TILE_SIGNATURE(T, M, N)
GRADUS_TILES_OF(X, float)
GRADUS_TILES_OF(X, double)
#undef X

template <class T, int N>
GRADUS_INLINE void compute_rows(std::int64_t rows, std::int64_t k, const RowPanel<T>& a, const ColumnPanel<T>& b, const Destination<T>& d) {
  switch (rows) {
    case 1: return compute_tile<T, 1, N>(k, a, b, d);
    case 2: return compute_tile<T, 2, N>(k, a, b, d);
    case 3: return compute_tile<T, 3, N>(k, a, b, d);
    case 4: return compute_tile<T, 4, N>(k, a, b, d);
    case 5: return compute_tile<T, 5, N>(k, a, b, d);
    default: return compute_tile<T, 6, N>(k, a, b, d);
  }
}
/// A tile of up to 6 rows and up to 2 vectors.
template <class T> GRADUS_INLINE void compute_up_to_2(std::int64_t rows, std::int64_t k, const RowPanel<T>& a, const ColumnPanel<T>& b,
                                                      const Destination<T>& d) {
  if (d.columns > Vec<T>::W) compute_rows<T, 2>(rows, k, a, b, d);
  else compute_rows<T, 1>(rows, k, a, b, d);
}

/// Rows become columns, in registers.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wignored-attributes"  // a vector type as template argument
template <class T> GRADUS_INLINE void transpose(Vec<T> (&v)[Vec<T>::W]) {
  constexpr int W = Vec<T>::W;
  packet::PacketBlock<typename Vec<T>::Packet, W> block;
  GRADUS_UNROLL for (int i = 0; i < W; ++i) block.packet[i] = v[i].p;
  packet::ptranspose(block);
  GRADUS_UNROLL for (int i = 0; i < W; ++i) v[i] = Vec<T>(block.packet[i]);
}
#pragma GCC diagnostic pop

/// y[p * Width + i] = x[i * ldx + p] for p in [p0, p0 + W), all i < Width; rows from `rows` on repeat the last one. Writes up to W - 1
/// elements past row p0 + W - 1 of y.
template <class T, int Width>
GRADUS_INLINE void pack_transposed_block(T* y, const T* x, std::int64_t ldx, std::int64_t rows, std::int64_t p0) {
  constexpr int W = Vec<T>::W, kGroups = (Width + W - 1) / W;
  Vec<T> v[kGroups][W];
  GRADUS_UNROLL for (int g = 0; g < kGroups; ++g) {
    GRADUS_UNROLL for (int i = 0; i < W; ++i) v[g][i] = Vec<T>::load(x + smaller(g * W + i, rows - 1) * ldx + p0);
    transpose(v[g]);
  }
  GRADUS_UNROLL for (int p = 0; p < W; ++p) GRADUS_UNROLL for (int g = 0; g < kGroups; ++g) v[g][p].store(y + (p0 + p) * Width + g * W);
}

/// The same for p in [0, k).
template <class T, int Width> void pack_transposed(T* y, const T* x, std::int64_t ldx, std::int64_t rows, std::int64_t k) {
  constexpr int W = Vec<T>::W;
  if (k < W) {
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t p = 0; p < k; ++p) y[p * Width + i] = x[i * ldx + p];
    return;
  }
  for (std::int64_t p = 0; p + W <= k; p += W) pack_transposed_block<T, Width>(y, x, ldx, rows, p);
  if (k % W) pack_transposed_block<T, Width>(y, x, ldx, rows, k - W);  // overlaps the last block
}

/// y[p * Width + i] = x[p * ldx + i] for p in [0, k), i < columns; the other columns are zero.
template <class T, int Width> void pack_straight(T* y, const T* x, std::int64_t ldx, std::int64_t columns, std::int64_t k) {
  if (columns == Width) {
    for (std::int64_t p = 0; p < k; ++p, x += ldx, y += Width) GRADUS_UNROLL for (int i = 0; i < Width; ++i) y[i] = x[i];
    return;
  }
  for (std::int64_t p = 0; p < k; ++p, x += ldx, y += Width)
    for (std::int64_t i = 0; i < Width; ++i) y[i] = i < columns ? x[i] : T(0);
}

/// Packing buffers of one thread: `a` holds a block of rows if A packs; `b` one panel, or kColumnBlock columns if there are several blocks
/// of rows to use them.
template <class T> struct PackBuffers {
  T* a;
  T* b;
};
inline constexpr std::int64_t kPackedTile = kTileRows * kMaxDepth;
inline constexpr std::int64_t kPackedRows = kMaxTiles * kPackedTile + 8;  // a packed tile may spill one vector
template <class T> inline constexpr std::int64_t kPackedPanel = kPanel<T>* kMaxDepth + Vec<T>::W;

/// c = a b, m x n with depth k, blocked, on this thread. Small classes say what the operands are:
///   RowPanel<T> A::panel(i, rows, k0, kc, buffer)        rows [i, i + rows) of a over [k0, k0 + kc), in place or packed into the buffer
///   ColumnPanel<T> B::panel(j, columns, k0, kc, buffer)  the same for columns of b; B::kKeeps: a packed panel is worth keeping
///   void B::begin(k0, kc)                                before any panel of that block of depth
///   void C::compute(rows, kc, a, b, i, j, columns, first, last)  one tile; first and last say which block of depth it is
template <class T, class A, class B, class C> struct BlockedProduct {
  std::int64_t m, n, k;
  const A& a;
  B& b;
  const C& c;
  PackBuffers<T> buffers;
  std::int64_t depth = kGemmDepth;  // of a block of k, at most kMaxDepth

  void run() const {
    const std::int64_t block = keeps_b() ? kColumnBlock<T> : n;
    for (std::int64_t j = 0; j < n; j += block) column_block(j, smaller(n, j + block));
  }

 private:
  bool keeps_b() const { return B::kKeeps && m > kRowBlock; }

  void column_block(std::int64_t j0, std::int64_t j_end) const {
    std::int64_t k0 = 0;
    do {  // once for k = 0, too: an empty sum is stored
      const std::int64_t kc = smaller(k - k0, depth);
      b.begin(k0, kc);
      for (std::int64_t i = 0; i < m; i += kRowBlock) row_block(i, smaller(m, i + kRowBlock), j0, j_end, k0, kc);
      k0 += kc;
    } while (k0 < k);
  }

  void row_block(std::int64_t i0, std::int64_t i_end, std::int64_t j0, std::int64_t j_end, std::int64_t k0, std::int64_t kc) const {
    RowPanel<T> tiles[kMaxTiles];
    int t = 0;
    for (std::int64_t i = i0, rows; i < i_end; i += rows, ++t) {
      rows = next_tile(i_end - i);
      tiles[t] = a.panel(i, rows, k0, kc, buffers.a + t * kPackedTile);
    }
    for (std::int64_t j = j0; j < j_end; j += kPanel<T>) {
      T* buffer = buffers.b + (keeps_b() ? (j - j0) * depth : 0);
      const std::int64_t columns = smaller(j_end - j, kPanel<T>);
      const bool kept = keeps_b() && i0 > 0;
      const ColumnPanel<T> panel = kept ? ColumnPanel<T>{buffer, kPanel<T>} : b.panel(j, columns, k0, kc, buffer);
      t = 0;
      for (std::int64_t i = i0, rows; i < i_end; i += rows, ++t) {
        rows = next_tile(i_end - i);
        c.compute(rows, kc, tiles[t], panel, i, j, columns, k0 == 0, k0 + kc >= k);
      }
    }
  }
};

/// Runs f(chunk, slot) for every chunk; no two chunks that run at the same time have the same slot, and slots count from 0 up to
/// slots_for(chunks): so scratch is one piece a thread, not one a chunk.
GRADUS_INLINE std::int64_t slots_for(std::int64_t chunks) {
  ThreadPool* pool = current_pool();
  return pool ? smaller(pool->threads(), chunks) : smaller(1, chunks);
}
template <class F> void parallel_with_slots(std::int64_t chunks, const F& f) {
  std::int64_t next = 0;
  parallel_for(slots_for(chunks), [&](std::int64_t slot) {
    for (std::int64_t i; (i = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED)) < chunks;) f(i, slot);
  });
}

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
