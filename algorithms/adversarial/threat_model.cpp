#include <gradus/algorithms/adversarial/threat_model.h>

#include <cmath>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/random.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/record.h>
#include <gradus/engine/tape.h>
#include <gradus/kernels/adversarial.h>

namespace gradus::inline v0 {
namespace {

/// [N] as [N, 1, ...]: a factor per sample.
Tensor per_sample(const Tensor& factor, const Tensor& like) {
  Shape shape{like.size(0)};
  for (int i = 1; i < like.rank(); ++i) shape.push_back(1);
  return reshape(factor, shape);
}

Tensor row_norms(const Tensor& x) {
  const Tensor flat = reshape(x, {x.size(0), x.size(0) ? x.elements() / x.size(0) : 0});
  return sqrt(sum(flat * flat, {1}));
}

}  // namespace

void ThreatModel::check() const {
  if (!(eps >= 0)) raise_value("[threat_model] eps is " + std::to_string(eps) + "; expected eps >= 0");
  if (!(low < high)) raise_value("[threat_model] the box [" + std::to_string(low) + ", " + std::to_string(high) + "] is empty");
}

void ThreatModel::visit(FieldVisitor& v) {
  v.choice("norm", norm, {"linf", "l2"}, "norm of the allowed ball", "linf");
  v.field("eps", eps, "radius of the ball, in units of the input", "0.3 (MNIST), 8/255 (CIFAR-10)");
}

ThreatBall::ThreatBall(const ThreatModel& threat, const Tensor& x) : threat_(threat), x_(x.detach()) {
  threat.check();
  require_floating("attack", "x", x);
  if (x.rank() < 2) raise_shape("[attack] " + describe("x", x) + ": expected [samples, ...]");
  if (x.elements() && (!(min(x_).item() >= threat.low) || !(max(x_).item() <= threat.high)))
    raise_value("[attack] " + describe("x", x) + " leaves the box [" + std::to_string(threat.low) + ", " + std::to_string(threat.high) +
                "]: inputs are raw; put a normalisation into the model");
  if (threat.norm != Norm::linf) return;
  lower_ = empty_like(x_);
  upper_ = empty_like(x_);
  GRADUS_RUN(x.device(), linf_bounds, fresh(lower_), fresh(upper_), x_.array(), threat.eps, threat.low, threat.high);
}

Tensor ThreatBall::project(const Tensor& moved) const {
  require_same_dtype("project", "x", x_, "moved", moved);
  require_same_shape("project", "x", x_, "moved", moved);
  if (threat_.norm == Norm::linf) return minimum(maximum(moved, lower_), upper_);
  Tensor y = empty_like(x_);
  GRADUS_RUN(x_.device(), l2_project, fresh(y), x_.array(), moved.array(), threat_.eps, threat_.low, threat_.high);
  return y;
}

Tensor ThreatBall::dual_step(const Tensor& gradient) const {
  const NoGrad constant;
  if (threat_.norm == Norm::linf) return sign(gradient);
  const Tensor norms = row_norms(gradient);
  const Tensor factor = where(norms > 0.0, reciprocal(norms), zeros_like(norms));
  return gradient * per_sample(factor, gradient);
}

Tensor ThreatBall::ascend(const Tensor& point, const Tensor& gradient, double step) const {
  const NoGrad constant;
  if (threat_.norm != Norm::linf) return project(add_scaled(point, dual_step(gradient), step));
  for (const auto& [name, t] : {std::pair{"point", &point}, {"gradient", &gradient}}) {
    require_same_dtype("ascend", "x", x_, name, *t);
    require_same_shape("ascend", "x", x_, name, *t);
  }
  Tensor y = empty_like(x_);
  GRADUS_RUN(x_.device(), pgd_linf_step, fresh(y), point.array(), gradient.array(), lower_.array(), upper_.array(), step);
  return y;
}

Tensor ThreatBall::random_start(Key key, const Tensor& sample_ids) const {
  if (threat_.norm == Norm::linf) return project(x_ + uniform(key, sample_ids, x_.shape(), -threat_.eps, threat_.eps, x_.dtype()));
  // Uniform in the n-ball: n + 2 normals, normalised, the first n kept (Barthe et al. 2005; Harman and Lacko 2010).
  const std::int64_t rows = x_.size(0), width = rows ? x_.elements() / rows : 0;
  const Tensor normals = normal(key, sample_ids, {rows, width + 2}, 0, 1, x_.dtype());
  const Tensor unit = normals / per_sample(row_norms(normals), normals);
  return project(x_ + reshape(slice(unit, 1, 0, width), x_.shape()) * threat_.eps);
}

Tensor ThreatBall::distance(const Tensor& moved) const {
  Tensor d = Tensor::empty({x_.size(0)}, DType::f64, x_.device());
  if (threat_.norm == Norm::linf) GRADUS_RUN(x_.device(), linf_distance, fresh(d), moved.array(), x_.array());
  else GRADUS_RUN(x_.device(), l2_distance, fresh(d), moved.array(), x_.array());
  return d;
}

void ThreatBall::require_inside(const char* attack, const Tensor& moved) const {
  const std::vector<double> distances = distance(moved).to_vector<double>();
  for (std::size_t i = 0; i < distances.size(); ++i)
    if (!(distances[i] <= threat_.eps * (1 + 1e-6)))
      raise_value(std::string("[") + attack + "] sample " + std::to_string(i) + " moved by " + std::to_string(distances[i]) +
                  ", more than eps " + std::to_string(threat_.eps) + "; a NaN gradient or a wrong projection");
  if (moved.elements() && (!(min(moved).item() >= threat_.low) || !(max(moved).item() <= threat_.high)))
    raise_value(std::string("[") + attack + "] the result leaves the box");
}

}  // namespace gradus::inline v0
