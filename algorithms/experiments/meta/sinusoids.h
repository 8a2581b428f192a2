// What the meta-learning experiments on sinusoids share: model, fixed test tasks, evaluation after 0, 1, 2, 5 and 10 steps, the joint
// baseline.
#pragma once

#include <vector>

#include <gradus/algorithms/experiments/program/checkpoint.h>
#include <gradus/algorithms/experiments/program/experiment.h>
#include <gradus/algorithms/meta/maml.h>
#include <gradus/nn/models/mlp.h>

namespace gradus::experiments {

struct SinusoidExperiment {
  SinusoidTasks tasks;
  std::int64_t meta_steps = 10'000, meta_batch = 25;
  double outer_lr = 1e-3;
  std::int64_t test_tasks = 600, test_queries = 100;
  double test_lr = 0.01;
  Device device = Device::cpu;  // of models and tasks: the run's, not a field

  void visit(FieldVisitor& v);
};

/// 1-40-40-1, ReLU (Finn et al. 2017, section 5.1).
Module sinusoid_model(const Run& run);
Tensor mse_loss(const Tensor& output, const Tensor& target);
std::vector<Task> fixed_test_tasks(const SinusoidExperiment& config);
std::vector<Task> meta_batch(const SinusoidExperiment& config, Key key, std::int64_t step);

/// Mean query error on the test tasks after 0, 1, 2, 5 and 10 steps of gradient descent at test_lr.
struct AdaptationCurve {
  double mse[5] = {};
  static constexpr int kSteps[5] = {0, 1, 2, 5, 10};
};
AdaptationCurve adaptation_curve(const Module& model, const std::vector<Task>& tasks, double test_lr);

/// Trains `step(meta_step)` for config.meta_steps with a log, keeps the best of the last three evaluations (judged by mse_1: at a constant
/// Adam rate one checkpoint can be poor), and reports metrics, the joint baseline, plots and the zero-step anchor.
struct SinusoidCurves {
  AdaptationCurve trained, joint;
};
SinusoidCurves train_and_report(Run& run, const SinusoidExperiment& config, Module& model, Optimizer* optimizer, const char* title,
                                const std::function<MetaReport(std::int64_t step)>& step);

/// The tape of one inner step, for `gradus tape`: first-order methods record no more.
void show_task_tape(Run& run, const Module& model, const Task& task);

/// The baseline: the same network trained on the mixture of all tasks, then fine-tuned like the others.
AdaptationCurve joint_baseline(Run& run, const SinusoidExperiment& config);

}  // namespace gradus::experiments
