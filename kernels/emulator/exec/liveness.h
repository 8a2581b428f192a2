// When the registers of a function hold something that is still to be read.
#pragma once

#include <cstdint>
#include <vector>

#include <gradus/kernels/emulator/ptx/program.h>

namespace gradus::emulator {

/// From the first to the last instruction, in the order of the text, at which a register's place must be its own: every path on which
/// a lane carries the value lies within. Empty (last < first): never named.
struct LiveRange {
  std::uint32_t first = ~0u, last = 0;
  bool is_empty() const { return first > last; }
};
std::vector<LiveRange> live_ranges(const ptx::Function& function);

/// The registers that nobody reads but selp, as one of its two values: they may hold what is thrown away.
std::vector<bool> merely_selected(const ptx::Function& function);

}  // namespace gradus::emulator
