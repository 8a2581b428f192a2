// Broadcasting for the elementwise kernels of both devices: the axes of the result, merged.
#pragma once

#include <cstdint>

#include <gradus/kernels/array.h>

namespace gradus::inline v0 {

inline constexpr int kMaxOperands = 3;  // of an elementwise kernel

/// The axes of a result, merged where every operand allows it. Axis 0 is the innermost; strides are in bytes, 0 repeats.
struct BroadcastPlan {
  int rank = 0;
  std::int64_t extent[Shape::kMaxRank];
  std::int64_t stride[kMaxOperands][Shape::kMaxRank] = {};
  std::int64_t rows = 1;          // product of the extents of axes 1 and up
  unsigned repeats = 0;           // bit k: operand k is one element along axis 0
  bool outer[kMaxOperands] = {};  // operand k changes from row to row
};
BroadcastPlan plan_broadcast(const Shape& y, const ConstArray* operands, int count);

}  // namespace gradus::inline v0
