// Where a function's registers lie in its frame.
#pragma once

#include <cstdint>
#include <vector>

#include <gradus/kernels/emulator/ptx/program.h>

namespace gradus::emulator {

/// Bytes of one lane of a register; 0 for a predicate, which is one mask.
int lane_bytes(ptx::Type type);

struct FrameLayout {
  std::vector<std::uint32_t> offsets;  // by register; 32-byte aligned but for predicates
  std::uint32_t bytes = 0;
};
/// Registers of one width that are never live together share a place.
FrameLayout lay_out_frame(const ptx::Function& function);

}  // namespace gradus::emulator
