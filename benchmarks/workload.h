// A workload: what one timed step does, and how the names of peers' scripts find it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <gradus/kernels/array.h>

namespace gradus::bench {

struct Workload {
  std::string name;
  std::string what;                                ///< one sentence: shapes, loss, optimizer
  std::function<std::function<void()>()> prepare;  ///< makes inputs and model once; returns the step
};
const std::vector<Workload>& workloads();
/// Where prepare() puts inputs and models from now on. A step on a device only queues its work: who times it waits (synchronize).
void use_device(Device device);

/// Cost of the tape itself: one recorded one-element op.
struct Overhead {
  std::string name;
  double ns = 0;       ///< per op, median
  double mallocs = 0;  ///< per op, after warm-up
};
std::vector<Overhead> measure_overhead();

/// Calls of malloc, calloc, realloc and aligned_alloc of this process so far.
std::int64_t malloc_count();

}  // namespace gradus::bench
