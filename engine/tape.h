// The tape: an explicit list of what was computed, from which gradients of any order are taken.
//
//     Tape tape({w, b});                                  // watches w and b
//     Tensor loss = mse(linear(x, w, b), y);              // recorded: w and b are live here
//     Gradients g = tape.gradients(loss);                 // g.values[0] belongs to w, g.values[1] to b
//
// - An op is recorded on the innermost tape of this thread if one of its inputs is live there: watched, or made by a recorded op.
//   Everything else (data preparation, frozen networks, teachers, metrics) leaves nothing on the tape.
// - gradients() without `retain` finishes the tape: what it saved is released, nothing more is recorded on it.
// - `create_graph` records the backward pass on the same tape (and keeps the tape), so its results can be differentiated again.
// - Nested tapes are for independent work. An inner tape sees the outer one's tensors as constants; a result that lost an outer
//   gradient that way is *severed*, and using it on the outer tape throws. detach() and NoGrad are the explicit cuts.
// - A tape belongs to the thread that made it; asking for its gradients elsewhere throws, and its tensors are constants there. A
//   coroutine must not change threads while a tape is alive.
#pragma once

#include <initializer_list>
#include <iosfwd>
#include <string>

#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

/// Gradients beside what they belong to, in the order of watching. They are values: nothing is stored in a tensor.
/// A parameter that the loss does not reach (another task's head) has an empty gradient; optimizers skip it.
struct Gradients {
  TensorList parameters;
  TensorList values;

  std::size_t size() const { return values.size(); }
  /// The gradient of `parameter`. Throws GradientError if it was not asked for.
  const Tensor& operator[](const Tensor& parameter) const;
};

struct GradientOptions {
  bool create_graph = false;  ///< record the backward pass, so that its results have gradients; implies retain
  bool retain = false;        ///< keep the tape for another sweep
  bool require_all = false;   ///< throw if any tensor asked for is not reached (meta-learning: a cut graph is a bug)
  Tensor seed = {};           ///< gradient of the loss, same shape; needed where the loss has more than one element
};

/// Which tensors gradients are asked for: `{x, w}`, or a TensorList. Borrowed for the call.
class Wrt {
 public:
  Wrt(std::initializer_list<Tensor> tensors) : tensors_(tensors.begin(), tensors.size()) {}
  Wrt(const TensorList& tensors) : tensors_(tensors) {}
  std::span<const Tensor> tensors() const { return tensors_; }

 private:
  std::span<const Tensor> tensors_;
};

/// Counts of what a tape holds and did.
struct TapeStats {
  std::int64_t entries = 0;      ///< recorded ops
  std::int64_t rules_run = 0;    ///< backward rules run so far
  std::int64_t gradients = 0;    ///< gradients that those rules computed for inputs: no more than one per wanted input
  std::int64_t saved_bytes = 0;  ///< bytes of tensors that the tape keeps alive for its rules (a shared tensor counts once per saving)
  std::int64_t own_bytes = 0;    ///< bytes of the entries themselves
  std::int64_t peak_bytes = 0;   ///< highest saved_bytes + own_bytes so far
};

class Tape {
 public:
  Tape();
  /// Watches `parameters`, in order.
  explicit Tape(TensorList parameters);
  Tape(std::initializer_list<Tensor> parameters);
  ~Tape();
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  /// Makes x live here; its gradient can be asked for. Throws DTypeError for integers, GradientError on a finished tape.
  void watch(const Tensor& x);

  /// Gradients of `loss` with respect to everything watched, in order.
  /// Throws GradientError if nothing watched is reached, if the tape is finished, belongs to another thread or never saw `loss`, or if a
  /// tensor that a rule needs was overwritten since; ShapeError if `loss` has several elements and no seed is given.
  Gradients gradients(const Tensor& loss, const GradientOptions& options = {});
  /// The same for `wrt`: any watched tensors or recorded intermediates.
  TensorList gradients(const Tensor& loss, const Wrt& wrt, const GradientOptions& options = {});

  bool finished() const;
  /// True if the tape would record an op on x: x is watched, or was made by a recorded op.
  bool is_live(const Tensor& x) const;
  TapeStats stats() const;

  /// From now on entries keep the norm of their result, their time and the module path, for the listings.
  void trace();
  /// A table, one line an entry: index, op, inputs, shape, bytes saved (and norm, microseconds, path after trace()).
  std::string table() const;
  /// The same as a graph for Graphviz.
  std::string dot() const;

  struct State;  // engine-internal

 private:
  State* state_;
};

/// Nothing is recorded on this thread while it lives, and no result is severed: an explicit cut.
class NoGrad {
 public:
  NoGrad();
  ~NoGrad();
  NoGrad(const NoGrad&) = delete;
  NoGrad& operator=(const NoGrad&) = delete;
};

/// While it lives, every recorded result and every gradient on this thread is checked; the first NaN or infinity is a GradientError
/// that names op, entry and module path.
class AnomalyMode {
 public:
  AnomalyMode();
  ~AnomalyMode();
  AnomalyMode(const AnomalyMode&) = delete;
  AnomalyMode& operator=(const AnomalyMode&) = delete;
};

/// Names a part of the model for traces and anomaly reports: "encoder", "encoder/2", ... Costs two moves when nobody looks.
class NameScope {
 public:
  explicit NameScope(const char* name, int index = -1);
  ~NameScope();
  NameScope(const NameScope&) = delete;
  NameScope& operator=(const NameScope&) = delete;
  /// The names of this thread's scopes, outermost first, joined by '/'.
  static std::string path();

 private:
  const char* name_;
  int index_;
  const NameScope* outer_;
};

}  // namespace gradus::inline v0
