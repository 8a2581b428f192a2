// What the adversarial experiments share: digits, the network, natural and adversarial training, evaluation on the same points.
#pragma once

#include <gradus/algorithms/adversarial/adversarial_training.h>
#include <gradus/algorithms/experiments/program/checkpoint.h>
#include <gradus/algorithms/experiments/program/experiment.h>
#include <gradus/nn/data/loader.h>
#include <gradus/nn/models/mlp.h>

namespace gradus::experiments {

struct DigitsSetting {
  std::int64_t epochs = 40, batch = 64, test_points = 400;
  double learning_rate = 1e-3, eps = 0.25;
  int eval_steps = 50, eval_restarts = 3;

  void visit(FieldVisitor& v);
  /// Sizes of a quick run.
  void make_quick() { epochs = 3, test_points = 50, eval_steps = 10, eval_restarts = 1; }
  /// PGD with steps of eps / 10.
  PgdConfig evaluation() const;
};

struct DigitsData {
  Dataset train;
  Batch test;
};
/// Digits, 1,397 to train and the other 400 to test, split by the run's seed; told to the run.
DigitsData adversarial_digits(Run& run, const DigitsSetting& setting);

/// 64-128-128-10, ReLU.
Module digits_mlp(const Run& run);

/// How a classifier is trained. Steps of attack.steps = 0 train naturally.
enum class Training { natural, fgsm, pgd };
AdversarialTrainingConfig training_config(Training training, const DigitsSetting& setting, int steps);

/// One step of that training on a batch; returns the loss.
double training_step(Training training, const Module& model, Optimizer& optimizer, const Batch& batch,
                     const AdversarialTrainingConfig& config, Key key);

/// The tape of one training step on `inputs`, for `gradus tape`: a forward of its own that leaves no trace.
void show_tape(Run& run, const Module& model, const Tensor& inputs, const Tensor& labels);

/// Trains a control from the run's seed, outside the run's log.
Module train_control(Run& run, Training training, const DigitsData& data, const DigitsSetting& setting, int steps);

}  // namespace gradus::experiments
