// FGSM, the fast gradient sign method, and its random-start variant.
// Goodfellow, Shlens, Szegedy 2015 (arXiv 1412.6572), equation in section 4; Wong, Rice, Kolter 2020 (arXiv 2001.03994), algorithm 3.
//
//     x' = clip(x + eps sign(grad_x L))                     L2: x + eps grad / |grad|_2
//     RS: d0 ~ U(-eps, eps); x' = Proj(x + d0 + step_factor eps sign(grad_x L(x + d0)))
#pragma once

#include <gradus/algorithms/adversarial/attack.h>

namespace gradus::inline v0 {

struct FgsmConfig {
  ThreatModel threat = {};
  bool random_start = false;
  double step_factor = 1.0;  ///< 1.25 with a random start

  void visit(FieldVisitor& v);
};

/// One signed step. Errors as pgd_attack.
///
///     AttackResult r = fgsm_attack(model, batch.inputs, batch.labels, batch.sample_ids, {{Norm::linf, 0.25}}, key);
AttackResult fgsm_attack(const Classifier& model, const Tensor& x, const Tensor& labels, const Tensor& sample_ids, const FgsmConfig& config,
                         Key key);

}  // namespace gradus::inline v0
