// The axes of a reduction, merged, for the kernels of both devices.
#pragma once

#include <cstdint>

#include <gradus/kernels/array.h>

namespace gradus::inline v0 {

/// The axes of a contiguous array in groups, the innermost first, kept and reduced by turns; axes of extent 1 are passed over. `axes` has
/// a bit for each reduced axis. Strides are in elements.
struct AxisGroups {
  int count = 0;
  bool reduced[Shape::kMaxRank + 1] = {};
  std::int64_t extent[Shape::kMaxRank + 1] = {}, stride[Shape::kMaxRank + 1] = {};

  AxisGroups(const Shape& x, unsigned axes) {
    std::int64_t inner = 1;
    for (int axis = x.rank() - 1; axis >= 0; --axis) {
      if (x[axis] == 1) continue;
      add(x[axis], (axes >> axis & 1) != 0, inner);
      inner *= x[axis];
    }
    if (count == 0) add(1, false, 1);
  }
  bool along_rows() const { return reduced[0]; }
  std::int64_t extent_or_one(int group) const { return group < count ? extent[group] : 1; }
  /// The product of the extents of groups first, first + 2, ...
  std::int64_t product(int first) const {
    std::int64_t n = 1;
    for (int g = first; g < count; g += 2) n *= extent[g];
    return n;
  }

 private:
  void add(std::int64_t n, bool is_reduced, std::int64_t inner) {
    if (count > 0 && reduced[count - 1] == is_reduced) {
      extent[count - 1] *= n;
      return;
    }
    reduced[count] = is_reduced;
    extent[count] = n;
    stride[count++] = inner;
  }
};

}  // namespace gradus::inline v0
