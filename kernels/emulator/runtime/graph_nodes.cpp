#include <gradus/kernels/emulator/runtime/graph_nodes.h>

#include <gradus/kernels/emulator/runtime/api.h>
#include <gradus/kernels/emulator/runtime/copy_parameters.h>
#include <gradus/kernels/emulator/runtime/launch.h>

namespace gradus::emulator::runtime {

Operation kernel_node(const cudaKernelNodeParams* p, cudaError_t* error) {
  *error = cudaErrorInvalidValue;
  if (p == nullptr) return {};
  if (p->extra != nullptr) {
    *error = unsupported("kernel arguments in one buffer (`extra`)");
    return {};
  }
  LaunchRequest request;
  *error = prepare_launch(p->func, p->gridDim, p->blockDim, p->kernelParams, p->sharedMemBytes, false, &request);
  return *error == cudaSuccess ? launch_operation(std::move(request)) : Operation{};
}

Operation copy_node(const cudaMemcpy3DParms* p, cudaError_t* error) {
  CopyRequest request;
  *error = request_of(p, "memcpy node", &request);
  return *error == cudaSuccess ? copy_operation(request, error) : Operation{};
}

Operation copy_node(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaError_t* error) {
  CopyRequest request;
  request.call = "memcpy node";
  request.to = {reinterpret_cast<std::uint64_t>(to), bytes, bytes};
  request.from = {reinterpret_cast<std::uint64_t>(from), bytes, bytes};
  request.box = {bytes, 1, 1};
  request.kind = kind;
  return copy_operation(request, error);
}

Operation fill_node(const cudaMemsetParams* p, cudaError_t* error) {
  *error = cudaErrorInvalidValue;
  if (p == nullptr || (p->elementSize != 1 && p->elementSize != 2 && p->elementSize != 4)) return {};
  FillRequest request;
  request.call = "memset node";
  request.to = {reinterpret_cast<std::uint64_t>(p->dst), p->pitch, p->pitch * p->height};
  request.box = {p->width * p->elementSize, p->height, 1};
  request.value = static_cast<int>(p->value);
  request.element = p->elementSize;
  return fill_operation(request, error);
}

Operation host_node(const cudaHostNodeParams* p, cudaError_t* error) {
  *error = p == nullptr || p->fn == nullptr ? cudaErrorInvalidValue : cudaSuccess;
  Operation operation;
  if (*error != cudaSuccess) return operation;
  return host_operation("host node", [function = p->fn, data = p->userData] { function(data); });
}

}  // namespace gradus::emulator::runtime
