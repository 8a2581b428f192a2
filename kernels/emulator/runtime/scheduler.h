// Streams, and the order in which their work runs.
//
// Work is queued when it is asked for and executed only when the host waits for something (or asks whether it is done): late, so that a
// missing synchronisation shows as wrong data, and in an order that a seed chooses among all that CUDA allows. What CUDA guarantees is
// written as edges between operations: the stream's own order, the legacy default stream's, events. The same edges give each operation a
// vector clock, by which the stream-order check knows whether two accesses are ordered at all (order.h).
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <condition_variable>
#include <random>
#include <string>
#include <vector>

#include <gradus/kernels/emulator/runtime/source_line.h>

namespace gradus::emulator::runtime {

struct Stream;
struct Capture;
struct GraphNode;

/// clock[s] = n: everything up to operation n of stream s comes before.
class Clock {
 public:
  void join(const Clock& other);
  void set(std::uint32_t stream, std::uint32_t index);
  bool covers(std::uint32_t stream, std::uint32_t index) const;

 private:
  std::vector<std::uint32_t> at_;
};

/// Memory that an operation reads or writes.
struct Access {
  std::uint64_t address = 0, bytes = 0;
  bool write = false;
};

struct Operation;
/// What an operation does: returns a CUDA error that makes the device unusable, 0 if all is well.
using Work = std::function<int(Operation&)>;

struct Operation {
  std::string name;              // "kernel `add`", "cudaMemcpyAsync"
  Work work;                     // may be empty: an event, a join
  std::vector<Access> accesses;  // known beforehand; a kernel adds its own while it runs
  bool calls_host = false;       // a host function: runs without the runtime's lock
  bool quiet = false;            // makes no accesses that the order check should see
  CallSite site;                 // where the host asked for it
  std::string file;              // of a kernel: where it is defined, for findings
  std::uint32_t line = 0;
  std::string kernel;

  Stream* stream = nullptr;
  std::uint32_t index = 0;     // in its stream, 1 = first
  std::uint64_t sequence = 0;  // among all: the order of the host's calls
  std::vector<std::shared_ptr<Operation>> after;
  Clock clock;
  bool done = false, running = false;
  double finished = 0;  // host seconds
};
using OperationPtr = std::shared_ptr<Operation>;

struct Stream {
  std::uint32_t id = 0;
  bool blocking = true;  // takes part in the legacy default stream's order
  bool legacy = false;
  int priority = 0;
  unsigned flags = 0;
  std::deque<OperationPtr> queue;
  OperationPtr last;                // the latest one ever queued
  std::vector<OperationPtr> waits;  // of cudaStreamWaitEvent, taken up by the next operation
  std::uint32_t count = 0;
  std::shared_ptr<Capture> capture;      // not null: calls are recorded, not queued
  std::vector<GraphNode*> capture_tail;  // nodes that the next captured one depends on
};

class Scheduler {
 public:
  static Scheduler& instance();

  Stream& legacy() { return *legacy_; }
  Stream& per_thread();  // of the calling thread
  Stream& create(unsigned flags, int priority);
  void destroy(Stream& stream);  // its work is finished later; the handle is dead at once
  bool alive(const Stream* stream) const;

  /// Queues an operation, with all edges that CUDA's rules give it.
  OperationPtr enqueue(Stream& stream, Operation operation);
  /// Runs work until this operation (that stream, everything) is done; the host then comes after it.
  void finish(const OperationPtr& operation);
  void finish(Stream& stream);
  void finish_all();
  /// One ready operation of some stream, as a device would get on while the host asks.
  void progress();
  bool idle(const Stream& stream) const { return stream.queue.empty(); }
  /// Work that no thread has begun.
  bool any_pending() const;

  const Clock& host_clock() const { return host_; }
  /// Of the newest operation.
  std::uint64_t sequence() const { return sequence_; }
  /// Forgets queued work (after a sticky error, at a reset).
  void drop_all();
  /// More than one stream exists, or ever did.
  bool several() const { return streams_.size() + per_thread_count_ > 1; }
  bool skip_host_functions = false;  // at exit: the program's objects are gone

 private:
  Scheduler();
  bool step();
  void execute(const OperationPtr& operation);
  bool ready(const Operation& operation) const;
  void add_edges(Stream& stream, Operation& operation);
  Stream& add(std::unique_ptr<Stream> stream);

  std::vector<std::unique_ptr<Stream>> streams_, graveyard_;
  Stream* legacy_ = nullptr;
  std::size_t per_thread_count_ = 0;
  Clock host_;
  std::mt19937_64 random_;
  std::uint32_t next_id_ = 0;
  std::uint64_t sequence_ = 0;
  std::condition_variable_any ran_;
};

/// The runtime's one lock; held by every entry point (api.h). Released around host functions. Recursive only for the handler of faults
/// (host_access.cpp), which may meet a guarded page while an entry point reads its arguments.
std::recursive_mutex& lock();
/// Host seconds since some fixed moment.
double now();

}  // namespace gradus::emulator::runtime
