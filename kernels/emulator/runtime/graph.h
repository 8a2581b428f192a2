// CUDA graphs: a list of operations with dependencies, recorded from streams or built node by node, and replayed on a stream.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <vector>

#include <gradus/kernels/emulator/runtime/scheduler.h>

namespace gradus::emulator::runtime {

struct Graph;
struct GraphNode {
  Graph* graph = nullptr;
  cudaGraphNodeType type = cudaGraphNodeTypeEmpty;
  Operation prototype;
  std::vector<GraphNode*> dependencies;
  std::shared_ptr<Graph> child;  // of a child graph node
  bool enabled = true;
};

struct Graph {
  std::vector<std::unique_ptr<GraphNode>> nodes;
  GraphNode* add(cudaGraphNodeType type, Operation prototype, std::vector<GraphNode*> dependencies);
  /// Every node after those that it depends on; empty if they form a circle.
  std::vector<GraphNode*> in_order() const;
  std::shared_ptr<Graph> clone() const;
};

/// Queues the operation, or, while the stream is being captured, adds it to the graph. What every entry point uses.
cudaError_t enqueue(Stream& stream, Operation operation, cudaGraphNodeType type = cudaGraphNodeTypeKernel);
/// The same, then waits for it: not allowed during capture.
cudaError_t enqueue_and_wait(Stream& stream, Operation operation);
/// Refuses what would wait for a stream that is being captured; the capture is void then.
cudaError_t allow_wait(Stream& stream);
/// Queues every node of a graph.
cudaError_t replay(const Graph& graph, Stream& stream);

}  // namespace gradus::emulator::runtime
