// Kernel launches: checked against the device's limits at once, queued, run when the stream's turn comes.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <vector>

#include <gradus/kernels/emulator/runtime/registry.h>
#include <gradus/kernels/emulator/runtime/scheduler.h>

namespace gradus::emulator::runtime {

struct LaunchRequest {
  Entry* entry = nullptr;
  LaunchConfig config;
  std::vector<std::byte> parameters;  // the kernel's parameter block
  CallSite site;
};

/// Copies the arguments into the kernel's parameter block: CUDA passes one pointer a parameter.
std::vector<std::byte> pack_parameters(const ptx::Function& function, void** arguments);
/// The launch's CUDA error (and a launch-limit finding) if a device would refuse it.
cudaError_t check_launch(const LaunchRequest& request);
/// The operation that runs it.
Operation launch_operation(LaunchRequest request);
/// Everything before the queue: the request, checked, with its parameters.
cudaError_t prepare_launch(const void* function, dim3 grid, dim3 block, void** arguments, std::size_t shared, bool cooperative,
                           LaunchRequest* out);
/// A host function as stream work.
Operation host_operation(const char* name, std::function<void()> call);
/// All of it: what cudaLaunchKernel does.
cudaError_t launch(const void* function, dim3 grid, dim3 block, void** arguments, std::size_t shared, cudaStream_t stream,
                   bool cooperative);
/// Blocks of a kernel that one multiprocessor holds (cuda_occupancy.h's rules for sm_90), 0 if a block does not fit at all.
int resident_blocks(const Entry& entry, int block_threads, std::size_t dynamic_shared);
/// Where <<<>>> was written: kept from the push of the launch configuration.
CallSite& launch_site();

}  // namespace gradus::emulator::runtime
