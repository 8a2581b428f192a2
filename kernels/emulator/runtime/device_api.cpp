// Entry points: the one device, an H100 SXM by its limits.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>

#include <gradus/kernels/emulator/exec/machine.h>
#include <gradus/kernels/emulator/exec/memory.h>
#include <gradus/kernels/emulator/runtime/api.h>
#include <gradus/kernels/emulator/runtime/capture.h>
#include <gradus/kernels/emulator/runtime/order.h>
#include <gradus/kernels/emulator/runtime/registry.h>

using namespace gradus::emulator;
using namespace gradus::emulator::runtime;

namespace {

constexpr int kL2Bytes = 50 << 20, kBusBits = 5120, kClockKilohertz = 1980000, kMemoryClockKilohertz = 2619000;
constexpr const char* kBusId = "0000:01:00.0";

/// Attributes that are neither 0 nor asked of the limits.
const std::map<int, int>& attributes() {
  static const auto* map = [] {
    const auto& l = limits();
    return new std::map<int, int>{
        {cudaDevAttrMaxThreadsPerBlock, l.max_threads_per_block},
        {cudaDevAttrMaxBlockDimX, static_cast<int>(l.max_block[0])},
        {cudaDevAttrMaxBlockDimY, static_cast<int>(l.max_block[1])},
        {cudaDevAttrMaxBlockDimZ, static_cast<int>(l.max_block[2])},
        {cudaDevAttrMaxGridDimX, static_cast<int>(l.max_grid[0])},
        {cudaDevAttrMaxGridDimY, static_cast<int>(l.max_grid[1])},
        {cudaDevAttrMaxGridDimZ, static_cast<int>(l.max_grid[2])},
        {cudaDevAttrMaxSharedMemoryPerBlock, l.max_shared_per_block},
        {cudaDevAttrTotalConstantMemory, static_cast<int>(l.constant_bytes)},
        {cudaDevAttrWarpSize, l.warp},
        {cudaDevAttrMaxPitch, 2147483647},
        {cudaDevAttrMaxRegistersPerBlock, l.registers_per_block},
        {cudaDevAttrClockRate, kClockKilohertz},
        {cudaDevAttrTextureAlignment, 512},
        {cudaDevAttrGpuOverlap, 1},
        {cudaDevAttrMultiProcessorCount, l.multiprocessors},
        {cudaDevAttrCanMapHostMemory, 1},
        {cudaDevAttrSurfaceAlignment, 512},
        {cudaDevAttrConcurrentKernels, 1},
        {cudaDevAttrEccEnabled, 1},
        {cudaDevAttrPciBusId, 1},
        {cudaDevAttrMemoryClockRate, kMemoryClockKilohertz},
        {cudaDevAttrGlobalMemoryBusWidth, kBusBits},
        {cudaDevAttrL2CacheSize, kL2Bytes},
        {cudaDevAttrMaxThreadsPerMultiProcessor, l.max_threads_per_sm},
        {cudaDevAttrAsyncEngineCount, 3},
        {cudaDevAttrUnifiedAddressing, 1},
        {cudaDevAttrTexturePitchAlignment, 32},
        {cudaDevAttrComputeCapabilityMajor, 9},
        {cudaDevAttrStreamPrioritiesSupported, 1},
        {cudaDevAttrGlobalL1CacheSupported, 1},
        {cudaDevAttrLocalL1CacheSupported, 1},
        {cudaDevAttrMaxSharedMemoryPerMultiprocessor, l.shared_per_sm},
        {cudaDevAttrMaxRegistersPerMultiprocessor, l.registers_per_sm},
        {cudaDevAttrManagedMemory, 1},
        {cudaDevAttrSingleToDoublePrecisionPerfRatio, 2},
        {cudaDevAttrConcurrentManagedAccess, 1},
        {cudaDevAttrComputePreemptionSupported, 1},
        {cudaDevAttrCanUseHostPointerForRegisteredMem, 1},
        {cudaDevAttrCooperativeLaunch, 1},
        {cudaDevAttrMaxSharedMemoryPerBlockOptin, l.max_shared_per_block_optin},
        {cudaDevAttrHostRegisterSupported, 1},
        {cudaDevAttrMaxBlocksPerMultiprocessor, l.max_blocks_per_sm},
        {cudaDevAttrReservedSharedMemoryPerBlock, l.reserved_shared},
        {cudaDevAttrMemoryPoolsSupported, 1},
    };
  }();
  return *map;
}

int attribute(int which) {
  const auto found = attributes().find(which);
  return found == attributes().end() ? 0 : found->second;
}

void fill_limits(cudaDeviceProp& p) {
  const auto& l = limits();
  p.sharedMemPerBlock = static_cast<std::size_t>(l.max_shared_per_block);
  p.regsPerBlock = l.registers_per_block;
  p.warpSize = l.warp;
  p.maxThreadsPerBlock = l.max_threads_per_block;
  for (int i = 0; i < 3; ++i) {
    p.maxThreadsDim[i] = static_cast<int>(l.max_block[i]);
    p.maxGridSize[i] = static_cast<int>(l.max_grid[i]);
  }
  p.totalConstMem = l.constant_bytes;
  p.multiProcessorCount = l.multiprocessors;
  p.maxThreadsPerMultiProcessor = l.max_threads_per_sm;
  p.sharedMemPerMultiprocessor = static_cast<std::size_t>(l.shared_per_sm);
  p.regsPerMultiprocessor = l.registers_per_sm;
  p.sharedMemPerBlockOptin = static_cast<std::size_t>(l.max_shared_per_block_optin);
  p.maxBlocksPerMultiProcessor = l.max_blocks_per_sm;
  p.reservedSharedMemPerBlock = static_cast<std::size_t>(l.reserved_shared);
}

void fill_features(cudaDeviceProp& p) {
  p.totalGlobalMem = DeviceMemory::instance().total();
  p.memPitch = 2147483647;
  p.major = 9;
  p.textureAlignment = p.surfaceAlignment = 512;
  p.texturePitchAlignment = 32;
  p.canMapHostMemory = p.concurrentKernels = p.ECCEnabled = p.unifiedAddressing = p.streamPrioritiesSupported = 1;
  p.pciBusID = 1;
  p.asyncEngineCount = 3;
  p.memoryBusWidth = kBusBits;
  p.l2CacheSize = kL2Bytes;
  p.globalL1CacheSupported = p.localL1CacheSupported = p.managedMemory = p.concurrentManagedAccess = 1;
  p.computePreemptionSupported = p.canUseHostPointerForRegisteredMem = p.cooperativeLaunch = p.hostRegisterSupported = 1;
  p.memoryPoolsSupported = 1;
#if CUDART_VERSION < 13000
  p.clockRate = kClockKilohertz;
  p.memoryClockRate = kMemoryClockKilohertz;
  p.deviceOverlap = 1;
  p.singleToDoublePrecisionPerfRatio = 2;
#endif
}

cudaError_t valid(int device) { return device == 0 ? cudaSuccess : cudaErrorInvalidDevice; }

template <class T> cudaError_t give(T* where, T value) {
  if (where == nullptr) return cudaErrorInvalidValue;
  *where = value;
  return cudaSuccess;
}

std::size_t* limit_of(cudaLimit which) {
  auto& state = DeviceState::instance();
  switch (which) {
    case cudaLimitStackSize: return &state.stack_size;
    case cudaLimitPrintfFifoSize: return &state.printf_fifo;
    case cudaLimitMallocHeapSize: return &state.malloc_heap;
    default: return nullptr;
  }
}

}  // namespace

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  return api("cudaGetDeviceCount", [&] { return give(count, 1); });
}
cudaError_t cudaGetDevice(int* device) {
  return api("cudaGetDevice", [&] { return give(device, 0); });
}
cudaError_t cudaSetDevice(int device) {
  return api("cudaSetDevice", [&] { return valid(device); });
}
cudaError_t cudaInitDevice(int device, unsigned, unsigned) {
  return api("cudaInitDevice", [&] { return valid(device); });
}
cudaError_t cudaSetValidDevices(int* devices, int count) {
  return api("cudaSetValidDevices", [&] { return devices != nullptr && count > 0 ? cudaSuccess : cudaErrorInvalidValue; });
}
cudaError_t cudaChooseDevice(int* device, const cudaDeviceProp*) {
  return api("cudaChooseDevice", [&] { return give(device, 0); });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return api("cudaGetDeviceProperties", [&] {
    if (properties == nullptr) return cudaErrorInvalidValue;
    if (device != 0) return cudaErrorInvalidDevice;
    *properties = {};
    std::snprintf(properties->name, sizeof properties->name, "gradus emulator (H100 limits)");
    fill_limits(*properties);
    fill_features(*properties);
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr which, int device) {
  return api("cudaDeviceGetAttribute", [&] { return device != 0 ? cudaErrorInvalidDevice : give(value, attribute(which)); });
}

cudaError_t cudaDeviceSynchronize() {
  return api("cudaDeviceSynchronize", [&] {
    if (capture_forbids_legacy()) return cudaErrorStreamCaptureUnsupported;
    Scheduler::instance().finish_all();
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceReset() {
  const std::lock_guard held(lock());
  auto& scheduler = Scheduler::instance();
  if (DeviceState::instance().sticky == 0) scheduler.finish_all();
  const int error = DeviceState::instance().sticky;
  scheduler.drop_all();
  forget_everything();
  unload_modules();
  DeviceMemory::instance().reset();
  DeviceState::instance().reset();
  last_error() = cudaSuccess;
  return static_cast<cudaError_t>(error);
}

cudaError_t cudaSetDeviceFlags(unsigned flags) {
  return api("cudaSetDeviceFlags", [&] {
    DeviceState::instance().flags = flags;
    return cudaSuccess;
  });
}
cudaError_t cudaGetDeviceFlags(unsigned* flags) {
  return api("cudaGetDeviceFlags", [&] { return give(flags, DeviceState::instance().flags | cudaDeviceMapHost); });
}

cudaError_t cudaDeviceGetLimit(size_t* value, cudaLimit which) {
  return api("cudaDeviceGetLimit", [&] {
    const std::size_t* limit = limit_of(which);
    return limit == nullptr ? cudaErrorUnsupportedLimit : give(value, *limit);
  });
}
cudaError_t cudaDeviceSetLimit(cudaLimit which, size_t value) {
  return api("cudaDeviceSetLimit", [&] { return limit_of(which) == nullptr ? cudaErrorUnsupportedLimit : give(limit_of(which), value); });
}
cudaError_t cudaDeviceGetCacheConfig(cudaFuncCache* config) {
  return api("cudaDeviceGetCacheConfig", [&] { return give(config, cudaFuncCachePreferNone); });
}
cudaError_t cudaDeviceSetCacheConfig(cudaFuncCache) {
  return api("cudaDeviceSetCacheConfig", [&] { return cudaSuccess; });
}
cudaError_t cudaDeviceGetSharedMemConfig(cudaSharedMemConfig* config) {
  return api("cudaDeviceGetSharedMemConfig", [&] { return give(config, cudaSharedMemBankSizeFourByte); });
}
cudaError_t cudaDeviceSetSharedMemConfig(cudaSharedMemConfig) {
  return api("cudaDeviceSetSharedMemConfig", [&] { return cudaSuccess; });
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  return api("cudaDeviceGetStreamPriorityRange", [&] {
    if (least != nullptr) *least = 0;
    if (greatest != nullptr) *greatest = -5;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetPCIBusId(char* text, int length, int device) {
  return api("cudaDeviceGetPCIBusId", [&] {
    if (text == nullptr || length <= static_cast<int>(std::strlen(kBusId))) return cudaErrorInvalidValue;
    if (device != 0) return cudaErrorInvalidDevice;
    std::strcpy(text, kBusId);
    return cudaSuccess;
  });
}
cudaError_t cudaDeviceGetByPCIBusId(int* device, const char* text) {
  return api("cudaDeviceGetByPCIBusId", [&] {
    if (text == nullptr) return cudaErrorInvalidValue;
    return std::strcmp(text, kBusId) == 0 ? give(device, 0) : cudaErrorInvalidDevice;
  });
}

// ---- other devices: there are none

cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  return api("cudaDeviceCanAccessPeer", [&] { return device != 0 || peer != 0 ? cudaErrorInvalidDevice : give(can, 0); });
}
cudaError_t cudaDeviceEnablePeerAccess(int, unsigned) {
  return api("cudaDeviceEnablePeerAccess", [&] { return cudaErrorInvalidDevice; });
}
cudaError_t cudaDeviceDisablePeerAccess(int) {
  return api("cudaDeviceDisablePeerAccess", [&] { return cudaErrorInvalidDevice; });
}
cudaError_t cudaDeviceGetP2PAttribute(int* value, cudaDeviceP2PAttr, int, int) {
  return api("cudaDeviceGetP2PAttribute", [&] { return value == nullptr ? cudaErrorInvalidValue : cudaErrorInvalidDevice; });
}

// ---- versions, profiler

cudaError_t cudaDriverGetVersion(int* version) {
  return api("cudaDriverGetVersion", [&] { return give(version, CUDART_VERSION); });
}
cudaError_t cudaRuntimeGetVersion(int* version) {
  return api("cudaRuntimeGetVersion", [&] { return give(version, CUDART_VERSION); });
}
cudaError_t cudaProfilerStart() {
  return api("cudaProfilerStart", [&] { return cudaSuccess; });
}
cudaError_t cudaProfilerStop() {
  return api("cudaProfilerStop", [&] { return cudaSuccess; });
}

}  // extern "C"
