#include <gradus/engine/record.h>

#include <chrono>
#include <cmath>
#include <cstring>

#include <gradus/engine/tape_state.h>
#include <gradus/kernels/elementwise.h>
#include <gradus/kernels/optimizer.h>

namespace gradus::inline v0 {
namespace detail {

constinit thread_local Recording recording{};

namespace {

using State = Tape::State;

const char* writer_of(const Tensor& t) { return TensorAccess::body(t)->storage->writer; }

[[noreturn]] void raise_severed(const Op& op, const Tensor& x, const State& tape) {
  raise_gradient(std::string("[") + op.name + "] " + describe("input", x) + " was computed on an inner tape from tensors of tape #" +
                 std::to_string(tape.serial) +
                 ", on which it is used now: its gradient would be lost; detach() it, or use one tape with create_graph");
}

/// Widens the range of outer tapes whose gradient a result has lost.
void sever(std::uint64_t& first, std::uint64_t& last, std::uint64_t from, std::uint64_t to) {
  if (from == 0) return;
  first = first == 0 || from < first ? from : first;
  last = to > last ? to : last;
}

/// Marks `results` as severed from every outer tape on which an input is live, or from which an input is severed.
void mark_severed(const State& innermost, std::span<Tensor> results, const Inputs& inputs) {
  std::uint64_t first = 0, last = 0;
  for (int i = 0; i < inputs.size(); ++i) {
    if (!inputs[i]) continue;
    const Body& in = *TensorAccess::body(inputs[i]);
    for (const State* outer = innermost.outer; outer; outer = outer->outer) {
      if (outer->slot_of(inputs[i]) != kNoSlot) sever(first, last, outer->serial, outer->serial);
      if (in.severed_first <= outer->serial && outer->serial <= in.severed_last) sever(first, last, outer->serial, outer->serial);
    }
  }
  if (first == 0) return;
  for (Tensor& r : results) {
    TensorAccess::body(r)->severed_first = first;
    TensorAccess::body(r)->severed_last = last;
  }
}

constexpr Op kRecompute{"recompute"};

/// recompute's forward: notes which inputs are live on the tape around it.
void note_touched(State& capture, const Inputs& inputs) {
  for (int i = 0; i < inputs.size(); ++i) {
    if (!inputs[i] || capture.watch_table.find(inputs[i].id()) != kNoSlot) continue;
    const Body& in = *TensorAccess::body(inputs[i]);
    for (const State* outer = capture.outer; outer; outer = outer->outer)
      if (in.id < capture.first_id && in.severed_first && in.severed_first <= outer->serial && outer->serial <= in.severed_last) {
        raise_severed(kRecompute, inputs[i], *outer);  // older than this forward: cut by somebody else
      } else if (outer->slot_of(inputs[i]) != kNoSlot) {
        capture.watch_table.insert(inputs[i].id(), 0);
        capture.touched->push_back(inputs[i]);
        break;
      }
  }
}

SavedTensor save(State& tape, const Tensor& t) {
  tape.stats.saved_bytes += t.bytes();
  return {t, TensorAccess::body(t)->storage->version};
}

/// Memory for an entry and its parts, laid out behind each other. Everything that can fail happens here, before the tape changes.
Entry& make_entry(State& tape, std::span<Tensor> results, std::size_t inputs, std::size_t saved, std::size_t attribute_bytes) {
  static_assert(alignof(Entry) <= 8 && sizeof(Entry) % 8 == 0 && sizeof(SavedTensor) % 8 == 0);
  const std::size_t slot_bytes = (inputs * sizeof(std::uint32_t) + 7) & ~std::size_t{7};
  char* memory = static_cast<char*>(tape.arena.take(sizeof(Entry) + saved * sizeof(SavedTensor) + slot_bytes + attribute_bytes));
  tape.stats.own_bytes = tape.arena.bytes() + static_cast<std::int64_t>(tape.slots.capacity() * sizeof(Slot));
  tape.make_room(results);
  auto& e = *new (memory) Entry;
  e.saved_tensors = reinterpret_cast<SavedTensor*>(memory + sizeof(Entry));
  for (std::size_t i = 0; i < saved; ++i) new (e.saved_tensors + i) SavedTensor;
  e.inputs = reinterpret_cast<std::uint32_t*>(memory + sizeof(Entry) + saved * sizeof(SavedTensor));
  if (attribute_bytes) e.attributes = reinterpret_cast<char*>(e.inputs) + slot_bytes;
  e.saved_count = static_cast<std::uint16_t>(saved);
  e.input_count = static_cast<std::uint32_t>(inputs);
  e.output_count = static_cast<std::uint16_t>(results.size());
  return e;
}

void append(State& tape, const Op& op, std::span<Tensor> results, const Inputs& inputs, const std::uint32_t* slots, const Saving& saving,
            const Attributes& attributes) {
  const auto n = static_cast<std::size_t>(inputs.size());
  Entry& e = make_entry(tape, results, n, static_cast<std::size_t>(saving.size()), attributes.bytes);
  e.op = &op;
  e.tape = &tape;
  std::memcpy(e.inputs, slots, n * sizeof(std::uint32_t));
  if (attributes.move_into) attributes.move_into(e.attributes, attributes.data);
  else if (attributes.bytes) std::memcpy(e.attributes, attributes.data, attributes.bytes);
  e.destroy_attributes = attributes.destroy;
  e.previous = tape.last;
  (tape.last ? tape.last->next : tape.first) = &e;
  tape.last = &e;
  ++tape.stats.entries;
  e.first_output = static_cast<std::uint32_t>(tape.slots.size());
  for (Tensor& r : results) {
    Body* body = TensorAccess::body(r);
    GRADUS_ASSERT(body->tape == 0);  // a result is recorded once, while nobody else has seen it
    body->slot = tape.add_slot(r, &e);
    body->tape = tape.serial;
  }
  for (int i = 0; i < saving.size(); ++i) {
    const Saving::Item& item = saving[i];
    if (*item.tensor && (item.input < 0 || slots[item.input] != kNoSlot)) e.saved_tensors[i] = save(tape, *item.tensor);
  }
  const std::int64_t bytes = tape.stats.saved_bytes + tape.stats.own_bytes;
  if (bytes > tape.stats.peak_bytes) tape.stats.peak_bytes = bytes;
}

void trace_entry(State& tape, const Tensor& y) {
  Trace t;
  if (is_floating(y.dtype())) t.norm = std::sqrt(GRADUS_RUN(y.device(), squared_norm, y.array()));
  const double now = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count();
  t.microseconds = now - tape.last_time;
  tape.last_time = now;
  t.path = NameScope::path();
  tape.traces.resize(static_cast<std::size_t>(tape.stats.entries));
  tape.traces.back() = std::move(t);
}

}  // namespace

void record_results(const Op& op, std::span<Tensor> results, const Inputs& inputs, const Saving& saving, const Attributes& attributes) {
  State& tape = *recording.innermost;
  constexpr int kFew = 16;
  std::uint32_t few[kFew];
  Vec<std::uint32_t> many;
  std::uint32_t* slots = few;
  if (inputs.size() > kFew) {
    many.resize(static_cast<std::size_t>(inputs.size()));
    slots = many.data();
  }
  bool live = false;
  for (int i = 0; i < inputs.size(); ++i) {
    slots[i] = tape.slot_of(inputs[i]);
    live |= slots[i] != kNoSlot;
    if (!inputs[i]) continue;
    const Body& in = *TensorAccess::body(inputs[i]);
    if (in.severed_first && in.severed_first <= tape.serial && tape.serial <= in.severed_last && !tape.paused)
      raise_severed(op, inputs[i], tape);
  }
  if (tape.outer) mark_severed(tape, results, inputs);
  if (tape.touched) return note_touched(tape, inputs);
  if (!live || tape.paused || !is_floating(results[0].dtype())) return;
  if (!op.rule && !op.multi_rule)
    raise_gradient(std::string("[") + op.name + "] has no gradient rule, but " + describe("its input", inputs[0]) +
                   " is live on a tape; detach() the input if no gradient is wanted");
  append(tape, op, results, inputs, slots, saving, attributes);
  if (tape.tracing) trace_entry(tape, results[0]);
  if (anomaly_mode())
    for (const Tensor& r : results) check_finite("the result", op.name, r, tape);
}

}  // namespace detail

const Tensor& Entry::saved(int i) const {
  const detail::SavedTensor& s = saved_tensors[i];
  if (s.tensor && TensorAccess::body(s.tensor)->storage->version != s.version)
    raise_gradient(std::string("[") + op->name + "] its saved " + describe("tensor", s.tensor) + " was overwritten by " +
                   detail::writer_of(s.tensor) + " before the backward sweep; write after gradients(), or save a clone()");
  return s.tensor;
}

bool Entry::needs(int i) const {
  const std::uint32_t slot = inputs[i];
  return slot != detail::kNoSlot && (!tape->wanted || tape->wanted[slot]);
}

Shape Entry::output_shape(int i) const { return tape->shape_of(first_output + static_cast<std::uint32_t>(i)); }

Shape Entry::input_shape(int i) const {
  GRADUS_ASSERT(inputs[i] != detail::kNoSlot);
  return tape->shape_of(inputs[i]);
}

namespace {
std::string tag(const char* op) { return std::string("[") + op + "] "; }
}  // namespace

void require_defined(const char* op, const char* name, const Tensor& x) {
  if (!x) raise_value(tag(op) + describe(name, x) + ": it was never assigned");
}
void require_floating(const char* op, const char* name, const Tensor& x) {
  require_defined(op, name, x);
  if (!is_floating(x.dtype())) raise_dtype(tag(op) + describe(name, x) + ": expected f32 or f64; there is no promotion, use cast()");
}
void require_dtype(const char* op, const char* name, const Tensor& x, DType dtype) {
  require_defined(op, name, x);
  if (x.dtype() != dtype) raise_dtype(tag(op) + describe(name, x) + ": expected " + name_of(dtype) + "; use cast()");
}
void require_same_dtype(const char* op, const char* a_name, const Tensor& a, const char* b_name, const Tensor& b) {
  require_defined(op, a_name, a);
  require_defined(op, b_name, b);
  if (a.dtype() != b.dtype())
    raise_dtype(tag(op) + describe(a_name, a) + " and " + describe(b_name, b) + " have different types; there is no promotion, use cast()");
  check_same_device(op, a_name, a, b_name, b);
}
void require_rank(const char* op, const char* name, const Tensor& x, int rank) {
  require_defined(op, name, x);
  if (x.rank() != rank) raise_shape(tag(op) + describe(name, x) + ": expected " + std::to_string(rank) + " axes");
}
void require_same_shape(const char* op, const char* a_name, const Tensor& a, const char* b_name, const Tensor& b) {
  if (!(a.shape() == b.shape())) raise_shape(tag(op) + describe(a_name, a) + " and " + describe(b_name, b) + ": expected the same shape");
}
int require_axis(const char* op, const char* name, const Tensor& x, int axis) {
  require_defined(op, name, x);
  if (axis < -x.rank() || axis >= x.rank())
    raise_shape(tag(op) + "axis " + std::to_string(axis) + " of " + describe(name, x) + ": there is no such axis");
  return axis < 0 ? axis + x.rank() : axis;
}

Shape broadcast_shape(const char* op, const Shape& a, const Shape& b) {
  if (a == b) return a;
  const int rank = a.rank() > b.rank() ? a.rank() : b.rank();
  Shape out;
  for (int i = 0; i < rank; ++i) {
    const int ia = i - (rank - a.rank()), ib = i - (rank - b.rank());
    const std::int64_t na = ia < 0 ? 1 : a[ia], nb = ib < 0 ? 1 : b[ib];
    if (na != nb && na != 1 && nb != 1)
      raise_shape(tag(op) + "shapes " + to_string(a) + " and " + to_string(b) + " do not broadcast: extents " + std::to_string(na) +
                  " and " + std::to_string(nb) + " meet on axis " + std::to_string(i) + "; equal extents or 1 do");
    out.push_back(na == 1 ? nb : na);
  }
  return out;
}

}  // namespace gradus::inline v0
