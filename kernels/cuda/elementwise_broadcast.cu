// Broadcasting on the host: from shapes to pieces, and from a piece to the kernel that suits it.

#include <gradus/kernels/cuda/elementwise.cuh>

namespace gradus::inline v0::cuda {
namespace {

constexpr std::int64_t kMostElements = (std::int64_t{1} << 31) - 1;  // of a launch: its indices are 32-bit
constexpr std::int64_t kMostColumnGroups = 65535;                    // the y extent of a grid
constexpr std::int64_t kFewRows = 4;                                 // up to here a row operand is hardly read twice
constexpr std::int64_t kFewBlocks = 64;                              // below, more blocks are worth more than a row operand's bytes
constexpr unsigned kRowsPerThread = 16;

/// Halves the outermost axis until the pieces are small enough.
void cut(Piece piece, void* context, void (*f)(void*, const Piece&)) {
  if (piece.elements() <= kMostElements) return f(context, piece);
  const int last = piece.rank - 1;
  const std::int64_t all = piece.extent[last], half = all / 2;
  if (half == 0) {
    --piece.rank;
    return cut(piece, context, f);
  }
  piece.extent[last] = half;
  cut(piece, context, f);
  piece.y += piece.elements() * piece.y_size;
  for (int k = 0; k < piece.operands; ++k) piece.x[k] += half * piece.stride[k][last];
  piece.extent[last] = all - half;
  cut(piece, context, f);
}

bool aligned(const char* data, std::int64_t bytes) {
  return reinterpret_cast<std::uintptr_t>(data) % static_cast<std::uintptr_t>(bytes) == 0;
}

}  // namespace

void for_each_piece(const Array& y, const ConstArray* x, int operands, void* context, void (*f)(void*, const Piece&)) {
  const BroadcastPlan plan = plan_broadcast(*y.shape, x, operands);
  Piece piece;
  piece.rank = plan.rank;
  piece.operands = operands;
  piece.y = static_cast<char*>(y.data);
  piece.y_size = static_cast<std::int64_t>(size_of(y.dtype));
  for (int a = 0; a < plan.rank; ++a) piece.extent[a] = plan.extent[a];
  for (int k = 0; k < operands; ++k) {
    for (int a = 0; a < plan.rank; ++a) piece.stride[k][a] = plan.stride[k][a];
    piece.x[k] = static_cast<const char*>(x[k].data);
    piece.x_size[k] = static_cast<std::int64_t>(size_of(x[k].dtype));
  }
  cut(piece, context, f);
}

bool packs_fit(const Piece& piece, int pack) {
  if (piece.extent[0] % pack != 0 || !aligned(piece.y, pack * piece.y_size)) return false;
  for (int k = 0; k < piece.operands; ++k) {
    if (piece.stride[k][0] == 0) continue;
    const std::int64_t bytes = pack * piece.x_size[k];
    if (!aligned(piece.x[k], bytes)) return false;
    for (int a = 1; a < piece.rank; ++a)
      if (piece.stride[k][a] % bytes != 0) return false;
  }
  return true;
}

StridedLayout layout_of(const Piece& piece, int pack) {
  StridedLayout layout;
  layout.rank = piece.rank;
  for (int a = 0; a < piece.rank; ++a) layout.extent[a] = Divider(a == 0 ? piece.extent[0] / pack : piece.extent[a]);
  for (int k = 0; k < piece.operands; ++k) {
    layout.along[k] = piece.stride[k][0] != 0;
    for (int a = 0; a < piece.rank; ++a)
      layout.stride[k][a] = static_cast<unsigned>(piece.stride[k][a] / piece.x_size[k]) * static_cast<unsigned>(a == 0 ? pack : 1);
  }
  return layout;
}

RowsPlan rows_plan(const Piece& piece, int pack) {
  RowsPlan plan;
  if (piece.rank != 2 || piece.extent[1] <= kFewRows) return plan;
  bool is_row = false;
  for (int k = 0; k < piece.operands; ++k) is_row |= piece.stride[k][0] != 0 && piece.stride[k][1] == 0;
  const std::int64_t packs = piece.extent[0] / pack;
  if (!is_row || packs > kMostColumnGroups * kElementThreads) return plan;
  plan.rows = static_cast<unsigned>(piece.extent[1]);
  plan.packs = static_cast<unsigned>(packs);
  plan.block = dim3(1, 1);
  while (plan.block.x < plan.packs && plan.block.x < kElementThreads) plan.block.x *= 2;
  plan.block.y = kElementThreads / plan.block.x;
  plan.grid.y = blocks_for(packs, plan.block.x);
  for (unsigned each = kRowsPerThread; each >= kMostRowBatch; each /= 2) {
    plan.rows_per_thread = each;
    plan.grid.x = blocks_for(plan.rows, std::int64_t{plan.block.y} * each);
    if (std::int64_t{plan.grid.x} * plan.grid.y >= kFewBlocks) break;
  }
  return plan;
}

}  // namespace gradus::inline v0::cuda
