// Optimizer steps: one tensor or a list of tensors, in place, one pass over memory. f32 and f64; all arrays of one tensor's step have the
// parameter's shape and dtype.
//
// `mask` (absent if its data is null) multiplies the step, weight decay included: where it is 0 the parameter keeps its bits, also where
// the step is infinite or NaN, while the moments go on. It never touches the gradient.
#pragma once

#include <gradus/kernels/array.h>

namespace gradus::inline v0 {

/// g' = g + weight_decay p; b = momentum b + g'; step = learning_rate (b, or g' + momentum b with nesterov); p -= step.
struct SgdStep {
  double learning_rate = 0, momentum = 0, weight_decay = 0;
  bool nesterov = false;
};

/// Kingma and Ba 2015, "Adam", algorithm 1, with epsilon outside the root; `decoupled` decay as in Loshchilov and Hutter 2019, "Decoupled
/// weight decay regularization", algorithm 2:
///
///   g' = g + weight_decay p (0 if decoupled);  m = beta1 m + (1 - beta1) g';  v = beta2 v + (1 - beta2) g'^2
///   p -= learning_rate (m / correction1 / (sqrt(v / correction2) + epsilon) + weight_decay p (if decoupled))
struct AdamStep {
  double learning_rate = 0, beta1 = 0, beta2 = 0, epsilon = 0, weight_decay = 0;
  bool decoupled = false;
  double correction1 = 1, correction2 = 1;  // 1 - beta^t at step t = 1, 2, ...
};

// One tensor of a list, with what the function of the same name without _many takes. Lists may mix dtypes, steps and absent masks; on CUDA
// neighbours whose steps differ in nothing but weight_decay share a launch.
struct SgdItem {
  Array parameter, momentum;
  ConstArray gradient, mask;
  SgdStep step;
};
struct AdamItem {
  Array parameter, m, v;
  ConstArray gradient, mask;
  AdamStep step;
};
struct EmaItem {
  Array target;
  ConstArray source;
};

#define GRADUS_DECLARE_OPTIMIZER                                                                                                       \
  void sgd(Array parameter, Array momentum, ConstArray gradient, ConstArray mask, const SgdStep& step); /* momentum may be absent */   \
  void adam(Array parameter, Array m, Array v, ConstArray gradient, ConstArray mask, const AdamStep& step);                            \
  void ema(Array target, ConstArray source, double decay); /* target = decay target + (1 - decay) source */                            \
  double squared_norm(ConstArray x);  /* sum of squares, in f64 whatever the dtype: it cannot overflow in f32; waits for the device */ \
  void scale(Array x, double factor); /* x *= factor */                                                                                \
  void sgd_many(const SgdItem* items, int count);                                                                                      \
  void adam_many(const AdamItem* items, int count);                                                                                    \
  void ema_many(const EmaItem* items, int count, double decay);                                                                        \
  double squared_norm_many(const ConstArray* xs, int count); /* of all together: one wait for the list */                              \
  void scale_many(const Array* xs, int count, double factor);

namespace cpu {
GRADUS_DECLARE_OPTIMIZER
}
namespace cuda {
GRADUS_DECLARE_OPTIMIZER
}

}  // namespace gradus::inline v0
