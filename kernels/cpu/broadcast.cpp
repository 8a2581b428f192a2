#include <gradus/kernels/cpu/broadcast.h>

namespace gradus::inline v0::cpu {
namespace {

using RowFunction = void (*)(void*, std::int64_t, std::int64_t, const RowOperands&, unsigned);

// Short rows are joined into pieces of this many elements at most: three operands of f64 are 12 KiB, well inside an L1.
constexpr std::int64_t kPiece = 512;

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
