// FOMAML, first-order MAML: MAML with the inner gradients held constant.
// Finn et al. 2017 (arXiv 1703.03400), section 5.2; Nichol et al. 2018 (arXiv 1803.02999).
//
//     d theta_K / d theta = I, so the meta-gradient is grad L_Q(theta_K)
//
// What is constant is the inner *gradient*; holding the adapted parameters constant would give zero. It is not MAML: its zero-step loss
// leaves the best constant prediction, and it fails a finite-difference check.
#pragma once

#include <gradus/algorithms/meta/maml.h>

namespace gradus::inline v0 {

struct FomamlConfig {
  double inner_lr = 0.01;
  int inner_steps = 1;
  InnerMode mode = InnerMode::transductive;

  void visit(FieldVisitor& v);
  MamlConfig as_maml() const { return {inner_lr, inner_steps, Differentiate::first_order, mode, 0}; }
};

/// One meta-step as maml_step, without a double backward.
MetaReport fomaml_step(const Module& model, Optimizer& optimizer, std::span<const Task> tasks, const LossFunction& loss,
                       const FomamlConfig& config, Key key);

}  // namespace gradus::inline v0
