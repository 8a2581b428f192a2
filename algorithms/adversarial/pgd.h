// PGD, projected gradient descent on the input: the standard white-box attack.
// Madry, Makelov, Schmidt, Tsipras, Vladu 2018, "Towards Deep Learning Models Resistant to Adversarial Attacks", arXiv 1706.06083,
// section 2.1.
//
//     x_0 = x + random start;   x_{k+1} = Proj(x_k + step_size dual(grad_x L(x_k)))      dual: sign (Linf), g / |g|_2 (L2)
//
// Differs from the paper: keeps the misclassified iterate where one was seen, else the one of largest loss (keep_best), over all restarts.
#pragma once

#include <gradus/algorithms/adversarial/attack.h>

namespace gradus::inline v0 {

struct PgdConfig {
  ThreatModel threat = {};
  int steps = 40;
  double step_size = 0;  ///< 0: 2.5 eps / steps
  int restarts = 1;      ///< the union of their successes counts
  bool random_start = true;
  AttackLoss loss = AttackLoss::cross_entropy;
  bool keep_best = true;  ///< false: the last iterate, as in Madry's training loop; then no forward at the end

  void visit(FieldVisitor& v);
  double step() const { return step_size > 0 ? step_size : 2.5 * threat.eps / steps; }
};

/// Attacks every sample of x [N, ...] with labels i64 [N] and sample_ids i64 [N]. Throws ShapeError, DTypeError; ValueError for inputs
/// outside the box, steps or restarts < 1, and a budget that cannot reach the ball's surface (step_size * steps < eps).
///
///     AttackResult r = pgd_attack(model, x, labels, ids, {.threat = {Norm::linf, 0.25}, .steps = 50, .restarts = 3}, key);
AttackResult pgd_attack(const Classifier& model, const Tensor& x, const Tensor& labels, const Tensor& sample_ids, const PgdConfig& config,
                        Key key);

}  // namespace gradus::inline v0
