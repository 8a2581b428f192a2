// Softmax and the losses on top of it.
#pragma once

#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

/// exp(x - logsumexp(x)) along `axis`. f32 or f64. Throws DTypeError, ShapeError.
///
///     Tensor p = softmax(logits, 1);
Tensor softmax(const Tensor& x, int axis);
/// x - logsumexp(x) along `axis`.
Tensor log_softmax(const Tensor& x, int axis);

/// What becomes of the losses of single samples.
enum class Reduction { none, mean, sum };

struct CrossEntropyOptions {
  Reduction reduction = Reduction::mean;
  Tensor class_weights = {};  ///< [K], of the logits' type: each class's terms are multiplied by its weight, a constant
};

/// -sum_k t_k log softmax(logits)_k per row of logits [N, K]. targets: i64 [N] class indices, or floating [N, K] distributions (which then
/// have a gradient of their own where they are live). none gives [N]; sum and mean a scalar. With indices and weights the mean divides by
/// the sum of the targets' weights, with soft targets by N, as PyTorch does.
/// Throws DTypeError, ShapeError (also for the mean of no rows), IndexError for a label outside [0, K), naming row and value.
///
///     Tensor loss = cross_entropy(model(batch.inputs), batch.labels);
Tensor cross_entropy(const Tensor& logits, const Tensor& targets, const CrossEntropyOptions& options = {});

/// Mean over all elements of (prediction - target)^2, same shapes; sum or none instead if asked. Throws ShapeError (the mean of nothing
/// too), DTypeError.
///
///     Tensor loss = mse(model(x), y);
Tensor mse(const Tensor& prediction, const Tensor& target, Reduction reduction = Reduction::mean);

/// x / max(|x|_2, floor) along `axis`: the floor keeps a zero vector at zero, with a finite gradient.
///
///     Tensor z = l2_normalize(u, 1);
Tensor l2_normalize(const Tensor& x, int axis, double floor = 1e-12);

}  // namespace gradus::inline v0
