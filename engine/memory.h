// The allocator: every tensor, tape and workspace byte comes from here, and freed blocks are kept for the next step.
//
// Small blocks (up to 64 KiB) live in thread-local free lists, large ones in size buckets behind a lock. Freed blocks are reused, not
// given back, within a bound: a training step after warm-up makes no malloc. Nothing here changes a result: memory is never read
// before it is written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <gradus/kernels/array.h>

namespace gradus::inline v0 {

/// Bytes as the allocator of one device sees them, over all threads.
struct MemoryStats {
  std::int64_t active = 0;        ///< handed out now
  std::int64_t peak = 0;          ///< highest `active` (to within 64 KiB per other thread)
  std::int64_t cached = 0;        ///< kept for reuse
  std::int64_t system_calls = 0;  ///< blocks ever requested from the system
};
MemoryStats memory_stats();
MemoryStats memory_stats(Device device);

/// High water of this thread's own allocations since the scope began, in bytes above what it held then.
///
///     MemoryPeak peak;
///     train_one_step();
///     std::int64_t extra = peak.bytes();
class MemoryPeak {
 public:
  MemoryPeak();
  ~MemoryPeak();
  MemoryPeak(const MemoryPeak&) = delete;
  MemoryPeak& operator=(const MemoryPeak&) = delete;
  std::int64_t bytes() const;

 private:
  std::int64_t base_, outer_peak_;
};

/// Bytes that this thread has allocated and not freed (negative if it freed what others allocated).
std::int64_t thread_active_bytes();

/// Largest number of bytes kept for reuse, process-wide (default: half of the machine's memory). Blocks above it go back at once.
void set_cache_limit(std::int64_t bytes);
/// Largest number of active bytes, process-wide; a request above it is a MemoryError. 0: no limit (default).
void set_memory_limit(std::int64_t bytes);
/// Gives this thread's and the shared cached blocks back to the system.
void release_cache();

/// For tests: the n-th request of this thread from now on fails with MemoryError (n >= 1; 0 switches it off).
void fail_allocation(std::int64_t nth);

/// `bytes` of 64-byte aligned, uninitialised memory. Throws MemoryError after one release of the cache and a second try.
void* allocate(std::size_t bytes);
/// Returns a block of allocate(); `bytes` is the number asked for.
void deallocate(void* block, std::size_t bytes) noexcept;

/// The same on a device. CUDA blocks are 256-byte aligned and ordered by the thread's stream: a block that a thread frees is reused by that
/// thread alone, after the work it has queued. So a tensor may go to another thread once its maker has called synchronize(). Throws
/// DeviceError without such a device, MemoryError.
void* allocate(std::size_t bytes, Device device);
void deallocate(void* block, std::size_t bytes, Device device) noexcept;
/// Starts memory_stats(device).peak anew from what is active.
void reset_peak(Device device);
/// Waits until everything that this thread has queued on the device is done, and throws what went wrong there: CudaError, or IndexError for
/// an index out of range that an op met on the device. On the CPU nothing is ever queued.
void synchronize(Device device);

/// std::allocator on top of allocate(), so that the vectors of a training step make no malloc.
template <class T> struct PoolAllocator {
  using value_type = T;
  PoolAllocator() = default;
  template <class U> PoolAllocator(const PoolAllocator<U>&) noexcept {}
  T* allocate(std::size_t n) { return static_cast<T*>(gradus::allocate(n * sizeof(T))); }
  void deallocate(T* p, std::size_t n) noexcept { gradus::deallocate(p, n * sizeof(T)); }
  friend bool operator==(PoolAllocator, PoolAllocator) { return true; }
};
template <class T> using Vec = std::vector<T, PoolAllocator<T>>;

}  // namespace gradus::inline v0
