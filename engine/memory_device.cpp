// The allocator of the device, and the copies between it and the host.
#include <gradus/engine/memory.h>
#include <gradus/engine/memory_classes.h>
#include <gradus/kernels/device.h>
#include <gradus/kernels/error.h>

#include <cstring>
#include <mutex>
#include <string>

#include <gradus/engine/device_copy.h>

namespace gradus::inline v0 {

#if defined(GRADUS_CUDA)
namespace {

constexpr std::size_t kDeviceGranule = 256 / detail::kGranule;  // classes of a quarter of the bytes: blocks are multiples of 256

constexpr int device_class(std::size_t bytes) { return detail::class_of((bytes + kDeviceGranule - 1) / kDeviceGranule); }
constexpr std::size_t device_bytes(int c) { return detail::class_bytes(c) * kDeviceGranule; }

struct Counters {
  std::mutex lock;
  MemoryStats stats;
};
Counters& counters() {
  static Counters& instance = *new Counters;
  return instance;
}

constinit thread_local bool blocks_ended = false;

/// A thread's free blocks, by class: plain vectors, since the memory itself cannot be written from here. They go back at its end.
struct ThreadBlocks {
  std::vector<void*> free[detail::kClasses];

  void release() {
    std::int64_t bytes = 0;
    for (int c = 0; c < detail::kClasses; ++c) {
      for (void* block : free[c]) cuda::system_free(block), bytes += static_cast<std::int64_t>(device_bytes(c));
      free[c].clear();
    }
    const std::lock_guard guard(counters().lock);
    counters().stats.cached -= bytes;
  }
  ~ThreadBlocks() {
    release();
    blocks_ended = true;
  }
};
ThreadBlocks& blocks() {
  static thread_local ThreadBlocks instance;
  return instance;
}

void count(std::int64_t active, std::int64_t cached, std::int64_t calls) {
  Counters& c = counters();
  const std::lock_guard guard(c.lock);
  c.stats.active += active, c.stats.cached += cached, c.stats.system_calls += calls;
  if (c.stats.active > c.stats.peak) c.stats.peak = c.stats.active;
}

void* device_allocate(std::size_t bytes) {
  detail::fail_if_asked(bytes);
  if (bytes > (std::size_t{1} << 48)) raise_memory("[allocate] more than 2^48 bytes asked for on the device");
  const int c = device_class(bytes);
  const auto block = static_cast<std::int64_t>(device_bytes(c));
  auto& list = blocks().free[c];
  if (!list.empty()) {
    void* p = list.back();
    list.pop_back();
    count(block, -block, 0);
    return p;
  }
  void* p = cuda::system_allocate(static_cast<std::size_t>(block));
  if (!p) {
    blocks().release();
    p = cuda::system_allocate(static_cast<std::size_t>(block));
  }
  if (!p) {
    const MemoryStats stats = memory_stats(Device::cuda);
    raise_memory("[allocate] cannot get " + std::to_string(bytes) + " bytes on the device, with an empty cache either; active " +
                 std::to_string(stats.active) + " bytes, cached by other threads " + std::to_string(stats.cached));
  }
  count(block, 0, 1);
  return p;
}

void device_deallocate(void* p, std::size_t bytes) noexcept {
  const int c = device_class(bytes);
  const auto block = static_cast<std::int64_t>(device_bytes(c));
  if (blocks_ended) {  // a tensor of static lifetime
    cuda::system_free(p);
    return count(-block, 0, 0);
  }
  try {
    blocks().free[c].push_back(p);
    count(-block, block, 0);
  } catch (...) {  // no host memory for the list
    cuda::system_free(p);
    count(-block, 0, 0);
  }
}

}  // namespace
#endif

void* allocate(std::size_t bytes, Device device) {
  if (device == Device::cpu) return allocate(bytes);
#if defined(GRADUS_CUDA)
  return device_allocate(bytes);
#else
  raise_device("[allocate] this build has no CUDA backend; configure with -DGRADUS_CUDA=ON");
#endif
}

void deallocate(void* block, std::size_t bytes, Device device) noexcept {
  if (device == Device::cpu) return deallocate(block, bytes);
#if defined(GRADUS_CUDA)
  if (block) device_deallocate(block, bytes);
#endif
}

MemoryStats memory_stats(Device device) {
  if (device == Device::cpu) return memory_stats();
#if defined(GRADUS_CUDA)
  const std::lock_guard guard(counters().lock);
  return counters().stats;
#else
  return {};
#endif
}

void reset_peak([[maybe_unused]] Device device) {
#if defined(GRADUS_CUDA)
  if (device != Device::cuda) return;
  const std::lock_guard guard(counters().lock);
  counters().stats.peak = counters().stats.active;
#endif
}

void synchronize([[maybe_unused]] Device device) {
#if defined(GRADUS_CUDA)
  if (device == Device::cuda) cuda::synchronize("synchronize");
#endif
}

void detail::copy_bytes(void* destination, Device to, const void* source, Device from, std::size_t bytes) {
  if (bytes == 0) return;
  if (to == Device::cpu && from == Device::cpu) {
    std::memmove(destination, source, bytes);
    return;
  }
#if defined(GRADUS_CUDA)
  if (to == Device::cpu) cuda::copy_to_host(destination, source, bytes);
  else if (from == Device::cpu) cuda::copy_from_host(destination, source, bytes);
  else cuda::copy_within(destination, source, bytes);
#endif
}

}  // namespace gradus::inline v0
