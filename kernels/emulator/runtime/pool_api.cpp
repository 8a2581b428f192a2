// Entry points: memory pools and hints. There is one pool, which gives memory back at once; hints change nothing here.
#include <cstdint>

#include <gradus/kernels/emulator/exec/memory.h>
#include <gradus/kernels/emulator/runtime/api.h>
#include <gradus/kernels/emulator/runtime/copy.h>
#include <gradus/kernels/emulator/runtime/host_finding.h>

using namespace gradus::emulator;
using namespace gradus::emulator::runtime;

namespace {

std::uint64_t release_threshold = 0;

cudaMemPool_t the_pool() {
  static char pool;
  return reinterpret_cast<cudaMemPool_t>(&pool);
}

cudaError_t give_pool(cudaMemPool_t* pool) {
  if (pool == nullptr) return cudaErrorInvalidValue;
  *pool = the_pool();
  return cudaSuccess;
}

/// A hint about managed memory must name some.
cudaError_t check_hint(const void* pointer, std::size_t bytes) {
  if (bytes == 0 || where_is(pointer) != Where::managed) return cudaErrorInvalidValue;
  const auto fault = DeviceMemory::instance().fault_of_range(reinterpret_cast<std::uint64_t>(pointer), bytes, current_call());
  if (!fault) return cudaSuccess;
  report_call(fault->kind, fault->text);
  return cudaErrorInvalidValue;
}

cudaError_t prefetch(const void* pointer, std::size_t bytes, cudaStream_t stream) {
  return api("cudaMemPrefetchAsync",
             [&] { return stream_of(stream) == nullptr ? cudaErrorInvalidResourceHandle : check_hint(pointer, bytes); });
}

}  // namespace

extern "C" {

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int) {
  return api("cudaDeviceGetDefaultMemPool", [&] { return give_pool(pool); });
}
cudaError_t cudaDeviceGetMemPool(cudaMemPool_t* pool, int) {
  return api("cudaDeviceGetMemPool", [&] { return give_pool(pool); });
}
cudaError_t cudaDeviceSetMemPool(int, cudaMemPool_t) {
  return api("cudaDeviceSetMemPool", [&] { return cudaSuccess; });
}
cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps*) {
  return api("cudaMemPoolCreate", [&] { return give_pool(pool); });
}
cudaError_t cudaMemPoolDestroy(cudaMemPool_t) {
  return api("cudaMemPoolDestroy", [&] { return cudaSuccess; });
}
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) {
  return api("cudaMemPoolTrimTo", [&] { return cudaSuccess; });
}
cudaError_t cudaMemPoolSetAccess(cudaMemPool_t, const cudaMemAccessDesc*, size_t) {
  return api("cudaMemPoolSetAccess", [&] { return cudaSuccess; });
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr which, void* value) {
  return api("cudaMemPoolSetAttribute", [&] {
    if (value == nullptr) return cudaErrorInvalidValue;
    if (which == cudaMemPoolAttrReleaseThreshold) release_threshold = *static_cast<std::uint64_t*>(value);
    return cudaSuccess;
  });
}

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t, cudaMemPoolAttr which, void* value) {
  return api("cudaMemPoolGetAttribute", [&] {
    if (value == nullptr) return cudaErrorInvalidValue;
    switch (which) {
      case cudaMemPoolReuseFollowEventDependencies:
      case cudaMemPoolReuseAllowOpportunistic:
      case cudaMemPoolReuseAllowInternalDependencies: *static_cast<int*>(value) = 1; break;
      case cudaMemPoolAttrReleaseThreshold: *static_cast<std::uint64_t*>(value) = release_threshold; break;
      default: *static_cast<std::uint64_t*>(value) = DeviceMemory::instance().used(); break;
    }
    return cudaSuccess;
  });
}

#if CUDART_VERSION >= 13000
cudaError_t cudaMemPrefetchAsync(const void* pointer, size_t bytes, cudaMemLocation, unsigned, cudaStream_t stream) {
  return prefetch(pointer, bytes, stream);
}
cudaError_t cudaMemAdvise(const void* pointer, size_t bytes, cudaMemoryAdvise, cudaMemLocation) {
  return api("cudaMemAdvise", [&] { return check_hint(pointer, bytes); });
}
#else
cudaError_t cudaMemPrefetchAsync(const void* pointer, size_t bytes, int, cudaStream_t stream) { return prefetch(pointer, bytes, stream); }
cudaError_t cudaMemAdvise(const void* pointer, size_t bytes, cudaMemoryAdvise, int) {
  return api("cudaMemAdvise", [&] { return check_hint(pointer, bytes); });
}
#endif

}  // extern "C"
