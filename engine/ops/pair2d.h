// A number per image axis.
#pragma once

#include <cstdint>

namespace gradus::inline v0 {

/// Height and width: `2` means both, `{2, 3}` each.
struct Pair2d {
  std::int64_t h = 0, w = 0;
  constexpr Pair2d(std::int64_t both) : h(both), w(both) {}
  constexpr Pair2d(std::int64_t height, std::int64_t width) : h(height), w(width) {}
};

}  // namespace gradus::inline v0
