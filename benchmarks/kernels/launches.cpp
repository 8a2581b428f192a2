#include <gradus/benchmarks/kernels/launches.h>

#include <cuda_runtime_api.h>

#include <algorithm>

#include <gradus/kernels/emulator/runtime/registry.h>

namespace gradus::costs {
namespace {

void note(const void* function, dim3 block, std::size_t shared) {
  const emulator::runtime::Entry* const entry = emulator::runtime::find_entry(function);
  if (!entry) return;
  auto& list = launches();
  auto found = std::find_if(list.begin(), list.end(), [&](const Launched& l) { return l.mangled == entry->name; });
  if (found == list.end()) found = list.insert(list.end(), {entry->name, entry->pretty, 0, 0});
  found->threads = static_cast<int>(block.x * block.y * block.z);
  found->dynamic_shared = std::max(found->dynamic_shared, shared);
}

}  // namespace

std::vector<Launched>& launches() {
  static std::vector<Launched> list;
  return list;
}

}  // namespace gradus::costs

extern "C" {

// What nvcc 13 calls for <<<...>>>, and what nvcc 12 does.
cudaError_t __real___cudaLaunchKernel(cudaKernel_t, dim3, dim3, void**, size_t, cudaStream_t);
cudaError_t __wrap___cudaLaunchKernel(cudaKernel_t, dim3, dim3, void**, size_t, cudaStream_t);
cudaError_t __wrap___cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments, size_t shared, cudaStream_t stream) {
  gradus::costs::note(kernel, block, shared);
  return __real___cudaLaunchKernel(kernel, grid, block, arguments, shared, stream);
}

cudaError_t __real_cudaLaunchKernel(const void*, dim3, dim3, void**, size_t, cudaStream_t);
cudaError_t __wrap_cudaLaunchKernel(const void*, dim3, dim3, void**, size_t, cudaStream_t);
cudaError_t __wrap_cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** arguments, size_t shared, cudaStream_t stream) {
  gradus::costs::note(function, block, shared);
  return __real_cudaLaunchKernel(function, grid, block, arguments, shared, stream);
}

}  // extern "C"
