// Graph nodes from the structures that the node-by-node API takes.
#pragma once

#include <cuda_runtime_api.h>

#include <gradus/kernels/emulator/runtime/graph.h>

namespace gradus::emulator::runtime {

inline GraphNode* node_of(cudaGraphNode_t handle) { return reinterpret_cast<GraphNode*>(handle); }
inline cudaGraphNode_t handle_of(GraphNode* node) { return reinterpret_cast<cudaGraphNode_t>(node); }

Operation kernel_node(const cudaKernelNodeParams* parameters, cudaError_t* error);
Operation copy_node(const cudaMemcpy3DParms* parameters, cudaError_t* error);
Operation copy_node(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaError_t* error);
Operation fill_node(const cudaMemsetParams* parameters, cudaError_t* error);
Operation host_node(const cudaHostNodeParams* parameters, cudaError_t* error);

}  // namespace gradus::emulator::runtime
