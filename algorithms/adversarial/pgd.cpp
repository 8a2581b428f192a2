#include <gradus/algorithms/adversarial/pgd.h>

#include <cmath>

#include <gradus/algorithms/adversarial/fgsm.h>
#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/pass.h>
#include <gradus/engine/tape.h>

namespace gradus::inline v0 {
namespace {

using detail::InputGradient;

/// What has been found so far, per sample.
class Best {
 public:
  explicit Best(const Tensor& x)
      : point_(x),
        loss_(Tensor::full({x.size(0)}, -HUGE_VAL, x.dtype(), x.device())),
        broken_(Tensor::zeros({x.size(0)}, DType::boolean, x.device())) {}

  /// An iterate, its logits and losses. The first misclassified one stays; before that, the one of largest loss.
  void offer(const Tensor& point, const Tensor& logits, const Tensor& loss, const Tensor& labels) {
    const Tensor breaks = detail::misclassified(logits, labels);
    const Tensor no = Tensor::zeros({}, DType::boolean, loss.device()), yes = Tensor::ones({}, DType::boolean, loss.device());
    const Tensor better = where(broken_, no, where(breaks, yes, loss > loss_));
    point_ = detail::choose_rows(better, point, point_);
    loss_ = where(better, loss, loss_);
    broken_ = where(broken_, broken_, breaks);
  }
  bool all_broken() const {
    for (const bool b : broken_.to_vector<bool>())
      if (!b) return false;
    return true;
  }
  const Tensor& point() const { return point_; }
  const Tensor& loss() const { return loss_; }
  const Tensor& broken() const { return broken_; }

 private:
  Tensor point_, loss_, broken_;
};

void check_config(const PgdConfig& config) {
  if (config.steps < 1) raise_value("[pgd] steps is " + std::to_string(config.steps) + "; at least 1");
  if (config.restarts < 1) raise_value("[pgd] restarts is " + std::to_string(config.restarts) + "; at least 1");
  // Rounding of 2.5 eps / steps * steps must not trip this: 1e-9 relative.
  if (config.step() * config.steps < config.threat.eps * (1 - 1e-9))
    raise_value("[pgd] step_size " + std::to_string(config.step()) + " times steps " + std::to_string(config.steps) +
                " does not reach eps " + std::to_string(config.threat.eps) + ": the projection would never act; take larger or more steps");
}

void note_budget(const PgdConfig& config, std::vector<std::string>& notes) {
  if (config.step() * config.steps < 2 * config.threat.eps)
    notes.push_back("step_size * steps is below 2 eps: the attack can barely cross the ball");
}

void finish(AttackResult& result, const ThreatBall& ball, const char* attack, std::int64_t non_finite) {
  if (non_finite > 0)
    result.notes.push_back(std::to_string(non_finite) + " non-finite gradient elements were taken as 0: the model may hide its gradient");
  ball.require_inside(attack, result.adversarial);
  result.distance = ball.distance(result.adversarial);
}

/// The last iterate, as training wants it: no forward at the end, no bookkeeping.
AttackResult last_iterate(const Classifier& model, const Tensor& x, const Tensor& labels, const Tensor& ids, const PgdConfig& config,
                          Key key) {
  const ThreatBall ball(config.threat, x);
  AttackResult result;
  std::int64_t non_finite = 0;
  Tensor point = config.random_start ? ball.random_start(fold(key, 0), ids) : x.detach();
  for (int k = 0; k < config.steps; ++k) {
    const InputGradient g = detail::input_gradient(model, point, labels, config.loss);
    non_finite += g.non_finite;
    result.loss = g.loss;
    result.success = detail::misclassified(g.logits, labels);
    point = ball.ascend(point, g.gradient, config.step());
  }
  result.adversarial = point;
  result.forward_count = result.backward_count = config.steps;
  finish(result, ball, "pgd", non_finite);
  return result;
}

}  // namespace

void PgdConfig::visit(FieldVisitor& v) {
  threat.visit(v);
  v.field("steps", steps, "gradient steps", "40 to train, 100 to evaluate (MNIST); 7 and 20 (CIFAR-10)");
  v.field("step_size", step_size, "step in units of the input; 0: 2.5 eps / steps", "0.01 (MNIST), 2/255 (CIFAR-10)");
  v.field("restarts", restarts, "random restarts; the union of successes counts", "1 to 20");
  v.field("random_start", random_start, "start uniformly in the ball", "true");
  v.choice("loss", loss, {"cross_entropy", "margin"}, "what is ascended", "cross_entropy");
}

AttackResult pgd_attack(const Classifier& model, const Tensor& x, const Tensor& labels, const Tensor& sample_ids, const PgdConfig& config,
                        Key key) {
  detail::check_attack("pgd", x, labels, sample_ids);
  check_config(config);
  const InferencePass inference;
  if (!config.keep_best) return last_iterate(model, x, labels, sample_ids, config, key);
  const ThreatBall ball(config.threat, x);
  AttackResult result;
  note_budget(config, result.notes);
  Best best(x.detach());
  std::int64_t non_finite = 0;
  auto look = [&](const Tensor& point) {
    const NoGrad evaluation;
    const Tensor logits = model(point);
    ++result.forward_count;
    best.offer(point, logits, detail::attack_loss(logits, labels, config.loss), labels);
    return logits;
  };
  detail::note_probabilities(look(x.detach()), result.notes);
  for (int r = 0; r < config.restarts && !best.all_broken(); ++r) {
    Tensor point = config.random_start ? ball.random_start(fold(key, static_cast<std::uint64_t>(r)), sample_ids) : x.detach();
    for (int k = 0; k < config.steps; ++k) {
      const InputGradient g = detail::input_gradient(model, point, labels, config.loss);
      non_finite += g.non_finite;
      ++result.forward_count;
      ++result.backward_count;
      best.offer(point, g.logits, g.loss, labels);
      point = ball.ascend(point, g.gradient, config.step());
    }
    look(point);
  }
  result.adversarial = best.point();
  result.success = best.broken();
  result.loss = best.loss();
  finish(result, ball, "pgd", non_finite);
  return result;
}

// ---- FGSM

void FgsmConfig::visit(FieldVisitor& v) {
  threat.visit(v);
  v.field("random_start", random_start, "start uniformly in the ball (FGSM-RS)", "false; true in Wong et al. 2020");
  v.field("step_factor", step_factor, "step in units of eps", "1; 1.25 with a random start");
}

AttackResult fgsm_attack(const Classifier& model, const Tensor& x, const Tensor& labels, const Tensor& sample_ids, const FgsmConfig& config,
                         Key key) {
  detail::check_attack("fgsm", x, labels, sample_ids);
  const InferencePass inference;
  const ThreatBall ball(config.threat, x);
  AttackResult result;
  const Tensor start = config.random_start ? ball.random_start(fold(key, 0), sample_ids) : x.detach();
  const InputGradient g = detail::input_gradient(model, start, labels, AttackLoss::cross_entropy);
  result.adversarial = ball.ascend(start, g.gradient, config.step_factor * config.threat.eps);
  const NoGrad evaluation;
  const Tensor clean = config.random_start ? model(x) : g.logits;
  result.adversarial = detail::choose_rows(detail::misclassified(clean, labels), x.detach(), result.adversarial);
  const Tensor logits = model(result.adversarial);
  detail::note_probabilities(logits, result.notes);
  result.success = detail::misclassified(logits, labels);
  result.loss = detail::attack_loss(logits, labels, AttackLoss::cross_entropy);
  result.forward_count = config.random_start ? 3 : 2;
  result.backward_count = 1;
  finish(result, ball, "fgsm", g.non_finite);
  return result;
}

}  // namespace gradus::inline v0
