// Entry points: graphs, built from streams or node by node.
#include <algorithm>
#include <map>
#include <utility>

#include <gradus/kernels/emulator/runtime/api.h>
#include <gradus/kernels/emulator/runtime/copy_parameters.h>
#include <gradus/kernels/emulator/runtime/graph_handles.h>
#include <gradus/kernels/emulator/runtime/graph_nodes.h>

using namespace gradus::emulator;
using namespace gradus::emulator::runtime;

namespace {

std::map<const void*, std::shared_ptr<Graph>>& graphs() {
  static auto* map = new std::map<const void*, std::shared_ptr<Graph>>;
  return *map;
}

/// Executable graphs are copies: what happens to the graph later does not reach them.
struct Executable {
  std::shared_ptr<Graph> graph;
  std::shared_ptr<Graph> source;  // whose nodes cudaGraphExec...SetParams names
};

std::map<const void*, std::unique_ptr<Executable>>& executables() {
  static auto* map = new std::map<const void*, std::unique_ptr<Executable>>;
  return *map;
}

cudaError_t instantiate(cudaGraphExec_t* out, cudaGraph_t handle) {
  const auto graph = graph_of(handle);
  if (out == nullptr || !graph) return cudaErrorInvalidValue;
  if (!graph->nodes.empty() && graph->in_order().empty()) return cudaErrorInvalidValue;
  auto executable = std::make_unique<Executable>(Executable{graph->clone(), graph});
  *out = reinterpret_cast<cudaGraphExec_t>(executable.get());
  executables()[*out] = std::move(executable);
  return cudaSuccess;
}

Executable* executable_of(cudaGraphExec_t handle) {
  const auto found = executables().find(handle);
  return found == executables().end() ? nullptr : found->second.get();
}

/// The twin, in the executable copy, of a node of the graph that it was made from.
GraphNode* twin_of(Executable& executable, const GraphNode* node) {
  const auto& nodes = executable.source->nodes;
  const auto at = std::find_if(nodes.begin(), nodes.end(), [&](const auto& n) { return n.get() == node; });
  const auto index = static_cast<std::size_t>(at - nodes.begin());
  return index < executable.graph->nodes.size() ? executable.graph->nodes[index].get() : nullptr;
}

cudaError_t add(cudaGraphNode_t* out, cudaGraph_t handle, const cudaGraphNode_t* dependencies, std::size_t count, cudaGraphNodeType type,
                Operation operation) {
  const auto graph = graph_of(handle);
  if (out == nullptr || !graph || (count > 0 && dependencies == nullptr)) return cudaErrorInvalidValue;
  std::vector<GraphNode*> before;
  for (std::size_t i = 0; i < count; ++i) before.push_back(node_of(dependencies[i]));
  *out = handle_of(graph->add(type, std::move(operation), std::move(before)));
  return cudaSuccess;
}

template <class Make> cudaError_t add_made(const char* call, cudaGraphNode_t* out, cudaGraph_t graph, const cudaGraphNode_t* dependencies,
                                           std::size_t count, cudaGraphNodeType type, Make&& make) {
  return api(call, [&] {
    cudaError_t error = cudaSuccess;
    Operation operation = make(&error);
    return error != cudaSuccess ? error : add(out, graph, dependencies, count, type, std::move(operation));
  });
}

template <class Make> cudaError_t replace(const char* call, GraphNode* node, Make&& make) {
  return api(call, [&] {
    if (node == nullptr) return cudaErrorInvalidValue;
    cudaError_t error = cudaSuccess;
    Operation operation = make(&error);
    if (error == cudaSuccess) node->prototype = std::move(operation);
    return error;
  });
}

GraphNode* twin_of(cudaGraphExec_t handle, cudaGraphNode_t node) {
  Executable* executable = executable_of(handle);
  return executable == nullptr ? nullptr : twin_of(*executable, node_of(node));
}

/// CUDA's way to return a list: the count alone, or up to *count entries.
cudaError_t give_nodes(const std::vector<GraphNode*>& nodes, cudaGraphNode_t* out, std::size_t* count) {
  if (count == nullptr) return cudaErrorInvalidValue;
  if (out != nullptr) {
    for (std::size_t i = 0; i < *count; ++i) out[i] = i < nodes.size() ? handle_of(nodes[i]) : nullptr;
  }
  if (out == nullptr || nodes.size() < *count) *count = nodes.size();
  return cudaSuccess;
}

}  // namespace

namespace gradus::emulator::runtime {

cudaGraph_t handle_of(const std::shared_ptr<Graph>& graph) {
  graphs()[graph.get()] = graph;
  return reinterpret_cast<cudaGraph_t>(graph.get());
}

std::shared_ptr<Graph> graph_of(cudaGraph_t handle) {
  const auto found = graphs().find(handle);
  return found == graphs().end() ? nullptr : found->second;
}

}  // namespace gradus::emulator::runtime

extern "C" {

cudaError_t cudaGraphCreate(cudaGraph_t* graph, unsigned flags) {
  return api("cudaGraphCreate", [&] {
    if (graph == nullptr || flags != 0) return cudaErrorInvalidValue;
    *graph = handle_of(std::make_shared<Graph>());
    return cudaSuccess;
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return api("cudaGraphDestroy", [&] { return graphs().erase(graph) == 1 ? cudaSuccess : cudaErrorInvalidValue; });
}

cudaError_t cudaGraphClone(cudaGraph_t* out, cudaGraph_t from) {
  return api("cudaGraphClone", [&] {
    const auto graph = graph_of(from);
    if (out == nullptr || !graph) return cudaErrorInvalidValue;
    *out = handle_of(graph->clone());
    return cudaSuccess;
  });
}

#if CUDART_VERSION >= 12000
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* out, cudaGraph_t graph, unsigned long long) {
  return api("cudaGraphInstantiate", [&] { return instantiate(out, graph); });
}
#endif
cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* out, cudaGraph_t graph, unsigned long long) {
  return api("cudaGraphInstantiateWithFlags", [&] { return instantiate(out, graph); });
}
cudaError_t cudaGraphInstantiateWithParams(cudaGraphExec_t* out, cudaGraph_t graph, cudaGraphInstantiateParams* parameters) {
  return api("cudaGraphInstantiateWithParams", [&] {
    if (parameters == nullptr) return cudaErrorInvalidValue;
    parameters->result_out = cudaGraphInstantiateSuccess;
    return instantiate(out, graph);
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t handle) {
  return api("cudaGraphExecDestroy", [&] { return executables().erase(handle) == 1 ? cudaSuccess : cudaErrorInvalidValue; });
}

cudaError_t cudaGraphUpload(cudaGraphExec_t handle, cudaStream_t) {
  return api("cudaGraphUpload", [&] { return executable_of(handle) == nullptr ? cudaErrorInvalidValue : cudaSuccess; });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t handle, cudaStream_t stream_handle) {
  return api("cudaGraphLaunch", [&] {
    Stream* stream = stream_of(stream_handle);
    const Executable* executable = executable_of(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    return executable == nullptr ? cudaErrorInvalidValue : replay(*executable->graph, *stream);
  });
}

cudaError_t cudaGraphExecUpdate(cudaGraphExec_t handle, cudaGraph_t graph_handle, cudaGraphExecUpdateResultInfo* info) {
  return api("cudaGraphExecUpdate", [&] {
    Executable* executable = executable_of(handle);
    const auto graph = graph_of(graph_handle);
    if (executable == nullptr || !graph || info == nullptr) return cudaErrorInvalidValue;
    *info = {};
    const auto same = [](const auto& a, const auto& b) { return a->type == b->type; };
    const auto &mine = executable->graph->nodes, &theirs = graph->nodes;
    if (mine.size() != theirs.size() || !std::equal(mine.begin(), mine.end(), theirs.begin(), same)) {
      info->result = cudaGraphExecUpdateErrorTopologyChanged;
      return cudaErrorGraphExecUpdateFailure;
    }
    executable->graph = graph->clone();
    executable->source = graph;
    return cudaSuccess;
  });
}

// ---- nodes

cudaError_t cudaGraphAddEmptyNode(cudaGraphNode_t* out, cudaGraph_t graph, const cudaGraphNode_t* dependencies, size_t count) {
  return api("cudaGraphAddEmptyNode", [&] { return add(out, graph, dependencies, count, cudaGraphNodeTypeEmpty, {}); });
}
cudaError_t cudaGraphAddKernelNode(cudaGraphNode_t* out, cudaGraph_t graph, const cudaGraphNode_t* dependencies, size_t count,
                                   const cudaKernelNodeParams* parameters) {
  return add_made("cudaGraphAddKernelNode", out, graph, dependencies, count, cudaGraphNodeTypeKernel,
                  [&](cudaError_t* error) { return kernel_node(parameters, error); });
}
cudaError_t cudaGraphAddMemcpyNode(cudaGraphNode_t* out, cudaGraph_t graph, const cudaGraphNode_t* dependencies, size_t count,
                                   const cudaMemcpy3DParms* parameters) {
  return add_made("cudaGraphAddMemcpyNode", out, graph, dependencies, count, cudaGraphNodeTypeMemcpy,
                  [&](cudaError_t* error) { return copy_node(parameters, error); });
}
cudaError_t cudaGraphAddMemcpyNode1D(cudaGraphNode_t* out, cudaGraph_t graph, const cudaGraphNode_t* dependencies, size_t count, void* to,
                                     const void* from, size_t bytes, cudaMemcpyKind kind) {
  return add_made("cudaGraphAddMemcpyNode1D", out, graph, dependencies, count, cudaGraphNodeTypeMemcpy,
                  [&](cudaError_t* error) { return copy_node(to, from, bytes, kind, error); });
}
cudaError_t cudaGraphAddMemsetNode(cudaGraphNode_t* out, cudaGraph_t graph, const cudaGraphNode_t* dependencies, size_t count,
                                   const cudaMemsetParams* parameters) {
  return add_made("cudaGraphAddMemsetNode", out, graph, dependencies, count, cudaGraphNodeTypeMemset,
                  [&](cudaError_t* error) { return fill_node(parameters, error); });
}
cudaError_t cudaGraphAddHostNode(cudaGraphNode_t* out, cudaGraph_t graph, const cudaGraphNode_t* dependencies, size_t count,
                                 const cudaHostNodeParams* parameters) {
  return add_made("cudaGraphAddHostNode", out, graph, dependencies, count, cudaGraphNodeTypeHost,
                  [&](cudaError_t* error) { return host_node(parameters, error); });
}
cudaError_t cudaGraphAddChildGraphNode(cudaGraphNode_t* out, cudaGraph_t graph, const cudaGraphNode_t* dependencies, size_t count,
                                       cudaGraph_t child) {
  return api("cudaGraphAddChildGraphNode", [&] {
    const auto inner = graph_of(child);
    if (!inner) return cudaErrorInvalidValue;
    const cudaError_t error = add(out, graph, dependencies, count, cudaGraphNodeTypeGraph, {});
    if (error == cudaSuccess) node_of(*out)->child = inner->clone();
    return error;
  });
}

cudaError_t cudaGraphKernelNodeSetParams(cudaGraphNode_t node, const cudaKernelNodeParams* parameters) {
  return replace("cudaGraphKernelNodeSetParams", node_of(node), [&](cudaError_t* error) { return kernel_node(parameters, error); });
}
cudaError_t cudaGraphExecKernelNodeSetParams(cudaGraphExec_t handle, cudaGraphNode_t node, const cudaKernelNodeParams* parameters) {
  return replace("cudaGraphExecKernelNodeSetParams", twin_of(handle, node),
                 [&](cudaError_t* error) { return kernel_node(parameters, error); });
}
cudaError_t cudaGraphExecMemcpyNodeSetParams(cudaGraphExec_t handle, cudaGraphNode_t node, const cudaMemcpy3DParms* parameters) {
  return replace("cudaGraphExecMemcpyNodeSetParams", twin_of(handle, node),
                 [&](cudaError_t* error) { return copy_node(parameters, error); });
}
cudaError_t cudaGraphExecMemcpyNodeSetParams1D(cudaGraphExec_t handle, cudaGraphNode_t node, void* to, const void* from, size_t bytes,
                                               cudaMemcpyKind kind) {
  return replace("cudaGraphExecMemcpyNodeSetParams1D", twin_of(handle, node),
                 [&](cudaError_t* error) { return copy_node(to, from, bytes, kind, error); });
}
cudaError_t cudaGraphExecMemsetNodeSetParams(cudaGraphExec_t handle, cudaGraphNode_t node, const cudaMemsetParams* parameters) {
  return replace("cudaGraphExecMemsetNodeSetParams", twin_of(handle, node),
                 [&](cudaError_t* error) { return fill_node(parameters, error); });
}

cudaError_t cudaGraphGetNodes(cudaGraph_t handle, cudaGraphNode_t* out, size_t* count) {
  return api("cudaGraphGetNodes", [&] {
    const auto graph = graph_of(handle);
    if (!graph) return cudaErrorInvalidValue;
    std::vector<GraphNode*> nodes;
    for (const auto& node : graph->nodes) nodes.push_back(node.get());
    return give_nodes(nodes, out, count);
  });
}
cudaError_t cudaGraphGetRootNodes(cudaGraph_t handle, cudaGraphNode_t* out, size_t* count) {
  return api("cudaGraphGetRootNodes", [&] {
    const auto graph = graph_of(handle);
    if (!graph) return cudaErrorInvalidValue;
    std::vector<GraphNode*> nodes;
    for (const auto& node : graph->nodes) {
      if (node->dependencies.empty()) nodes.push_back(node.get());
    }
    return give_nodes(nodes, out, count);
  });
}
cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType* type) {
  return api("cudaGraphNodeGetType", [&] {
    if (node == nullptr || type == nullptr) return cudaErrorInvalidValue;
    *type = node_of(node)->type;
    return cudaSuccess;
  });
}

}  // extern "C"
