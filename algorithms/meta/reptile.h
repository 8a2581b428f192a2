// Reptile: move the initialisation towards the solutions of the tasks.
// Nichol, Achiam, Schulman 2018, "On First-Order Meta-Learning Algorithms", arXiv 1803.02999, algorithm 2.
//
//     W_i = theta after k >= 2 optimizer steps on task i, a fresh mini-batch each;  theta <- theta + epsilon (mean_i W_i - theta)
//
// epsilon is annealed linearly to 0. k = 1 would be joint training and is refused. Differs from the paper: the inner optimizer here is
// plain SGD; the paper's runs use Adam with beta1 = 0.
#pragma once

#include <gradus/algorithms/meta/maml.h>

namespace gradus::inline v0 {

struct ReptileConfig {
  int inner_steps = 5;
  double inner_lr = 0.02;
  std::int64_t inner_batch = 10;  ///< points of a mini-batch, drawn without replacement from the support set
  double epsilon = 1.0;           ///< outer step at the start
  InnerMode mode = InnerMode::transductive;

  void visit(FieldVisitor& v);
};

/// mean_i W_i - theta, one tensor a parameter. Throws ValueError for inner_steps < 2, no tasks, or a batch larger than the support set.
TensorList reptile_direction(const Module& model, std::span<const Task> tasks, const LossFunction& loss, const ReptileConfig& config,
                             Key key);

/// theta += epsilon (1 - progress) (mean_i W_i - theta), progress in [0, 1) being the share of the meta-training done.
void reptile_step(const Module& model, std::span<const Task> tasks, const LossFunction& loss, const ReptileConfig& config, double progress,
                  Key key);

}  // namespace gradus::inline v0
