// Optimizers: what turns gradients into steps.
//
// An optimizer holds no tensor of the model. Its state (moments, step counts, masks) is keyed by a parameter's id, so it follows a
// parameter through moves, and is saved by the parameter's name (nn/serialize.h). Parameters are met as they come: nothing is registered.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gradus/engine/tape.h>
#include <gradus/nn/config.h>
#include <gradus/nn/growth.h>
#include <gradus/kernels/optimizer.h>
#include <gradus/nn/module.h>
#include <gradus/nn/schedules.h>

namespace gradus::inline v0 {

/// Parameters by id.
using ParameterIds = std::vector<std::uint64_t>;

/// The parameters of `model` for which predicate(const NamedTensor&) holds.
template <class M, class Predicate> ParameterIds select_parameters(const M& model, Predicate&& predicate) {
  ParameterIds ids;
  for (const NamedTensor& t : model.named_tensors())
    if (!t.is_buffer && predicate(t)) ids.push_back(t.tensor.id());
  return ids;
}
/// Biases and normalisation parameters: what weight decay customarily leaves alone.
///
///     AdamW adamw({.learning_rate = 2e-3, .weight_decay = 1e-4, .no_decay = no_decay(model)});
template <class M> ParameterIds no_decay(const M& model) {
  return select_parameters(model, [](const NamedTensor& t) { return t.role == Role::bias || t.role == Role::norm; });
}

/// One parameter's part of an optimizer's state. Copies are real copies, as with modules.
struct OptimizerState {
  Buffer moments[2];       ///< velocity; or first and second moment. Empty until needed
  Buffer mask;             ///< factor of the step, in the parameter's type; empty: 1
  std::int64_t steps = 0;  ///< that this parameter has taken
  bool decays = true;
};

/// Base of all optimizers. A value: copying copies the state.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  /// One step along `gradients`: everything is checked, then everything is updated. A parameter whose gradient is empty is skipped, its
  /// state untouched (one step of a model with several heads moves the head that was used).
  /// Throws ShapeError, DTypeError naming the parameter; GradientError if one is live on an unfinished tape; MemoryError. In every case
  /// nothing has moved. Makes no malloc after the first step of each parameter.
  void step(const Gradients& gradients);

  /// Calls of step() so far: the argument of the schedule.
  std::int64_t steps() const { return steps_; }
  /// The rate of the next step.
  double learning_rate() const { return schedule()(steps_); }
  /// A number or a schedule, from the next step on.
  virtual void set_learning_rate(Schedule rate) = 0;

  /// From now on the step of `parameter`, weight decay included, is multiplied by `mask` (bool, or the parameter's type): where it is 0 the
  /// parameter keeps its bits, whatever momentum or decay would do. The gradient, and so the moments, are not masked. An empty mask lifts
  /// it. Throws ShapeError, DTypeError.
  void set_update_mask(const Tensor& parameter, const Tensor& mask);
  /// These parameters are not decayed (a head added later).
  void exclude_from_decay(const ParameterIds& parameters);

  /// Moves the state of grown parameters to the tensors that replaced them: elements that have an ancestor keep its moments and mask, new
  /// ones begin with zero moments and move freely. Step counts stay. Parameters without state are passed over.
  void remap(const GrowthMap& growth);
  /// Moments and step counts of all parameters begin anew; masks, exclusions and the schedule's position stay.
  void reset();
  /// Drops all state of one parameter: a layer that is gone or was re-initialised.
  void forget(const Tensor& parameter);

  // What a checkpoint reads and writes, and diagnostics look at.

  /// "adam", "sgd", ...
  const char* name() const { return name_; }
  /// How many moments a parameter has, and their names in files: "velocity"; "m", "v".
  virtual int moments() const = 0;
  virtual const char* moment_name(int i) const = 0;
  /// The fields of the config, for reading and writing.
  virtual void visit_config(FieldVisitor& v) = 0;
  /// How many parameters have state.
  std::size_t parameters() const { return ids_.size(); }
  /// The state of a parameter, or null if it has none.
  const OptimizerState* state_of(const Tensor& parameter) const;
  /// Replaces all state: ids[i] has states[i].
  void replace_state(std::int64_t steps, Vec<std::uint64_t> ids, Vec<OptimizerState> states) noexcept;
  /// An optimizer with the same config and exclusions and no state.
  std::unique_ptr<Optimizer> without_state() const;
  /// Becomes `other`, which must be of the same kind.
  virtual void take(Optimizer&& other) noexcept = 0;

 protected:
  Optimizer(const char* name, ParameterIds no_decay) : name_(name), no_decay_(std::move(no_decay)) {}
  Optimizer(const Optimizer&) = default;
  Optimizer(Optimizer&&) noexcept = default;
  Optimizer& operator=(const Optimizer&) = default;
  Optimizer& operator=(Optimizer&&) noexcept = default;

  /// What one parameter's update needs. state->steps counts the steps before this one.
  struct Update {
    const Tensor *parameter, *gradient;  // begin_write() has been called on the parameter
    OptimizerState* state;
    double rate;
  };
  virtual const Schedule& schedule() const = 0;
  virtual std::unique_ptr<Optimizer> make() const = 0;
  /// Moves parameters of one device, in order: on CUDA in a launch or two for all of them. Only memory can run out, before anything moved.
  virtual void apply(std::span<const Update> updates) = 0;

 private:
  struct Pending {
    const Tensor *parameter, *gradient;
    std::size_t index;  // of the state
  };
  std::size_t find(std::uint64_t id) const;
  std::size_t find_or_add(const Tensor& parameter);
  void prepare(const Tensor& parameter, const Tensor& gradient);

  const char* name_;
  ParameterIds no_decay_;
  std::int64_t steps_ = 0;
  Vec<std::uint64_t> ids_;  // beside states_, so that a search reads nothing else
  Vec<OptimizerState> states_;
  Vec<Pending> pending_;  // the step in progress
  Vec<Update> updates_;
  mutable std::size_t cursor_ = 0;  // where the next parameter is expected: gradients come in the same order at every step
};

// ---- the optimizers

struct SgdConfig {
  Schedule learning_rate = 0.1;
  double momentum = 0;  ///< 0: plain gradient descent, no state
  bool nesterov = false;
  double weight_decay = 0;  ///< added to the gradient
  ParameterIds no_decay = {};
  void visit(FieldVisitor& v);
};

/// Stochastic gradient descent: d = g + weight_decay w; u = momentum u + d (u = d at first); w -= rate u, or with nesterov
/// w -= rate (d + momentum u). Sutskever et al. 2013, "On the importance of initialization and momentum", in PyTorch's form.
///
///     Sgd sgd({.learning_rate = .1, .momentum = .9});
class Sgd final : public Optimizer {
 public:
  /// Throws ValueError for a momentum outside [0, 1), nesterov without momentum, a negative decay.
  explicit Sgd(SgdConfig config);
  void set_learning_rate(Schedule rate) override { config_.learning_rate = rate; }
  const SgdConfig& config() const { return config_; }
  int moments() const override { return config_.momentum != 0 ? 1 : 0; }
  const char* moment_name(int) const override { return "velocity"; }
  void visit_config(FieldVisitor& v) override { config_.visit(v); }
  void take(Optimizer&& other) noexcept override { *this = std::move(static_cast<Sgd&>(other)); }

 private:
  const Schedule& schedule() const override { return config_.learning_rate; }
  std::unique_ptr<Optimizer> make() const override { return std::make_unique<Sgd>(config_); }
  void apply(std::span<const Update> updates) override;
  SgdConfig config_;
  Vec<SgdItem> items_;  // of the step in progress
};

struct AdamConfig {
  Schedule learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;    ///< added to the root
  double weight_decay = 0;  ///< added to the gradient
  ParameterIds no_decay = {};
  void visit(FieldVisitor& v);
};

/// Adam (Kingma & Ba 2015, "Adam", algorithm 1): m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2,
/// w -= rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon), t counting the parameter's own steps.
///
///     Adam adam({.learning_rate = 1e-3});
class Adam : public Optimizer {
 public:
  /// Throws ValueError for betas outside [0, 1), a negative epsilon or decay.
  explicit Adam(AdamConfig config) : Adam("adam", std::move(config), false) {}
  void set_learning_rate(Schedule rate) override { config_.learning_rate = rate; }
  const AdamConfig& config() const { return config_; }
  int moments() const override { return 2; }
  const char* moment_name(int i) const override { return i == 0 ? "m" : "v"; }
  void visit_config(FieldVisitor& v) override { config_.visit(v); }
  void take(Optimizer&& other) noexcept override { *this = std::move(static_cast<Adam&>(other)); }

 protected:
  Adam(const char* name, AdamConfig config, bool decoupled);

 private:
  const Schedule& schedule() const override { return config_.learning_rate; }
  std::unique_ptr<Optimizer> make() const override { return std::unique_ptr<Optimizer>(new Adam(name(), config_, decoupled_)); }
  void apply(std::span<const Update> updates) override;
  AdamConfig config_;
  bool decoupled_;
  Vec<AdamItem> items_;  // of the step in progress
  struct {
    std::int64_t steps = 0;
    double first = 1, second = 1;  // 1 - beta^steps
  } corrections_;
};

struct AdamWConfig {
  Schedule learning_rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;       ///< added to the root
  double weight_decay = 1e-2;  ///< w shrinks by rate weight_decay at every step
  ParameterIds no_decay = {};
};

/// Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2, without its schedule factor): w -= rate weight_decay w, then
/// Adam's step.
class AdamW final : public Adam {
 public:
  explicit AdamW(AdamWConfig config);
};

}  // namespace gradus::inline v0
