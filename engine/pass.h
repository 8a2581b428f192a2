// A pass: how a forward runs, not what it computes. Mode, dropout keys and running statistics belong to it, so modules have no flags.
//
//     TrainingPass pass(rng);                     // dropout draws, batch norm uses batch statistics
//     Tensor y = model(x);                        // no pass: inference
//     { InferencePass still; t = teacher(x); }    // inference inside a training pass: teachers, attacks, probes
//
// Passes are thread-local and nest; the innermost wins. Statistics that the forward hands over are written, in call order, when a
// training pass ends normally; discard() drops them, and so does an exception.
#pragma once

#include <gradus/engine/tensor.h>
#include <gradus/kernels/philox.h>

namespace gradus::inline v0 {

namespace detail {

/// A running statistic to be written at the end: buffer += weight (value - buffer).
struct DeferredUpdate {
  Tensor buffer, value;
  double weight;
};

struct PassState {
  bool training = false;
  Key base{};
  std::uint64_t draws = 0;  // keys handed out
  bool replaying = false;   // recompute's second run: updates were handed over by the first
  Vec<DeferredUpdate> updates;
  PassState* outer = nullptr;
};
PassState* current_pass();

/// Makes `state` the innermost pass of this thread for as long as it lives.
class PassScope {
 public:
  explicit PassScope(PassState& state);
  ~PassScope();
  PassScope(const PassScope&) = delete;
  PassScope& operator=(const PassScope&) = delete;

 private:
  PassState* state_;
};

}  // namespace detail

/// Training mode for as long as it lives; takes one key from `generator`.
class TrainingPass {
 public:
  explicit TrainingPass(Generator& generator);
  explicit TrainingPass(Key key);
  ~TrainingPass();
  TrainingPass(const TrainingPass&) = delete;
  TrainingPass& operator=(const TrainingPass&) = delete;
  /// Forgets the statistics handed over so far and from now on: inner loops, trial forwards.
  void discard();

 private:
  detail::PassState state_;
  detail::PassScope scope_;
  int exceptions_;
  bool discard_ = false;
};

/// Inference mode for as long as it lives, also inside a training pass.
class InferencePass {
 public:
  InferencePass() : scope_(state_) {}

 private:
  detail::PassState state_;
  detail::PassScope scope_;
};

/// True inside a training pass.
bool in_training();
/// The next random key of the current training pass. Throws ValueError outside one.
Key next_pass_key();
/// Hands a running statistic to the current training pass: buffer += weight (value - buffer) at its end. No-op outside one.
void update_at_end_of_pass(const Tensor& buffer, const Tensor& value, double weight);

}  // namespace gradus::inline v0
