// The planted kernels of tests/emulator/planted: which there are, how they are launched, which lines must be found.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gradus/kernels/emulator/check/finding.h>

namespace planted {

/// (kind as the report prints it, line).
using Lines = std::set<std::pair<std::string, std::uint32_t>>;

struct Kernel {
  std::string name;
  std::uint32_t blocks = 1, threads = 32;
  bool cooperative = false;
  Lines expected, allowed;  // allowed: second kinds of a line that may be found too
};

/// Reads a .cu file (see planted/README.md).
std::vector<Kernel> kernels_of(const std::string& source_path);
std::string read_file(const std::string& path);

}  // namespace planted
