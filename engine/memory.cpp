#include <gradus/engine/memory.h>

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <string>

#include <gradus/engine/memory_classes.h>
#include <gradus/kernels/error.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define GRADUS_POISON(p, n) __asan_poison_memory_region(p, n)
#define GRADUS_UNPOISON(p, n) __asan_unpoison_memory_region(p, n)
#else
#define GRADUS_POISON(p, n) void(0)
#define GRADUS_UNPOISON(p, n) void(0)
#endif

namespace gradus::inline v0 {
namespace {

using detail::class_bytes;
using detail::class_of;
using detail::kClasses;
using detail::kGranule;

constexpr std::size_t kSmallLimit = 64 * 1024;        // blocks up to here are cached per thread
constexpr std::int64_t kThreadCacheLimit = 32 << 20;  // small blocks a thread keeps before it hands them to the shared lists
constexpr int kSmallClasses = class_of(kSmallLimit) + 1;

struct FreeBlock {
  FreeBlock* next;
};

/// What one thread owns. Other threads read the counters, so those are atomics that only the owner writes (plain moves).
struct ThreadCache {
  FreeBlock* free[kSmallClasses];
  std::atomic<std::int64_t> active, peak, cached;
  std::int64_t fail_after;
  ThreadCache* next;
  bool registered, retired;
};
constinit thread_local ThreadCache cache{};

/// What all threads share. Never destroyed: tensors of static lifetime outlive main.
struct Shared {
  std::mutex lock;
  FreeBlock* free[kClasses] = {};
  ThreadCache* threads = nullptr;
  std::int64_t active_of_ended_threads = 0, cached = 0, peak = 0, system_calls = 0;
  std::int64_t cache_limit = static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGE_SIZE) / 2;
  std::int64_t memory_limit = 0;

  std::int64_t active() const {
    std::int64_t sum = active_of_ended_threads;
    for (const ThreadCache* t = threads; t; t = t->next) sum += t->active.load(std::memory_order_relaxed);
    return sum;
  }
};
Shared& shared() {
  static Shared& instance = *new Shared;
  return instance;
}

void add(std::atomic<std::int64_t>& counter, std::int64_t n) {
  counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

void* pop(FreeBlock*& list) {
  FreeBlock* block = list;
  list = block->next;
  return block;
}
void push(FreeBlock*& list, void* p, [[maybe_unused]] std::size_t bytes) {
  auto* block = static_cast<FreeBlock*>(p);
  block->next = list;
  list = block;
  GRADUS_POISON(static_cast<char*>(p) + sizeof(FreeBlock), bytes - sizeof(FreeBlock));
}

void free_to_system(void* p, [[maybe_unused]] std::size_t bytes) {
  GRADUS_UNPOISON(p, bytes);
  std::free(p);
}
void release_list(FreeBlock*& list, std::size_t bytes) {
  while (list) free_to_system(pop(list), bytes);
}
void release_own_lists() {
  for (int c = 0; c < kSmallClasses; ++c) release_list(cache.free[c], class_bytes(c));
  cache.cached.store(0, std::memory_order_relaxed);
}
void release_shared_lists(Shared& s) {
  for (int c = 0; c < kClasses; ++c) release_list(s.free[c], class_bytes(c));
  s.cached = 0;
}

/// At the end of a thread its blocks go back and its counters are folded into the shared ones.
struct ThreadEnd {
  ~ThreadEnd() {
    release_own_lists();
    Shared& s = shared();
    const std::lock_guard guard(s.lock);
    for (ThreadCache** t = &s.threads; *t; t = &(*t)->next)
      if (*t == &cache) {
        *t = cache.next;
        break;
      }
    s.active_of_ended_threads += cache.active.load(std::memory_order_relaxed);
    cache.active.store(0, std::memory_order_relaxed);
    cache.retired = true;
  }
};
void register_thread() {
  static thread_local ThreadEnd end;
  Shared& s = shared();
  const std::lock_guard guard(s.lock);
  cache.registered = true;
  cache.next = s.threads;
  s.threads = &cache;
}

void count_active(std::int64_t bytes) {
  const std::int64_t now = cache.active.load(std::memory_order_relaxed) + bytes;
  cache.active.store(now, std::memory_order_relaxed);
  if (now > cache.peak.load(std::memory_order_relaxed)) cache.peak.store(now, std::memory_order_relaxed);
}
/// Tensors that die after their thread's cache (static lifetime) count straight into the shared total.
void count_after_end(std::int64_t bytes) {
  Shared& s = shared();
  const std::lock_guard guard(s.lock);
  s.active_of_ended_threads += bytes;
}

[[noreturn]] void out_of_memory(std::size_t bytes, const char* why) {
  const MemoryStats stats = memory_stats();
  raise_memory("[allocate] cannot get " + std::to_string(bytes) + " bytes: " + why + "; active " + std::to_string(stats.active) +
               " bytes, cached " + std::to_string(stats.cached) + ", peak " + std::to_string(stats.peak));
}

void* from_system(std::size_t bytes) {
  Shared& s = shared();
  {
    const std::lock_guard guard(s.lock);
    ++s.system_calls;
    const std::int64_t wanted = s.active() + static_cast<std::int64_t>(bytes);
    if (wanted > s.peak) s.peak = wanted;
    if (s.memory_limit > 0 && wanted > s.memory_limit) bytes = 0;
  }
  if (bytes == 0) return nullptr;
  return std::aligned_alloc(kGranule, bytes);
}

void* slow_allocate(std::size_t asked, int c) {
  if (!cache.registered && !cache.retired) register_thread();
  Shared& s = shared();
  const std::size_t bytes = class_bytes(c);
  {
    const std::lock_guard guard(s.lock);
    if (s.free[c]) {
      s.cached -= static_cast<std::int64_t>(bytes);
      return pop(s.free[c]);
    }
  }
  if (void* p = from_system(bytes)) return p;
  release_cache();
  if (void* p = from_system(bytes)) return p;
  out_of_memory(asked, "the system or the memory limit refuses it, twice, the second time with an empty cache");
}

void give_back(void* p, int c) noexcept {
  const std::size_t bytes = class_bytes(c);
  Shared& s = shared();
  {
    const std::lock_guard guard(s.lock);
    if (s.cached + static_cast<std::int64_t>(bytes) <= s.cache_limit) {
      s.cached += static_cast<std::int64_t>(bytes);
      return push(s.free[c], p, bytes);
    }
  }
  free_to_system(p, bytes);
}

}  // namespace

void detail::fail_if_asked(std::size_t bytes) {
  if (cache.fail_after > 0 && --cache.fail_after == 0) out_of_memory(bytes, "the test asked for this failure");
}

void* allocate(std::size_t bytes) {
  detail::fail_if_asked(bytes);
  if (bytes > (std::size_t{1} << 48)) out_of_memory(bytes, "more than 2^48 bytes");
  const int c = class_of(bytes);
  const std::size_t block = class_bytes(c);
  void* p;
  if (c < kSmallClasses && cache.free[c]) {
    p = pop(cache.free[c]);
    add(cache.cached, -static_cast<std::int64_t>(block));
  } else {
    p = slow_allocate(bytes, c);
  }
  GRADUS_UNPOISON(p, block);
  if (cache.retired) count_after_end(static_cast<std::int64_t>(block));
  else count_active(static_cast<std::int64_t>(block));
  return p;
}

void deallocate(void* p, std::size_t bytes) noexcept {
  if (!p) return;
  const int c = class_of(bytes);
  const auto block = static_cast<std::int64_t>(class_bytes(c));
  if (cache.retired) count_after_end(-block);
  else add(cache.active, -block);
  if (c < kSmallClasses && !cache.retired && cache.registered && cache.cached.load(std::memory_order_relaxed) < kThreadCacheLimit) {
    add(cache.cached, block);
    return push(cache.free[c], p, static_cast<std::size_t>(block));
  }
  give_back(p, c);
}

MemoryStats memory_stats() {
  Shared& s = shared();
  const std::lock_guard guard(s.lock);
  MemoryStats stats{s.active(), s.peak, s.cached, s.system_calls};
  for (const ThreadCache* t = s.threads; t; t = t->next) {
    stats.cached += t->cached.load(std::memory_order_relaxed);
    const std::int64_t peak = t->peak.load(std::memory_order_relaxed);
    if (peak > stats.peak) stats.peak = peak;
  }
  return stats;
}

MemoryPeak::MemoryPeak() : base_(cache.active.load(std::memory_order_relaxed)), outer_peak_(cache.peak.load(std::memory_order_relaxed)) {
  cache.peak.store(base_, std::memory_order_relaxed);
}
MemoryPeak::~MemoryPeak() {
  if (outer_peak_ > cache.peak.load(std::memory_order_relaxed)) cache.peak.store(outer_peak_, std::memory_order_relaxed);
}
std::int64_t MemoryPeak::bytes() const { return cache.peak.load(std::memory_order_relaxed) - base_; }
std::int64_t thread_active_bytes() { return cache.active.load(std::memory_order_relaxed); }

void set_cache_limit(std::int64_t bytes) {
  Shared& s = shared();
  const std::lock_guard guard(s.lock);
  s.cache_limit = bytes;
  if (s.cached > bytes) release_shared_lists(s);
}
void set_memory_limit(std::int64_t bytes) {
  const std::lock_guard guard(shared().lock);
  shared().memory_limit = bytes;
}
void release_cache() {
  release_own_lists();
  Shared& s = shared();
  const std::lock_guard guard(s.lock);
  release_shared_lists(s);
}
void fail_allocation(std::int64_t nth) { cache.fail_after = nth; }

}  // namespace gradus::inline v0
