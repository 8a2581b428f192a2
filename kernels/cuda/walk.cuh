// The axes of a reduction as two walks through memory: over the kept positions (the outputs), and over what one output is reduced from.
#pragma once

#include <type_traits>

#include <gradus/kernels/axis_groups.h>
#include <gradus/kernels/cuda/divider.cuh>
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

/// Groups that a line goes along.
inline int line_levels(const AxisGroups& groups) { return groups.along_rows() ? (groups.count + 1) / 2 : groups.count / 2; }

/// A walk, W, over groups first, first + 2, ...
template <class W> W walk_over(const AxisGroups& groups, int first) {
  W w;
  for (int g = first; g < groups.count; g += 2) w.push(groups.extent[g], groups.stride[g]);
  return w;
}

}  // namespace gradus::inline v0::cuda
