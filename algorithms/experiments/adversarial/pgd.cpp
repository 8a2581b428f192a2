// PGD on a naturally trained network: how little it takes, and what a broken attack looks like beside it.
#include <gradus/algorithms/adversarial/fgsm.h>
#include <gradus/algorithms/experiments/adversarial/digits_classifier.h>
#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/random.h>
#include <gradus/nn/metrics.h>

namespace gradus::experiments {
namespace {

struct PgdExperiment {
  DigitsSetting setting;
  Norm norm = Norm::linf;
  PgdExperiment() { setting.eps = 0.15; }
  void visit(FieldVisitor& v) {
    setting.visit(v);
    v.choice("norm", norm, {"linf", "l2"}, "norm of the allowed ball", "linf");
  }
};

/// Accuracy under random signs of size eps: what noise of the same size does.
double noise_accuracy(const Classifier& model, const Batch& test, double eps, Key key) {
  const Tensor noise = sign(uniform(key, test.sample_ids, test.inputs.shape(), -1, 1));
  const Tensor noisy = clamp(add_scaled(test.inputs, noise, eps), 0, 1);
  return accuracy(model(noisy), test.labels);
}

void run_pgd(Run& run) {
  PgdExperiment config;
  if (run.quick()) config.setting.make_quick();
  run.configure(config);
  const DigitsSetting& setting = config.setting;
  const DigitsData data = adversarial_digits(run, setting);
  const Key key{run.seed(), 0};

  Module model = digits_mlp(run);
  Adam optimizer({.learning_rate = setting.learning_rate});
  Loader loader(data.train, {.batch_size = setting.batch}, run.seed());
  const Batch first = data.train.take(setting.batch).all().to(run.device());
  show_tape(run, model, first.inputs, first.labels);
  const auto state = [&](Checkpoint& c) {
    c("model", model);
    c("optimizer", optimizer, model);
    c("loader", loader);
  };
  for (const std::int64_t step : run.steps(setting.epochs * loader.batches_per_epoch(), state)) {
    const double loss = training_step(Training::natural, model, optimizer, loader.next().to(run.device()), {},
                                      fold(fold(key, 1), static_cast<std::uint64_t>(step)));
    run.log(step, {{"loss", loss}});
    run.count_samples(setting.batch);
  }

  const Classifier classify = [&](const Tensor& x) { return model(x); };
  Series pgd{.name = "PGD"}, fgsm{.name = "FGSM"}, noise{.name = "random signs"};
  RobustAccuracy at_eps;
  for (int i = 0; i <= 10; ++i) {
    run.progress(i, 11, "attacking");
    PgdConfig attack = setting.evaluation();
    attack.threat = {config.norm, setting.eps * i / 10};
    attack.step_size = i == 0 ? 1 : attack.threat.eps / 10;
    at_eps = robust_accuracy(model, data.test, attack, fold(key, 3));
    for (auto [series, value] : {std::pair{&pgd, at_eps.pgd},
                                 {&fgsm, at_eps.fgsm},
                                 {&noise, noise_accuracy(classify, data.test, attack.threat.eps, fold(key, 4))}}) {
      series->x.push_back(attack.threat.eps);
      series->y.push_back(value);
    }
  }
  run.metric("clean", at_eps.clean);
  run.metric("fgsm", at_eps.fgsm);
  run.metric("pgd", at_eps.pgd);
  run.baseline("random_signs", "pgd", noise.y.back());
  run.plot({.file = "robustness",
            .title = "A naturally trained network under attack",
            .x_title = "eps (pixels, 0 to 1)",
            .y_title = "accuracy (share)",
            .series = {noise, fgsm, pgd},
            .levels = {{"clean", at_eps.clean}}});
  run.check("pgd_below_fgsm", at_eps.fgsm - at_eps.pgd, ">=", 0);
  if (config.norm == Norm::linf) run.check("noise_over_pgd", noise.y.back() - at_eps.pgd, ">=", .3);
}

const Experiment pgd_experiment{.name = "pgd",
                                .family = "adversarial",
                                .paper = "Madry et al. 2018, arXiv 1706.06083",
                                .idea = "Ascend the loss in the input, projecting back onto the allowed ball after every step.",
                                .formula = "x_{k+1} = Proj(x_k + step sign(grad_x L(x_k)))",
                                .data = "digits (8x8, vendored)",
                                .quick_seconds = 5,
                                .full_seconds = 30,
                                .ingredients = {"threat_model", "fgsm"},
                                .run = run_pgd,
                                .visit = visit_defaults<PgdExperiment>};
GRADUS_EXPERIMENT(pgd_experiment);

}  // namespace
}  // namespace gradus::experiments
