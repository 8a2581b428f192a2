#include <gradus/kernels/emulator/runtime/scheduler.h>

#include <algorithm>
#include <chrono>

#include <gradus/kernels/emulator/exec/machine.h>
#include <gradus/kernels/emulator/exec/memory.h>
#include <gradus/kernels/emulator/runtime/device_state.h>
#include <gradus/kernels/emulator/runtime/order.h>
#include <gradus/kernels/emulator/runtime/pinned_guard.h>

namespace gradus::emulator::runtime {

void Clock::join(const Clock& other) {
  if (at_.size() < other.at_.size()) at_.resize(other.at_.size());
  for (std::size_t i = 0; i < other.at_.size(); ++i) at_[i] = std::max(at_[i], other.at_[i]);
}

void Clock::set(std::uint32_t stream, std::uint32_t index) {
  if (at_.size() <= stream) at_.resize(stream + 1);
  at_[stream] = index;
}

bool Clock::covers(std::uint32_t stream, std::uint32_t index) const { return stream < at_.size() && at_[stream] >= index; }

std::recursive_mutex& lock() {
  static auto* mutex = new std::recursive_mutex;  // never destroyed: calls come in during exit
  return *mutex;
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

Scheduler& Scheduler::instance() {
  static auto* scheduler = new Scheduler;
  return *scheduler;
}

Scheduler::Scheduler() : random_(options().seed * 0x9E3779B97F4A7C15u + 1) {
  auto stream = std::make_unique<Stream>();
  stream->legacy = true;
  legacy_ = &add(std::move(stream));
}

Stream& Scheduler::add(std::unique_ptr<Stream> stream) {
  stream->id = next_id_++;
  streams_.push_back(std::move(stream));
  if (streams_.size() > 1 && options().checks == Checks::all) track_touched = true;
  return *streams_.back();
}

Stream& Scheduler::per_thread() {
  thread_local Stream* mine = nullptr;
  if (mine == nullptr) mine = &add(std::make_unique<Stream>());
  return *mine;
}

Stream& Scheduler::create(unsigned flags, int priority) {
  auto stream = std::make_unique<Stream>();
  stream->blocking = (flags & 1u) == 0;  // cudaStreamNonBlocking
  stream->flags = flags;
  stream->priority = priority;
  return add(std::move(stream));
}

bool Scheduler::alive(const Stream* stream) const {
  return std::any_of(streams_.begin(), streams_.end(), [&](const auto& s) { return s.get() == stream; });
}

void Scheduler::destroy(Stream& stream) {
  const auto at = std::find_if(streams_.begin(), streams_.end(), [&](const auto& s) { return s.get() == &stream; });
  graveyard_.push_back(std::move(*at));
  streams_.erase(at);
}

void Scheduler::add_edges(Stream& stream, Operation& operation) {
  if (stream.last) operation.after.push_back(stream.last);
  for (auto& wait : stream.waits) operation.after.push_back(std::move(wait));
  stream.waits.clear();
  if (stream.legacy) {
    for (const auto* list : {&streams_, &graveyard_}) {
      for (const auto& other : *list) {
        if (other->blocking && other.get() != &stream && other->last) operation.after.push_back(other->last);
      }
    }
  } else if (stream.blocking && legacy_->last) {
    operation.after.push_back(legacy_->last);
  }
}

OperationPtr Scheduler::enqueue(Stream& stream, Operation operation) {
  auto op = std::make_shared<Operation>(std::move(operation));
  op->stream = &stream;
  op->index = ++stream.count;
  op->sequence = ++sequence_;
  add_edges(stream, *op);
  op->clock = host_;
  for (const auto& before : op->after) op->clock.join(before->clock);
  op->clock.set(stream.id, op->index);
  // Only what is not done yet still matters for running.
  op->after.erase(std::remove_if(op->after.begin(), op->after.end(), [](const auto& before) { return before->done; }), op->after.end());
  guard_host_pages(*op);
  stream.queue.push_back(op);
  stream.last = op;
  return op;
}

bool Scheduler::ready(const Operation& operation) const {
  return !operation.running && std::all_of(operation.after.begin(), operation.after.end(), [](const auto& before) { return before->done; });
}

bool Scheduler::step() {
  std::vector<Stream*> candidates;
  for (const auto* list : {&streams_, &graveyard_}) {
    for (const auto& stream : *list) {
      if (!stream->queue.empty() && ready(*stream->queue.front())) candidates.push_back(stream.get());
    }
  }
  if (candidates.empty()) return false;
  execute(candidates[candidates.size() == 1 ? 0 : random_() % candidates.size()]->queue.front());
  return true;
}

void Scheduler::execute(const OperationPtr& operation) {
  operation->running = true;
  int error = 0;
  const bool skipped = DeviceState::instance().sticky != 0 || (operation->calls_host && skip_host_functions);
  if (operation->work && !skipped) {
    if (operation->calls_host) {
      // What the host does in it, or because of it, comes after what the operation waited for.
      host_.join(operation->clock);
      release_guards(host_);
      lock().unlock();
      error = operation->work(*operation);
      lock().lock();
    } else {
      if (!operation->quiet) check_order(operation, operation->accesses);
      error = operation->work(*operation);
    }
  }
  if (error != 0) DeviceState::instance().fail(error);
  operation->done = true;
  operation->running = false;
  operation->finished = now();
  operation->after.clear();
  operation->work = nullptr;
  auto& queue = operation->stream->queue;
  if (!queue.empty() && queue.front() == operation) queue.pop_front();  // else dropped meanwhile by a reset
  ran_.notify_all();
}

void Scheduler::finish(const OperationPtr& operation) {
  while (!operation->done) {
    if (step()) continue;
    // Another thread is inside a host function that everything waits for.
    std::unique_lock held(lock(), std::adopt_lock);
    ran_.wait(held);
    held.release();
  }
  host_.join(operation->clock);
  release_guards(host_);
  if (any_pending()) return;
  forget_touched_bytes();
  forget_ordered(host_);  // what is still queued may be unordered with what the host has waited for
}

void Scheduler::finish(Stream& stream) {
  const auto waits = std::move(stream.waits);
  stream.waits.clear();
  for (const auto& wait : waits) finish(wait);
  if (stream.legacy) {  // it stands for every blocking stream
    std::vector<OperationPtr> last;
    for (const auto& other : streams_) {
      if (other->blocking && other->last) last.push_back(other->last);
    }
    for (const auto& operation : last) finish(operation);
  }
  if (stream.last) finish(stream.last);
}

void Scheduler::finish_all() {
  std::vector<OperationPtr> last;
  for (const auto* list : {&streams_, &graveyard_}) {
    for (const auto& stream : *list) {
      if (stream->last) last.push_back(stream->last);
    }
  }
  for (const auto& operation : last) finish(operation);
  graveyard_.erase(std::remove_if(graveyard_.begin(), graveyard_.end(), [](const auto& s) { return s->queue.empty(); }), graveyard_.end());
}

void Scheduler::progress() { step(); }

bool Scheduler::any_pending() const {
  for (const auto* list : {&streams_, &graveyard_}) {
    for (const auto& stream : *list) {
      if (!stream->queue.empty() && !(stream->queue.size() == 1 && stream->queue.front()->running)) return true;
    }
  }
  return false;
}

void Scheduler::drop_all() {
  for (const auto* list : {&streams_, &graveyard_}) {
    for (const auto& stream : *list) {
      for (const auto& operation : stream->queue) operation->done = true;
      stream->queue.clear();
    }
  }
  drop_guards();
}

}  // namespace gradus::emulator::runtime
