// The frame of every entry point: one lock, sticky errors first, nothing thrown into C, the thread's last error kept.
#pragma once

#include <cuda_runtime_api.h>

#include <gradus/kernels/emulator/runtime/device_state.h>
#include <gradus/kernels/emulator/runtime/scheduler.h>

namespace gradus::emulator::runtime {

/// The thread's last error (cudaGetLastError); of this thread alone.
cudaError_t& last_error();
/// The name of the entry point that is running, for messages.
const char*& current_call();
/// True inside a host function: CUDA calls are not permitted there.
bool& inside_host_function();
/// Calls so far, of all threads (under the lock).
std::uint64_t& call_count();
/// Keeps the error as the thread's last one and returns it.
cudaError_t remember(cudaError_t error);
/// What is known when a call fails by an exception.
cudaError_t error_of_exception();

template <class F> cudaError_t api(const char* name, F&& body) {
  if (inside_host_function()) return cudaErrorNotPermitted;
  const std::lock_guard held(lock());
  current_call() = name;
  ++call_count();
  auto& state = DeviceState::instance();
  if (state.sticky != 0) return remember(static_cast<cudaError_t>(state.sticky));
  cudaError_t error = cudaSuccess;
  try {
    error = body();
  } catch (...) { error = error_of_exception(); }
  if (error == cudaSuccess && state.sticky != 0) error = static_cast<cudaError_t>(state.sticky);
  return remember(error);
}

/// Says on stderr, once a text, that the emulator does not have this; returns cudaErrorNotSupported.
cudaError_t unsupported(const char* what);
/// From now on a thread runs queued work when the program has been silent for a while: it may be waiting for a host function, or polling
/// memory that a kernel writes, instead of calling CUDA.
void watch_for_waiting_hosts();

/// The stream behind a handle, null if it is none (cudaErrorInvalidResourceHandle / cudaErrorContextIsDestroyed on a device).
Stream* stream_of(cudaStream_t handle);
cudaStream_t handle_of(Stream& stream);

}  // namespace gradus::emulator::runtime
