// Entry points: memory that comes and goes.
#include <string>
#include <utility>

#include <gradus/kernels/emulator/exec/memory.h>
#include <gradus/kernels/emulator/runtime/api.h>
#include <gradus/kernels/emulator/runtime/copy.h>
#include <gradus/kernels/emulator/runtime/graph.h>
#include <gradus/kernels/emulator/runtime/host_finding.h>
#include <gradus/kernels/emulator/runtime/order.h>
#include <gradus/kernels/emulator/runtime/registry.h>

using namespace gradus::emulator;
using namespace gradus::emulator::runtime;

namespace {

constexpr std::size_t kPitch = 512;  // what cudaMallocPitch rounds rows up to

std::string numbered(const char* call) {
  static int count = 0;
  return std::string(call) + " #" + std::to_string(++count);
}

cudaError_t allocate(void** pointer, std::size_t bytes, AllocationKind kind, const char* call) {
  if (pointer == nullptr) return cudaErrorInvalidValue;
  *pointer = nullptr;
  if (bytes == 0) return cudaSuccess;
  auto& memory = DeviceMemory::instance();
  if (bytes > memory.total()) return cudaErrorMemoryAllocation;
  const std::uint64_t base = memory.allocate(bytes, kind, numbered(call));
  if (base == 0) return cudaErrorMemoryAllocation;
  // The host writes to these unseen.
  if (kind == AllocationKind::managed || kind == AllocationKind::pinned) memory.define(base, bytes);
  *pointer = reinterpret_cast<void*>(base);
  return cudaSuccess;
}

/// What is wrong with freeing what begins here, by an entry point for pinned memory (`host`) or for the device's; null if nothing is.
const char* fault_of_free(const Allocation* allocation, std::uint64_t base, bool host) {
  if (allocation == nullptr) return "of what no allocation call returned: ";
  if (allocation->freed) return "of memory that is freed already: ";
  if (allocation->base != base) return "of a pointer that is not the beginning of its allocation: ";
  switch (allocation->kind) {
    case AllocationKind::variable:
    case AllocationKind::constant: return "of a variable: ";
    case AllocationKind::pinned: return host ? nullptr : "of pinned memory (cudaFreeHost frees that): ";
    default: return host ? "of memory that is not pinned (cudaFree frees that): " : nullptr;
  }
}

cudaError_t release(void* pointer, bool host) {
  if (pointer == nullptr) return cudaSuccess;
  const auto base = reinterpret_cast<std::uint64_t>(pointer);
  auto& memory = DeviceMemory::instance();
  const Allocation* allocation = memory.find(base);
  if (const char* fault = fault_of_free(allocation, base, host)) {
    report_call(Kind::freed, std::string(current_call()) + " " + fault + memory.describe(base));
    return cudaErrorInvalidValue;
  }
  forget_allocation(allocation->serial);
  memory.free(base);
  return cudaSuccess;
}

cudaError_t free_after_everything(void* pointer, bool host) {
  if (pointer == nullptr) return cudaSuccess;
  Scheduler::instance().finish_all();  // cudaFree waits for the device
  return release(pointer, host);
}

/// Stream-ordered: the allocation exists for its stream at once, for others only behind an event or a synchronisation.
cudaError_t allocate_on(void** pointer, std::size_t bytes, cudaStream_t handle) {
  Stream* stream = stream_of(handle);
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  const cudaError_t error = allocate(pointer, bytes, AllocationKind::device, "cudaMallocAsync");
  if (error != cudaSuccess || bytes == 0) return error;
  Operation operation;
  operation.name = "cudaMallocAsync";
  operation.site = CallSite::here();
  operation.accesses.push_back({reinterpret_cast<std::uint64_t>(*pointer), bytes, true});
  return enqueue(*stream, std::move(operation), cudaGraphNodeTypeMemAlloc);
}

cudaError_t free_on(void* pointer, cudaStream_t handle) {
  Stream* stream = stream_of(handle);
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  if (pointer == nullptr) return cudaSuccess;
  const Allocation* allocation = DeviceMemory::instance().find(reinterpret_cast<std::uint64_t>(pointer));
  if (fault_of_free(allocation, reinterpret_cast<std::uint64_t>(pointer), false) != nullptr) return release(pointer, false);
  Operation operation;
  operation.name = "cudaFreeAsync";
  operation.site = CallSite::here();
  operation.accesses.push_back({allocation->base, allocation->bytes, true});
  const bool captured = stream->capture != nullptr;  // a graph may run again: its memory stays
  operation.work = [=](Operation&) {
    if (!captured) release(pointer, false);
    return 0;
  };
  return enqueue(*stream, std::move(operation), cudaGraphNodeTypeMemFree);
}

cudaError_t allocate_host(void** pointer, std::size_t bytes, unsigned flags, const char* call) {
  if ((flags & ~7u) != 0) return cudaErrorInvalidValue;
  if ((flags & cudaHostAllocMapped) != 0) watch_for_waiting_hosts();
  return allocate(pointer, bytes, AllocationKind::pinned, call);
}

cudaError_t allocate_rows(void** pointer, std::size_t* pitch, std::size_t width, std::size_t rows, const char* call) {
  if (pitch == nullptr) return cudaErrorInvalidValue;
  *pitch = (width + kPitch - 1) / kPitch * kPitch;
  if (rows != 0 && *pitch > DeviceMemory::instance().total() / rows) return cudaErrorMemoryAllocation;
  return allocate(pointer, *pitch * rows, AllocationKind::device, call);
}

}  // namespace

extern "C" {

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  return api("cudaMalloc", [&] { return allocate(pointer, bytes, AllocationKind::device, "cudaMalloc"); });
}

cudaError_t cudaFree(void* pointer) {
  return api("cudaFree", [&] { return free_after_everything(pointer, false); });
}

cudaError_t cudaMallocHost(void** pointer, size_t bytes) {
  return api("cudaMallocHost", [&] { return allocate_host(pointer, bytes, 0, "cudaMallocHost"); });
}

cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned flags) {
  return api("cudaHostAlloc", [&] { return allocate_host(pointer, bytes, flags, "cudaHostAlloc"); });
}

cudaError_t cudaFreeHost(void* pointer) {
  return api("cudaFreeHost", [&] { return free_after_everything(pointer, true); });
}

cudaError_t cudaHostRegister(void* pointer, size_t bytes, unsigned) {
  return api("cudaHostRegister", [&] {
    if (pointer == nullptr || bytes == 0) return cudaErrorInvalidValue;
    if (where_is(pointer) != Where::pageable) return cudaErrorHostMemoryAlreadyRegistered;
    DeviceMemory::instance().register_host(reinterpret_cast<std::uint64_t>(pointer), bytes, numbered("cudaHostRegister"));
    return cudaSuccess;
  });
}

cudaError_t cudaHostUnregister(void* pointer) {
  return api("cudaHostUnregister", [&] {
    const auto base = reinterpret_cast<std::uint64_t>(pointer);
    const Allocation* allocation = DeviceMemory::instance().find(base);
    if (allocation == nullptr || allocation->base != base || allocation->label.rfind("cudaHostRegister", 0) != 0)
      return cudaErrorHostMemoryNotRegistered;
    Scheduler::instance().finish_all();
    forget_allocation(allocation->serial);
    DeviceMemory::instance().free(base);
    return cudaSuccess;
  });
}

cudaError_t cudaHostGetDevicePointer(void** device, void* host, unsigned flags) {
  return api("cudaHostGetDevicePointer", [&] {
    if (device == nullptr || flags != 0 || where_is(host) != Where::pinned) return cudaErrorInvalidValue;
    *device = host;
    return cudaSuccess;
  });
}

cudaError_t cudaHostGetFlags(unsigned* flags, void* host) {
  return api("cudaHostGetFlags", [&] {
    if (flags == nullptr || where_is(host) != Where::pinned) return cudaErrorInvalidValue;
    *flags = cudaHostAllocMapped | cudaHostAllocPortable;
    return cudaSuccess;
  });
}

cudaError_t cudaMallocManaged(void** pointer, size_t bytes, unsigned flags) {
  return api("cudaMallocManaged", [&] {
    if (flags != cudaMemAttachGlobal && flags != cudaMemAttachHost) return cudaErrorInvalidValue;
    if (bytes == 0) return cudaErrorInvalidValue;
    return allocate(pointer, bytes, AllocationKind::managed, "cudaMallocManaged");
  });
}

cudaError_t cudaMallocPitch(void** pointer, size_t* pitch, size_t width, size_t height) {
  return api("cudaMallocPitch", [&] { return allocate_rows(pointer, pitch, width, height, "cudaMallocPitch"); });
}

cudaError_t cudaMalloc3D(cudaPitchedPtr* pitched, cudaExtent extent) {
  return api("cudaMalloc3D", [&] {
    if (pitched == nullptr) return cudaErrorInvalidValue;
    pitched->xsize = extent.width;
    pitched->ysize = extent.height;
    return allocate_rows(&pitched->ptr, &pitched->pitch, extent.width, extent.height * extent.depth, "cudaMalloc3D");
  });
}

cudaError_t cudaMallocAsync(void** pointer, size_t bytes, cudaStream_t stream) {
  return api("cudaMallocAsync", [&] { return allocate_on(pointer, bytes, stream); });
}

cudaError_t cudaMallocFromPoolAsync(void** pointer, size_t bytes, cudaMemPool_t, cudaStream_t stream) {
  return api("cudaMallocFromPoolAsync", [&] { return allocate_on(pointer, bytes, stream); });
}

cudaError_t cudaFreeAsync(void* pointer, cudaStream_t stream) {
  return api("cudaFreeAsync", [&] { return free_on(pointer, stream); });
}

cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* total) {
  return api("cudaMemGetInfo", [&] {
    if (free_bytes == nullptr || total == nullptr) return cudaErrorInvalidValue;
    *total = DeviceMemory::instance().total();
    *free_bytes = *total - DeviceMemory::instance().used();
    return cudaSuccess;
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
  return api("cudaPointerGetAttributes", [&] {
    if (attributes == nullptr) return cudaErrorInvalidValue;
    *attributes = {};
    auto* address = const_cast<void*>(pointer);
    switch (where_is(pointer)) {
      case Where::pageable:
        attributes->type = cudaMemoryTypeUnregistered;
        attributes->device = -2;
        attributes->hostPointer = address;
        break;
      case Where::pinned:
        attributes->type = cudaMemoryTypeHost;
        attributes->devicePointer = attributes->hostPointer = address;
        break;
      case Where::managed:
        attributes->type = cudaMemoryTypeManaged;
        attributes->devicePointer = attributes->hostPointer = address;
        break;
      case Where::device:
        attributes->type = cudaMemoryTypeDevice;
        attributes->devicePointer = address;
        break;
    }
    return cudaSuccess;
  });
}

cudaError_t cudaGetSymbolAddress(void** pointer, const void* symbol) {
  return api("cudaGetSymbolAddress", [&] {
    std::uint64_t address = 0, bytes = 0;
    if (pointer == nullptr) return cudaErrorInvalidValue;
    const int error = find_symbol(symbol, &address, &bytes);
    *pointer = reinterpret_cast<void*>(address);
    return static_cast<cudaError_t>(error);
  });
}

cudaError_t cudaGetSymbolSize(size_t* size, const void* symbol) {
  return api("cudaGetSymbolSize", [&] {
    std::uint64_t address = 0, bytes = 0;
    if (size == nullptr) return cudaErrorInvalidValue;
    const int error = find_symbol(symbol, &address, &bytes);
    *size = bytes;
    return static_cast<cudaError_t>(error);
  });
}

}  // extern "C"
