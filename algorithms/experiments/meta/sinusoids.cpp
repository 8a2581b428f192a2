#include <gradus/algorithms/experiments/meta/sinusoids.h>

#include <cmath>

#include <gradus/engine/ops/shape.h>
#include <gradus/engine/ops/softmax.h>
#include <gradus/engine/tape.h>

namespace gradus::experiments {
namespace {

constexpr std::uint64_t kTestSeed = 600;  // the test tasks are the same for every run and method
constexpr int kEvaluations = 3;           // the last ones, of which the best counts

Tensor rows_of(const std::vector<Task>& tasks, Tensor Task::*member) {
  TensorList parts;
  for (const Task& t : tasks) parts.push_back(t.*member);
  return concat(parts, 0);
}

const char* metric_name(int i) {
  static const char* const names[5] = {"mse_0", "mse_1", "mse_2", "mse_5", "mse_10"};
  return names[i];
}

Series curve(const char* name, const AdaptationCurve& c) {
  Series s{.name = name};
  for (int i = 0; i < 5; ++i) {
    s.x.push_back(AdaptationCurve::kSteps[i]);
    s.y.push_back(c.mse[i]);
  }
  return s;
}

/// Evaluations are spread over the last fifth of the run.
bool evaluate_after(std::int64_t step, std::int64_t total) {
  for (int i = 0; i < kEvaluations; ++i)
    if (step + 1 == total - i * (total / 10)) return true;
  return false;
}

}  // namespace

void SinusoidExperiment::visit(FieldVisitor& v) {
  tasks.visit(v);
  v.field("meta_steps", meta_steps, "outer steps", "70000 at most");
  v.field("meta_batch", meta_batch, "tasks per outer step", "25");
  v.field("outer_lr", outer_lr, "rate of the outer Adam", "1e-3");
  v.field("test_tasks", test_tasks, "fixed tasks of the evaluation", "600");
  v.field("test_queries", test_queries, "query points of a test task", "100");
  v.field("test_lr", test_lr, "step size of adaptation at test time", "0.01");
}

Module sinusoid_model(const Run& run) {
  Generator rng(run.seed());
  Module model = Mlp({1, 40, 40, 1}, rng);
  model.to(run.device());
  return model;
}

Tensor mse_loss(const Tensor& output, const Tensor& target) { return mse(output, target); }

std::vector<Task> fixed_test_tasks(const SinusoidExperiment& config) {
  SinusoidTasks source = config.tasks;
  source.query = config.test_queries;
  std::vector<Task> tasks;
  for (std::int64_t i = 0; i < config.test_tasks; ++i)
    tasks.push_back(source.sample(fold(Key{kTestSeed, 0}, static_cast<std::uint64_t>(i))).to(config.device));
  return tasks;
}

std::vector<Task> meta_batch(const SinusoidExperiment& config, Key key, std::int64_t step) {
  std::vector<Task> tasks;
  const Key step_key = fold(key, static_cast<std::uint64_t>(step));
  for (std::int64_t i = 0; i < config.meta_batch; ++i)
    tasks.push_back(config.tasks.sample(fold(step_key, static_cast<std::uint64_t>(i))).to(config.device));
  return tasks;
}

AdaptationCurve adaptation_curve(const Module& model, const std::vector<Task>& tasks, double test_lr) {
  const MamlConfig config{.inner_lr = test_lr, .inner_steps = AdaptationCurve::kSteps[4]};
  AdaptationCurve c;
  for (const Task& task : tasks) {
    const std::vector<TensorList> path = maml_adapt(model, task, mse_loss, config, Key{});
    for (int i = 0; i < 5; ++i)
      c.mse[i] += query_loss(model, path[static_cast<std::size_t>(AdaptationCurve::kSteps[i])], task, mse_loss, config.mode, Key{}) /
                  static_cast<double>(tasks.size());
  }
  return c;
}

void show_task_tape(Run& run, const Module& model, const Task& task) {
  Tape tape(model.parameters());
  run.trace(tape);
  const Tensor loss = mse(model(task.support_inputs), task.support_targets);
  run.show(tape);
}

AdaptationCurve joint_baseline(Run& run, const SinusoidExperiment& config) {
  Module model = sinusoid_model(run);
  Adam optimizer({.learning_rate = config.outer_lr});
  const Key key = fold(Key{run.seed(), 0}, 2);
  for (std::int64_t step = 0; step < config.meta_steps; ++step) {
    const std::vector<Task> tasks = meta_batch(config, key, step);
    const Tensor inputs = concat({rows_of(tasks, &Task::support_inputs), rows_of(tasks, &Task::query_inputs)}, 0);
    const Tensor targets = concat({rows_of(tasks, &Task::support_targets), rows_of(tasks, &Task::query_targets)}, 0);
    Tape tape(model.parameters());
    optimizer.step(tape.gradients(mse(model(inputs), targets)));
    if (step % 100 == 0) run.progress(step, config.meta_steps, "joint baseline");
  }
  return adaptation_curve(model, fixed_test_tasks(config), config.test_lr);
}

SinusoidCurves train_and_report(Run& run, const SinusoidExperiment& config, Module& model, Optimizer* optimizer, const char* title,
                                const std::function<MetaReport(std::int64_t)>& meta_step) {
  run.data({.name = "sinusoids",
            .train = config.meta_steps * config.meta_batch,
            .test = config.test_tasks,
            .origin = "generated from the seed"});
  const std::vector<Task> test = fixed_test_tasks(config);
  AdaptationCurve best;
  best.mse[1] = HUGE_VAL;
  const auto state = [&](Checkpoint& c) {
    c("model", model);
    if (optimizer) c("optimizer", *optimizer, model);
    for (int i = 0; i < 5; ++i) c(metric_name(i), best.mse[i]);
  };
  for (const std::int64_t step : run.steps(config.meta_steps, state)) {
    const MetaReport report = meta_step(step);
    run.log(step, {{"query_loss", report.query_loss}, {"support_loss", report.support_loss}});
    run.count_samples(config.meta_batch * (config.tasks.support + config.tasks.query));
    if (!evaluate_after(step, config.meta_steps)) continue;
    const AdaptationCurve now = adaptation_curve(model, test, config.test_lr);
    if (now.mse[1] < best.mse[1]) best = now;
  }
  const AdaptationCurve joint = joint_baseline(run, config);
  for (int i = 0; i < 5; ++i) {
    run.metric(metric_name(i), best.mse[i]);
    run.baseline("joint", metric_name(i), joint.mse[i]);
  }
  run.plot({.file = "adaptation",
            .title = title,
            .x_title = "gradient steps at test time",
            .y_title = "query error (MSE)",
            .series = {curve("meta-learned", best), curve("joint training", joint)},
            .levels = {{"best constant prediction", 3.006}}});
  Series query = run.series("query_loss"), support = run.series("support_loss");
  query.name = "after adaptation";
  support.name = "before adaptation";
  run.plot({.file = "training", .title = "Meta-training", .x_title = "meta-step", .y_title = "loss (MSE)", .series = {support, query}});
  const double gain = best.mse[1] / best.mse[0];
  run.finding({"adaptation_gain", gain, 0.7, gain > 0.7 ? "alarm" : "ok",
               gain > 0.7 ? "one step barely helps: the outer loop may not see through the inner one" : ""});
  return {best, joint};
}

}  // namespace gradus::experiments
