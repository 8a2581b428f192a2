// What every attack takes and gives. In words: attack(model, x, labels, sample_ids, config) -> AttackResult.
//
// - x holds raw pixels; normalisation is a layer inside the model. The model returns logits, never probabilities.
// - Only d loss / d x is asked of the tape: no weight gradient is computed. The loss is summed over the batch, and everything is kept
//   per sample, so a sample's result does not depend on its neighbours.
// - An attack runs under an inference pass of its own, also inside a training pass: nothing of the model changes.
// - Random draws are keyed by (key, sample id, iteration): the same for any batch split, thread count and device.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <gradus/algorithms/adversarial/threat_model.h>

namespace gradus::inline v0 {

/// Inputs [N, ...] to logits [N, K].
using Classifier = std::function<Tensor(const Tensor& inputs)>;

struct AttackResult {
  Tensor adversarial;  ///< like x; a misclassified iterate where one was found, else the one of largest loss (or the last)
  Tensor success;      ///< bool [N]: misclassified; a point that was wrong from the start is a success at distance 0
  Tensor loss;         ///< [N], at `adversarial`
  Tensor distance;     ///< f64 [N], in the threat's norm
  std::int64_t forward_count = 0, backward_count = 0;  ///< passes over the whole batch
  std::vector<std::string> notes;                      ///< what a reader of the figures should know

  /// Share of samples that are not misclassified.
  double robust_accuracy() const;
};

enum class AttackLoss {
  cross_entropy,
  margin  ///< max_{i != y} z_i - z_y
};

namespace detail {

/// Per-sample loss [N] of logits at labels.
Tensor attack_loss(const Tensor& logits, const Tensor& labels, AttackLoss loss);
/// bool [N]: the predicted class is not the label.
Tensor misclassified(const Tensor& logits, const Tensor& labels);
/// a where `rows` (bool [N]) is true, else b.
Tensor choose_rows(const Tensor& rows, const Tensor& a, const Tensor& b);
/// The gradient of the summed loss with respect to x alone, non-finite elements zeroed and counted; and the forward's logits.
struct InputGradient {
  Tensor gradient, logits, loss;
  std::int64_t non_finite = 0;
};
InputGradient input_gradient(const Classifier& model, const Tensor& x, const Tensor& labels, AttackLoss loss);
/// Checks operands; notes outputs that look like probabilities.
void check_attack(const char* attack, const Tensor& x, const Tensor& labels, const Tensor& sample_ids);
void note_probabilities(const Tensor& logits, std::vector<std::string>& notes);

}  // namespace detail

}  // namespace gradus::inline v0
