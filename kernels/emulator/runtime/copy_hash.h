// A fingerprint of everything that a program has copied from the device, to compare runs: other seeds, other checks must give equal bits.
#pragma once

#include <cstddef>

namespace gradus::emulator::runtime {

/// Adds the bytes of one copy. Copies may come in any order: other seeds run independent streams in another.
void hash_copy_to_host(const std::byte* bytes, std::size_t count);
/// Appends "HASH COPIES COMMAND LINE" to the file that GRADUS_EMULATOR_HASH names, if it names one.
void write_copy_hash();

}  // namespace gradus::emulator::runtime
