// The multilayer perceptron.
#pragma once

#include <vector>

#include <gradus/nn/activation.h>
#include <gradus/nn/linear.h>

namespace gradus::inline v0 {

struct MlpOptions {
  Activation activation = Activation::relu;
  DType dtype = DType::f32;
};

/// Linear layers with an activation between them and none after the last: x [..., sizes.front()] -> [..., sizes.back()].
///
///     Mlp model({64, 128, 10}, rng);
///     Tensor logits = model(x);                             // x [N, 64] -> [N, 10]
///     Mlp smooth({1, 40, 40, 1}, rng, {.activation = Activation::tanh});
struct Mlp : ModuleOf<Mlp> {
  Vec<Linear> layers;
  Activation activation = Activation::relu;

  Mlp() = default;
  /// Throws ValueError for fewer than two sizes.
  Mlp(const std::vector<std::int64_t>& sizes, Generator& rng, const MlpOptions& options = {});

  /// x [..., in] -> [..., out]; images [N, C, H, W] with C H W = in are read as rows. Throws what linear() throws.
  Tensor operator()(const Tensor& x) const;
  /// What the last layer reads: [N, sizes[sizes.size() - 2]].
  Tensor features(const Tensor& x) const;
  void visit(Visitor& v) { v("layers", layers); }
};

}  // namespace gradus::inline v0
