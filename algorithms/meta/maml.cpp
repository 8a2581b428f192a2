#include <gradus/algorithms/meta/maml.h>

#include <optional>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/pass.h>

namespace gradus::inline v0 {
namespace {

/// The pass of one forward inside a task: keyed by the step, so that the adjoint's second evaluation draws the same; statistics of
/// inner loops are discarded.
class TaskPass {
 public:
  TaskPass(InnerMode mode, Key key) {
    if (mode == InnerMode::inference) inference_.emplace();
    else training_.emplace(key).discard();
  }

 private:
  std::optional<TrainingPass> training_;
  std::optional<InferencePass> inference_;
};

InnerLoss loss_on(const Module& model, const Tensor& inputs, const Tensor& targets, const LossFunction& loss, InnerMode mode, Key key) {
  return [&model, &inputs, &targets, &loss, mode, key](const TensorList& values, int step) {
    const TaskPass pass(mode, fold(key, static_cast<std::uint64_t>(step)));
    return loss(bind_parameters(model, std::span<const Tensor>(values))(inputs), targets);
  };
}

}  // namespace

void MamlConfig::visit(FieldVisitor& v) {
  v.field("inner_lr", inner_lr, "step size of the inner loop", "0.01 (sinusoid)");
  v.field("inner_steps", inner_steps, "gradient steps of the inner loop", "1 (sinusoid)");
  v.choice("differentiate", differentiate, {"unrolled", "adjoint", "first_order"},
           "how the inner loop is differentiated; the first two agree", "unrolled");
  v.choice("mode", mode, {"transductive", "inference"}, "batch norm and dropout inside a task", "transductive");
  v.field("inner_clip", inner_clip, "elementwise bound on inner gradients; 0: none", "none (10 on mini-ImageNet, outer)");
}

InnerLoopGradient maml_gradient(const Module& model, const TensorList& values, const Task& task, const LossFunction& loss,
                                const MamlConfig& config, Key key) {
  return inner_loop_gradient(loss_on(model, task.support_inputs, task.support_targets, loss, config.mode, key),
                             loss_on(model, task.query_inputs, task.query_targets, loss, config.mode, key), values, {}, {}, config.inner());
}

MetaReport maml_step(const Module& model, Optimizer& optimizer, std::span<const Task> tasks, const LossFunction& loss,
                     const MamlConfig& config, Key key) {
  if (tasks.empty()) raise_value("[maml_step] no tasks");
  const double share = 1.0 / static_cast<double>(tasks.size());
  Gradients mean;
  mean.parameters = model.parameters();
  mean.values.resize(mean.parameters.size());
  MetaReport report;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const InnerLoopGradient g = maml_gradient(model, mean.parameters, tasks[i], loss, config, fold(key, i));
    for (std::size_t p = 0; p < mean.values.size(); ++p)
      if (g.initial[p]) mean.values[p] = mean.values[p] ? add_scaled(mean.values[p], g.initial[p], share) : g.initial[p] * share;
    report.query_loss += share * g.query_loss.item();
    report.support_loss += share * g.support_losses[0];
    if (g.peak_tape_bytes > report.peak_tape_bytes) report.peak_tape_bytes = g.peak_tape_bytes;
  }
  optimizer.step(mean);
  return report;
}

std::vector<TensorList> maml_adapt(const Module& model, const Task& task, const LossFunction& loss, const MamlConfig& config, Key key) {
  return adapt(loss_on(model, task.support_inputs, task.support_targets, loss, config.mode, key), model.parameters(), config.inner());
}

double query_loss(const Module& model, const TensorList& values, const Task& task, const LossFunction& loss, InnerMode mode, Key key) {
  const NoGrad evaluation;
  return loss_on(model, task.query_inputs, task.query_targets, loss, mode, key)(values, 0).item();
}

}  // namespace gradus::inline v0
