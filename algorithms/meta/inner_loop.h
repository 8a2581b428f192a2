// The inner loop of bilevel methods: K steps of gradient descent on a support loss, and the gradient of a query loss through them.
//
//     theta_{k+1} = theta_k - alpha o grad L_S(theta_k, phi)        k = 0 .. K-1
//     meta-gradient of L_Q(theta_K, phi) with respect to theta_0, alpha and phi (everything else that is learned)
//
// Finn et al. 2017 (MAML, arXiv 1703.03400), equation 1. The ways to differentiate:
// - unrolled: one tape, every inner gradient taken with create_graph, one outer sweep. Memory grows with K.
// - adjoint: short tapes one after another. Keep theta_0 .. theta_{K-1}; with v = dL_Q/dtheta_K, for k = K-1 .. 0:
//       s = <grad L_S(theta_k, phi), stop(alpha o v)>;  dalpha -= grad L_S o v;  dphi -= ds/dphi;  v -= ds/dtheta_k
//   One double backward of one step at a time: the graph's memory does not depend on K.
// - first_order: v stays dL_Q/dtheta_K (FOMAML): the inner gradients are constants. No double backward is recorded.
// The first two give the same gradient; a test demands 1e-10.
#pragma once

#include <functional>

#include <gradus/engine/tape.h>

namespace gradus::inline v0 {

enum class Differentiate { unrolled, adjoint, first_order };

/// A scalar loss as a function of the adapted parameters, at inner step `step` (K for the query loss). Everything else that is learned
/// is captured; random draws inside must be keyed by the step, because the adjoint evaluates a step twice.
using InnerLoss = std::function<Tensor(const TensorList& adapted, int step)>;

struct InnerLoopConfig {
  double inner_lr = 0.01;
  int inner_steps = 1;
  Differentiate differentiate = Differentiate::unrolled;
  double inner_clip = 0;  ///< each inner gradient element is clamped to [-inner_clip, inner_clip]; 0: not
};

struct InnerLoopGradient {
  Tensor query_loss;           ///< scalar, a constant
  TensorList initial;          ///< d query_loss / d initial, in order
  TensorList rates;            ///< d query_loss / d rates, where rates were given
  TensorList shared;           ///< d query_loss / d shared; empty tensors where neither loss reaches
  Vec<double> support_losses;  ///< of theta_0 .. theta_{K-1}
  TensorList adapted;          ///< theta_K, constants
  std::int64_t peak_tape_bytes = 0;
};

/// Runs the inner loop and differentiates the query loss through it.
///
/// initial: theta_0. shared: phi, tensors that the losses capture and that are learned too. rates: one learned rate per initial tensor
/// (any shape that broadcasts to it) in place of config.inner_lr, or none. Throws GradientError when the query loss does not depend on
/// the initial parameters (a detached inner loop), ValueError for inner_steps < 1 or a wrong number of rates.
///
///     auto g = inner_loop_gradient(support_loss, query_loss, model.parameters(), {}, {}, {.inner_lr = 0.01, .inner_steps = 5});
InnerLoopGradient inner_loop_gradient(const InnerLoss& support_loss, const InnerLoss& query_loss, const TensorList& initial,
                                      const TensorList& shared, const TensorList& rates, const InnerLoopConfig& config);

/// theta_0 .. theta_K of plain gradient descent, without a graph: what a deployed model does. config.differentiate is not used.
std::vector<TensorList> adapt(const InnerLoss& support_loss, const TensorList& initial, const InnerLoopConfig& config);

}  // namespace gradus::inline v0
