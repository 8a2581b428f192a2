#include <gradus/algorithms/adversarial/attack.h>

#include <cmath>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/index.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/ops/softmax.h>
#include <gradus/engine/record.h>
#include <gradus/engine/tape.h>
#include <gradus/kernels/adversarial.h>

namespace gradus::inline v0 {

double AttackResult::robust_accuracy() const {
  const std::vector<bool> broken = success.to_vector<bool>();
  std::int64_t standing = 0;
  for (const bool b : broken) standing += !b;
  return broken.empty() ? std::nan("") : static_cast<double>(standing) / static_cast<double>(broken.size());
}

namespace detail {

Tensor attack_loss(const Tensor& logits, const Tensor& labels, AttackLoss loss) {
  if (loss == AttackLoss::cross_entropy) return cross_entropy(logits, labels, {.reduction = Reduction::none});
  // The inner maximum masks with -inf; multiplying with 0 would make a zero compete.
  const Tensor is_label = one_hot(labels, logits.size(1), DType::boolean);
  const Tensor lowest = Tensor::full({}, -HUGE_VAL, logits.dtype(), logits.device());
  return max(where(is_label, lowest, logits), {1}) - max(where(is_label, logits, lowest), {1});
}

Tensor misclassified(const Tensor& logits, const Tensor& labels) { return argmax(logits, 1) != labels; }

Tensor choose_rows(const Tensor& rows, const Tensor& a, const Tensor& b) {
  Shape shape{a.size(0)};
  for (int i = 1; i < a.rank(); ++i) shape.push_back(1);
  return where(reshape(rows, shape), a, b);
}

InputGradient input_gradient(const Classifier& model, const Tensor& x, const Tensor& labels, AttackLoss loss) {
  const Tensor input = x.detach();
  Tape tape({input});
  InputGradient out;
  out.logits = model(input);
  out.loss = attack_loss(out.logits, labels, loss);
  const Tensor gradient = tape.gradients(sum(out.loss), {input})[0];
  out.gradient = empty_like(gradient);
  out.non_finite = GRADUS_RUN(x.device(), zero_non_finite, fresh(out.gradient), gradient.array());
  out.logits = out.logits.detach();
  out.loss = out.loss.detach();
  return out;
}

void check_attack(const char* attack, const Tensor& x, const Tensor& labels, const Tensor& sample_ids) {
  require_floating(attack, "x", x);
  require_dtype(attack, "labels", labels, DType::i64);
  require_dtype(attack, "sample_ids", sample_ids, DType::i64);
  for (const auto& [name, t] : {std::pair{"labels", &labels}, {"sample_ids", &sample_ids}})
    if (x.rank() < 1 || t->rank() != 1 || t->size(0) != x.size(0))
      raise_shape(std::string("[") + attack + "] " + describe(name, *t) + " for " + describe("x", x) + ": expected one per sample");
  check_same_device(attack, "x", x, "labels", labels);
  check_same_device(attack, "x", x, "sample_ids", sample_ids);
}

void note_probabilities(const Tensor& logits, std::vector<std::string>& notes) {
  if (logits.elements() == 0 || min(logits).item() < 0) return;
  const Tensor total = sum(logits, {1});
  if (max(abs(total - 1.0)).item() < 1e-4)
    notes.push_back(
        "the model's outputs are non-negative and sum to 1: they look like probabilities, and softmax weakens attacks; return logits");
}

}  // namespace detail
}  // namespace gradus::inline v0
