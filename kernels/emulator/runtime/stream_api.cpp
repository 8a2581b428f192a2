// Entry points: streams and their capture.
#include <gradus/kernels/emulator/runtime/api.h>
#include <gradus/kernels/emulator/runtime/capture.h>
#include <gradus/kernels/emulator/runtime/graph_handles.h>

using namespace gradus::emulator::runtime;

namespace {

cudaError_t create(cudaStream_t* stream, unsigned flags, int priority) {
  if (stream == nullptr || (flags & ~static_cast<unsigned>(cudaStreamNonBlocking)) != 0) return cudaErrorInvalidValue;
  *stream = handle_of(Scheduler::instance().create(flags, priority));
  return cudaSuccess;
}

template <class F> cudaError_t with(const char* call, cudaStream_t handle, F&& body) {
  return api(call, [&] {
    Stream* stream = stream_of(handle);
    return stream == nullptr ? cudaErrorInvalidResourceHandle : body(*stream);
  });
}

}  // namespace

extern "C" {

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return api("cudaStreamCreate", [&] { return create(stream, 0, 0); });
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return api("cudaStreamCreateWithFlags", [&] { return create(stream, flags, 0); });
}
cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority) {
  return api("cudaStreamCreateWithPriority", [&] { return create(stream, flags, priority); });
}

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  return with("cudaStreamDestroy", handle, [&](Stream& stream) {
    if (handle == nullptr || handle == cudaStreamLegacy || handle == cudaStreamPerThread) return cudaErrorInvalidResourceHandle;
    Scheduler::instance().destroy(stream);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return with("cudaStreamSynchronize", handle, [&](Stream& stream) {
    if (const cudaError_t error = allow_wait(stream)) return error;
    Scheduler::instance().finish(stream);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return with("cudaStreamQuery", handle, [&](Stream& stream) {
    if (const cudaError_t error = allow_wait(stream)) return error;
    auto& scheduler = Scheduler::instance();
    if (!scheduler.idle(stream)) scheduler.progress();
    if (!scheduler.idle(stream)) return cudaErrorNotReady;
    scheduler.finish(stream);  // the host knows now
    return cudaSuccess;
  });
}

cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned* flags) {
  return with("cudaStreamGetFlags", handle, [&](Stream& stream) {
    if (flags == nullptr) return cudaErrorInvalidValue;
    *flags = stream.flags;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamGetPriority(cudaStream_t handle, int* priority) {
  return with("cudaStreamGetPriority", handle, [&](Stream& stream) {
    if (priority == nullptr) return cudaErrorInvalidValue;
    *priority = stream.priority;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamGetId(cudaStream_t handle, unsigned long long* id) {
  return with("cudaStreamGetId", handle, [&](Stream& stream) {
    if (id == nullptr) return cudaErrorInvalidValue;
    *id = stream.id + 1ull;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamGetDevice(cudaStream_t handle, int* device) {
  return with("cudaStreamGetDevice", handle, [&](Stream&) {
    if (device == nullptr) return cudaErrorInvalidValue;
    *device = 0;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamAttachMemAsync(cudaStream_t handle, void*, size_t, unsigned) {
  return with("cudaStreamAttachMemAsync", handle, [&](Stream&) { return cudaSuccess; });
}

cudaError_t cudaStreamGetAttribute(cudaStream_t handle, cudaStreamAttrID, cudaStreamAttrValue* value) {
  return with("cudaStreamGetAttribute", handle, [&](Stream&) {
    if (value == nullptr) return cudaErrorInvalidValue;
    *value = {};
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSetAttribute(cudaStream_t handle, cudaStreamAttrID, const cudaStreamAttrValue* value) {
  // All of them tune; none changes a result.
  return with("cudaStreamSetAttribute", handle, [&](Stream&) { return value == nullptr ? cudaErrorInvalidValue : cudaSuccess; });
}

// ---- capture

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  return with("cudaStreamBeginCapture", handle, [&](Stream& stream) { return begin_capture(stream, mode, nullptr); });
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  return with("cudaStreamEndCapture", handle, [&](Stream& stream) {
    if (graph == nullptr) return cudaErrorInvalidValue;
    std::shared_ptr<Graph> made;
    const cudaError_t error = end_capture(stream, &made);
    *graph = made ? handle_of(made) : nullptr;
    return error;
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return with("cudaStreamIsCapturing", handle, [&](Stream& stream) {
    if (status == nullptr) return cudaErrorInvalidValue;
    *status = stream.capture == nullptr ? cudaStreamCaptureStatusNone
              : stream.capture->invalid ? cudaStreamCaptureStatusInvalidated
                                        : cudaStreamCaptureStatusActive;
    return cudaSuccess;
  });
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  return api("cudaThreadExchangeStreamCaptureMode", [&] {
    thread_local cudaStreamCaptureMode mine = cudaStreamCaptureModeGlobal;
    if (mode == nullptr) return cudaErrorInvalidValue;
    std::swap(*mode, mine);
    return cudaSuccess;
  });
}

}  // extern "C"
