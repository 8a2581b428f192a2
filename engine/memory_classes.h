// Size classes of the allocators: the engine's own.
#pragma once

#include <bit>
#include <cstddef>

namespace gradus::inline v0::detail {

inline constexpr std::size_t kGranule = 64;                   // one cache line: alignment of every block
inline constexpr int kStepsPerDoubling = 8;                   // at most 12.5 % of a block is slack
inline constexpr int kClasses = 16 + 48 * kStepsPerDoubling;  // 64 B steps up to 1 KiB, then 8 per doubling

/// Size class of a request, and the bytes that its blocks have.
constexpr int class_of(std::size_t bytes) {
  if (bytes <= 1024) return bytes == 0 ? 0 : static_cast<int>((bytes - 1) / kGranule);
  const int log = static_cast<int>(std::bit_width(bytes - 1)) - 1;  // 2^log <= bytes - 1 < 2^(log + 1), log >= 10
  const std::size_t step = (std::size_t{1} << log) / kStepsPerDoubling;
  return 16 + (log - 10) * kStepsPerDoubling + static_cast<int>((bytes - 1 - (std::size_t{1} << log)) / step);
}
constexpr std::size_t class_bytes(int c) {
  if (c < 16) return (static_cast<std::size_t>(c) + 1) * kGranule;
  const int log = 10 + (c - 16) / kStepsPerDoubling;
  return (std::size_t{1} << log) +
         (static_cast<std::size_t>((c - 16) % kStepsPerDoubling) + 1) * ((std::size_t{1} << log) / kStepsPerDoubling);
}

/// Throws MemoryError if fail_allocation() asked for it: called once by every request, of any device.
void fail_if_asked(std::size_t bytes);

}  // namespace gradus::inline v0::detail
