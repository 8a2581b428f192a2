#include <gradus/nn/normalization.h>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/normalization.h>
#include <gradus/engine/pass.h>

namespace gradus::inline v0 {
namespace {

/// Numbers per channel of x [N, C, ...].
std::int64_t population_of(const Tensor& x) { return x.shape()[1] ? x.elements() / x.shape()[1] : 0; }

}  // namespace

BatchNorm::BatchNorm(std::int64_t channels, const BatchNormOptions& options)
    : gamma(Tensor::ones({channels}, options.dtype), Role::norm),
      beta(Tensor::zeros({channels}, options.dtype), Role::norm),
      running_mean(Tensor::zeros({channels}, options.dtype)),
      running_var(Tensor::ones({channels}, options.dtype)),
      momentum(options.momentum),
      epsilon(options.epsilon) {}

Tensor BatchNorm::operator()(const Tensor& x) const {
  if (!in_training()) return batch_norm_inference(x, running_mean, running_var, gamma, beta, epsilon);
  BatchNormResult r = batch_norm(x, gamma, beta, epsilon);
  const auto population = static_cast<double>(population_of(x));
  if (population < 2)
    raise_shape("[BatchNorm] " + describe("x", x) +
                " has one value a channel, whose variance says nothing; expected a larger batch, or InferencePass");
  update_at_end_of_pass(running_mean, r.mean, momentum);
  update_at_end_of_pass(running_var, r.variance * (population / (population - 1)), momentum);
  return r.y;
}

void BatchNorm::visit(Visitor& v) {
  v("gamma", gamma);
  v("beta", beta);
  v("running_mean", running_mean);
  v("running_var", running_var);
}

}  // namespace gradus::inline v0
