// Batch normalisation over x [N, C, ...]: each channel c is one population of N * inner numbers (Ioffe & Szegedy 2015, algorithm 1).
//
//   mean_c, var_c   biased, over the batch and the positions
//   rstd_c          1 / sqrt(var_c + epsilon)
//   y               (x - mean_c) rstd_c gamma_c + beta_c
//
// Per-channel arrays have C elements and x's dtype. gamma and beta may be absent (1 and 0). A channel's numbers depend on that channel
// alone.
#pragma once

#include <gradus/kernels/array.h>

namespace gradus::inline v0 {

namespace cpu {
/// mean and var (biased) of every channel. Blocks are centred on their own mean and merged in order (Chan, Golub & LeVeque 1983), so a
/// mean that is large beside the spread costs no accuracy. Of an empty batch: NaN.
void batch_norm_statistics(Array mean, Array var, ConstArray x);
/// y with given statistics: running ones in inference, or those of the batch. y must not overlap x.
void batch_norm(Array y, ConstArray x, ConstArray mean, ConstArray rstd, ConstArray gamma, ConstArray beta);
/// What a training step needs in one call: statistics, rstd = 1 / sqrt(var + epsilon) and y. y must not overlap x.
void batch_norm_train(Array y, Array mean, Array var, Array rstd, ConstArray x, ConstArray gamma, ConstArray beta, double epsilon);
/// The gradient through batch statistics, with xhat = (x - mean) rstd and M = N * inner:
///   dbeta = sum dy,  dgamma = sum dy xhat,  dx = gamma rstd (dy - dbeta / M - xhat dgamma / M).
/// dx may be absent; it must not overlap dy or x.
void batch_norm_backward(Array dx, Array dgamma, Array dbeta, ConstArray dy, ConstArray x, ConstArray mean, ConstArray rstd,
                         ConstArray gamma);
}  // namespace cpu

namespace cuda {
void batch_norm_statistics(Array mean, Array var, ConstArray x);
void batch_norm(Array y, ConstArray x, ConstArray mean, ConstArray rstd, ConstArray gamma, ConstArray beta);
void batch_norm_train(Array y, Array mean, Array var, Array rstd, ConstArray x, ConstArray gamma, ConstArray beta, double epsilon);
void batch_norm_backward(Array dx, Array dgamma, Array dbeta, ConstArray dy, ConstArray x, ConstArray mean, ConstArray rstd,
                         ConstArray gamma);
}  // namespace cuda

}  // namespace gradus::inline v0
