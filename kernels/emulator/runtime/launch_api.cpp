// Entry points: launches.
#include <utility>

#include <gradus/kernels/emulator/runtime/api.h>
#include <gradus/kernels/emulator/runtime/graph.h>
#include <gradus/kernels/emulator/runtime/launch.h>

using namespace gradus::emulator;
using namespace gradus::emulator::runtime;

namespace {

struct Configuration {
  dim3 grid, block;
  std::size_t shared = 0;
  cudaStream_t stream = nullptr;
};

std::vector<Configuration>& configurations() {
  thread_local std::vector<Configuration> stack;
  return stack;
}

struct Attributes {
  bool cooperative = false;
  cudaError_t error = cudaSuccess;
};

/// What a launch attribute asks for; those that only tune are accepted.
Attributes read_attributes(const cudaLaunchConfig_t& config) {
  Attributes out;
  for (unsigned i = 0; i < config.numAttrs; ++i) {
    const cudaLaunchAttribute& attribute = config.attrs[i];
    switch (attribute.id) {
      case cudaLaunchAttributeCooperative: out.cooperative = attribute.val.cooperative != 0; break;
      case cudaLaunchAttributeClusterDimension:
        if (attribute.val.clusterDim.x * attribute.val.clusterDim.y * attribute.val.clusterDim.z > 1)
          out.error = unsupported("thread block clusters");
        break;
      default: break;
    }
  }
  return out;
}

cudaError_t launch_host_function(cudaStream_t handle, const char* name, std::function<void()> call) {
  Stream* stream = stream_of(handle);
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  return enqueue(*stream, host_operation(name, std::move(call)), cudaGraphNodeTypeHost);
}

}  // namespace

extern "C" {

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, CUstream_st* stream) {
  configurations().push_back({grid, block, shared, stream});
  launch_site() = CallSite::here();
  return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream) {
  if (configurations().empty()) return cudaErrorMissingConfiguration;
  const Configuration top = configurations().back();
  configurations().pop_back();
  *grid = top.grid;
  *block = top.block;
  *shared = top.shared;
  *static_cast<cudaStream_t*>(stream) = top.stream;
  return cudaSuccess;
}

cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* function) {
  const std::lock_guard held(lock());
  *kernel = reinterpret_cast<cudaKernel_t>(find_entry(function));
  return *kernel == nullptr ? cudaErrorInvalidDeviceFunction : cudaSuccess;
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments, size_t shared, cudaStream_t stream) {
  return api("cudaLaunchKernel", [&] { return launch(kernel, grid, block, arguments, shared, stream, false); });
}

cudaError_t __cudaLaunchKernel_ptsz(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments, size_t shared, cudaStream_t stream) {
  return __cudaLaunchKernel(kernel, grid, block, arguments, shared, stream == nullptr ? cudaStreamPerThread : stream);
}

cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments, size_t shared, cudaStream_t stream) {
  return api("cudaLaunchKernel", [&] { return launch(function, grid, block, arguments, shared, stream, false); });
}

cudaError_t cudaLaunchCooperativeKernel(const void* function, dim3 grid, dim3 block, void** arguments, size_t shared, cudaStream_t stream) {
  return api("cudaLaunchCooperativeKernel", [&] { return launch(function, grid, block, arguments, shared, stream, true); });
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void** arguments) {
  return api("cudaLaunchKernelExC", [&] {
    if (config == nullptr) return cudaErrorInvalidValue;
    const Attributes attributes = read_attributes(*config);
    if (attributes.error != cudaSuccess) return attributes.error;
    return launch(function, config->gridDim, config->blockDim, arguments, config->dynamicSmemBytes, config->stream, attributes.cooperative);
  });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  return api("cudaLaunchHostFunc", [&] {
    if (function == nullptr) return cudaErrorInvalidValue;
    return launch_host_function(stream, "cudaLaunchHostFunc", [=] { function(data); });
  });
}

cudaError_t cudaStreamAddCallback(cudaStream_t stream, cudaStreamCallback_t callback, void* data, unsigned flags) {
  return api("cudaStreamAddCallback", [&] {
    if (callback == nullptr || flags != 0) return cudaErrorInvalidValue;
    return launch_host_function(stream, "cudaStreamAddCallback", [=] { callback(stream, cudaSuccess, data); });
  });
}

}  // extern "C"
