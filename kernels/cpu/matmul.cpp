// gemm(): which operand is packed, which path a shape takes, how threads share the tiles. Hot file (see isa.h).
#include <gradus/kernels/cpu/gemm.h>
#include <gradus/kernels/cpu/matmul_table.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {
namespace {

using Size = std::int64_t;

/// One product of a batch, transposes resolved: a(i, p) = a[i * a_row + p * a_depth]; b(p, j) = b[p * ldb + j], or b[j * ldb + p].
template <class T> struct Product {
  Size m, n, k;
  const T* a;
  Size a_row, a_depth;
  const T* b;
  Size ldb;
  bool b_transposed;
  T* c;
  Size ldc;
  bool accumulate;
  const T* column_bias;
  const T* row_bias;
};

template <class T> struct InPlaceA {
  const Product<T>& g;
  RowPanel<T> panel(Size i, Size, Size k0, Size, T*) const { return {g.a + i * g.a_row + k0 * g.a_depth, g.a_row, g.a_depth}; }
};

template <class T> struct PackedA {
  const Product<T>& g;
  RowPanel<T> panel(Size i, Size rows, Size k0, Size kc, T* buffer) const {
    const T* a = g.a + i * g.a_row + k0 * g.a_depth;
    if (g.a_depth == 1) pack_transposed<T, kTileRows>(buffer, a, g.a_row, rows, kc);
    else pack_straight<T, kTileRows>(buffer, a, g.a_depth, rows, kc);
    return {buffer, 1, kTileRows};
  }
};

/// Rows of the k x n matrix b, counted from its end, of which `width` elements from column j on would pass the end.
GRADUS_INLINE Size unsafe_rows(Size n, Size ldb, Size j, Size width) {
  const Size excess = width - (n - j);
  return excess <= 0 ? 0 : ldb > 0 ? blocks_of(excess, ldb) : 1;
}

template <class T> GRADUS_INLINE ColumnPanel<T> in_place(const Product<T>& g, Size j, Size columns, Size k0, Size kc, T* tail, Size width) {
  const T* b = g.b + k0 * g.ldb + j;
  const Size rows = smaller(kc, larger(0, unsafe_rows(g.n, g.ldb, j, width) - (g.k - k0 - kc)));
  if (rows && width == kPanel<T>) pack_straight<T, kPanel<T>>(tail, b + (kc - rows) * g.ldb, g.ldb, columns, rows);
  else if (rows) pack_straight<T, kWidePanel<T>>(tail, b + (kc - rows) * g.ldb, g.ldb, columns, rows);
  return {b, g.ldb, tail, rows};
}

template <class T> struct InPlaceB {
  const Product<T>& g;
  static constexpr bool kPacks = false;
  ColumnPanel<T> panel(Size j, Size columns, Size k0, Size kc, T* buffer) const { return in_place(g, j, columns, k0, kc, buffer, kPanel<T>); }
};

template <class T> struct PackedB {
  const Product<T>& g;
  static constexpr bool kPacks = true;
  ColumnPanel<T> panel(Size j, Size columns, Size k0, Size kc, T* buffer) const {
    if (g.b_transposed) pack_transposed<T, kPanel<T>>(buffer, g.b + j * g.ldb + k0, g.ldb, columns, kc);
    else pack_straight<T, kPanel<T>>(buffer, g.b + k0 * g.ldb + j, g.ldb, columns, kc);
    return {buffer, kPanel<T>};
  }
};

template <class T> struct PlainC {
  const Product<T>& g;
  GRADUS_INLINE Destination<T> tile(Size i, Size j, Size columns, bool first, bool last) const {
    return {g.c + i * g.ldc + j, g.ldc, columns, !first || g.accumulate, last && g.column_bias ? g.column_bias + j : nullptr,
            last && g.row_bias ? g.row_bias + i : nullptr};
  }
  GRADUS_INLINE void compute(Size rows, Size kc, const RowPanel<T>& a, const ColumnPanel<T>& b, Size i, Size j, Size columns, bool first, bool last) const {
    cpu::GRADUS_ISA::compute(rows, kc, a, b, tile(i, j, columns, first, last));
  }
};

template <class T> bool packs_a(const Product<T>& g) { return g.m > kRowBlock && g.n > 4 * kPanel<T>; }
template <class T> bool packs_b(const Product<T>& g) { return g.b_transposed || (g.m > 3 * kTileRows && g.k * g.ldb * Size(sizeof(T)) > (24 << 10)); }


constexpr Size kThinRows = 3;

/// Up to 3 rows, b in place: 4 vectors a tile, so that there are enough chains.
template <class T, int M> void multiply_thin(const Product<T>& g) {
  T tail[kWidePanel<T> * kWidePanel<T>];
  Size k0 = 0;
  do {
    const Size kc = smaller(g.k - k0, kGemmDepth);
    const RowPanel<T> a{g.a + k0 * g.a_depth, g.a_row, g.a_depth};
    for (Size j = 0; j < g.n; j += kWidePanel<T>) {
      const Size columns = smaller(g.n - j, kWidePanel<T>);
      const bool wide = columns > kPanel<T>;
      const ColumnPanel<T> b = in_place(g, j, columns, k0, kc, tail, wide ? kWidePanel<T> : kPanel<T>);
      const Destination<T> d = PlainC<T>{g}.tile(0, j, columns, k0 == 0, k0 + kc >= g.k);
      if (wide) compute_tile<T, M, 4>(kc, a, b, d);
      else compute_tile<T, M, 2>(kc, a, b, d);
    }
    k0 += kc;
  } while (k0 < g.k);
}

/// acc[g][i] += sum over p in [skip, W) of a(i, p) b[(W g + lane) * ldb + p], transposing a W x W block of b in registers. Columns past
/// `last` repeat it.
template <class T, int M, int G, bool Whole>
GRADUS_INLINE void multiply_add_block(Vec<T> (&acc)[G][M], Size skip, const T* a, Size row, Size depth, const T* b, Size ldb, Size last) {
  constexpr int W = Vec<T>::W;
  T columns[W][G * W];  // through memory: the registers of one vector of columns at a time are all there are
  GRADUS_UNROLL for (int g = 0; g < G; ++g) {
    Vec<T> v[W];
    GRADUS_UNROLL for (int c = 0; c < W; ++c) v[c] = Vec<T>::load(b + (Whole ? g * W + c : smaller(g * W + c, last)) * ldb);
    transpose(v);
    GRADUS_UNROLL for (int p = 0; p < W; ++p) v[p].store(columns[p] + g * W);
  }
  for (Size p = skip; p < W; ++p)
    GRADUS_UNROLL for (int i = 0; i < M; ++i) {
      const Vec<T> ai(a[i * row + p * depth]);
      GRADUS_UNROLL for (int g = 0; g < G; ++g) acc[g][i] = fma(ai, Vec<T>::load(columns[p] + g * W), acc[g][i]);
    }
}

/// The same over p in [0, k), k >= W.
template <class T, int M, int G, bool Whole>
GRADUS_INLINE void multiply_add_transposed(Vec<T> (&acc)[G][M], Size k, const T* a, Size row, Size depth, const T* b, Size ldb, Size last) {
  constexpr int W = Vec<T>::W;
  for (; k >= W; k -= W, a += W * depth, b += W) multiply_add_block<T, M, G, Whole>(acc, 0, a, row, depth, b, ldb, last);
  if (k == 0) return;
  const Size skip = W - k;  // the last block reads back over the one before it
  multiply_add_block<T, M, G, Whole>(acc, skip, a - skip * depth, row, depth, b - skip, ldb, last);
}

/// M rows times G vectors of columns of a transposed b: all of k.
template <class T, int M, int G, bool Whole> GRADUS_INLINE void thin_transposed_tile(const Product<T>& g, Size j) {
  constexpr int W = Vec<T>::W;
  for (Size k0 = 0; k0 < g.k; k0 += kGemmDepth) {
    Size kc = smaller(g.k - k0, kGemmDepth);
    Vec<T> acc[G][M];
    GRADUS_UNROLL for (int v = 0; v < G; ++v) GRADUS_UNROLL for (int i = 0; i < M; ++i) acc[v][i] = Vec<T>(T(0));
    multiply_add_transposed<T, M, G, Whole>(acc, kc, g.a + k0 * g.a_depth, g.a_row, g.a_depth, g.b + j * g.ldb + k0, g.ldb, g.n - 1 - j);
    const Destination<T> d = PlainC<T>{g}.tile(0, j, g.n - j, k0 == 0, k0 + kc >= g.k);
    GRADUS_UNROLL for (int v = 0; v < G; ++v) {
      if (d.columns - v * W >= W) put_whole(d, acc[v], v * W);
      else put_first(d, acc[v], v * W, d.columns - v * W);
    }
  }
}

template <class T, int M> void multiply_thin_transposed(const Product<T>& g) {
  constexpr int W = Vec<T>::W, G = M == 1 ? 4 : 2;
  Size j = 0;
  for (; j + G * W <= g.n; j += G * W) thin_transposed_tile<T, M, G, true>(g, j);
  if (G == 4 && j + 2 * W <= g.n) thin_transposed_tile<T, M, 2, true>(g, j), j += 2 * W;
  if (j + W <= g.n) thin_transposed_tile<T, M, 1, true>(g, j), j += W;
  if (j < g.n) thin_transposed_tile<T, M, 1, false>(g, j);
}

GRADUS_INLINE float fma_scalar(float a, float b, float c) {
#if defined(__FMA__)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}
GRADUS_INLINE double fma_scalar(double a, double b, double c) {
#if defined(__FMA__)
  return __builtin_fma(a, b, c);
#else
  return a * b + c;
#endif
}

template <class T> void multiply_scalar(const Product<T>& g) {
  const Size b_depth = g.b_transposed ? 1 : g.ldb, b_column = g.b_transposed ? g.ldb : 1;
  for (Size i = 0; i < g.m; ++i)
    for (Size j = 0; j < g.n; ++j) {
      T sum = 0;
      for (Size p = 0; p < g.k; ++p) sum = fma_scalar(g.a[i * g.a_row + p * g.a_depth], g.b[p * b_depth + j * b_column], sum);
      if (g.accumulate) sum = g.c[i * g.ldc + j] + sum;
      if (g.column_bias) sum += g.column_bias[j];
      if (g.row_bias) sum += g.row_bias[i];
      g.c[i * g.ldc + j] = sum;
    }
}

template <class T> void multiply(const Product<T>& g, const Region& region, const PackBuffers<T>& buffers) {
  if (g.m * g.n * g.k <= 128 && g.n < Vec<T>::W) return multiply_scalar(g);
  if (g.m <= kThinRows && !g.b_transposed) {
    if (g.m == 1) return multiply_thin<T, 1>(g);
    if (g.m == 2) return multiply_thin<T, 2>(g);
    return multiply_thin<T, 3>(g);
  }
  if (g.m <= kThinRows && g.k >= Vec<T>::W) {
    if (g.m == 1) return multiply_thin_transposed<T, 1>(g);
    if (g.m == 2) return multiply_thin_transposed<T, 2>(g);
    return multiply_thin_transposed<T, 3>(g);
  }
  const PlainC<T> c{g};
  if (packs_a(g)) {
    if (packs_b(g)) multiply_region(region, g.k, PackedA<T>{g}, PackedB<T>{g}, c, buffers);
    else multiply_region(region, g.k, PackedA<T>{g}, InPlaceB<T>{g}, c, buffers);
  } else {
    if (packs_b(g)) multiply_region(region, g.k, InPlaceA<T>{g}, PackedB<T>{g}, c, buffers);
    else multiply_region(region, g.k, InPlaceA<T>{g}, InPlaceB<T>{g}, c, buffers);
  }
}

template <class T> Product<T> first_product(const Gemm& g, T* c, const T* a, const T* b, const T* bias) {
  Product<T> p{g.m, g.n, g.k, a, g.transpose_a ? 1 : g.lda, g.transpose_a ? g.lda : 1, b, g.ldb, g.transpose_b, c, g.ldc, g.accumulate, bias, nullptr};
  if (p.b_transposed && p.k == 1 && p.ldb == 1) p.b_transposed = false;
  if (p.n == 1 && p.m > 1 && p.ldc == 1) {  // c^T = b^T a^T: one row
    return {1, p.m, p.k, b, 0, g.transpose_b ? 1 : g.ldb, a, g.lda, !g.transpose_a, c, g.ldc, g.accumulate, nullptr, bias};
  }
  return p;
}

template <class T> void gemm_of(const Gemm& g, T* c, const T* a, const T* b, const T* bias, const Workspace& workspace) {
  Product<T> p = first_product(g, c, a, b, bias);
  alignas(64) T panel[kPanel<T> * kGemmDepth + Vec<T>::W];
  T* buffer = static_cast<T*>(workspace.data);
  PackBuffers<T> buffers{buffer, panel};
  if (packs_a(p) || p.m > kRowBlock) buffers = {buffer, buffer + kMaxTiles * kTileRows * kGemmDepth + 16};
  multiply(p, {0, p.m, 0, p.n}, buffers);
}

template <class T> std::size_t workspace_of(const Gemm&) {
  return sizeof(T) * (kMaxTiles * kTileRows * kGemmDepth + 16 + kColumnBlock<T> * kGemmDepth + 64);
}

std::size_t gemm_workspace_bytes(DType dtype, const Gemm& g) { return dtype == DType::f32 ? workspace_of<float>(g) : workspace_of<double>(g); }

void gemm(DType dtype, const Gemm& g, void* c, const void* a, const void* b, const void* bias, const Workspace& w) {
  if (dtype == DType::f32) gemm_of(g, static_cast<float*>(c), static_cast<const float*>(a), static_cast<const float*>(b), static_cast<const float*>(bias), w);
  else gemm_of(g, static_cast<double*>(c), static_cast<const double*>(a), static_cast<const double*>(b), static_cast<const double*>(bias), w);
}

}  // namespace

extern const MatmulTable matmul_table;
const MatmulTable matmul_table{gemm_workspace_bytes, gemm};

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
