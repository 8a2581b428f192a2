// What the contrastive ops and their higher orders share. Internal to engine/ops.
#pragma once

#include <gradus/engine/tensor.h>
#include <gradus/kernels/contrastive.h>

namespace gradus::inline v0::detail {

/// The operands of one contrastive loss; those that its form lacks are empty.
struct ContrastiveOperands {
  ContrastiveForm form;
  Tensor query, key, temperature;
  Tensor positive;  // queue: the positives; key_set: their index; supervised: the labels that say which they are
  Tensor mask;

  Contrastive arrays() const;
};

/// Gradients of the operands that have one, or cotangents of such gradients; an empty one is absent.
struct ContrastiveValues {
  Tensor query, key, positive, temperature;
};

/// The gradients of <u, d>, d being the gradients of sum(dloss * loss), as a composition of differentiable ops: it keeps [B, M] matrices.
/// What the closed form of the kernel computes, when its result is to be differentiated once more.
struct ContrastiveSecondOrder {
  Tensor dloss;
  ContrastiveValues operands;
};
ContrastiveSecondOrder compose_second_order(const ContrastiveOperands& x, const Tensor& dloss, const ContrastiveValues& u);

}  // namespace gradus::inline v0::detail
