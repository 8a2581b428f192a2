// Batch normalisation. Ioffe and Szegedy 2015, "Batch Normalization", algorithm 1.
#pragma once

#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

/// The result of normalising by the batch, and the statistics for running averages.
struct BatchNormResult {
  Tensor y;               ///< like x
  Tensor mean, variance;  ///< [C], constants; the variance is the biased one
};

/// y = gamma (x - mean) / sqrt(variance + epsilon) + beta per channel, mean and variance over all axes of x [N, C, ...] but the channels'.
/// gamma, beta [C]. f32 or f64, differentiable to any order in x, gamma and beta. Throws DTypeError, ShapeError (also for a channel without
/// elements).
///
///     BatchNormResult r = batch_norm(x, gamma, beta, 1e-5);
BatchNormResult batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, double epsilon);

/// The same with given statistics [C], which are constants: inference.
Tensor batch_norm_inference(const Tensor& x, const Tensor& mean, const Tensor& variance, const Tensor& gamma, const Tensor& beta,
                            double epsilon);

}  // namespace gradus::inline v0
