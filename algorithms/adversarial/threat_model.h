// Threat models: what an attacker may do to an input. A ball of radius eps around x in a norm, and the box of legal pixels.
//
// Projections: Madry et al. 2018 (arXiv 1706.06083). The L2 projection here is the exact one onto ball *and* box; scaling and then
// clipping is feasible but not the projection.
#pragma once

#include <gradus/engine/tensor.h>
#include <gradus/kernels/philox.h>
#include <gradus/nn/config.h>

namespace gradus::inline v0 {

enum class Norm { linf, l2 };

/// eps in the input's own units (pixels of [low, high]): normalisation is a layer inside the model.
struct ThreatModel {
  Norm norm = Norm::linf;
  double eps = 0.1;
  double low = 0, high = 1;

  /// Throws ValueError for eps < 0 or an empty box.
  void check() const;
  void visit(FieldVisitor& v);
};

/// A threat model around given inputs x [N, ...], f32 or f64, x inside the box. Everything is per sample and per sample only.
///
///     ThreatBall ball({Norm::linf, 0.25}, x);
///     x_adv = ball.ascend(x_adv, gradient, alpha);
class ThreatBall {
 public:
  /// Throws ValueError if x leaves the box.
  ThreatBall(const ThreatModel& threat, const Tensor& x);

  /// The nearest allowed point.
  Tensor project(const Tensor& moved) const;
  /// The steepest unit step: sign(g), with sign(0) = 0, or g / |g|_2 per sample (0 where the gradient is 0).
  Tensor dual_step(const Tensor& gradient) const;
  /// The projection of point + step dual_step(gradient): one step of ascent. For linf one pass over memory.
  Tensor ascend(const Tensor& point, const Tensor& gradient, double step) const;
  /// Uniform in the ball, clipped to the box. `sample_ids` [N] i64 name the draws: the same for any batch split.
  Tensor random_start(Key key, const Tensor& sample_ids) const;
  /// |moved - x| per sample, f64 [N].
  Tensor distance(const Tensor& moved) const;
  /// Checks in f64 that every sample is within eps (1 + 1e-6) and inside the box, NaN excluded. Throws ValueError
  /// naming the sample otherwise: an attack ends with this.
  void require_inside(const char* attack, const Tensor& moved) const;

 private:
  ThreatModel threat_;
  Tensor x_, lower_, upper_;  // bounds: linf only
};

}  // namespace gradus::inline v0
