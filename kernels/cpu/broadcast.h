// Broadcasting for elementwise kernels: from a plan to rows, in which every operand is contiguous or one repeated element. Cold code.
#pragma once

#include <cstdint>

#include <gradus/kernels/broadcast_plan.h>
#include <gradus/kernels/parallel.h>

namespace gradus::inline v0::cpu {

inline constexpr std::int64_t kElementChunk = 1 << 15;  // elements that a thread takes at a time: 128 KiB of f32, about 10 us

/// f(begin, count) over [0, n), in chunks fixed by n.
template <class F> void in_chunks(std::int64_t n, const F& f) {
  if (n <= kElementChunk) return f(std::int64_t{0}, n);
  parallel_for((n + kElementChunk - 1) / kElementChunk, [&](std::int64_t chunk) {
    const std::int64_t begin = chunk * kElementChunk;
    f(begin, n - begin < kElementChunk ? n - begin : kElementChunk);
  });
}

/// Whether rows are handled one by one. A row of 16 elements, two packets of AVX2 f32, costs as much in its call as in its arithmetic, and
/// so few shorter ones cost less than copying them together.
inline bool worth_a_call_each(std::int64_t rows, std::int64_t row_length) { return row_length >= 16 || rows <= 8; }

/// Walks the rows of a plan: the byte offset of one operand.
class RowCursor {
 public:
  std::int64_t offset = 0;

  RowCursor(const BroadcastPlan& plan, int operand, std::int64_t row) : plan_(plan), stride_(plan.stride[operand]) {
    for (int i = 1; i < plan.rank; ++i) {
      index_[i] = row % plan.extent[i];
      row /= plan.extent[i];
      offset += index_[i] * stride_[i];
    }
  }
  void next() {
    for (int i = 1; i < plan_.rank; ++i) {
      offset += stride_[i];
      if (++index_[i] < plan_.extent[i]) return;
      offset -= stride_[i] * plan_.extent[i];
      index_[i] = 0;
    }
  }

 private:
  const BroadcastPlan& plan_;
  const std::int64_t* stride_;
  std::int64_t index_[Shape::kMaxRank];
};

/// What a row function sees of its operands.
struct RowOperands {
  const void* data[kMaxOperands];
};

/// f(y offset in elements, n, operands, repeats) over pieces of rows, in parallel. Rows too short to be worth a call are copied together
/// into pieces without repetition.
void for_each_row(const Shape& y, const ConstArray* operands, int count, void* context,
                  void (*f)(void* context, std::int64_t begin, std::int64_t n, const RowOperands& x, unsigned repeats));

template <class F> void for_each_row(const Shape& y, const ConstArray* operands, int count, const F& f) {
  const auto call = [](void* context, std::int64_t begin, std::int64_t n, const RowOperands& x, unsigned repeats) {
    (*static_cast<const F*>(context))(begin, n, x, repeats);
  };
  for_each_row(y, operands, count, const_cast<void*>(static_cast<const void*>(&f)), call);
}

}  // namespace gradus::inline v0::cpu
