// Batch normalisation (Ioffe & Szegedy 2015, "Batch normalization", algorithms 1 and 2).
#pragma once

#include <gradus/nn/module.h>

namespace gradus::inline v0 {

struct BatchNormOptions {
  double momentum = 0.1;  ///< weight of the newest batch in the running statistics
  double epsilon = 1e-5;
  DType dtype = DType::f32;
};

/// x [N, C] or [N, C, H, W]: y = (x - mean) / sqrt(var + epsilon) gamma + beta, per channel.
///
/// Inside a TrainingPass mean and variance are the batch's (biased variance), and the pass, when it ends, moves the running ones towards
/// them by `momentum` (unbiased variance, as PyTorch does). Otherwise they are the running ones.
///
///     BatchNorm norm(32);
///     { TrainingPass pass(rng); y = norm(x); }   // batch statistics; the running ones are updated here
///     y = norm(x);                               // running statistics
struct BatchNorm : ModuleOf<BatchNorm> {
  Parameter gamma, beta;             // [C], role norm
  Buffer running_mean, running_var;  // [C]
  double momentum = 0.1, epsilon = 1e-5;

  BatchNorm() = default;
  explicit BatchNorm(std::int64_t channels, const BatchNormOptions& options = {});

  /// Throws ShapeError where x has other channels, or where training sees a single value a channel (its variance says nothing).
  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v);
};

}  // namespace gradus::inline v0
