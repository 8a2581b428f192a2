// Which kernels a call launches, and how. The program is linked with --wrap, so that launches of the library pass through here on their
// way to the emulator: its counters know what a kernel did, but not the shared memory that it was given.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace gradus::costs {

struct Launched {
  std::string mangled, pretty;  // pretty: the name under which the emulator counts
  int threads = 0;
  std::size_t dynamic_shared = 0;  // the most that a launch asked
};

/// Every kernel once, in the order of the first launch since the list was cleared.
std::vector<Launched>& launches();

}  // namespace gradus::costs
