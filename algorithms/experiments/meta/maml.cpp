// MAML on sinusoids: an initialisation from which one gradient step on ten points fits a new curve.
#include <gradus/algorithms/experiments/meta/sinusoids.h>
#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/softmax.h>
#include <gradus/engine/tape.h>

namespace gradus::experiments {
namespace {

struct MamlExperiment {
  SinusoidExperiment setting;
  MamlConfig maml;
  void visit(FieldVisitor& v) {
    maml.visit(v);
    setting.visit(v);
  }
};

/// The tape of one task, for `gradus tape maml`: MAML in a dozen lines, gradients of gradients on one tape.
void show_tape(Run& run, const Module& model, const Task& task, const MamlConfig& config) {
  TensorList theta = model.parameters();
  Tape tape(theta);
  run.trace(tape);
  for (int k = 0; k < config.inner_steps; ++k) {
    const Tensor support = mse(bind_parameters(model, std::span<const Tensor>(theta))(task.support_inputs), task.support_targets);
    const TensorList g = tape.gradients(support, theta, {.create_graph = true});
    for (std::size_t i = 0; i < theta.size(); ++i) theta[i] = add_scaled(theta[i], g[i], -config.inner_lr);
  }
  const Tensor query = mse(bind_parameters(model, std::span<const Tensor>(theta))(task.query_inputs), task.query_targets);
  run.show(tape);
}

void run_maml(Run& run) {
  MamlExperiment config;
  if (run.quick()) config.setting.meta_steps = 100, config.setting.test_tasks = 20;
  run.configure(config);
  config.setting.device = run.device();
  Module model = sinusoid_model(run);
  Adam optimizer({.learning_rate = config.setting.outer_lr});
  const Key key{run.seed(), 0}, task_key = fold(key, 1), draw_key = fold(key, 3);
  show_tape(run, model, meta_batch(config.setting, task_key, 0)[0], config.maml);
  const SinusoidCurves curves = train_and_report(run, config.setting, model, &optimizer, "MAML on sinusoids", [&](std::int64_t step) {
    return maml_step(model, optimizer, meta_batch(config.setting, task_key, step), mse_loss, config.maml,
                     fold(draw_key, static_cast<std::uint64_t>(step)));
  });
  run.check("mse_1", curves.trained.mse[1], "<=", .65, Judged::worst);
  run.check("mse_5", curves.trained.mse[3], "<=", .32, Judged::worst);
  run.check("mse_10", curves.trained.mse[4], "<=", .25, Judged::worst);
  run.check("joint_mse_1", curves.joint.mse[1], ">=", 1.8, Judged::worst);
}

const Experiment maml_experiment{
    .name = "maml",
    .family = "meta",
    .paper = "Finn, Abbeel, Levine 2017, arXiv 1703.03400",
    .idea = "Learn an initialisation from which a few gradient steps solve a new task; the meta-gradient goes through those steps.",
    .formula = "theta <- theta - beta grad_theta sum_i L_Q,i(theta - alpha grad L_S,i(theta))",
    .data = "sinusoids (generated)",
    .quick_seconds = 5,
    .full_seconds = 60,
    .ingredients = {"inner_loop", "task", "check_meta_gradient"},
    .run = run_maml,
    .visit = visit_defaults<MamlExperiment>};
GRADUS_EXPERIMENT(maml_experiment);

}  // namespace
}  // namespace gradus::experiments
