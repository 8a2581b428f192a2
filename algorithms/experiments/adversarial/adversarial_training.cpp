// Adversarial training on digits: a network trained on its own worst case, beside a natural one and one trained on single steps.
#include <gradus/algorithms/experiments/adversarial/digits_classifier.h>

namespace gradus::experiments {
namespace {

struct AdversarialExperiment {
  DigitsSetting setting;
  int attack_steps = 10;
  double clean_weight = 0;

  void visit(FieldVisitor& v) {
    setting.visit(v);
    v.field("attack_steps", attack_steps, "steps of the training attack, of eps / 4 each", "40 (MNIST), 7 (CIFAR-10)");
    v.field("clean_weight", clean_weight, "share of the loss on clean images", "0 (Madry), 0.5 (Goodfellow)");
  }
};

void run_adversarial_training(Run& run) {
  AdversarialExperiment config;
  if (run.quick()) config.setting.make_quick();
  run.configure(config);
  const DigitsSetting& setting = config.setting;
  const DigitsData data = adversarial_digits(run, setting);
  const Key key{run.seed(), 0};

  Module model = digits_mlp(run);
  Adam optimizer({.learning_rate = setting.learning_rate});
  Loader loader(data.train, {.batch_size = setting.batch}, run.seed());
  AdversarialTrainingConfig training = training_config(Training::pgd, setting, config.attack_steps);
  training.clean_weight = config.clean_weight;
  const std::int64_t per_epoch = loader.batches_per_epoch();
  const Batch first = data.train.take(setting.batch).all().to(run.device());
  show_tape(run, model, first.inputs, first.labels);
  const auto state = [&](Checkpoint& c) {
    c("model", model);
    c("optimizer", optimizer, model);
    c("loader", loader);
  };
  PgdConfig quick_look = setting.evaluation();
  quick_look.steps = 20, quick_look.restarts = 1;
  for (const std::int64_t step : run.steps(setting.epochs * per_epoch, state)) {
    const Key step_key = fold(fold(key, 1), static_cast<std::uint64_t>(step));
    const double loss = adversarial_training_step(model, optimizer, loader.next().to(run.device()), training, step_key);
    run.count_samples(setting.batch);
    if ((step + 1) % per_epoch != 0) continue;
    const RobustAccuracy r = robust_accuracy(model, data.test, quick_look, fold(key, 2));
    run.log(step, {{"loss", loss}, {"clean", r.clean}, {"fgsm", r.fgsm}, {"pgd", r.pgd}});
  }

  const Key evaluation_key = fold(key, 3);
  const auto evaluate = [&](const Module& m) { return robust_accuracy(m, data.test, setting.evaluation(), evaluation_key); };
  const RobustAccuracy robust = evaluate(model);
  const RobustAccuracy natural = evaluate(train_control(run, Training::natural, data, setting, config.attack_steps));
  const RobustAccuracy fgsm = evaluate(train_control(run, Training::fgsm, data, setting, config.attack_steps));
  run.metric("clean", robust.clean);
  run.metric("fgsm", robust.fgsm);
  run.metric("pgd", robust.pgd);
  for (const auto& [row, r] : {std::pair{"natural", natural}, {"fgsm_trained", fgsm}}) {
    run.baseline(row, "clean", r.clean);
    run.baseline(row, "fgsm", r.fgsm);
    run.baseline(row, "pgd", r.pgd);
  }
  for (const auto& [name, r] : {std::pair{"catastrophic_overfitting", robust}, {"catastrophic_overfitting_fgsm_trained", fgsm}}) {
    const bool alarm = r.fgsm_minus_pgd() >= .20;
    run.finding({name, r.fgsm_minus_pgd(), .20, alarm ? "alarm" : "ok",
                 alarm ? "one step no longer finds what several do: the gradient is masked; train with more steps" : ""});
  }
  Series clean = run.series("clean"), attacked = run.series("pgd");
  clean.name = "clean";
  attacked.name = "PGD-20";
  run.plot({.file = "accuracy",
            .title = "PGD training on digits, eps .25",
            .x_title = "step",
            .y_title = "accuracy (share)",
            .series = {clean, attacked},
            .levels = {{"naturally trained, PGD-50", natural.pgd}, {"FGSM-trained, PGD-50", fgsm.pgd}}});
  run.check("natural_pgd", natural.pgd, "<=", .03);
  run.check("pgd_over_fgsm_trained", robust.pgd - fgsm.pgd, ">=", .08);
}

const Experiment adversarial_training_experiment{
    .name = "adversarial_training",
    .family = "adversarial",
    .paper = "Madry et al. 2018, arXiv 1706.06083",
    .idea = "Minimise the loss of the worst input that an attacker can reach from each training image.",
    .formula = "min_theta E max_{|d| <= eps} CE(model(x + d), y)",
    .data = "digits (8x8, vendored)",
    .quick_seconds = 10,
    .full_seconds = 120,
    .ingredients = {"attack"},
    .run = run_adversarial_training,
    .visit = visit_defaults<AdversarialExperiment>};
GRADUS_EXPERIMENT(adversarial_training_experiment);

}  // namespace
}  // namespace gradus::experiments
