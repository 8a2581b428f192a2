// What index.cu and index_add.cu share.
#pragma once

#include <gradus/kernels/cuda/walk.cuh>

namespace gradus::inline v0::cuda {

inline constexpr int kIndexThreads = 256;

/// An array seen from one axis: [outer, extent, inner].
struct AxisView {
  std::int64_t outer, extent, inner;
  AxisView(const Shape& shape, int axis)
      : outer(shape.product(0, axis)), extent(shape[axis]), inner(shape.product(axis + 1, shape.rank())) {}
};

/// 0 <= i < bound: a negative index is a large unsigned number.
__device__ inline bool inside(std::int64_t i, std::int64_t bound) {
  return static_cast<std::uint64_t>(i) < static_cast<std::uint64_t>(bound);
}

}  // namespace gradus::inline v0::cuda
