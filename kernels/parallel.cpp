#include <gradus/kernels/parallel.h>

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <gradus/kernels/error.h>

namespace gradus::inline v0 {
namespace {

thread_local ThreadPool* pool_of_thread = nullptr;

struct Job {
  std::int64_t count;
  void (*task)(void*, std::int64_t);
  void* context;
  std::atomic<std::int64_t> next{0};
  std::mutex error_lock{};
  std::exception_ptr error{};

  void work() {
    for (std::int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) {
      try {
        task(context, i);
      } catch (...) {
        const std::lock_guard guard(error_lock);
        if (!error) error = std::current_exception();
        next.store(count, std::memory_order_relaxed);  // the rest of the job is pointless
      }
    }
  }
};

}  // namespace

struct ThreadPool::State {
  std::mutex lock;
  std::condition_variable wake, done;
  Job* job = nullptr;
  std::uint64_t generation = 0;
  int busy = 0;
  bool stopping = false;
  std::vector<std::thread> workers;

  void worker() {
    for (std::uint64_t seen = 0;;) {
      std::unique_lock guard(lock);
      wake.wait(guard, [&] { return stopping || generation != seen; });
      if (stopping) return;
      seen = generation;
      Job* mine = job;
      if (!mine) continue;  // woke after the job had ended
      ++busy;
      guard.unlock();
      mine->work();
      guard.lock();
      if (--busy == 0) done.notify_all();
    }
  }
};

ThreadPool::ThreadPool(int threads) {
  if (threads < 1) raise_value("[ThreadPool] threads is " + std::to_string(threads) + "; at least 1, the calling thread");
  state_ = std::make_unique<State>();
  for (int i = 1; i < threads; ++i) state_->workers.emplace_back([s = state_.get()] { s->worker(); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard guard(state_->lock);
    state_->stopping = true;
  }
  state_->wake.notify_all();
  for (std::thread& worker : state_->workers) worker.join();
}

int ThreadPool::threads() const { return static_cast<int>(state_->workers.size()) + 1; }

void ThreadPool::run(std::int64_t count, void (*task)(void*, std::int64_t), void* context) {
  Job job{count, task, context};
  {
    const std::lock_guard guard(state_->lock);
    state_->job = &job;
    ++state_->generation;
  }
  state_->wake.notify_all();
  ThreadPool* const self = pool_of_thread;
  pool_of_thread = nullptr;  // a kernel inside a task runs on its own thread
  job.work();
  pool_of_thread = self;
  std::unique_lock guard(state_->lock);
  state_->job = nullptr;  // late wakers find nothing
  state_->done.wait(guard, [&] { return state_->busy == 0; });
  guard.unlock();
  if (job.error) std::rethrow_exception(job.error);
}

PoolScope::PoolScope(ThreadPool& pool) : previous_(pool_of_thread) { pool_of_thread = &pool; }
PoolScope::~PoolScope() { pool_of_thread = previous_; }
ThreadPool* current_pool() { return pool_of_thread; }

}  // namespace gradus::inline v0
