#include <gradus/engine/tape.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstring>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/tape_state.h>
#include <gradus/kernels/elementwise.h>

namespace gradus::inline v0 {
namespace detail {

using State = Tape::State;

namespace {

std::atomic<std::uint64_t> next_serial{1};
constinit thread_local char this_thread = 0;  // its address names the thread
constinit thread_local int anomaly_depth = 0;
constinit thread_local const NameScope* innermost_scope = nullptr;

}  // namespace

Arena::~Arena() {
  for (Chunk* chunk = chunks_; chunk;) {
    Chunk* next = chunk->next;
    deallocate(chunk, chunk->bytes);
    chunk = next;
  }
}

void* Arena::take(std::size_t bytes) {
  bytes = (bytes + 7) & ~std::size_t{7};
  if (static_cast<std::size_t>(end_ - at_) < bytes) {
    const std::size_t wanted = sizeof(Chunk) + bytes > next_bytes_ ? sizeof(Chunk) + bytes : next_bytes_;
    auto* chunk = new (allocate(wanted)) Chunk{chunks_, wanted};
    chunks_ = chunk;
    bytes_ += wanted;
    at_ = reinterpret_cast<char*>(chunk + 1);
    end_ = reinterpret_cast<char*>(chunk) + wanted;
    if (next_bytes_ < kLargest) next_bytes_ *= 2;
  }
  void* p = at_;
  at_ += bytes;
  return p;
}

void WatchTable::insert(std::uint64_t id, std::uint32_t slot) {
  if (2 * (count_ + 1) > places_.size()) {
    Vec<Place> old(places_.empty() ? 16 : 2 * places_.size(), Place{0, 0});
    old.swap(places_);
    shift_ = 64 - (std::bit_width(places_.size()) - 1);
    count_ = 0;
    for (const Place& p : old)
      if (p.id) insert(p.id, p.slot);
  }
  std::size_t i = home(id);
  while (places_[i].id != 0 && places_[i].id != id) i = (i + 1) & (places_.size() - 1);
  if (places_[i].id == 0) ++count_;
  places_[i] = {id, slot};
}

State* open_state() {
  auto* state = new (allocate(sizeof(State))) State;
  state->serial = next_serial.fetch_add(1, std::memory_order_relaxed);
  state->thread = &this_thread;
  state->outer = recording.innermost;
  recording.innermost = state;
  return state;
}

void unlink(State* state) noexcept {
  for (State** at = &recording.innermost; *at; at = &(*at)->outer)
    if (*at == state) {
      *at = state->outer;
      break;
    }
  state->outer = nullptr;
}

void close_state(State* state) noexcept {
  if (!state->finished) state->finish();
  for (Entry* e = state->first; e; e = e->next)
    if (e->destroy_attributes) e->destroy_attributes(e->attributes);
  state->~State();
  deallocate(state, sizeof(State));
}

bool live_on_any_tape(const Tensor& x) {
  for (const State* s = recording.innermost; s; s = s->outer)
    if (!s->touched && s->slot_of(x) != kNoSlot) return true;
  return false;
}

bool anomaly_mode() { return anomaly_depth > 0; }

void check_finite(const char* what, const char* op, const Tensor& t, const State& tape) {
  if (!t || !is_floating(t.dtype()) || GRADUS_RUN(t.device(), all_finite, t.array())) return;
  const std::string path = NameScope::path();
  raise_gradient(std::string("[") + op + "] " + what + " of entry " + std::to_string(tape.stats.entries - 1) +
                 (path.empty() ? "" : " in " + path) + " holds NaN or infinity: " + to_string(t));
}

namespace {

/// One backward sweep: its working memory, and the walk.
class Sweep {
 public:
  /// Checks the arguments: a mistake here leaves the tape as it was.
  Sweep(State& tape, const Tensor& loss, std::span<const Tensor> wrt, const GradientOptions& options)
      : tape_(tape),
        loss_(loss),
        wrt_(wrt),
        options_(options),
        outer_wanted_(tape.wanted),
        outer_paused_(tape.paused),
        top_(slot_of_loss(loss)) {
    find_asked();
    if (top_ < lowest_) nothing_reached();
    seed_ = seed(loss);
  }
  ~Sweep() {
    tape_.wanted = outer_wanted_;
    tape_.paused = outer_paused_;
  }

  TensorList run() {
    grads_.resize(top_ - lowest_ + 1);
    mark_wanted(top_);
    tape_.paused = !options_.create_graph;
    grads_[top_ - lowest_] = std::move(seed_);
    for (Entry* e = tape_.slots[top_].producer; e && e->first_output + e->output_count > lowest_; e = e->previous) visit(*e);
    return results();
  }

 private:
  std::uint32_t slot_of_loss(const Tensor& loss) {
    require_floating("gradients", "loss", loss);
    const std::uint32_t slot = tape_.slot_of(loss);
    if (slot == kNoSlot)
      raise_gradient("[gradients] " + describe("loss", loss) + " is not on tape #" + std::to_string(tape_.serial) +
                     ": it does not depend on anything watched there, or was detached, or computed on another tape");
    return slot;
  }

  void find_asked() {
    asked_.resize(wrt_.size());
    lowest_ = kNoSlot;
    for (std::size_t i = 0; i < wrt_.size(); ++i) {
      asked_[i] = tape_.slot_of(wrt_[i]);
      if (asked_[i] == kNoSlot)
        raise_gradient("[gradients] " + describe("wrt", wrt_[i]) + " (number " + std::to_string(i) +
                       ") was never watched or recorded on tape #" + std::to_string(tape_.serial) + "; watch() it before the forward pass");
      if (asked_[i] < lowest_) lowest_ = asked_[i];
    }
    if (wrt_.empty()) raise_gradient("[gradients] nothing is watched and nothing was asked for");
  }

  /// Which slots lead back to something asked for. When everything watched is asked for, all do: no marks are needed.
  void mark_wanted(std::uint32_t top) {
    bool everything = wrt_.size() >= tape_.watched.size();
    for (std::size_t i = 0; everything && i < tape_.watched.size(); ++i) everything = asked_[i] == tape_.watched_slots[i];
    tape_.wanted = nullptr;
    if (everything) return;
    wanted_.assign(top + 1, 0);
    for (const std::uint32_t slot : asked_)
      if (slot <= top) wanted_[slot] = 1;
    Entry* e = tape_.slots[lowest_].producer ? tape_.slots[lowest_].producer : tape_.first;
    for (; e && e->first_output <= top; e = e->next) {
      bool reaches = false;
      for (std::uint32_t i = 0; i < e->input_count; ++i) reaches |= e->inputs[i] != kNoSlot && wanted_[e->inputs[i]];
      if (reaches)
        for (std::uint32_t o = 0; o < e->output_count && e->first_output + o <= top; ++o) wanted_[e->first_output + o] = 1;
    }
    tape_.wanted = wanted_.data();
  }

  Tensor seed(const Tensor& loss) const {
    if (options_.seed) {
      require_same_dtype("gradients", "seed", options_.seed, "loss", loss);
      require_same_shape("gradients", "seed", options_.seed, "loss", loss);
      return options_.seed;
    }
    if (loss.elements() != 1)
      raise_shape("[gradients] " + describe("loss", loss) + " has " + std::to_string(loss.elements()) +
                  " elements; expected a scalar, or give .seed: the gradient of something scalar with respect to it");
    return ones_like(loss);
  }

  bool any_gradient(const Entry& e) const {
    for (std::uint32_t o = 0; o < e.output_count; ++o) {
      const std::uint32_t slot = e.first_output + o;
      if (slot >= lowest_ && slot - lowest_ < grads_.size() && grads_[slot - lowest_] && (!tape_.wanted || tape_.wanted[slot])) return true;
    }
    return false;
  }

  /// The gradient that arrived at a result. It is kept only if it was asked for.
  Tensor take_gradient(std::uint32_t slot) {
    if (slot < lowest_ || slot - lowest_ >= grads_.size()) return {};
    Tensor& g = grads_[slot - lowest_];
    for (const std::uint32_t asked : asked_)
      if (asked == slot) return g;
    return std::move(g);
  }

  void visit(Entry& e) {
    if (!any_gradient(e)) return;
    ++tape_.stats.rules_run;
    const bool unrecorded = !options_.create_graph;
    Grads grads;
    if (e.op->multi_rule) {
      TensorList dys(e.output_count);
      for (std::uint32_t o = 0; o < e.output_count; ++o) dys[o] = take_gradient(e.first_output + o);
      grads = e.op->multi_rule(e, dys.data());
    } else {
      const Tensor dy = take_gradient(e.first_output);
      grads = unrecorded && e.op->fused ? e.op->fused(e, dy) : e.op->rule(e, dy);
    }
    if (unrecorded && !options_.retain) tape_.release_saved(e);
    if (grads.size() > e.input_count)
      raise_gradient(std::string("[") + e.op->name + "] its rule gave " + std::to_string(grads.size()) + " gradients for " +
                     std::to_string(e.input_count) + " inputs");
    for (std::uint32_t i = 0; i < grads.size(); ++i) tape_.stats.gradients += static_cast<bool>(grads[i].value);
    for (std::uint32_t i = 0; i < grads.size(); ++i)
      if (grads[i].value && e.needs(static_cast<int>(i)) && e.inputs[i] >= lowest_) arrive(e, e.inputs[i], grads[i]);
  }

  /// The first gradient is aliased, the second allocates, later ones add in place; on a recorded sweep every sum is an op.
  void arrive(const Entry& e, std::uint32_t slot, Grad& grad) {
    if (anomaly_mode()) check_finite("a gradient", e.op->name, grad.value, tape_);
    Tensor& sum = grads_[slot - lowest_];
    if (grad.row >= 0) return arrive_window(slot, sum, grad);
    Tensor g = fitted(e, slot, std::move(grad.value));
    if (!sum) {
      sum = std::move(g);
    } else if (options_.create_graph) {
      sum = sum + g;
    } else if (TensorAccess::unique(sum)) {
      GRADUS_RUN(sum.device(), add, fresh(sum), sum.array(), g.array());
    } else if (TensorAccess::unique(g)) {
      GRADUS_RUN(g.device(), add, fresh(g), sum.array(), g.array());
      sum = std::move(g);
    } else {
      sum = sum + g;
    }
  }

  /// A gradient of the broadcast shape is summed down to the input's: here, once, for every op.
  Tensor fitted(const Entry& e, std::uint32_t slot, Tensor g) const {
    const Slot& s = tape_.slots[slot];
    if (g.dtype() != s.dtype)
      raise_dtype(std::string("[") + e.op->name + "] its rule gave " + describe("a gradient", g) + " for an input of type " +
                  name_of(s.dtype));
    if (g.rank() == s.rank && std::equal(s.extents, s.extents + s.rank, g.shape().begin())) return g;
    return sum_to(g, tape_.shape_of(slot));
  }

  void arrive_window(std::uint32_t slot, Tensor& sum, Grad& grad) {
    const Shape shape = tape_.shape_of(slot);
    if (options_.create_graph) {
      Tensor padded = pad_rows(grad.value, shape[0], grad.row);
      sum = sum ? sum + padded : padded;
      return;
    }
    if (!sum) sum = Tensor::zeros(shape, tape_.slots[slot].dtype, grad.value.device());
    else if (!TensorAccess::unique(sum)) sum = sum.clone();
    const std::int64_t row_bytes = shape[0] ? sum.bytes() / shape[0] : 0;
    const Array window{static_cast<char*>(fresh(sum).data) + grad.row * row_bytes, &grad.value.shape(), grad.value.dtype()};
    GRADUS_RUN(sum.device(), add, window, window, grad.value.array());
  }

  [[noreturn]] void nothing_reached() const {
    raise_gradient("[gradients] " + describe("loss", loss_) + " depends on none of the " + std::to_string(wrt_.size()) +
                   " tensors asked for; the graph is cut, or they were made after the loss");
  }

  TensorList results() {
    TensorList out(wrt_.size());
    bool any = false;
    for (std::size_t i = 0; i < wrt_.size(); ++i) {
      if (asked_[i] - lowest_ < grads_.size()) out[i] = grads_[asked_[i] - lowest_];
      any |= static_cast<bool>(out[i]);
      if (!out[i] && options_.require_all)
        raise_gradient("[gradients] " + describe("loss", loss_) + " does not reach " + describe("wrt", wrt_[i]) + " (number " +
                       std::to_string(i) + "), but require_all is set");
    }
    if (!any) nothing_reached();
    return out;
  }

  State& tape_;
  const Tensor& loss_;
  std::span<const Tensor> wrt_;
  const GradientOptions& options_;
  const std::uint8_t* outer_wanted_;
  bool outer_paused_;
  std::uint32_t top_;  // slot of the loss
  Tensor seed_;
  std::uint32_t lowest_ = 0;  // lowest slot asked for: nothing below it matters
  Vec<std::uint32_t> asked_;
  TensorList grads_;  // by slot - lowest_
  Vec<std::uint8_t> wanted_;
};

}  // namespace

TensorList sweep(State& tape, const Tensor& loss, std::span<const Tensor> wrt, const GradientOptions& options) {
  if (tape.thread != &this_thread)
    raise_gradient("[gradients] tape #" + std::to_string(tape.serial) + " belongs to another thread; ask there");
  if (tape.finished)
    raise_gradient("[gradients] tape #" + std::to_string(tape.serial) +
                   " is finished: an earlier gradients() released what it saved; use {.retain = true} there");
  Sweep sweep(tape, loss, wrt, options);
  try {
    TensorList out = sweep.run();
    if (!options.retain && !options.create_graph) tape.finish();
    return out;
  } catch (...) {
    tape.finish();
    throw;
  }
}

}  // namespace detail

// ---- Tape::State

void Tape::State::make_room(std::span<const Tensor> values) {
  if (slots.size() + values.size() > slots.capacity()) slots.reserve(slots.capacity() ? 2 * slots.capacity() + values.size() : 32);
  std::size_t axes = 0;
  for (const Tensor& t : values) axes += static_cast<std::size_t>(t.rank());
  extents_room = static_cast<std::int64_t*>(arena.take(axes * sizeof(std::int64_t)));
}

std::uint32_t Tape::State::add_slot(const Tensor& t, Entry* producer) {
  const Shape& shape = t.shape();
  for (int i = 0; i < shape.rank(); ++i) extents_room[i] = shape[i];
  slots.push_back({producer, extents_room, static_cast<std::uint8_t>(shape.rank()), t.dtype()});
  extents_room += shape.rank();
  return static_cast<std::uint32_t>(slots.size() - 1);
}

void Tape::State::watch(const Tensor& x) {
  require_floating("watch", "x", x);
  if (finished) raise_gradient("[watch] tape #" + std::to_string(serial) + " is finished; make a new one");
  if (slot_of(x) != detail::kNoSlot) return;
  watched.push_back(x);
  watched_slots.push_back(0);
  make_room({&x, 1});
  watched_slots.back() = add_slot(x, nullptr);
  watch_table.insert(x.id(), watched_slots.back());
}

void Tape::State::release_saved(Entry& e) noexcept {
  for (std::uint16_t i = 0; i < e.saved_count; ++i) {
    if (e.saved_tensors[i].tensor) stats.saved_bytes -= e.saved_tensors[i].tensor.bytes();
    e.saved_tensors[i].tensor = Tensor();
  }
}

void Tape::State::finish() noexcept {
  if (finished) return;
  finished = true;
  detail::unlink(this);
  for (Entry* e = first; e; e = e->next) release_saved(*e);  // a list, not a graph: no recursion however long
}

// ---- Tape

Tape::Tape() : state_(detail::open_state()) {}

Tape::Tape(TensorList parameters) : state_(detail::open_state()) {
  try {
    for (const Tensor& p : parameters) state_->watch(p);
  } catch (...) {
    detail::close_state(state_);
    throw;
  }
}

Tape::Tape(std::initializer_list<Tensor> parameters) : Tape(TensorList(parameters)) {}

Tape::~Tape() { detail::close_state(state_); }

void Tape::watch(const Tensor& x) { state_->watch(x); }

Gradients Tape::gradients(const Tensor& loss, const GradientOptions& options) {
  Gradients g;
  g.parameters = state_->watched;
  g.values = detail::sweep(*state_, loss, g.parameters, options);
  return g;
}

TensorList Tape::gradients(const Tensor& loss, const Wrt& wrt, const GradientOptions& options) {
  return detail::sweep(*state_, loss, wrt.tensors(), options);
}

bool Tape::finished() const { return state_->finished; }
bool Tape::is_live(const Tensor& x) const { return !state_->finished && state_->slot_of(x) != detail::kNoSlot; }
TapeStats Tape::stats() const { return state_->stats; }

void Tape::trace() {
  state_->tracing = true;
  state_->last_time = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

const Tensor& Gradients::operator[](const Tensor& parameter) const {
  for (std::size_t i = 0; i < parameters.size(); ++i)
    if (parameters[i].id() == parameter.id()) return values[i];
  raise_gradient("[gradients] no gradient of " + describe("parameter", parameter) + " was asked for");
}

// ---- scopes

NoGrad::NoGrad() { ++detail::recording.no_grad; }
NoGrad::~NoGrad() { --detail::recording.no_grad; }
AnomalyMode::AnomalyMode() { ++detail::anomaly_depth; }
AnomalyMode::~AnomalyMode() { --detail::anomaly_depth; }

NameScope::NameScope(const char* name, int index) : name_(name), index_(index), outer_(detail::innermost_scope) {
  detail::innermost_scope = this;
}
NameScope::~NameScope() { detail::innermost_scope = outer_; }

std::string NameScope::path() {
  std::string path;
  for (const NameScope* s = detail::innermost_scope; s; s = s->outer_)
    path = s->name_ + (s->index_ >= 0 ? "/" + std::to_string(s->index_) : std::string()) + (path.empty() ? "" : "/" + path);
  return path;
}

}  // namespace gradus::inline v0
