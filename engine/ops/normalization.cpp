#include <gradus/engine/ops/normalization.h>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/record.h>
#include <gradus/engine/tape.h>
#include <gradus/kernels/normalization.h>

namespace gradus::inline v0 {
namespace {

void check(const char* op, const Tensor& x, std::initializer_list<std::pair<const char*, const Tensor*>> per_channel) {
  require_floating(op, "x", x);
  if (x.rank() < 2) raise_shape(std::string("[") + op + "] " + describe("x", x) + ": expected [N, C, ...]");
  for (const auto& [name, t] : per_channel) {
    require_same_dtype(op, "x", x, name, *t);
    if (!(t->shape() == Shape{x.shape()[1]}))
      raise_shape(std::string("[") + op + "] " + describe(name, *t) + " for " + describe("x", x) + ": expected [" +
                  std::to_string(x.shape()[1]) + "]");
  }
}

/// [C] as [C, 1, ...], which broadcasts against x [N, C, ...].
Tensor per_channel(const Tensor& t, const Tensor& x) {
  Shape shape{x.shape()[1]};
  for (int i = 2; i < x.rank(); ++i) shape.push_back(1);
  return reshape(t, shape);
}

/// Every axis of x but the channels'.
class OtherAxes {
 public:
  explicit OtherAxes(const Tensor& x) : count_(x.rank() - 1) {
    for (int i = 2; i < x.rank(); ++i) axes_[i - 1] = i;
  }
  operator Axes() const { return Axes(std::span<const int>(axes_, static_cast<std::size_t>(count_))); }

 private:
  int axes_[Shape::kMaxRank] = {};
  int count_;
};

// ---- batch statistics

struct Epsilon {
  double value;
};

// With n elements a channel, x^ = (x - mean) rstd:
//   dbeta = sum dy,  dgamma = sum dy x^,  dx = gamma rstd (dy - dbeta / n - x^ dgamma / n)
// The statistics are computed again from x, by differentiable ops, so they need no derivative of their own.
Grads batch_norm_rule(const Entry& e, const Tensor& dy) {
  const Tensor &x = e.saved(0), &gamma = e.saved(1);
  const OtherAxes axes(x);
  const Tensor centred = x - mean(x, axes, keepdims);
  const Tensor rstd = rsqrt(mean(square(centred), axes, keepdims) + e.attrs<Epsilon>().value);
  const Tensor normalized = centred * rstd;
  const Tensor dbeta = sum(dy, axes, keepdims), dgamma = sum(dy * normalized, axes, keepdims);
  const double n = static_cast<double>(x.elements()) / static_cast<double>(x.shape()[1]);
  Grads grads;
  grads.push_back(e.needs(0) ? per_channel(gamma, x) * rstd * (dy - (dbeta + normalized * dgamma) * (1 / n)) : Tensor());
  grads.push_back(e.needs(1) ? reshape(dgamma, gamma.shape()) : Tensor());
  grads.push_back(e.needs(2) ? reshape(dbeta, gamma.shape()) : Tensor());
  return grads;
}
Grads batch_norm_fused(const Entry& e, const Tensor& dy) {
  const Tensor &x = e.saved(0), &gamma = e.saved(1), &mean = e.saved(2), &rstd = e.saved(3);
  Tensor dx = e.needs(0) ? empty_like(x) : Tensor(), dgamma = empty_like(gamma), dbeta = empty_like(gamma);
  GRADUS_RUN(x.device(), batch_norm_backward, dx ? fresh(dx) : Array(), fresh(dgamma), fresh(dbeta), dy.array(), x.array(), mean.array(),
             rstd.array(), gamma.array());
  return {dx, dgamma, dbeta};
}
constexpr Op kBatchNorm{"batch_norm", batch_norm_rule, batch_norm_fused};

}  // namespace

BatchNormResult batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double epsilon) {
  check("batch_norm", x, {{"gamma", &gamma}, {"beta", &beta}});
  if (x.shape()[1] > 0 && x.elements() == 0)
    raise_shape("[batch_norm] " + describe("x", x) + ": no elements to take statistics of; expected at least one a channel");
  BatchNormResult r{empty_like(x), empty_like(gamma), empty_like(gamma)};
  Tensor rstd = empty_like(gamma);
  GRADUS_RUN(x.device(), batch_norm_train, fresh(r.y), fresh(r.mean), fresh(r.variance), fresh(rstd), x.array(), gamma.array(),
             beta.array(), epsilon);
  r.y = record(kBatchNorm, std::move(r.y), {x, gamma, beta}, {x, gamma, r.mean, rstd}, Epsilon{epsilon});
  return r;
}

// ---- given statistics: affine in x, gamma and beta

namespace {

Grads batch_norm_inference_rule(const Entry& e, const Tensor& dy) {
  const Tensor &x = e.saved(0), &mean = e.saved(1), &rstd = e.saved(2), &gamma = e.saved(3);
  Grads grads;
  grads.push_back(e.needs(0) ? dy * per_channel(gamma * rstd, dy) : Tensor());
  grads.push_back(e.needs(1) ? sum(dy * ((x - per_channel(mean, dy)) * per_channel(rstd, dy)), OtherAxes(dy)) : Tensor());
  grads.push_back(e.needs(2) ? sum(dy, OtherAxes(dy)) : Tensor());
  return grads;
}
constexpr Op kBatchNormInference{"batch_norm_inference", batch_norm_inference_rule};

}  // namespace

Tensor batch_norm_inference(const Tensor& x, const Tensor& mean, const Tensor& variance, const Tensor& gamma, const Tensor& beta,
                            double epsilon) {
  check("batch_norm_inference", x, {{"mean", &mean}, {"variance", &variance}, {"gamma", &gamma}, {"beta", &beta}});
  Tensor rstd;
  {
    const NoGrad statistics;
    rstd = rsqrt(variance + epsilon);
  }
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), batch_norm, fresh(y), x.array(), mean.array(), rstd.array(), gamma.array(), beta.array());
  // x is read for gamma's gradient alone; everything else is small.
  return record(kBatchNormInference, std::move(y), {x, gamma, beta}, {for_input(1, x), mean, rstd, gamma});
}

}  // namespace gradus::inline v0
