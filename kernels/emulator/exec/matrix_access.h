// Memory accesses of matrix instructions: addresses and values are put into scratch registers, then they are accesses like any other, with
// all checks and counters.
#pragma once

#include <cstdint>

#include <gradus/kernels/emulator/exec/access.h>

namespace gradus::emulator {

/// `inner` is what the memory code sees: an access of `bytes` bytes a lane at the addresses in inner.a.
struct MatrixAccess {
  struct Staged : Access {
    mutable std::byte* staged = nullptr;
  };
  Decoded inner;
  const Access* outer = nullptr;   // how the instruction's own operand gives the base (Decoded::a, ::immediate)
  const Staged* access = nullptr;  // inner.extra
};
/// Binds the address operand into `out` and makes the inner access, of at most 16 bytes.
MatrixAccess make_matrix_access(Decoder& decoder, const ptx::Instruction& instruction, const ptx::Operand& address, Role role,
                                std::uint32_t bytes, Decoded& out);

/// The inner access's addresses, to be filled in.
inline std::uint64_t* addresses_of(const Warp& warp, const MatrixAccess& m) { return warp.lanes_of<std::uint64_t>(m.inner.a); }
/// Where the values of a store belong: lane l's at l * bytes.
inline std::byte* values_of(const Warp& warp, const MatrixAccess& m) { return warp.lanes_of<std::byte>(m.access->values[0]); }
/// Loads into, or stores from, `staged` (lane l's bytes at l * bytes). Refused lanes load nothing.
void transfer(Warp& warp, const MatrixAccess& m, Mask active, std::byte* staged);

}  // namespace gradus::emulator
