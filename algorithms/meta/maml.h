// MAML, model-agnostic meta-learning: an initialisation that adapts in K gradient steps.
// Finn, Abbeel, Levine 2017, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks", arXiv 1703.03400, algorithm 1.
//
//     theta_i = theta - alpha grad L_S,i(theta)                      inner loop on task i's support set, K times
//     theta  <- theta - beta grad_theta sum_i L_Q,i(theta_i)         exact: through the inner gradients, second order
//
// Differs from the paper: the outer gradient is the mean over the meta-batch (the released code's convention), the outer optimizer is
// the caller's, and the second order may be taken unrolled or by the adjoint sweep (inner_loop.h).
#pragma once

#include <functional>
#include <span>

#include <gradus/algorithms/meta/inner_loop.h>
#include <gradus/algorithms/meta/task.h>
#include <gradus/nn/config.h>
#include <gradus/nn/module.h>
#include <gradus/nn/optimizers.h>

namespace gradus::inline v0 {

/// A scalar loss of outputs and targets: mse, cross_entropy, ...
using LossFunction = std::function<Tensor(const Tensor& output, const Tensor& target)>;

/// What batch norm and dropout do inside a task.
enum class InnerMode {
  transductive,  ///< a training pass: statistics of the current batch in training and test alike, as the published code; dropout draws
  inference      ///< running statistics, no dropout
};

struct MamlConfig {
  double inner_lr = 0.01;
  int inner_steps = 1;
  Differentiate differentiate = Differentiate::unrolled;
  InnerMode mode = InnerMode::transductive;
  double inner_clip = 0;

  void visit(FieldVisitor& v);
  InnerLoopConfig inner() const { return {inner_lr, inner_steps, differentiate, inner_clip}; }
};

/// Meta-gradient of one task at `values`, the model's parameters. `key` keys the random draws of the task's forward passes.
/// Throws what the model, the loss and inner_loop_gradient throw.
///
///     MamlConfig config{.inner_lr = 0.01, .inner_steps = 5};
///     InnerLoopGradient g = maml_gradient(model, model.parameters(), task, mse_loss, config, key);
InnerLoopGradient maml_gradient(const Module& model, const TensorList& values, const Task& task, const LossFunction& loss,
                                const MamlConfig& config, Key key);

/// What a meta-step saw, averaged over its tasks.
struct MetaReport {
  double query_loss = 0;    ///< after adaptation
  double support_loss = 0;  ///< before adaptation
  std::int64_t peak_tape_bytes = 0;
};

/// One meta-step: the mean meta-gradient over `tasks`, accumulated in task order, then optimizer.step.
MetaReport maml_step(const Module& model, Optimizer& optimizer, std::span<const Task> tasks, const LossFunction& loss,
                     const MamlConfig& config, Key key);

/// The parameters after 0, 1, ..., config.inner_steps steps on the task's support set: what a deployed model does. No graph is kept.
std::vector<TensorList> maml_adapt(const Module& model, const Task& task, const LossFunction& loss, const MamlConfig& config, Key key);

/// The loss on the query set of the model with `values`, under the pass that `mode` asks for.
double query_loss(const Module& model, const TensorList& values, const Task& task, const LossFunction& loss, InnerMode mode, Key key);

}  // namespace gradus::inline v0
