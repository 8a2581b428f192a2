// Entry points: what is known of a kernel, and occupancy.
#include <algorithm>

#include <gradus/kernels/emulator/exec/loaded_module.h>
#include <gradus/kernels/emulator/runtime/api.h>
#include <gradus/kernels/emulator/runtime/launch.h>

using namespace gradus::emulator;
using namespace gradus::emulator::runtime;

namespace {

template <class F> cudaError_t with(const char* call, const void* function, F&& body) {
  return api(call, [&] {
    Entry* entry = find_entry(function);
    if (entry == nullptr) return cudaErrorInvalidDeviceFunction;
    if (const int error = resolve_entry(*entry)) return static_cast<cudaError_t>(error);
    return body(*entry);
  });
}

int static_shared_of(const Entry& entry) { return static_cast<int>(entry.kernel.module->static_shared_of(entry.kernel.function)); }

void fill(const Entry& entry, cudaFuncAttributes& a) {
  const ptx::Function& function = *entry.kernel.function;
  a = {};
  a.sharedSizeBytes = static_cast<std::size_t>(static_shared_of(entry));
  a.localSizeBytes = function.local_bytes;
  for (const auto& variable : program_of(*entry.kernel.module).variables) {
    if (variable.space == ptx::Space::constant) a.constSizeBytes += variable.bytes;
  }
  a.maxThreadsPerBlock = function.max_threads != 0 ? static_cast<int>(function.max_threads) : limits().max_threads_per_block;
  a.numRegs = entry.kernel.registers > 0 ? entry.kernel.registers : 32;  // what ptxas gives most kernels, when it has not been asked
  a.ptxVersion = program_of(*entry.kernel.module).architecture;
  a.binaryVersion = 90;
  a.maxDynamicSharedSizeBytes = entry.kernel.max_dynamic_shared > limits().max_shared_per_block
                                    ? entry.kernel.max_dynamic_shared
                                    : std::min(entry.kernel.max_dynamic_shared, limits().max_shared_per_block - static_shared_of(entry));
  a.preferredShmemCarveout = entry.preferred_carveout;
}

cudaError_t set(Entry& entry, cudaFuncAttribute which, int value) {
  switch (which) {
    case cudaFuncAttributeMaxDynamicSharedMemorySize:
      if (value < 0 || value + static_shared_of(entry) > limits().max_shared_per_block_optin) return cudaErrorInvalidValue;
      entry.kernel.max_dynamic_shared = value;
      return cudaSuccess;
    case cudaFuncAttributePreferredSharedMemoryCarveout:
      if (value < -1 || value > 100) return cudaErrorInvalidValue;
      entry.preferred_carveout = value;
      return cudaSuccess;
    case cudaFuncAttributeNonPortableClusterSizeAllowed: return cudaSuccess;
    default: return unsupported("this function attribute");
  }
}

}  // namespace

extern "C" {

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* function) {
  return with("cudaFuncGetAttributes", function, [&](Entry& entry) {
    if (attributes == nullptr) return cudaErrorInvalidValue;
    fill(entry, *attributes);
    return cudaSuccess;
  });
}

cudaError_t cudaFuncSetAttribute(const void* function, cudaFuncAttribute which, int value) {
  return with("cudaFuncSetAttribute", function, [&](Entry& entry) { return set(entry, which, value); });
}

cudaError_t cudaKernelSetAttributeForDevice(cudaKernel_t kernel, cudaFuncAttribute which, int value, int device) {
  return with("cudaKernelSetAttributeForDevice", kernel,
              [&](Entry& entry) { return device != 0 ? cudaErrorInvalidDevice : set(entry, which, value); });
}

cudaError_t cudaFuncSetCacheConfig(const void* function, cudaFuncCache config) {
  return with("cudaFuncSetCacheConfig", function, [&](Entry& entry) {
    entry.cache_preference = config;
    return cudaSuccess;
  });
}

cudaError_t cudaFuncSetSharedMemConfig(const void* function, cudaSharedMemConfig) {
  return with("cudaFuncSetSharedMemConfig", function, [&](Entry&) { return cudaSuccess; });
}

cudaError_t cudaFuncGetName(const char** name, const void* function) {
  return with("cudaFuncGetName", function, [&](Entry& entry) {
    if (name == nullptr) return cudaErrorInvalidValue;
    *name = entry.name.c_str();
    return cudaSuccess;
  });
}

cudaError_t cudaGetFuncBySymbol(cudaFunction_t* out, const void* symbol) {
  return with("cudaGetFuncBySymbol", symbol, [&](Entry& entry) {
    if (out == nullptr) return cudaErrorInvalidValue;
    *out = reinterpret_cast<cudaFunction_t>(&entry);
    return cudaSuccess;
  });
}

cudaError_t cudaGetKernel(cudaKernel_t* out, const void* symbol) {
  return with("cudaGetKernel", symbol, [&](Entry& entry) {
    if (out == nullptr) return cudaErrorInvalidValue;
    *out = reinterpret_cast<cudaKernel_t>(&entry);
    return cudaSuccess;
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void* function, int threads, size_t shared,
                                                                   unsigned) {
  return with("cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags", function, [&](Entry& entry) {
    if (blocks == nullptr || threads <= 0) return cudaErrorInvalidValue;
    *blocks = resident_blocks(entry, threads, shared);
    return cudaSuccess;
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function, int threads, size_t shared) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, threads, shared, cudaOccupancyDefault);
}

cudaError_t cudaOccupancyAvailableDynamicSMemPerBlock(size_t* bytes, const void* function, int blocks, int threads) {
  return with("cudaOccupancyAvailableDynamicSMemPerBlock", function, [&](Entry& entry) {
    if (bytes == nullptr || blocks <= 0 || threads <= 0) return cudaErrorInvalidValue;
    const int room = limits().shared_per_sm / blocks / 128 * 128 - limits().reserved_shared - static_shared_of(entry);
    *bytes = static_cast<std::size_t>(std::clamp(room, 0, limits().max_shared_per_block_optin - static_shared_of(entry)));
    return cudaSuccess;
  });
}

}  // extern "C"
