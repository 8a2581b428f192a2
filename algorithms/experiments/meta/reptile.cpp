// Reptile on the same sinusoids: no query set and no second order, but ten steps to adapt where MAML needs one.
#include <gradus/algorithms/experiments/meta/sinusoids.h>
#include <gradus/algorithms/meta/reptile.h>

namespace gradus::experiments {
namespace {

struct ReptileExperiment {
  SinusoidExperiment setting;
  ReptileConfig reptile;
  ReptileExperiment() {
    setting.meta_steps = 20'000;
    setting.meta_batch = 5;
    setting.tasks.support = 50;  // mini-batches of 10 are drawn from these
  }
  void visit(FieldVisitor& v) {
    reptile.visit(v);
    setting.visit(v);
  }
};

void run_reptile(Run& run) {
  ReptileExperiment config;
  if (run.quick()) config.setting.meta_steps = 200, config.setting.test_tasks = 20;
  run.configure(config);
  config.setting.device = run.device();
  Module model = sinusoid_model(run);
  const Key key{run.seed(), 0}, task_key = fold(key, 1), draw_key = fold(key, 3);
  const auto total = static_cast<double>(config.setting.meta_steps);
  SinusoidExperiment test = config.setting;
  test.tasks.support = 10;  // tested with ten points, like the others
  show_task_tape(run, model, meta_batch(config.setting, task_key, 0)[0]);
  const SinusoidCurves curves = train_and_report(run, test, model, nullptr, "Reptile on sinusoids", [&](std::int64_t step) {
    const std::vector<Task> tasks = meta_batch(config.setting, task_key, step);
    reptile_step(model, tasks, mse_loss, config.reptile, static_cast<double>(step) / total,
                 fold(draw_key, static_cast<std::uint64_t>(step)));
    const TensorList theta = model.parameters();
    const double before = query_loss(model, theta, tasks[0], mse_loss, InnerMode::inference, Key{});
    const std::vector<TensorList> path = maml_adapt(model, tasks[0], mse_loss, {.inner_lr = test.test_lr, .inner_steps = 1}, Key{});
    return MetaReport{query_loss(model, path[1], tasks[0], mse_loss, InnerMode::inference, Key{}), before, 0};
  });
  run.check("mse_10", curves.trained.mse[4], "<=", .30);
}

const Experiment reptile_experiment{.name = "reptile",
                                    .family = "meta",
                                    .paper = "Nichol, Achiam, Schulman 2018, arXiv 1803.02999",
                                    .idea = "Move the initialisation towards what a few optimizer steps on each task arrive at.",
                                    .formula = "theta <- theta + epsilon (mean_i W_i - theta),  W_i = theta after k SGD steps on task i",
                                    .data = "sinusoids (generated)",
                                    .quick_seconds = 5,
                                    .full_seconds = 40,
                                    .run = run_reptile,
                                    .visit = visit_defaults<ReptileExperiment>};
GRADUS_EXPERIMENT(reptile_experiment);

}  // namespace
}  // namespace gradus::experiments
