// Entry points: events.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <set>

#include <gradus/kernels/emulator/runtime/api.h>
#include <gradus/kernels/emulator/runtime/capture.h>
#include <gradus/kernels/emulator/runtime/graph_handles.h>

using namespace gradus::emulator::runtime;

namespace {

constexpr float kLeastMilliseconds = 0.001f;

struct Event {
  unsigned flags = 0;
  OperationPtr recorded;
  std::shared_ptr<Capture> capture;  // recorded while its stream was captured
  std::vector<GraphNode*> after;
};

std::set<Event*>& events() {
  static auto* set = new std::set<Event*>;
  return *set;
}

Event* event_of(cudaEvent_t handle) {
  auto* event = reinterpret_cast<Event*>(handle);
  return events().count(event) != 0 ? event : nullptr;
}

template <class F> cudaError_t with(const char* call, cudaEvent_t handle, F&& body) {
  return api(call, [&] {
    Event* event = event_of(handle);
    return event == nullptr ? cudaErrorInvalidResourceHandle : body(*event);
  });
}

cudaError_t create(cudaEvent_t* handle, unsigned flags) {
  if (handle == nullptr || (flags & ~7u) != 0) return cudaErrorInvalidValue;
  auto* event = new Event;
  event->flags = flags;
  events().insert(event);
  *handle = reinterpret_cast<cudaEvent_t>(event);
  return cudaSuccess;
}

cudaError_t record(Event& event, cudaStream_t handle) {
  Stream* stream = stream_of(handle);
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  event.capture = stream->capture;
  event.after = stream->capture_tail;
  if (stream->capture) return cudaSuccess;
  if (stream->legacy && capture_forbids_legacy()) return cudaErrorStreamCaptureImplicit;
  Operation operation;
  operation.name = "cudaEventRecord";
  event.recorded = Scheduler::instance().enqueue(*stream, std::move(operation));
  return cudaSuccess;
}

void tell_about_times() {
  static bool told = false;
  if (told) return;
  told = true;
  std::fprintf(stderr, "gradus emulator: times under the emulator are not the device's\n");
}

cudaError_t elapsed(float* milliseconds, const Event& from, const Event& to) {
  if (milliseconds == nullptr) return cudaErrorInvalidValue;
  if (!from.recorded || !to.recorded || ((from.flags | to.flags) & cudaEventDisableTiming) != 0) return cudaErrorInvalidResourceHandle;
  if (!from.recorded->done || !to.recorded->done) return cudaErrorNotReady;
  tell_about_times();
  *milliseconds = std::max(kLeastMilliseconds, static_cast<float>((to.recorded->finished - from.recorded->finished) * 1e3));
  return cudaSuccess;
}

}  // namespace

extern "C" {

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return api("cudaEventCreate", [&] { return create(event, 0); });
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return api("cudaEventCreateWithFlags", [&] { return create(event, flags); });
}

cudaError_t cudaEventDestroy(cudaEvent_t handle) {
  return with("cudaEventDestroy", handle, [&](Event& event) {
    events().erase(&event);
    delete &event;
    return cudaSuccess;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t stream) {
  return with("cudaEventRecord", handle, [&](Event& event) { return record(event, stream); });
}
cudaError_t cudaEventRecordWithFlags(cudaEvent_t handle, cudaStream_t stream, unsigned) {
  return with("cudaEventRecordWithFlags", handle, [&](Event& event) { return record(event, stream); });
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  return with("cudaEventSynchronize", handle, [&](Event& event) {
    if (event.capture && !event.capture->invalid && event.capture->origin->capture == event.capture) return cudaErrorCapturedEvent;
    if (event.recorded) Scheduler::instance().finish(event.recorded);
    return cudaSuccess;
  });
}

cudaError_t cudaEventQuery(cudaEvent_t handle) {
  return with("cudaEventQuery", handle, [&](Event& event) {
    if (!event.recorded) return cudaSuccess;
    if (!event.recorded->done) Scheduler::instance().progress();
    if (!event.recorded->done) return cudaErrorNotReady;
    Scheduler::instance().finish(event.recorded);  // the host knows now
    return cudaSuccess;
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  return with("cudaEventElapsedTime", from, [&](Event& first) {
    const Event* second = event_of(to);
    return second == nullptr ? cudaErrorInvalidResourceHandle : elapsed(milliseconds, first, *second);
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event_handle, unsigned) {
  return with("cudaStreamWaitEvent", event_handle, [&](Event& event) {
    Stream* stream = stream_of(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (event.capture && event.capture->origin->capture == event.capture) {
      join_capture(*stream, event.capture, event.after);
    } else if (stream->capture) {
      return cudaErrorStreamCaptureIsolation;
    } else if (event.recorded) {
      stream->waits.push_back(event.recorded);
    }
    return cudaSuccess;
  });
}

}  // extern "C"
