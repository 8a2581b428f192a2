#include <gradus/algorithms/self_supervised/simclr.h>

#include <cmath>

#include <gradus/engine/ops/contrastive.h>
#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/ops/softmax.h>
#include <gradus/engine/pass.h>
#include <gradus/engine/record.h>
#include <gradus/engine/tape.h>
#include <gradus/nn/activation.h>
#include <gradus/nn/linear.h>
#include <gradus/nn/normalization.h>
#include <gradus/nn/sequential.h>

namespace gradus::inline v0 {

void SimclrConfig::visit(FieldVisitor& v) {
  v.field("temperature", temperature, "divides the cosines", "0.1 (ImageNet), 0.5 (CIFAR-10)");
  v.field("hidden_dim", hidden_dim, "width of the head's hidden layer", "2048");
  v.field("projection_dim", projection_dim, "width of z", "128");
  v.field("joint_forward", joint_forward, "both views in one pass: shared batch-norm statistics", "true");
}

Simclr::Simclr(Module backbone, std::int64_t features, const SimclrConfig& settings, Generator& rng)
    : encoder(std::move(backbone)), config(settings) {
  Linear in(features, config.hidden_dim, rng), out(config.hidden_dim, config.projection_dim, rng);
  head = Sequential(std::move(in), BatchNorm(config.hidden_dim), Relu(), std::move(out));
}

SimclrLoss simclr_loss(const Simclr& model, const Tensor& views_a, const Tensor& views_b) {
  require_defined("simclr", "views_a", views_a);
  require_defined("simclr", "views_b", views_b);
  require_same_shape("simclr", "views_a", views_a, "views_b", views_b);
  if (views_a.size(0) < 2) raise_value("[simclr] " + describe("views_a", views_a) + ": one image has no negatives; expected at least two");
  const Tensor u = model.config.joint_forward ? model(concat({views_a, views_b}, 0)) : concat({model(views_a), model(views_b)}, 0);
  return {nt_xent(l2_normalize(u, 1), model.config.temperature), u};
}

ContrastiveStats contrastive_stats(const SimclrLoss& l) {
  const NoGrad diagnostics;
  const Tensor u = l.projections.detach();
  const std::int64_t n = u.size(0) / 2;
  const Tensor z = l2_normalize(u, 1);
  ContrastiveStats stats;
  stats.loss = l.loss.item();
  stats.ceiling = std::log(static_cast<double>(2 * n - 1));
  stats.bound = stats.ceiling - stats.loss;
  stats.positive_cosine = sum(slice_rows(z, 0, n) * slice_rows(z, n, 2 * n)).item() / static_cast<double>(n);
  stats.z = representation_stats(u);
  return stats;
}

SimclrLoss simclr_step(const Simclr& model, Optimizer& optimizer, const Tensor& views_a, const Tensor& views_b, Key key) {
  const TrainingPass pass(key);
  Tape tape(model.parameters());
  SimclrLoss l = simclr_loss(model, views_a, views_b);
  optimizer.step(tape.gradients(l.loss));
  return {l.loss.detach(), l.projections.detach()};
}

Tensor encode(const Module& encoder, const Tensor& images, std::int64_t chunk) {
  const InferencePass inference;
  const NoGrad constant;
  TensorList parts;
  for (std::int64_t first = 0; first < images.size(0); first += chunk)
    parts.push_back(encoder(slice_rows(images, first, std::min(first + chunk, images.size(0)))));
  return concat(parts, 0);
}

}  // namespace gradus::inline v0
