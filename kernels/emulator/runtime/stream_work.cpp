#include <gradus/kernels/emulator/runtime/stream_work.h>

#include <string>
#include <utility>

#include <gradus/kernels/emulator/exec/machine.h>
#include <gradus/kernels/emulator/exec/memory.h>
#include <gradus/kernels/emulator/runtime/api.h>
#include <gradus/kernels/emulator/runtime/graph.h>
#include <gradus/kernels/emulator/runtime/host_finding.h>

namespace gradus::emulator {
namespace {

using runtime::Access;
using runtime::Operation;

/// Within one live allocation?
bool is_sound(const Range& range, const char* name, const runtime::CallSite& site) {
  if (range.bytes == 0) return true;
  const auto begin = reinterpret_cast<std::uint64_t>(range.address);
  const Allocation* allocation = DeviceMemory::instance().find(begin);
  if (allocation != nullptr && !allocation->freed && range.bytes <= allocation->base + allocation->bytes - begin) return true;
  const bool freed = allocation != nullptr && allocation->freed;
  report_call(freed ? Kind::freed : Kind::out_of_bounds, site,
              std::string(name) + ": argument `" + range.name + "` spans " + std::to_string(range.bytes) +
                  " bytes: " + DeviceMemory::instance().describe(begin),
              name);
  return false;
}

void check_defined(const Operation& self, const char* name, const Range& range) {
  const auto begin = reinterpret_cast<std::uint64_t>(range.address);
  const std::uint64_t first = range.bytes == 0 ? 0 : DeviceMemory::instance().first_undefined(begin, range.bytes);
  if (first == range.bytes || options().checks != Checks::all) return;
  report_call(Kind::uninitialised, self.site,
              std::string(name) + " reads `" + range.name + "` of which byte +" + std::to_string(first) +
                  " was never written: " + DeviceMemory::instance().describe(begin + first),
              name);
}

}  // namespace

void* device_bytes(const void* device_pointer) { return DeviceMemory::instance().at(reinterpret_cast<std::uint64_t>(device_pointer)); }

bool enqueue_host_work(cudaStream_t stream, const char* name, std::function<void()> work, std::vector<Range> reads,
                       std::vector<Range> writes, const Counters& counts) {
  const auto queue = [&] {
    Operation operation;
    operation.name = name;
    operation.site = runtime::CallSite::here();
    runtime::Stream* const target = runtime::stream_of(stream);
    if (target == nullptr) return cudaErrorInvalidResourceHandle;
    for (const auto* list : {&reads, &writes}) {
      for (const Range& range : *list) {
        if (!is_sound(range, name, operation.site)) return cudaErrorInvalidValue;
        operation.accesses.push_back({reinterpret_cast<std::uint64_t>(range.address), range.bytes, list == &writes});
      }
    }
    operation.work = [=, reads = std::move(reads), writes = std::move(writes), work = std::move(work)](Operation& self) {
      for (const Range& range : reads) check_defined(self, name, range);
      work();
      for (const Range& range : writes) DeviceMemory::instance().define(reinterpret_cast<std::uint64_t>(range.address), range.bytes);
      counters_by_kernel()[name].add(counts);
      return 0;
    };
    return runtime::enqueue(*target, std::move(operation), cudaGraphNodeTypeKernel);
  };
  return runtime::api(name, queue) == cudaSuccess;
}

}  // namespace gradus::emulator
