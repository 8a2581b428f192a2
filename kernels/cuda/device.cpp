// The host side of the CUDA backend: one stream, one staging ring and one fault word a thread; errors as exceptions.
#include <gradus/kernels/device.h>

#include <cuda_runtime_api.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

#include <gradus/kernels/cuda/partials.cuh>
#include <gradus/kernels/error.h>

namespace gradus::inline v0::cuda {
namespace {

constexpr std::size_t kStaging = 8 << 20;  // pinned bytes a thread: a few batches of images
constexpr std::size_t kStagingAlign = 256;

/// The first error that the driver keeps: after it no call can succeed. Its text never changes once `set`.
struct Sticky {
  std::mutex lock;
  std::atomic<bool> set{false};
  std::string text;
};
Sticky& sticky() {
  static Sticky& instance = *new Sticky;
  return instance;
}

std::string words(cudaError_t error) { return std::string(cudaGetErrorName(error)) + ": " + cudaGetErrorString(error); }

void throw_if_unusable(const char* op) {
  if (sticky().set.load(std::memory_order_acquire))
    throw CudaError(std::string("[") + op + "] CUDA cannot be used any more in this process; its first error was " + sticky().text);
}

/// Throws for an error of a call made for `op`; tells an error that passes (a bad launch, no memory) from one that the driver keeps.
void check(cudaError_t error, const char* op) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // a passing error is forgotten by this
  const std::string text = std::string("[") + op + "] " + words(error);
  if (cudaStreamQuery(nullptr) == error || cudaPeekAtLastError() == error) {
    Sticky& s = sticky();
    const std::lock_guard guard(s.lock);
    if (!s.set.load(std::memory_order_relaxed)) {
      s.text = text;
      s.set.store(true, std::memory_order_release);
    }
  }
  throw CudaError(text);
}

std::vector<const char*>& op_names() {
  static std::vector<const char*>& names = *new std::vector<const char*>;
  return names;
}
std::mutex op_names_lock;

/// Pinned memory that copies to the device pass through. Freed as a whole, when the host knows that the stream is idle.
struct Staging {
  char* data = nullptr;
  std::size_t used = 0;
};

struct Thread {
  cudaStream_t stream = nullptr;
  Staging staging;
  Fault* fault = nullptr;          // on the device
  Fault* fault_on_host = nullptr;  // pinned
  void* partials = nullptr;
  std::int64_t synchronizations = 0;
  bool armed = false;  // some kernel of this thread may have written its fault

  ~Thread() {  // errors have nobody to go to here: at the end of a process the driver may be gone already
    if (!stream) return;
    cudaStreamSynchronize(stream);
    if (staging.data) cudaFreeHost(staging.data);
    if (fault_on_host) cudaFreeHost(fault_on_host);
    if (fault) cudaFree(fault);
    if (partials) cudaFree(partials);
    cudaStreamDestroy(stream);
    cudaGetLastError();
  }
};
Thread& thread() {
  static thread_local Thread state;
  return state;
}

cudaStream_t stream_of(Thread& t, const char* op) {
  if (!t.stream) {
    require_device(op);
    check(cudaStreamCreateWithFlags(&t.stream, cudaStreamNonBlocking), op);
  }
  return t.stream;
}

void wait(Thread& t, const char* op) {
  ++t.synchronizations;
  t.staging.used = 0;
  check(cudaStreamSynchronize(t.stream), op);
}

[[noreturn]] void raise_fault(const Fault& f) {
  const char* op;
  {
    const std::lock_guard guard(op_names_lock);
    op = op_names()[static_cast<std::size_t>(f.op)];
  }
  raise_index(std::string("[") + op + "] index " + std::to_string(f.value) + " at position " + std::to_string(f.position) +
              " is out of range: expected 0 <= index < " + std::to_string(f.bound) +
              " (found on the device; reported at the next wait, the result of the op is not to be used)");
}

}  // namespace

int device_count() noexcept {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return count;
}

void require_device(const char* op) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return;
  cudaGetLastError();
  raise_device(std::string("[") + op + "] there is no CUDA device: " + (error == cudaSuccess ? "the driver finds none" : words(error)));
}

void* system_allocate(std::size_t bytes) {
  throw_if_unusable("allocate");
  require_device("allocate");
  void* block = nullptr;
  const cudaError_t error = cudaMalloc(&block, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return nullptr;
  }
  check(error, "allocate");
  return block;
}

void system_free(void* block) noexcept {
  cudaFree(block);
  cudaGetLastError();
}

void* stream() { return stream_of(thread(), "stream"); }

void copy_from_host(void* destination, const void* source, std::size_t bytes) {
  throw_if_unusable("copy to device");
  Thread& t = thread();
  const cudaStream_t stream = stream_of(t, "copy to device");
  if (!t.staging.data) check(cudaMallocHost(reinterpret_cast<void**>(&t.staging.data), kStaging), "copy to device");
  auto* to = static_cast<char*>(destination);
  const auto* from = static_cast<const char*>(source);
  while (bytes > 0) {
    if (kStaging - t.staging.used < kStagingAlign) wait(t, "copy to device");
    const std::size_t room = kStaging - t.staging.used, piece = bytes < room ? bytes : room;
    char* slot = t.staging.data + t.staging.used;
    std::memcpy(slot, from, piece);
    check(cudaMemcpyAsync(to, slot, piece, cudaMemcpyHostToDevice, stream), "copy to device");
    t.staging.used += (piece + kStagingAlign - 1) / kStagingAlign * kStagingAlign;
    if (t.staging.used > kStaging) t.staging.used = kStaging;
    to += piece, from += piece, bytes -= piece;
  }
}

void copy_to_host(void* destination, const void* source, std::size_t bytes) {
  throw_if_unusable("copy to host");
  if (bytes > 0) {
    const cudaStream_t stream = stream_of(thread(), "copy to host");
    check(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyDeviceToHost, stream), "copy to host");
  }
  synchronize("copy to host");
}

void copy_within(void* destination, const void* source, std::size_t bytes) {
  throw_if_unusable("copy");
  if (bytes > 0) check(cudaMemcpyAsync(destination, source, bytes, cudaMemcpyDeviceToDevice, stream_of(thread(), "copy")), "copy");
}

void fill_bytes(void* destination, int byte, std::size_t bytes) {
  throw_if_unusable("fill");
  if (bytes > 0) check(cudaMemsetAsync(destination, byte, bytes, stream_of(thread(), "fill")), "fill");
}

void synchronize(const char* op) {
  throw_if_unusable(op);
  Thread& t = thread();
  if (!t.stream) return;
  const bool armed = t.armed;
  if (armed) check(cudaMemcpyAsync(t.fault_on_host, t.fault, sizeof(Fault), cudaMemcpyDeviceToHost, t.stream), op);
  wait(t, op);
  if (!armed) return;
  t.armed = false;
  if (!t.fault_on_host->claimed) return;
  const Fault found = *t.fault_on_host;
  check(cudaMemsetAsync(t.fault, 0, sizeof(Fault), t.stream), op);
  raise_fault(found);
}

std::int64_t host_synchronizations() { return thread().synchronizations; }

void check_launch(const char* op) {
  static const bool each = [] {
    const char* v = std::getenv("GRADUS_CUDA_SYNC");
    return v && *v && *v != '0';
  }();
  throw_if_unusable(op);
  check(cudaGetLastError(), op);
  if (each) wait(thread(), op);
}

Fault* device_fault() {
  Thread& t = thread();
  if (!t.fault) {
    const cudaStream_t stream = stream_of(t, "fault");
    check(cudaMalloc(reinterpret_cast<void**>(&t.fault), sizeof(Fault)), "fault");
    check(cudaMallocHost(reinterpret_cast<void**>(&t.fault_on_host), sizeof(Fault)), "fault");
    check(cudaMemsetAsync(t.fault, 0, sizeof(Fault), stream), "fault");
  }
  t.armed = true;
  return t.fault;
}

int note_op(const char* op) {
  const std::lock_guard guard(op_names_lock);
  auto& names = op_names();
  for (std::size_t i = 0; i < names.size(); ++i)
    if (std::strcmp(names[i], op) == 0) return static_cast<int>(i);
  names.push_back(op);
  return static_cast<int>(names.size() - 1);
}

void* partials([[maybe_unused]] std::size_t bytes) {
  GRADUS_ASSERT(bytes <= kPartialBytes);
  Thread& t = thread();
  if (!t.partials) {
    stream_of(t, "partials");
    t.partials = system_allocate(kPartialBytes);
    if (!t.partials) raise_memory("[partials] no device memory for " + std::to_string(kPartialBytes) + " bytes of scratch");
  }
  return t.partials;
}

}  // namespace gradus::inline v0::cuda
