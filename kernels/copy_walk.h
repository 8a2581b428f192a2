// One side of a copy between arrays, for the kernels of both devices.
#pragma once

#include <cstdint>

#include <gradus/kernels/array.h>

namespace gradus::inline v0 {

/// The strided side of a copy: extents in the order of the contiguous side, outermost first, and strides, in elements. Axes that can be
/// one are merged.
struct CopyWalk {
  int rank = 0;
  std::int64_t extent[Shape::kMaxRank] = {}, stride[Shape::kMaxRank] = {};
  std::int64_t offset = 0;  // of the first element

  void push(std::int64_t n, std::int64_t step) {
    if (n == 1) return;
    if (rank > 0 && stride[rank - 1] == n * step) {
      extent[rank - 1] *= n;
      stride[rank - 1] = step;
    } else {
      extent[rank] = n;
      stride[rank++] = step;
    }
  }
  std::int64_t elements() const {
    std::int64_t n = 1;
    for (int a = 0; a < rank; ++a) n *= extent[a];
    return n;
  }
  bool contiguous() const { return rank == 0 || (rank == 1 && stride[0] == 1); }
};

}  // namespace gradus::inline v0
