// Where a function's registers lie in its frame.
#pragma once

#include <cstdint>
#include <vector>

#include <gradus/kernels/emulator/ptx/program.h>

namespace gradus::emulator {

/// Bytes of one lane of a register; 0 for a predicate, which is one mask.
int lane_bytes(ptx::Type type);

struct FrameLayout {
  std::vector<std::uint32_t> offsets;  // by register, 64-byte aligned but for predicates
  std::uint32_t bytes = 0;
};
/// Registers that are never live at once share a place. A lane's registers are its own, whatever the other lanes do, so liveness is that of
/// one thread; results never share a place with an operand of the same instruction (shuffles and mma read other lanes' operands late).
FrameLayout lay_out_frame(const ptx::Function& function);

}  // namespace gradus::emulator
