// Threads are the caller's: a ThreadPool is a value, made current on a thread by PoolScope. Without one, everything runs on the
// calling thread. The library starts no thread of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace gradus::inline v0 {

/// Workers that share a kernel's output tiles with the thread that runs the kernel.
///
///     ThreadPool pool(2);
///     PoolScope scope(pool);            // kernels of this thread now use two threads; bits do not change
class ThreadPool {
 public:
  /// `threads` counts the calling thread: 1 makes no worker. Throws ValueError below 1.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  int threads() const;

  /// Runs task(context, i) for every i in [0, count), on the workers and the caller. The first exception is rethrown here.
  void run(std::int64_t count, void (*task)(void* context, std::int64_t i), void* context);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Makes a pool current on this thread for as long as it lives; the innermost wins.
class PoolScope {
 public:
  explicit PoolScope(ThreadPool& pool);
  ~PoolScope();
  PoolScope(const PoolScope&) = delete;
  PoolScope& operator=(const PoolScope&) = delete;

 private:
  ThreadPool* previous_;
};

/// The pool that is current on this thread, or null.
ThreadPool* current_pool();

/// Calls f(i) for i in [0, chunks). Chunks must be fixed by the shape alone, never by the number of threads: that keeps the bits equal
/// for any thread count. f must not touch what another chunk writes.
template <class F> void parallel_for(std::int64_t chunks, F&& f) {
  ThreadPool* pool = chunks > 1 ? current_pool() : nullptr;
  if (!pool) {
    for (std::int64_t i = 0; i < chunks; ++i) f(i);
    return;
  }
  using Task = std::remove_reference_t<F>;
  pool->run(
      chunks, [](void* context, std::int64_t i) { (*static_cast<Task*>(context))(i); }, const_cast<void*>(static_cast<const void*>(&f)));
}

}  // namespace gradus::inline v0
