#include <gradus/kernels/emulator/runtime/capture.h>

#include <algorithm>
#include <utility>

namespace gradus::emulator::runtime {
namespace {

int forbidding_captures = 0;

bool forbids(const Capture& capture) { return capture.origin->blocking && capture.mode != cudaStreamCaptureModeRelaxed; }

}  // namespace

cudaError_t begin_capture(Stream& stream, cudaStreamCaptureMode mode, std::shared_ptr<Graph> into) {
  static unsigned long long next_id = 0;
  if (stream.legacy) return cudaErrorStreamCaptureUnsupported;
  if (stream.capture) return cudaErrorIllegalState;
  stream.capture = std::make_shared<Capture>();
  if (into) stream.capture->graph = std::move(into);
  stream.capture->origin = &stream;
  stream.capture->mode = mode;
  stream.capture->id = ++next_id;
  stream.capture->streams.push_back(&stream);
  stream.capture_tail.clear();
  if (forbids(*stream.capture)) ++forbidding_captures;
  return cudaSuccess;
}

cudaError_t end_capture(Stream& stream, std::shared_ptr<Graph>* graph) {
  graph->reset();
  if (!stream.capture) return cudaErrorIllegalState;
  const std::shared_ptr<Capture> capture = stream.capture;
  if (capture->origin != &stream) return cudaErrorStreamCaptureUnmatched;
  bool joined = true;  // every other stream's work must have come back to the origin
  for (const Stream* other : capture->streams) {
    for (const GraphNode* tail : other->capture_tail) {
      const auto leads_on = [&](const auto& node) {
        return std::find(node->dependencies.begin(), node->dependencies.end(), tail) != node->dependencies.end();
      };
      const bool in_origin = std::find(stream.capture_tail.begin(), stream.capture_tail.end(), tail) != stream.capture_tail.end();
      joined = joined && (in_origin || std::any_of(capture->graph->nodes.begin(), capture->graph->nodes.end(), leads_on));
    }
  }
  if (forbids(*capture)) --forbidding_captures;
  for (Stream* other : capture->streams) {
    other->capture.reset();
    other->capture_tail.clear();
  }
  if (capture->invalid) return cudaErrorStreamCaptureInvalidated;
  if (!joined) return cudaErrorStreamCaptureUnjoined;
  *graph = capture->graph;
  return cudaSuccess;
}

cudaError_t capture_operation(Stream& stream, Operation operation, cudaGraphNodeType type) {
  if (stream.capture->invalid) return cudaErrorStreamCaptureInvalidated;
  stream.capture_tail = {stream.capture->graph->add(type, std::move(operation), stream.capture_tail)};
  return cudaSuccess;
}

void join_capture(Stream& stream, const std::shared_ptr<Capture>& capture, const std::vector<GraphNode*>& after) {
  if (!stream.capture) {
    stream.capture = capture;
    capture->streams.push_back(&stream);
  }
  for (GraphNode* node : after) {
    if (std::find(stream.capture_tail.begin(), stream.capture_tail.end(), node) == stream.capture_tail.end())
      stream.capture_tail.push_back(node);
  }
}

void invalidate_capture(Stream& stream) { stream.capture->invalid = true; }

bool capture_forbids_legacy() { return forbidding_captures > 0; }

}  // namespace gradus::emulator::runtime
