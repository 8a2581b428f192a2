// Softmax, log-softmax and cross-entropy.
//
//   softmax along an axis of n:  y_i = exp(x_i - lse), lse = log sum_j exp x_j;  dx = y (dy - sum y dy)
//   log_softmax:                 y_i = x_i - lse;                                dx = dy - exp(y) sum dy
//   cross_entropy, row by row of logits [N, K]; weights w (1 if absent):
//     targets i64 [N]            loss = w_t (lse - x_t);                         dx_j = dloss w_t (p_j - [j = t])
//     targets [N, K] of x's type loss = sum_j w_j t_j (lse - x_j);               dx_j = dloss (p_j sum_k w_k t_k - w_j t_j)
//
// The largest logit is subtracted before anything is raised, so no finite logits overflow; a logit of -inf has probability 0. A row (or
// line along the axis) depends on itself alone, bit for bit. A row of nothing but -inf, or with +inf or NaN, gives NaN.
#pragma once

#include <gradus/kernels/array.h>

namespace gradus::inline v0 {

namespace cpu {
void softmax(Array y, ConstArray x, int axis);
void softmax_backward(Array dx, ConstArray dy, ConstArray y, int axis);
void log_softmax(Array y, ConstArray x, int axis);
void log_softmax_backward(Array dx, ConstArray dy, ConstArray y, int axis);

/// loss [N], lse [N]. Probabilities are not stored. `class_weights` [K] may be absent.
///
/// With i64 targets loss = softplus(log sum_{j != t} exp x_j - x_t): small losses keep their digits, where lse - x_t would be rounded at
/// the size of the logits. With soft targets a product with a target of 0 is 0, also where the logit is -inf.
void cross_entropy(Array loss, Array lse, ConstArray logits, ConstArray targets, ConstArray class_weights);
/// dlogits [N, K] from dloss [N] and the lse of the forward pass. dlogits may be the memory of the logits.
///
/// With i64 targets the target's own gradient is minus the sum of the others', which p_t - 1 would round away when p_t is nearly 1.
void cross_entropy_backward(Array dlogits, ConstArray dloss, ConstArray logits, ConstArray lse, ConstArray targets,
                            ConstArray class_weights);
}  // namespace cpu

namespace cuda {
void softmax(Array y, ConstArray x, int axis);
void softmax_backward(Array dx, ConstArray dy, ConstArray y, int axis);
void log_softmax(Array y, ConstArray x, int axis);
void log_softmax_backward(Array dx, ConstArray dy, ConstArray y, int axis);
void cross_entropy(Array loss, Array lse, ConstArray logits, ConstArray targets, ConstArray class_weights);
void cross_entropy_backward(Array dlogits, ConstArray dloss, ConstArray logits, ConstArray lse, ConstArray targets,
                            ConstArray class_weights);
}  // namespace cuda

}  // namespace gradus::inline v0
