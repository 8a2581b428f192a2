#include <gradus/algorithms/adversarial/adversarial_training.h>

#include <gradus/algorithms/adversarial/fgsm.h>
#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/softmax.h>
#include <gradus/engine/pass.h>
#include <gradus/engine/tape.h>

namespace gradus::inline v0 {

void AdversarialTrainingConfig::visit(FieldVisitor& v) {
  attack.visit(v);
  v.field("clean_weight", clean_weight, "share of the loss on clean inputs", "0 (Madry), 0.5 (Goodfellow)");
}

Tensor adversarial_loss(const Classifier& model, const Tensor& x, const Tensor& x_adversarial, const Tensor& labels, double clean_weight) {
  if (!(clean_weight >= 0 && clean_weight <= 1))
    raise_value("[adversarial_loss] clean_weight is " + std::to_string(clean_weight) + "; expected a share in [0, 1]");
  const Tensor robust = cross_entropy(model(x_adversarial), labels);
  if (clean_weight == 0) return robust;
  return cross_entropy(model(x), labels) * clean_weight + robust * (1 - clean_weight);
}

double adversarial_training_step(const Module& model, Optimizer& optimizer, const Batch& batch, const AdversarialTrainingConfig& config,
                                 Key key) {
  const Classifier classify = [&model](const Tensor& x) { return model(x); };
  const AttackResult attack = pgd_attack(classify, batch.inputs, batch.labels, batch.sample_ids, config.attack, fold(key, 0));
  const TrainingPass pass(fold(key, 1));
  Tape tape(model.parameters());
  const Tensor loss = adversarial_loss(classify, batch.inputs, attack.adversarial, batch.labels, config.clean_weight);
  optimizer.step(tape.gradients(loss));
  return loss.item();
}

RobustAccuracy robust_accuracy(const Module& model, const Batch& batch, const PgdConfig& evaluation, Key key) {
  const Classifier classify = [&model](const Tensor& x) { return model(x); };
  const InferencePass inference;
  RobustAccuracy accuracy;
  {
    const NoGrad no_grad;
    const Tensor wrong = cast(detail::misclassified(model(batch.inputs), batch.labels), DType::f64);
    accuracy.clean = 1 - mean(wrong).item();
  }
  accuracy.fgsm =
      fgsm_attack(classify, batch.inputs, batch.labels, batch.sample_ids, {.threat = evaluation.threat}, fold(key, 0)).robust_accuracy();
  accuracy.pgd = pgd_attack(classify, batch.inputs, batch.labels, batch.sample_ids, evaluation, fold(key, 1)).robust_accuracy();
  return accuracy;
}

}  // namespace gradus::inline v0
