#include <gradus/algorithms/meta/reptile.h>

#include <optional>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/index.h>
#include <gradus/engine/ops/random.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/pass.h>

namespace gradus::inline v0 {
namespace {

/// W - theta for one task.
TensorList walk(const Module& model, const TensorList& theta, const Task& task, const LossFunction& loss, const ReptileConfig& config,
                Key key) {
  TensorList w = theta;
  const std::int64_t points = task.support_inputs.size(0);
  for (int k = 0; k < config.inner_steps; ++k) {
    const Key step_key = fold(key, static_cast<std::uint64_t>(k));
    const Tensor rows = slice_rows(permutation(step_key, points), 0, config.inner_batch);
    std::optional<TrainingPass> pass;
    if (config.mode == InnerMode::transductive) pass.emplace(fold(step_key, 1)).discard();
    Tape tape(w);
    const Tensor value = loss(bind_parameters(model, std::span<const Tensor>(w))(index_select(task.support_inputs, rows, 0)),
                              index_select(task.support_targets, rows, 0));
    const Gradients g = tape.gradients(value);
    for (std::size_t p = 0; p < w.size(); ++p)
      if (g.values[p]) w[p] = add_scaled(w[p], g.values[p], -config.inner_lr);
  }
  for (std::size_t p = 0; p < w.size(); ++p) w[p] = w[p] - theta[p];
  return w;
}

}  // namespace

void ReptileConfig::visit(FieldVisitor& v) {
  v.field("inner_steps", inner_steps, "SGD steps on a task; at least 2", "5");
  v.field("inner_lr", inner_lr, "step size of the inner loop", "0.02 (sinusoid)");
  v.field("inner_batch", inner_batch, "points of an inner mini-batch", "10");
  v.field("epsilon", epsilon, "outer step at the start, annealed linearly to 0", "1");
  v.choice("mode", mode, {"transductive", "inference"}, "batch norm and dropout inside a task", "transductive");
}

TensorList reptile_direction(const Module& model, std::span<const Task> tasks, const LossFunction& loss, const ReptileConfig& config,
                             Key key) {
  if (config.inner_steps < 2)
    raise_value("[reptile] inner_steps is " + std::to_string(config.inner_steps) +
                "; one step is joint training, Reptile needs at least 2");
  if (tasks.empty()) raise_value("[reptile] no tasks");
  const double share = 1.0 / static_cast<double>(tasks.size());
  const TensorList theta = model.parameters();
  TensorList mean(theta.size());
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    if (config.inner_batch < 1 || config.inner_batch > tasks[i].support_inputs.size(0))
      raise_value("[reptile] inner_batch is " + std::to_string(config.inner_batch) + " but the support set has " +
                  std::to_string(tasks[i].support_inputs.size(0)) + " examples");
    const TensorList moved = walk(model, theta, tasks[i], loss, config, fold(key, i));
    for (std::size_t p = 0; p < mean.size(); ++p) mean[p] = mean[p] ? add_scaled(mean[p], moved[p], share) : moved[p] * share;
  }
  return mean;
}

void reptile_step(const Module& model, std::span<const Task> tasks, const LossFunction& loss, const ReptileConfig& config, double progress,
                  Key key) {
  const TensorList direction = reptile_direction(model, tasks, loss, config, key);
  const TensorList theta = model.parameters();
  for (std::size_t p = 0; p < theta.size(); ++p) assign(theta[p], add_scaled(theta[p], direction[p], config.epsilon * (1 - progress)));
}

}  // namespace gradus::inline v0
