// How an op is written: check, forward, record. For authors of ops; programs include <gradus/engine/tape.h>.
//
//     Tensor softplus(const Tensor& x) {
//       require_floating("softplus", "x", x);
//       Tensor y = empty_like(x);
//       GRADUS_RUN(x.device(), softplus, fresh(y), x.array());      // the one line where a device is chosen
//       return record(kSoftplus, y, {x}, {x});                      // keeps x only if x is live
//     }
//
// A rule gets the entry and the gradient of the result and returns one gradient per input, in differentiable ops:
//
//     Grads softplus_rule(const Entry& e, const Tensor& dy) { return {dy * sigmoid(e.saved(0))}; }
//     constexpr Op kSoftplus{"softplus", softplus_rule, softplus_fused};   // the third is optional: a faster, unrecorded twin
//
// A gradient may have the broadcast shape: the engine sums it down to the input's. An empty tensor means "no gradient".
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include <gradus/engine/tape.h>
#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

struct Entry;

/// A gradient, or a *window* gradient: the gradient of rows [row, row + value.size(0)) of the input, zero elsewhere.
struct Grad {
  Tensor value;
  std::int64_t row = -1;  // >= 0: a window

  Grad() = default;
  Grad(Tensor t) : value(std::move(t)) {}
  static Grad window(Tensor rows, std::int64_t row) {
    Grad g(std::move(rows));
    g.row = row;
    return g;
  }
};

/// One gradient per input, in order. Up to 4 without allocation.
class Grads {
 public:
  Grads() = default;
  template <class... G>
  requires(sizeof...(G) > 0 && (std::is_convertible_v<G&&, Grad> && ...)) Grads(G&&... grads) {
    (push_back(Grad(std::forward<G>(grads))), ...);
  }
  void push_back(Grad g) {
    if (size_ < few_.size()) few_[size_] = std::move(g);
    else more_.push_back(std::move(g));
    ++size_;
  }
  std::size_t size() const { return size_; }
  Grad& operator[](std::size_t i) { return i < few_.size() ? few_[i] : more_[i - few_.size()]; }

 private:
  std::array<Grad, 4> few_;
  Vec<Grad> more_;
  std::size_t size_ = 0;
};

/// A differentiable op: its name, its rule in differentiable ops, and (about ten memory-bound ops) a fused rule that is taken when
/// nothing is recorded. An op with several results has a `multi_rule`, which gets one gradient per result (empty: none arrived).
struct Op {
  const char* name;
  Grads (*rule)(const Entry& e, const Tensor& dy) = nullptr;
  Grads (*fused)(const Entry& e, const Tensor& dy) = nullptr;
  Grads (*multi_rule)(const Entry& e, const Tensor* dys) = nullptr;
};

namespace detail {

/// A tensor that an entry keeps for its rule, and the version of its storage at that time.
struct SavedTensor {
  Tensor tensor;
  std::uint32_t version = 0;
};

}  // namespace detail

/// One recorded op. Lives in the tape's arena.
struct Entry {
  const Op* op = nullptr;
  Tape::State* tape = nullptr;
  Entry* previous = nullptr;
  Entry* next = nullptr;
  std::uint32_t* inputs = nullptr;  // slots; detail::kNoSlot for an input that is not live
  detail::SavedTensor* saved_tensors = nullptr;
  void* attributes = nullptr;
  void (*destroy_attributes)(void*) = nullptr;
  std::uint32_t input_count = 0, first_output = 0;
  std::uint16_t output_count = 0, saved_count = 0;

  /// The i-th saved tensor. Throws GradientError if it was overwritten since, naming both ops. Empty if it was not kept.
  const Tensor& saved(int i) const;
  /// True if this sweep wants the gradient of input i. A rule with costly parts asks before it computes them.
  bool needs(int i) const;
  template <class T> const T& attrs() const { return *static_cast<const T*>(attributes); }
  /// Shape of result i: rules that need a shape do not keep the data.
  Shape output_shape(int i = 0) const;
  Shape input_shape(int i) const;
};

/// The inputs of an op, borrowed for the call.
class Inputs {
 public:
  static constexpr int kFew = 8;
  Inputs(std::initializer_list<std::reference_wrapper<const Tensor>> tensors) {
    for (const Tensor& t : tensors) few_[size_++] = &t;
  }
  /// Any number of inputs (concat, stack, recompute).
  explicit Inputs(std::span<const Tensor> tensors) : many_(tensors.data()), size_(static_cast<int>(tensors.size())) {}
  int size() const { return size_; }
  const Tensor& operator[](int i) const { return many_ ? many_[i] : *few_[i]; }

 private:
  const Tensor* few_[kFew] = {};
  const Tensor* many_ = nullptr;
  int size_ = 0;
};

/// What a rule will read. `for_input(i, t)`: kept only if input i is live; plain: kept whenever the op is recorded.
class Saving {
 public:
  struct Item {
    const Tensor* tensor = nullptr;
    int input = -1;  // -1: always
    Item() = default;
    Item(const Tensor& t, int for_input = -1) : tensor(&t), input(for_input) {}
  };
  Saving() = default;
  Saving(std::initializer_list<Item> items) {
    for (const Item& item : items) items_[size_++] = item;
  }
  int size() const { return size_; }
  const Item& operator[](int i) const { return items_[i]; }

 private:
  Item items_[8];
  int size_ = 0;
};
inline Saving::Item for_input(int input, const Tensor& t) { return {t, input}; }

namespace detail {

struct Attributes {
  const void* data = nullptr;
  std::size_t bytes = 0;
  void (*move_into)(void* to, const void* from) = nullptr;  // null: plain bytes
  void (*destroy)(void*) = nullptr;
};

/// What record() asks before anything else; constant-initialised, one per thread.
struct Recording {
  Tape::State* innermost = nullptr;
  int no_grad = 0;
};
extern constinit thread_local Recording recording;

void record_results(const Op& op, std::span<Tensor> results, const Inputs& inputs, const Saving& saving, const Attributes& attributes);

}  // namespace detail

/// An op with several results.
template <class T> void record_many(const Op& op, std::span<Tensor> results, const Inputs& inputs, const Saving& saving, T attributes) {
  if (!detail::recording.innermost || detail::recording.no_grad) return;
  detail::Attributes a{&attributes, sizeof(T), nullptr, nullptr};
  if constexpr (!std::is_trivially_copyable_v<T>) {
    a.move_into = [](void* to, const void* from) { new (to) T(std::move(*static_cast<T*>(const_cast<void*>(from)))); };
    a.destroy = [](void* p) { static_cast<T*>(p)->~T(); };
  }
  detail::record_results(op, results, inputs, saving, a);
}

/// Records `y` = op(inputs) if one of the inputs is live on the innermost tape, and returns y. `y` must be a fresh tensor.
/// Throws GradientError if an input is severed from that tape or, when recording, if the op has no rule.
inline Tensor record(const Op& op, Tensor y, const Inputs& inputs, const Saving& saving = {}) {
  if (detail::recording.innermost && !detail::recording.no_grad) detail::record_results(op, {&y, 1}, inputs, saving, {});
  return y;
}
/// The same with attributes: a small struct that the rule reads by e.attrs<T>(). Moved into the tape's arena, destroyed with it.
template <class T> Tensor record(const Op& op, Tensor y, const Inputs& inputs, const Saving& saving, T attributes) {
  if (detail::recording.innermost && !detail::recording.no_grad) record_many(op, {&y, 1}, inputs, saving, std::move(attributes));
  return y;
}
/// Writes into a tensor that the op has just made.
inline Array fresh(Tensor& t) { return TensorAccess::fresh(t); }

// Checks that ops share. Each throws the named error with the op and its operands.
void require_defined(const char* op, const char* name, const Tensor& x);             // ValueError
void require_floating(const char* op, const char* name, const Tensor& x);            // DTypeError
void require_dtype(const char* op, const char* name, const Tensor& x, DType dtype);  // DTypeError
void require_same_dtype(const char* op, const char* a_name, const Tensor& a, const char* b_name,
                        const Tensor& b);                                        // DTypeError, DeviceError
void require_rank(const char* op, const char* name, const Tensor& x, int rank);  // ShapeError
void require_same_shape(const char* op, const char* a_name, const Tensor& a, const char* b_name, const Tensor& b);  // ShapeError
/// An axis in [-rank, rank) as one in [0, rank). Throws ShapeError.
int require_axis(const char* op, const char* name, const Tensor& x, int axis);

/// The numpy broadcast of two shapes. Throws ShapeError naming both.
Shape broadcast_shape(const char* op, const Shape& a, const Shape& b);

}  // namespace gradus::inline v0

// GRADUS_RUN(device, kernel, arguments...): runs cpu::kernel or cuda::kernel, whichever holds the operands.
#if defined(GRADUS_CUDA)
#define GRADUS_RUN(on_device, kernel, ...) \
  ((on_device) == ::gradus::Device::cuda ? ::gradus::cuda::kernel(__VA_ARGS__) : ::gradus::cpu::kernel(__VA_ARGS__))
#else
#define GRADUS_RUN(on_device, kernel, ...) ((void)(on_device), ::gradus::cpu::kernel(__VA_ARGS__))
#endif
