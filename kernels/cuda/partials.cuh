// Partial results between two kernels of one launcher.
#pragma once

#include <cstddef>

namespace gradus::inline v0::cuda {

inline constexpr std::size_t kPartialBytes = std::size_t{4} << 20;  // at most

/// Scratch of this thread's device, 256-byte aligned: kernels queued on this thread's stream may use it until its next user is queued.
/// One allocation, made at the first call and kept; `bytes` at most kPartialBytes.
void* partials(std::size_t bytes);

}  // namespace gradus::inline v0::cuda
