// Adversarial training: minimise the worst-case loss in a ball around each input.
// Madry et al. 2018 (arXiv 1706.06083), equation 2.1; the mixture is Goodfellow et al. 2015 (arXiv 1412.6572), section 6.
//
//     L = a CE(model(x), y) + (1 - a) CE(model(x'), y)        x' = attack(model, x): in inference mode, a constant
//
// a = 0 is Madry's, a = 0.5 Goodfellow's. The attack sees the model in inference mode; the loss is taken in training mode.
#pragma once

#include <gradus/algorithms/adversarial/pgd.h>
#include <gradus/nn/data/dataset.h>
#include <gradus/nn/module.h>
#include <gradus/nn/optimizers.h>

namespace gradus::inline v0 {

struct AdversarialTrainingConfig {
  PgdConfig attack = {.steps = 10,
                      .keep_best = false};  ///< of the training loop; FGSM is {.steps = 1, .step_size = eps, .random_start = false}
  double clean_weight = 0;

  void visit(FieldVisitor& v);
};

/// a CE(x) + (1 - a) CE(x'), a scalar on the current tape. The clean term is computed only if clean_weight > 0.
Tensor adversarial_loss(const Classifier& model, const Tensor& x, const Tensor& x_adversarial, const Tensor& labels, double clean_weight);

/// One training step on a batch: attack, training pass, loss, optimizer. Returns the loss. `key` names the occasion (fold in the step).
///
///     double loss = adversarial_training_step(model, optimizer, batch, config, fold(key, step));
double adversarial_training_step(const Module& model, Optimizer& optimizer, const Batch& batch, const AdversarialTrainingConfig& config,
                                 Key key);

/// Accuracies of a model on the same points, as shares: its diagnostics of one epoch.
struct RobustAccuracy {
  double clean = 0, fgsm = 0, pgd = 0;
  /// Rice, Wong, Kolter 2020 (arXiv 2002.11569) and Wong et al. 2020: a model that withstands one step and not several has learned to
  /// hide its gradient. Above .20 it is called catastrophic overfitting.
  double fgsm_minus_pgd() const { return fgsm - pgd; }
};
RobustAccuracy robust_accuracy(const Module& model, const Batch& batch, const PgdConfig& evaluation, Key key);

}  // namespace gradus::inline v0
