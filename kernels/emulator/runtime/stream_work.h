// For the stand-ins of libraries that queue work on a stream (cuBLAS, cuDNN): the work is a host function, run when the stream's turn
// comes.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <gradus/kernels/emulator/count/counters.h>

using cudaStream_t = struct CUstream_st*;

namespace gradus::emulator {

/// Device memory that some queued work reads or writes; checked for bounds (now), definedness and stream order (when it runs).
struct Range {
  const void* address = nullptr;
  std::uint64_t bytes = 0;
  const char* name = "";  // the argument's, for findings
};
/// Queues `work` under `name` on a stream. Inside it, device_bytes() reaches the memory. `counts` is added to the counters of `name`.
/// Returns false, with a finding, if a range is not within one live allocation.
bool enqueue_host_work(cudaStream_t stream, const char* name, std::function<void()> work, std::vector<Range> reads,
                       std::vector<Range> writes, const Counters& counts);
/// The bytes behind a device pointer.
void* device_bytes(const void* device_pointer);

}  // namespace gradus::emulator
