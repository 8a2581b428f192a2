// Handles of graphs: the runtime keeps what a cudaGraph_t points to alive until cudaGraphDestroy.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>

#include <gradus/kernels/emulator/runtime/graph.h>

namespace gradus::emulator::runtime {

cudaGraph_t handle_of(const std::shared_ptr<Graph>& graph);
/// Null if there is none.
std::shared_ptr<Graph> graph_of(cudaGraph_t handle);

}  // namespace gradus::emulator::runtime
