// SimCLR: representations from two augmented views and in-batch negatives.
// Chen, Kornblith, Norouzi, Hinton 2020, "A Simple Framework for Contrastive Learning of Visual Representations", arXiv 2002.05709.
//
//     h = encoder(view), u = head(h), z = u / |u|, 2N rows; p(i) = (i + N) mod 2N
//     L = (1/2N) sum_i [ -s_{i,p(i)} + log sum_{k != i} exp s_ik ],   s_ik = <z_i, z_k> / temperature            (equation 1)
//
// over all 2N anchors, both directions. The head is Linear - BatchNorm - ReLU - Linear; transfer uses h, not z. Differs from the paper:
// the optimizer is the caller's (the paper: LARS), batch norm is per pass (joint_forward chooses one pass of 2N or two of N).
#pragma once

#include <gradus/algorithms/self_supervised/representation_monitor.h>
#include <gradus/algorithms/self_supervised/views.h>
#include <gradus/nn/module.h>
#include <gradus/nn/optimizers.h>

namespace gradus::inline v0 {

struct SimclrConfig {
  double temperature = 0.2;
  std::int64_t hidden_dim = 128;
  std::int64_t projection_dim = 64;
  bool joint_forward = false;  ///< both views in one pass of 2N: other batch-norm statistics

  void visit(FieldVisitor& v);
};

/// Encoder and projection head. A value, like every module.
struct Simclr : ModuleOf<Simclr> {
  Module encoder, head;
  SimclrConfig config;

  Simclr() = default;
  /// `features` is the width of the encoder's output h [N, features].
  Simclr(Module encoder, std::int64_t features, const SimclrConfig& config, Generator& rng);
  /// u = head(encoder(x)): unnormalised projections.
  Tensor operator()(const Tensor& x) const { return head(encoder(x)); }
  void visit(Visitor& v) {
    v("encoder", encoder);
    v("head", head);
  }
};

/// The loss of two batches of views [N, ...], on the current tape, and the projections u [2N, d] for statistics. Throws ValueError for
/// N < 2 (no negatives) or temperature <= 0.
struct SimclrLoss {
  Tensor loss, projections;
};
SimclrLoss simclr_loss(const Simclr& model, const Tensor& views_a, const Tensor& views_b);

/// Statistics of a loss and its projections.
ContrastiveStats contrastive_stats(const SimclrLoss& loss);

/// One training step: training pass, loss, gradients, optimizer.
///
///     SimclrLoss l = simclr_step(model, optimizer, augmented_view(x, ids, ka, v), augmented_view(x, ids, kb, v), fold(key, step));
SimclrLoss simclr_step(const Simclr& model, Optimizer& optimizer, const Tensor& views_a, const Tensor& views_b, Key key);

/// h of images [N, ...] in inference mode, in chunks; a constant.
Tensor encode(const Module& encoder, const Tensor& images, std::int64_t chunk = 512);

}  // namespace gradus::inline v0
