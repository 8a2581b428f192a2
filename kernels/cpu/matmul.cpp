// gemm(): which operand is packed, which path a shape takes, how threads share the tiles. Hot file (see isa.h).
//
// None of these choices shows in the bits (see gemm.h), so they may follow the shape, the strides and the number of threads.
#include <gradus/kernels/cpu/gemm_thin.h>
#include <gradus/kernels/cpu/matmul_table.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {

#define X(T, M, N) template GRADUS_TILE_SIGNATURE(T, M, N)
GRADUS_TILES_OF(X, float)
GRADUS_TILES_OF(X, double)
#undef X

namespace {

using Size = std::int64_t;

constexpr Size kSharedWork = 1 << 18;  // multiply-adds worth waking a thread for: about 5 us

template <class T> struct RowsInPlace {
  const Product<T>& g;
  RowPanel<T> panel(Size i, Size, Size k0, Size, T*) const { return {g.a + i * g.a_row + k0 * g.a_depth, g.a_row, g.a_depth}; }
};

template <class T> struct PackedRows {
  const Product<T>& g;
  RowPanel<T> panel(Size i, Size rows, Size k0, Size kc, T* buffer) const {
    const T* a = g.a + i * g.a_row + k0 * g.a_depth;
    if (g.a_depth == 1) pack_transposed<T, kTileRows>(buffer, a, g.a_row, rows, kc);
    else pack_straight<T, kTileRows>(buffer, a, g.a_depth, rows, kc);
    return {buffer, 1, kTileRows};
  }
};

template <class T> struct ColumnsInPlace {
  const Product<T>& g;
  static constexpr bool kKeeps = false;
  void begin(Size, Size) {}
  ColumnPanel<T> panel(Size j, Size columns, Size k0, Size kc, T* buffer) const {
    return in_place<T, kPanel<T>>(g, j, columns, k0, kc, buffer);
  }
};

template <class T> struct PackedColumns {
  const Product<T>& g;
  static constexpr bool kKeeps = true;
  void begin(Size, Size) {}
  ColumnPanel<T> panel(Size j, Size columns, Size k0, Size kc, T* buffer) const {
    if (g.b_transposed) pack_transposed<T, kPanel<T>>(buffer, g.b + j * g.ldb + k0, g.ldb, columns, kc);
    else pack_straight<T, kPanel<T>>(buffer, g.b + k0 * g.ldb + j, g.ldb, columns, kc);
    return {buffer, kPanel<T>};
  }
};

template <class T> struct PlainOutput {
  const Product<T>& g;
  GRADUS_INLINE void compute(Size rows, Size kc, const RowPanel<T>& a, const ColumnPanel<T>& b, Size i, Size j, Size columns, bool first,
                             bool last) const {
    compute_up_to_2<T>(rows, kc, a, b, g.tile(i, j, columns, first, last));
  }
};

/// Packing a pays where many panels of b use it and its rows are too many for L2; sooner if it is transposed with rows a page or more
/// apart, since a tile then touches a page for every step of k.
template <class T> bool packs_rows(const Product<T>& g) {
  constexpr Size kL2 = 256 << 10, kPage = 4096, kElement = sizeof(T);
  if (g.n >= 16 * kPanel<T> && g.m * smaller(g.k, kGemmDepth) * kElement > kL2) return true;
  return g.n >= (g.a_depth * kElement >= kPage ? 4 : 16) * kPanel<T> && g.a_depth > 64 && g.k > 64;
}
/// A straight b is read in place while it fits L1, or when few tiles of rows would use the copy.
template <class T> bool packs_columns(const Product<T>& g) {
  return g.b_transposed || (g.m > 3 * kTileRows && g.k * g.ldb * Size(sizeof(T)) > (24 << 10));
}
/// Elements of scratch; a single panel of b lives on the stack.
template <class T> Size packed_rows_size(const Product<T>& g) { return packs_rows(g) ? kPackedRows : 0; }
template <class T> Size packed_columns_size(const Product<T>& g) {
  const bool kept = packs_columns(g) && g.m > kRowBlock;
  return kept ? blocks_of(smaller(g.n, kColumnBlock<T>), kPanel<T>) * kPanel<T> * kGemmDepth + 16 : 0;
}

template <class T, class A, class B> void multiply_blocked(const Product<T>& g, const PackBuffers<T>& buffers) {
  const A a{g};
  B b{g};
  const PlainOutput<T> c{g};
  BlockedProduct<T, A, B, PlainOutput<T>>{g.m, g.n, g.k, a, b, c, buffers}.run();
}

/// One product, or one tile of it, on this thread.
template <class T> void multiply(const Product<T>& g, T* scratch) {
  if (multiply_if_thin(g)) return;
  alignas(64) T panel[kPackedPanel<T>];
  const PackBuffers<T> buffers{scratch, packed_columns_size(g) ? scratch + packed_rows_size(g) : panel};
  if (packs_rows(g)) {
    if (packs_columns(g)) multiply_blocked<T, PackedRows<T>, PackedColumns<T>>(g, buffers);
    else multiply_blocked<T, PackedRows<T>, ColumnsInPlace<T>>(g, buffers);
  } else {
    if (packs_columns(g)) multiply_blocked<T, RowsInPlace<T>, PackedColumns<T>>(g, buffers);
    else multiply_blocked<T, RowsInPlace<T>, ColumnsInPlace<T>>(g, buffers);
  }
}

template <class T> GRADUS_INLINE Product<T> first_product(const Gemm& g, T* c, const T* a, const T* b, const T* bias) {
  if (g.n == 1 && g.m > 1 && g.ldc == 1)  // a column: as a row of c^T = b^T a^T
    return {1, g.m, g.k,          b,       0,   g.transpose_b ? 1 : g.ldb, a, g.lda, !g.transpose_a && !(g.k == 1 && g.lda == 1),
            c, g.m, g.accumulate, nullptr, bias};
  const bool transposed = g.transpose_b && !(g.k == 1 && g.ldb == 1);
  return {g.m,   g.n,          g.k,  a,      g.transpose_a ? 1 : g.lda, g.transpose_a ? g.lda : 1, b, g.ldb, transposed, c,
          g.ldc, g.accumulate, bias, nullptr};
}

template <class T> Product<T> tile_of(Product<T> g, Size i, Size rows, Size j, Size columns) {
  g.m = rows, g.n = columns;
  g.a += i * g.a_row;
  g.b += g.b_transposed ? j * g.ldb : j;
  g.c += i * g.ldc + j;
  if (g.column_bias) g.column_bias += j;
  if (g.row_bias) g.row_bias += i;
  return g;
}

/// How a batch is cut into chunks: whole products, several at a time if they are small, or tiles of one product.
struct Grid {
  Size rows, columns;            // of a tile
  Size row_tiles, column_tiles;  // of a product
  Size products;                 // in a chunk; 1 if there are several tiles
  Size chunks;
};

template <class T> Grid grid_of(const Product<T>& g, Size batch) {
  const Size work = larger(1, g.m * g.n * g.k);
  Grid grid{g.m, g.n, 1, 1, batch, 1};
  if (!current_pool() || batch * work < kSharedWork) return grid;
  if (work >= 2 * kSharedWork) {
    grid.rows = smaller(g.m, kRowBlock), grid.columns = smaller(g.n, 16 * kPanel<T>);
    grid.row_tiles = blocks_of(g.m, grid.rows), grid.column_tiles = blocks_of(g.n, grid.columns);
  }
  grid.products = larger(1, kSharedWork / work);
  grid.chunks = blocks_of(batch, grid.products) * grid.row_tiles * grid.column_tiles;
  return grid;
}

template <class T> Size scratch_of(const Product<T>& g, const Grid& grid) {  // of one thread, in elements
  const Product<T> tile = tile_of(g, 0, grid.rows, 0, grid.columns);
  return blocks_of(packed_rows_size(tile) + packed_columns_size(tile), 16) * 16;
}

/// A batch whose items follow each other row by row and share b is one product with more rows.
Gemm flattened(Gemm g) {
  if (g.batch > 1 && g.stride_b == 0 && !g.transpose_a && g.stride_a == g.m * g.lda && g.stride_c == g.m * g.ldc)
    g.m *= g.batch, g.batch = 1;
  return g;
}

template <class T> std::size_t workspace_of(const Gemm& gemm) {
  const Gemm g = flattened(gemm);
  const Product<T> first = first_product<T>(g, nullptr, nullptr, nullptr, nullptr);
  const Grid grid = grid_of(first, g.batch);
  return sizeof(T) * scratch_of(first, grid) * slots_for(grid.chunks);
}

template <class T> void multiply_chunk(const Gemm& g, const Product<T>& first, const Grid& grid, Size chunk, T* scratch) {
  const Size tiles = grid.row_tiles * grid.column_tiles, tile = chunk % tiles;
  const Size i = tile / grid.column_tiles * grid.rows, j = tile % grid.column_tiles * grid.columns;
  const Size begin = chunk / tiles * grid.products, end = smaller(g.batch, begin + grid.products);
  const bool swapped = first.m != g.m || first.n != g.n;  // as first_product() did for a column
  for (Size item = begin; item < end; ++item) {
    Product<T> p = tile_of(first, i, smaller(grid.rows, first.m - i), j, smaller(grid.columns, first.n - j));
    p.a += item * (swapped ? g.stride_b : g.stride_a);
    p.b += item * (swapped ? g.stride_a : g.stride_b);
    p.c += item * g.stride_c;
    multiply(p, scratch);
  }
}

template <class T> void multiply_batch(const Gemm& g, const Product<T>& first, const Workspace& workspace) {
  const Grid grid = grid_of(first, g.batch);
  const Size scratch = scratch_of(first, grid);
  T* const buffer = static_cast<T*>(workspace.data);
  GRADUS_ASSERT(workspace.bytes >= sizeof(T) * scratch * slots_for(grid.chunks));
  if (grid.chunks == 1) return multiply_chunk(g, first, grid, 0, buffer);
  parallel_with_slots(grid.chunks, [&](Size chunk, Size slot) { multiply_chunk(g, first, grid, chunk, buffer + slot * scratch); });
}

template <class T> void gemm_of(const Gemm& g, void* c, const void* a, const void* b, const void* bias, const Workspace& workspace) {
  if (g.m <= 0 || g.n <= 0 || g.batch <= 0) return;
  T* const cs = static_cast<T*>(c);
  const T *as = static_cast<const T*>(a), *bs = static_cast<const T*>(b), *biases = static_cast<const T*>(bias);
  if (g.batch == 1 && (g.m * g.n * g.k < kSharedWork || !current_pool()))  // soon there: a small product takes tens of nanoseconds
    return multiply(first_product(g, cs, as, bs, biases), static_cast<T*>(workspace.data));
  const Gemm flat = flattened(g);
  multiply_batch(flat, first_product(flat, cs, as, bs, biases), workspace);
}

std::size_t gemm_workspace_bytes(DType dtype, const Gemm& g) {
  return dtype == DType::f32 ? workspace_of<float>(g) : workspace_of<double>(g);
}
void gemm(DType dtype, const Gemm& g, void* c, const void* a, const void* b, const void* bias, const Workspace& workspace) {
  dtype == DType::f32 ? gemm_of<float>(g, c, a, b, bias, workspace) : gemm_of<double>(g, c, a, b, bias, workspace);
}

}  // namespace

extern const MatmulTable matmul_table;
const MatmulTable matmul_table{gemm_workspace_bytes, gemm};

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
