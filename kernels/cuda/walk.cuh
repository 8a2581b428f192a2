// The axes of a reduction as two walks through memory: over the kept positions (the outputs), and over what one output is reduced from.
#pragma once

#include <type_traits>

#include <gradus/kernels/cuda/elementwise_divider.cuh>
#include <gradus/kernels/cuda/launch.cuh>

namespace gradus::inline v0::cuda {

constexpr std::int64_t ceil_div(std::int64_t n, std::int64_t d) { return (n + d - 1) / d; }
constexpr std::int64_t clamped(std::int64_t n, std::int64_t low, std::int64_t high) { return n < low ? low : n > high ? high : n; }

/// Division by a number that the host knows; of 64-bit numbers by the hardware, which only arrays of 2^31 elements and more come to.
struct WideDivider {
  std::uint64_t divisor = 1;

  WideDivider() = default;
  explicit WideDivider(std::int64_t d) : divisor(static_cast<std::uint64_t>(d)) {}
  __host__ __device__ std::uint64_t quotient(std::uint64_t n) const { return n / divisor; }
  __host__ __device__ std::uint64_t split(std::uint64_t& n) const {
    const std::uint64_t q = n / divisor, r = n - q * divisor;
    n = q;
    return r;
  }
};
template <class I> using DividerOf = std::conditional_t<sizeof(I) == 4, Divider, WideDivider>;

/// Positions counted along up to kMaxLevels groups of axes, the innermost first. Eight axes make at most four groups of a kind.
template <class I, int kMaxLevels = Shape::kMaxRank / 2> struct Walk {
  static constexpr int kLevels = kMaxLevels;
  int count = 0;
  DividerOf<I> extent[kLevels];
  I stride[kLevels] = {};

  void push(std::int64_t n, std::int64_t step) {
    extent[count] = DividerOf<I>(n > 0 ? n : 1);
    stride[count++] = static_cast<I>(step);
  }
  /// The offset in memory of position i. No subscript depends on data, so that the arrays stay in constant memory.
  __device__ I offset(I i) const {
    I at = 0;
#pragma unroll
    for (int g = 0; g < kLevels; ++g) {
      if (g + 1 < count) at += extent[g].split(i) * stride[g];
      else if (g + 1 == count) at += i * stride[g];
    }
    return at;
  }
};

/// The walk along a line: a step for every load, so the fast code knows two levels only (the sum over N, H and W of [N, C, H, W]).
template <class I> using LineWalk = Walk<I, sizeof(I) == 4 ? 2 : Shape::kMaxRank / 2>;

/// The axes of x in groups, the innermost first, kept and reduced by turns; axes of extent 1 are passed over.
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
  /// The product of the extents of groups first, first + 2, ...
  std::int64_t product(int first) const {
    std::int64_t n = 1;
    for (int g = first; g < count; g += 2) n *= extent[g];
    return n;
  }
  /// Groups that a line goes along.
  int line_levels() const { return along_rows() ? (count + 1) / 2 : count / 2; }
  /// A walk, W, over groups first, first + 2, ...
  template <class W> W walk(int first) const {
    W w;
    for (int g = first; g < count; g += 2) w.push(extent[g], stride[g]);
    return w;
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

}  // namespace gradus::inline v0::cuda
