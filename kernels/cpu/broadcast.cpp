#include <gradus/kernels/cpu/broadcast.h>

namespace gradus::inline v0::cpu {
namespace {

using RowFunction = void (*)(void*, std::int64_t, std::int64_t, const RowOperands&, unsigned);

// Short rows are joined into pieces of this many elements at most: three operands of f64 are 12 KiB, well inside an L1.
constexpr std::int64_t kPiece = 512;

/// The byte stride of an operand along each axis, from the innermost outwards: 0 where it lacks the axis or has it with extent 1.
struct StrideWalk {
  const Shape* shape[kMaxOperands];
  std::int64_t next[kMaxOperands];

  StrideWalk(const ConstArray* operands, int count) {
    for (int k = 0; k < count; ++k) {
      shape[k] = operands[k].shape;
      next[k] = static_cast<std::int64_t>(size_of(operands[k].dtype));
    }
  }
  std::int64_t step(int k, int axis_from_last) {
    const int axis = shape[k]->rank() - 1 - axis_from_last;
    if (axis < 0 || (*shape[k])[axis] == 1) return 0;
    const std::int64_t stride = next[k];
    next[k] *= (*shape[k])[axis];
    return stride;
  }
};

/// Whether an axis with these strides continues the plan's outermost axis for every operand.
bool continues(const BroadcastPlan& plan, int operands, const std::int64_t* stride) {
  const int last = plan.rank - 1;
  for (int k = 0; k < operands; ++k)
    if (stride[k] != plan.stride[k][last] * plan.extent[last]) return false;
  return true;
}

/// Adds an axis outside the plan's.
void add_axis(BroadcastPlan& plan, int operands, std::int64_t extent, const std::int64_t* stride) {
  plan.extent[plan.rank] = extent;
  for (int k = 0; k < operands; ++k) plan.stride[k][plan.rank] = stride[k];
  ++plan.rank;
}

/// Rows of one operand side by side, repeated elements written out; from row `first` on.
template <class U> void copy_rows(U* to, const ConstArray& x, const BroadcastPlan& plan, int k, std::int64_t first, std::int64_t rows) {
  const std::int64_t n = plan.extent[0];
  const bool repeated = plan.stride[k][0] == 0;
  RowCursor cursor(plan, k, first);
  for (std::int64_t row = 0; row < rows; ++row, to += n, cursor.next()) {
    const U* const from = reinterpret_cast<const U*>(static_cast<const char*>(x.data) + cursor.offset);
    if (repeated)
      for (std::int64_t i = 0; i < n; ++i) to[i] = *from;
    else
      for (std::int64_t i = 0; i < n; ++i) to[i] = from[i];
  }
}

void copy_rows_of_any(void* to, const ConstArray& x, const BroadcastPlan& plan, int k, std::int64_t first, std::int64_t rows) {
  switch (size_of(x.dtype)) {
    case 1: return copy_rows(static_cast<std::uint8_t*>(to), x, plan, k, first, rows);
    case 2: return copy_rows(static_cast<std::uint16_t*>(to), x, plan, k, first, rows);
    case 4: return copy_rows(static_cast<std::uint32_t*>(to), x, plan, k, first, rows);
    default: return copy_rows(static_cast<std::uint64_t*>(to), x, plan, k, first, rows);
  }
}

/// One call of for_each_row.
struct Walk {
  BroadcastPlan plan;
  const ConstArray* operands;
  int count;
  std::int64_t elements;
  void* context;
  RowFunction f;

  const char* data(int k) const { return static_cast<const char*>(operands[k].data); }
  std::int64_t row_length() const { return plan.extent[0]; }

  /// Rows longer than a chunk: each in parts.
  void long_rows() const {
    const std::int64_t n = row_length(), parts = (n + kElementChunk - 1) / kElementChunk;
    parallel_for(plan.rows * parts, [&](std::int64_t i) {
      const std::int64_t row = i / parts, begin = i % parts * kElementChunk;
      RowOperands x;
      for (int k = 0; k < count; ++k) x.data[k] = data(k) + RowCursor(plan, k, row).offset + plan.stride[k][0] * begin;
      f(context, row * n + begin, n - begin < kElementChunk ? n - begin : kElementChunk, x, plan.repeats);
    });
  }

  void rows(std::int64_t first, std::int64_t last) const {
    RowCursor cursor[kMaxOperands] = {{plan, 0, first}, {plan, 1, first}, {plan, 2, first}};
    for (std::int64_t row = first; row < last; ++row) {
      RowOperands x;
      for (int k = 0; k < count; ++k, cursor[k - 1].next()) x.data[k] = data(k) + cursor[k].offset;
      f(context, row * row_length(), row_length(), x, plan.repeats);
    }
  }

  /// Whole rows joined into pieces. An operand as large as the result is read where it is; one without an axis beyond the row is copied
  /// once, for the first and largest piece.
  void short_rows(std::int64_t first, std::int64_t last) const {
    alignas(64) unsigned char copy[kMaxOperands][kPiece * sizeof(double)];
    const std::int64_t n = row_length(), rows_per_piece = kPiece / n;
    for (std::int64_t row = first; row < last; row += rows_per_piece) {
      const std::int64_t piece = last - row < rows_per_piece ? last - row : rows_per_piece;
      RowOperands x;
      for (int k = 0; k < count; ++k) {
        const bool whole = operands[k].elements() == elements;
        x.data[k] = whole ? data(k) + row * n * static_cast<std::int64_t>(size_of(operands[k].dtype)) : static_cast<void*>(copy[k]);
        if (!whole && (row == first || plan.outer[k])) copy_rows_of_any(copy[k], operands[k], plan, k, row, piece);
      }
      f(context, row * n, piece * n, x, 0);
    }
  }
};

}  // namespace

BroadcastPlan plan_broadcast(const Shape& y, const ConstArray* operands, int count) {
  BroadcastPlan plan;
  StrideWalk walk(operands, count);
  std::int64_t stride[kMaxOperands] = {};
  for (int axis = 0; axis < y.rank(); ++axis) {
    const std::int64_t extent = y[y.rank() - 1 - axis];
    if (extent == 1) continue;
    for (int k = 0; k < count; ++k) stride[k] = walk.step(k, axis);
    if (plan.rank > 0 && continues(plan, count, stride)) plan.extent[plan.rank - 1] *= extent;
    else add_axis(plan, count, extent, stride);
  }
  if (plan.rank == 0) add_axis(plan, count, 1, stride);  // one element in all
  for (int i = 1; i < plan.rank; ++i) plan.rows *= plan.extent[i];
  for (int k = 0; k < count; ++k) {
    if (plan.stride[k][0] == 0) plan.repeats |= 1u << k;
    for (int i = 1; i < plan.rank; ++i) plan.outer[k] |= plan.stride[k][i] != 0;
  }
  return plan;
}

void for_each_row(const Shape& y, const ConstArray* operands, int count, void* context, RowFunction f) {
  if (y.elements() == 0) return;
  const Walk walk{plan_broadcast(y, operands, count), operands, count, y.elements(), context, f};
  const std::int64_t n = walk.row_length();
  if (n > kElementChunk) return walk.long_rows();
  const std::int64_t rows = walk.plan.rows, rows_per_chunk = kElementChunk / n;
  parallel_for((rows + rows_per_chunk - 1) / rows_per_chunk, [&](std::int64_t chunk) {
    const std::int64_t first = chunk * rows_per_chunk, last = rows - first < rows_per_chunk ? rows : first + rows_per_chunk;
    if (worth_a_call_each(rows, n)) walk.rows(first, last);
    else walk.short_rows(first, last);
  });
}

}  // namespace gradus::inline v0::cpu
