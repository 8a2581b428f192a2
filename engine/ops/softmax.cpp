#include <gradus/engine/ops/softmax.h>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/index.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/record.h>
#include <gradus/kernels/softmax.h>

namespace gradus::inline v0 {

// ---- softmax

namespace {

struct AxisOf {
  int axis;
};

Grads softmax_rule(const Entry& e, const Tensor& dy) {
  const Tensor& y = e.saved(0);
  return {y * (dy - sum(dy * y, {e.attrs<AxisOf>().axis}, keepdims))};
}
Grads softmax_fused(const Entry& e, const Tensor& dy) {
  Tensor dx = empty_like(dy);
  GRADUS_RUN(dy.device(), softmax_backward, fresh(dx), dy.array(), e.saved(0).array(), e.attrs<AxisOf>().axis);
  return {dx};
}
constexpr Op kSoftmax{"softmax", softmax_rule, softmax_fused};

}  // namespace

Tensor softmax(const Tensor& x, int axis) {
  require_floating("softmax", "x", x);
  axis = require_axis("softmax", "x", x, axis);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), softmax, fresh(y), x.array(), axis);
  return record(kSoftmax, y, {x}, {y}, AxisOf{axis});
}

// ---- log_softmax

namespace {

Grads log_softmax_rule(const Entry& e, const Tensor& dy) { return {dy - exp(e.saved(0)) * sum(dy, {e.attrs<AxisOf>().axis}, keepdims)}; }
Grads log_softmax_fused(const Entry& e, const Tensor& dy) {
  Tensor dx = empty_like(dy);
  GRADUS_RUN(dy.device(), log_softmax_backward, fresh(dx), dy.array(), e.saved(0).array(), e.attrs<AxisOf>().axis);
  return {dx};
}
constexpr Op kLogSoftmax{"log_softmax", log_softmax_rule, log_softmax_fused};

}  // namespace

Tensor log_softmax(const Tensor& x, int axis) {
  require_floating("log_softmax", "x", x);
  axis = require_axis("log_softmax", "x", x, axis);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), log_softmax, fresh(y), x.array(), axis);
  return record(kLogSoftmax, y, {x}, {y}, AxisOf{axis});
}

// ---- cross_entropy

namespace {

/// The weighted targets as a [N, K] tensor of the logits' type: what the loss is linear in.
Tensor weighted_targets(const Tensor& targets, const Tensor& weights, std::int64_t classes, DType dtype) {
  const Tensor t = targets.dtype() == DType::i64 ? one_hot(targets, classes, dtype) : targets;
  return weights ? t * weights : t;
}

// loss_n = lse_n T_n - sum_k t_nk z_nk with T_n = sum_k t_nk (weights inside t): dz = dloss_n (T_n softmax(z_n) - t_n).
Grads cross_entropy_rule(const Entry& e, const Tensor& dloss) {
  const Tensor &logits = e.saved(0), &targets = e.saved(1), &weights = e.saved(2);
  const Tensor t = weighted_targets(targets, weights, logits.size(1), logits.dtype());
  const Tensor d = unsqueeze(dloss, 1);
  Grads grads;
  grads.push_back(e.needs(0) ? d * (softmax(logits, 1) * sum(t, {1}, keepdims) - t) : Tensor());
  if (targets.dtype() == DType::i64 || !e.needs(1)) return grads;
  const Tensor minus_log_p = -log_softmax(logits, 1);
  grads.push_back(d * (weights ? minus_log_p * weights : minus_log_p));
  return grads;
}
Grads cross_entropy_fused(const Entry& e, const Tensor& dloss) {
  const Tensor &logits = e.saved(0), &targets = e.saved(1), &weights = e.saved(2), &lse = e.saved(3);
  if (e.needs(1)) return cross_entropy_rule(e, dloss);
  Tensor dlogits = empty_like(logits);
  GRADUS_RUN(logits.device(), cross_entropy_backward, fresh(dlogits), dloss.array(), logits.array(), lse.array(), targets.array(),
             weights ? weights.array() : ConstArray());
  return {dlogits};
}
constexpr Op kCrossEntropy{"cross_entropy", cross_entropy_rule, cross_entropy_fused};

void check_cross_entropy(const Tensor& logits, const Tensor& targets, const CrossEntropyOptions& options) {
  require_floating("cross_entropy", "logits", logits);
  require_rank("cross_entropy", "logits", logits, 2);
  require_defined("cross_entropy", "targets", targets);
  const std::int64_t n = logits.shape()[0], k = logits.shape()[1];
  if (targets.dtype() == DType::i64) {
    if (!(targets.shape() == Shape{n}))
      raise_shape("[cross_entropy] " + describe("targets", targets) + " for " + describe("logits", logits) + ": expected [" +
                  std::to_string(n) + "]");
    check_same_device("cross_entropy", "logits", logits, "targets", targets);
    require_indices("cross_entropy", "targets", targets, k);
  } else {
    require_same_dtype("cross_entropy", "logits", logits, "targets", targets);
    require_same_shape("cross_entropy", "logits", logits, "targets", targets);
  }
  if (options.class_weights) {
    require_same_dtype("cross_entropy", "logits", logits, "class_weights", options.class_weights);
    if (!(options.class_weights.shape() == Shape{k}))
      raise_shape("[cross_entropy] " + describe("class_weights", options.class_weights) + ": expected [" + std::to_string(k) + "]");
  }
  if (n == 0 && options.reduction == Reduction::mean)
    raise_shape("[cross_entropy] " + describe("logits", logits) + ": the mean of no rows; expected N >= 1");
}

}  // namespace

Tensor cross_entropy(const Tensor& logits, const Tensor& targets, const CrossEntropyOptions& options) {
  check_cross_entropy(logits, targets, options);
  const Tensor& weights = options.class_weights;
  const std::int64_t n = logits.shape()[0];
  Tensor loss = Tensor::empty({n}, logits.dtype(), logits.device()), lse = Tensor::empty({n}, logits.dtype(), logits.device());
  GRADUS_RUN(logits.device(), cross_entropy, fresh(loss), fresh(lse), logits.array(), targets.array(),
             weights ? weights.array() : ConstArray());
  loss = record(kCrossEntropy, std::move(loss), {logits, targets}, {logits, targets, weights, lse});
  if (options.reduction == Reduction::none) return loss;
  if (options.reduction == Reduction::sum) return sum(loss);
  if (!weights || targets.dtype() != DType::i64) return sum(loss) / static_cast<double>(n);
  return sum(loss) / sum(index_select(weights.detach(), targets, 0));
}

// ---- mse, l2_normalize: compositions

Tensor mse(const Tensor& prediction, const Tensor& target, Reduction reduction) {
  require_floating("mse", "prediction", prediction);
  require_same_dtype("mse", "prediction", prediction, "target", target);
  require_same_shape("mse", "prediction", prediction, "target", target);
  if (prediction.elements() == 0 && reduction == Reduction::mean)
    raise_shape("[mse] " + describe("prediction", prediction) + ": the mean of no elements; expected at least one");
  const Tensor squares = square(prediction - target);
  if (reduction == Reduction::none) return squares;
  return reduction == Reduction::sum ? sum(squares) : mean(squares);
}

Tensor l2_normalize(const Tensor& x, int axis, double floor) {
  require_floating("l2_normalize", "x", x);
  axis = require_axis("l2_normalize", "x", x, axis);
  if (!(floor > 0)) raise_value("[l2_normalize] floor is " + std::to_string(floor) + "; expected floor > 0");
  // The floor acts on the squared norm, so that the root's derivative stays finite at a zero vector.
  return x * rsqrt(maximum(sum(square(x), {axis}, keepdims), floor * floor));
}

}  // namespace gradus::inline v0
