#include <gradus/kernels/emulator/runtime/graph.h>

#include <algorithm>
#include <map>
#include <utility>

#include <gradus/kernels/emulator/runtime/capture.h>

namespace gradus::emulator::runtime {

GraphNode* Graph::add(cudaGraphNodeType type, Operation prototype, std::vector<GraphNode*> dependencies) {
  auto node = std::make_unique<GraphNode>();
  node->graph = this;
  node->type = type;
  node->prototype = std::move(prototype);
  node->dependencies = std::move(dependencies);
  nodes.push_back(std::move(node));
  return nodes.back().get();
}

std::vector<GraphNode*> Graph::in_order() const {
  std::vector<GraphNode*> order;
  const auto placed = [&](const GraphNode* node) { return std::find(order.begin(), order.end(), node) != order.end(); };
  bool moved = true;
  while (moved && order.size() < nodes.size()) {
    moved = false;
    for (const auto& node : nodes) {
      if (placed(node.get()) || !std::all_of(node->dependencies.begin(), node->dependencies.end(), placed)) continue;
      order.push_back(node.get());
      moved = true;
    }
  }
  if (order.size() < nodes.size()) order.clear();
  return order;
}

std::shared_ptr<Graph> Graph::clone() const {
  auto copy = std::make_shared<Graph>();
  std::map<const GraphNode*, GraphNode*> twin;
  for (const auto& node : nodes) {
    GraphNode* fresh = copy->add(node->type, node->prototype, {});
    fresh->enabled = node->enabled;
    if (node->child) fresh->child = node->child->clone();
    twin[node.get()] = fresh;
  }
  for (const auto& node : nodes) {
    for (const GraphNode* before : node->dependencies) twin[node.get()]->dependencies.push_back(twin[before]);
  }
  return copy;
}

cudaError_t enqueue(Stream& stream, Operation operation, cudaGraphNodeType type) {
  if (stream.capture) return capture_operation(stream, std::move(operation), type);
  if (stream.legacy && capture_forbids_legacy()) return cudaErrorStreamCaptureImplicit;
  Scheduler::instance().enqueue(stream, std::move(operation));
  return cudaSuccess;
}

cudaError_t allow_wait(Stream& stream) {
  if (stream.capture == nullptr) return cudaSuccess;
  invalidate_capture(stream);
  return cudaErrorStreamCaptureUnsupported;
}

cudaError_t enqueue_and_wait(Stream& stream, Operation operation) {
  if (const cudaError_t error = allow_wait(stream)) return error;
  if (stream.legacy && capture_forbids_legacy()) return cudaErrorStreamCaptureImplicit;
  auto& scheduler = Scheduler::instance();
  scheduler.finish(scheduler.enqueue(stream, std::move(operation)));
  return cudaSuccess;
}

cudaError_t replay(const Graph& graph, Stream& stream) {
  // One after another: a valid order of the graph; branches that touch the same memory are not told apart.
  for (const GraphNode* node : graph.in_order()) {
    if (!node->enabled) continue;
    const cudaError_t error = node->child ? replay(*node->child, stream) : enqueue(stream, node->prototype, node->type);
    if (error != cudaSuccess) return error;
  }
  return cudaSuccess;
}

}  // namespace gradus::emulator::runtime
