#include <gradus/kernels/emulator/runtime/api.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <new>
#include <set>
#include <string>
#include <thread>

namespace gradus::emulator::runtime {

DeviceState& DeviceState::instance() {
  static auto* state = new DeviceState;
  return *state;
}

void DeviceState::reset() {
  const bool failed = module_failed;
  *this = DeviceState{};
  module_failed = failed;
}

cudaError_t& last_error() {
  thread_local cudaError_t error = cudaSuccess;
  return error;
}

const char*& current_call() {
  thread_local const char* name = "";
  return name;
}

bool& inside_host_function() {
  thread_local bool inside = false;
  return inside;
}

cudaError_t remember(cudaError_t error) {
  if (error != cudaSuccess) last_error() = error;
  return error;
}

cudaError_t error_of_exception() {
  try {
    throw;
  } catch (const std::bad_alloc&) { return cudaErrorMemoryAllocation; } catch (const std::exception& e) {
    std::fprintf(stderr, "gradus emulator: %s: %s\n", current_call(), e.what());
    return cudaErrorUnknown;
  }
}

cudaError_t unsupported(const char* what) {
  static auto* told = new std::set<std::string>;
  if (told->insert(what).second) std::fprintf(stderr, "gradus emulator: not supported: %s (%s)\n", what, current_call());
  return cudaErrorNotSupported;
}

namespace {

constexpr std::chrono::milliseconds kSilence{300};

void run_when_silent() {
  for (std::uint64_t seen = 0;;) {
    std::this_thread::sleep_for(kSilence);
    const std::lock_guard held(lock());
    const std::uint64_t calls = call_count();
    if (calls == seen && Scheduler::instance().any_pending()) Scheduler::instance().finish_all();
    seen = calls;
  }
}

}  // namespace

std::uint64_t& call_count() {
  static std::uint64_t count = 0;
  return count;
}

void watch_for_waiting_hosts() {
  static bool started = false;
  if (started) return;
  started = true;
  std::thread(run_when_silent).detach();
}

Stream* stream_of(cudaStream_t handle) {
  auto& scheduler = Scheduler::instance();
  if (handle == nullptr || handle == cudaStreamLegacy) return &scheduler.legacy();
  if (handle == cudaStreamPerThread) return &scheduler.per_thread();
  auto* stream = reinterpret_cast<Stream*>(handle);
  return scheduler.alive(stream) ? stream : nullptr;
}

cudaStream_t handle_of(Stream& stream) { return reinterpret_cast<cudaStream_t>(&stream); }

}  // namespace gradus::emulator::runtime
