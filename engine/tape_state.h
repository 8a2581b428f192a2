// Inside of the tape. Private to the engine: not installed as an interface.
#pragma once

#include <gradus/engine/record.h>

namespace gradus::inline v0 {

namespace detail {

/// A value that the tape knows: a watched tensor or a result.
struct Slot {
  Entry* producer;              // null: watched
  const std::int64_t* extents;  // in the arena
  std::uint8_t rank;
  DType dtype;
};

/// Bump allocation for entries and their parts; all of it goes at once.
class Arena {
 public:
  ~Arena();
  void* take(std::size_t bytes);  // 8-byte aligned
  std::int64_t bytes() const { return static_cast<std::int64_t>(bytes_); }

 private:
  struct Chunk {
    Chunk* next;
    std::size_t bytes;
  };
  static constexpr std::size_t kFirst = 1 << 12, kLargest = 1 << 20;  // chunks double: small tapes stay small
  Chunk* chunks_ = nullptr;
  char* at_ = nullptr;
  char* end_ = nullptr;
  std::size_t next_bytes_ = kFirst, bytes_ = 0;
};

/// id -> slot of watched tensors: open addressing, at most half full.
class WatchTable {
 public:
  std::uint32_t find(std::uint64_t id) const {
    if (count_ == 0) return kNoSlot;
    for (std::size_t i = home(id);; i = (i + 1) & (places_.size() - 1)) {
      if (places_[i].id == id) return places_[i].slot;
      if (places_[i].id == 0) return kNoSlot;
    }
  }
  void insert(std::uint64_t id, std::uint32_t slot);

 private:
  struct Place {
    std::uint64_t id;
    std::uint32_t slot;
  };
  std::size_t home(std::uint64_t id) const { return static_cast<std::size_t>(id * 0x9E3779B97F4A7C15u >> shift_); }  // Fibonacci hashing
  Vec<Place> places_;
  std::size_t count_ = 0;
  int shift_ = 64;
};

/// Kept per entry after trace().
struct Trace {
  double norm = 0, microseconds = 0;
  std::string path;
};

}  // namespace detail

struct Tape::State {
  std::uint64_t serial = 0;
  const void* thread = nullptr;  // address of a thread-local: whose tape this is
  State* outer = nullptr;        // next on this thread's stack of unfinished tapes
  bool finished = false;
  bool paused = false;  // inside a sweep without create_graph: rules run unrecorded
  bool tracing = false;
  TensorList* touched = nullptr;         // recompute's forward: notes outer-live inputs instead of recording
  std::uint64_t first_id = 0;            // of that forward: tensors with smaller ids are older
  const std::uint8_t* wanted = nullptr;  // of the current sweep, by slot; null: all
  Entry* first = nullptr;
  Entry* last = nullptr;
  TapeStats stats;
  TensorList watched;
  Vec<std::uint32_t> watched_slots;
  Vec<detail::Slot> slots;
  detail::WatchTable watch_table;
  std::vector<detail::Trace> traces;  // only after trace(); by entry
  double last_time = 0;
  detail::Arena arena;
  std::int64_t* extents_room = nullptr;  // what make_room took from the arena

  std::uint32_t slot_of(const Tensor& t) const {
    const detail::Body* body = TensorAccess::body(t);
    if (!body) return detail::kNoSlot;
    return body->tape == serial ? body->slot : watch_table.find(body->id);
  }
  void make_room(std::span<const Tensor> values);            // for their slots; may throw
  std::uint32_t add_slot(const Tensor& t, Entry* producer);  // after make_room: cannot fail
  Shape shape_of(std::uint32_t slot) const { return Shape(slots[slot].extents, slots[slot].rank); }
  void watch(const Tensor& x);
  void finish() noexcept;
  void release_saved(Entry& e) noexcept;
};

namespace detail {

Tape::State* open_state();                      // made and pushed on this thread's stack
void close_state(Tape::State* state) noexcept;  // unlinked and destroyed, wherever it is on the stack
void unlink(Tape::State* state) noexcept;

/// Gradients of `loss` for the tensors in `wrt`, by one backward sweep. `finish` ends the tape afterwards.
TensorList sweep(Tape::State& tape, const Tensor& loss, std::span<const Tensor> wrt, const GradientOptions& options);

/// True if x is watched or recorded on an unfinished tape of this thread.
bool live_on_any_tape(const Tensor& x);
bool anomaly_mode();
void check_finite(const char* what, const char* op, const Tensor& t, const Tape::State& tape);

}  // namespace detail
}  // namespace gradus::inline v0
