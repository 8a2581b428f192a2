// First-order MAML on the same sinusoids: what leaving out the second order costs.
#include <gradus/algorithms/experiments/meta/sinusoids.h>
#include <gradus/algorithms/meta/fomaml.h>

namespace gradus::experiments {
namespace {

struct FomamlExperiment {
  SinusoidExperiment setting;
  FomamlConfig fomaml;
  void visit(FieldVisitor& v) {
    fomaml.visit(v);
    setting.visit(v);
  }
};

void run_fomaml(Run& run) {
  FomamlExperiment config;
  if (run.quick()) config.setting.meta_steps = 100, config.setting.test_tasks = 20;
  run.configure(config);
  config.setting.device = run.device();
  Module model = sinusoid_model(run);
  Adam optimizer({.learning_rate = config.setting.outer_lr});
  const Key key{run.seed(), 0}, task_key = fold(key, 1), draw_key = fold(key, 3);
  show_task_tape(run, model, meta_batch(config.setting, task_key, 0)[0]);
  const SinusoidCurves curves =
      train_and_report(run, config.setting, model, &optimizer, "First-order MAML on sinusoids", [&](std::int64_t step) {
        return fomaml_step(model, optimizer, meta_batch(config.setting, task_key, step), mse_loss, config.fomaml,
                           fold(draw_key, static_cast<std::uint64_t>(step)));
      });
  // Without the second order nothing holds the zero-step loss at the best constant prediction, 3.006.
  run.check("mse_0", curves.trained.mse[0], ">=", 3.2);
}

const Experiment fomaml_experiment{.name = "fomaml",
                                   .family = "meta",
                                   .paper = "Finn, Abbeel, Levine 2017, arXiv 1703.03400, section 5.2",
                                   .idea = "MAML with the inner gradients held constant: cheaper, and not the gradient of anything.",
                                   .formula = "theta <- theta - beta sum_i grad L_Q,i(theta_i),  theta_i = theta - alpha grad L_S,i(theta)",
                                   .data = "sinusoids (generated)",
                                   .quick_seconds = 5,
                                   .full_seconds = 40,
                                   .run = run_fomaml,
                                   .visit = visit_defaults<FomamlExperiment>};
GRADUS_EXPERIMENT(fomaml_experiment);

}  // namespace
}  // namespace gradus::experiments
