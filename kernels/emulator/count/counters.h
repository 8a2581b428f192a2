// What a kernel did, in the definitions of specs: exact for the PTX, never a time.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace gradus::emulator {

struct Counters {
  std::uint64_t launches = 0, blocks = 0, threads = 0;
  std::uint64_t warp_instructions = 0, lane_instructions = 0;
  std::uint64_t class_integer = 0, class_float = 0, class_memory = 0, class_control = 0, class_other = 0;  // warp instructions by class
  std::uint64_t flops = 0;    // per active lane: add, mul 1, fma 2; packed doubles; mma 2mnk a warp
  std::uint64_t special = 0;  // ex2, lg2, rcp, rsqrt, sqrt, sin, cos, tanh, div: lanes
  std::uint64_t load_requests = 0, load_sectors = 0, store_requests = 0, store_sectors = 0;  // global, incl. cp.async (loads)
  std::uint64_t atomic_requests = 0;
  std::uint64_t bytes_requested = 0;   // sum of lane widths, loads and stores, global
  std::uint64_t bytes_touched = 0;     // sectors x 32
  std::uint64_t bytes_compulsory = 0;  // distinct sectors of the whole launch x 32 (reads and writes counted once each)
  std::uint64_t shared_requests = 0, shared_wavefronts = 0;
  std::uint64_t shared_ideal_wavefronts = 0;  // what the same requests need without bank conflicts
  std::uint64_t barriers = 0, shuffles = 0, local_requests = 0;
  void add(const Counters& other);
};

/// By kernel name (demangled), over the process; written as JSON by --count.
std::map<std::string, Counters>& counters_by_kernel();
std::string counters_json();

}  // namespace gradus::emulator
