#include <gradus/algorithms/experiments/adversarial/digits_classifier.h>

#include <gradus/engine/ops/softmax.h>
#include <gradus/engine/pass.h>
#include <gradus/engine/tape.h>
#include <gradus/nn/data/vendored.h>

namespace gradus::experiments {

void DigitsSetting::visit(FieldVisitor& v) {
  v.field("epochs", epochs, "passes over the training images", "");
  v.field("batch", batch, "images per step", "");
  v.field("learning_rate", learning_rate, "rate of Adam", "");
  v.field("eps", eps, "radius of the Linf ball, pixels being 0 to 1", "0.3 (MNIST)");
  v.field("test_points", test_points, "test images, all attacked", "");
  v.field("eval_steps", eval_steps, "steps of the evaluating PGD", "100 (MNIST)");
  v.field("eval_restarts", eval_restarts, "its restarts", "1 to 20");
}

PgdConfig DigitsSetting::evaluation() const {
  return {.threat = {Norm::linf, eps}, .steps = eval_steps, .step_size = eps / 10, .restarts = eval_restarts};
}

DigitsData adversarial_digits(Run& run, const DigitsSetting& setting) {
  const Dataset& set = digits();
  const std::int64_t train = set.size() - 400;
  run.data({.name = set.name, .train = train, .test = setting.test_points, .origin = set.origin, .sha256 = set.sha256});
  const Split split = set.split(train, run.seed());
  return {split.train, split.test.take(setting.test_points).all().to(run.device())};
}

Module digits_mlp(const Run& run) {
  Generator rng(run.seed());
  Module model = Mlp({64, 128, 128, 10}, rng);
  model.to(run.device());
  return model;
}

AdversarialTrainingConfig training_config(Training training, const DigitsSetting& setting, int steps) {
  const ThreatModel threat{Norm::linf, setting.eps};
  if (training == Training::fgsm)
    return {.attack = {.threat = threat, .steps = 1, .step_size = setting.eps, .random_start = false, .keep_best = false}};
  return {.attack = {.threat = threat, .steps = steps, .step_size = setting.eps / 4, .keep_best = false}};
}

double training_step(Training training, const Module& model, Optimizer& optimizer, const Batch& batch,
                     const AdversarialTrainingConfig& config, Key key) {
  if (training != Training::natural) return adversarial_training_step(model, optimizer, batch, config, key);
  const TrainingPass pass(key);
  Tape tape(model.parameters());
  const Tensor loss = cross_entropy(model(batch.inputs), batch.labels);
  optimizer.step(tape.gradients(loss));
  return loss.item();
}

void show_tape(Run& run, const Module& model, const Tensor& inputs, const Tensor& labels) {
  TrainingPass pass(Key{});
  pass.discard();
  Tape tape(model.parameters());
  run.trace(tape);
  const Tensor loss = cross_entropy(model(inputs), labels);
  run.show(tape);
}

Module train_control(Run& run, Training training, const DigitsData& data, const DigitsSetting& setting, int steps) {
  const char* const names[] = {"natural control", "FGSM-trained control", "PGD-trained control"};
  Module model = digits_mlp(run);
  Adam optimizer({.learning_rate = setting.learning_rate});
  Loader loader(data.train, {.batch_size = setting.batch}, run.seed());
  const AdversarialTrainingConfig config = training_config(training, setting, steps);
  const std::int64_t total = setting.epochs * loader.batches_per_epoch();
  for (std::int64_t step = 0; step < total; ++step) {
    training_step(training, model, optimizer, loader.next().to(run.device()), config,
                  fold(Key{run.seed(), 7}, static_cast<std::uint64_t>(step)));
    if (step % 20 == 0) run.progress(step, total, names[static_cast<int>(training)]);
  }
  return model;
}

}  // namespace gradus::experiments
