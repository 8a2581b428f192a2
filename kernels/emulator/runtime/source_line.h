// Where in the host program something was called: return addresses now, FILE:LINE (by addr2line) only when a finding needs it.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace gradus::emulator::runtime {

/// The innermost return addresses of a call into the runtime.
struct CallSite {
  std::array<std::uintptr_t, 16> frames{};
  std::uint32_t count = 0;
  /// Of the caller of the running function; the runtime's own frames are among them and are told apart by resolve().
  static CallSite here();
};

struct SourceLine {
  std::string file;  // "" if the program has no debug information
  std::uint32_t line = 0;
  std::string function;
};

/// The innermost frame that is neither the runtime, the toolkit's headers nor nvcc's launch stub.
SourceLine resolve(const CallSite& site);
/// "main.cu:41", or "the host program".
std::string to_string(const SourceLine& where);

}  // namespace gradus::emulator::runtime
