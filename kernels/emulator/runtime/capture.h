// Stream capture: calls become nodes of a graph instead of work.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <vector>

#include <gradus/kernels/emulator/runtime/graph.h>
#include <gradus/kernels/emulator/runtime/scheduler.h>

namespace gradus::emulator::runtime {

/// One capture: the graph that grows, who takes part.
struct Capture {
  std::shared_ptr<Graph> graph = std::make_shared<Graph>();
  Stream* origin = nullptr;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  unsigned long long id = 0;
  bool invalid = false;
  std::vector<Stream*> streams;  // origin and those that joined by an event
};

cudaError_t begin_capture(Stream& stream, cudaStreamCaptureMode mode, std::shared_ptr<Graph> into);
cudaError_t end_capture(Stream& stream, std::shared_ptr<Graph>* graph);
cudaError_t capture_operation(Stream& stream, Operation operation, cudaGraphNodeType type);
/// The stream joins the capture of an event that was recorded in it.
void join_capture(Stream& stream, const std::shared_ptr<Capture>& capture, const std::vector<GraphNode*>& after);
void invalidate_capture(Stream& stream);
/// A global capture of a blocking stream forbids the legacy default stream.
bool capture_forbids_legacy();

}  // namespace gradus::emulator::runtime
