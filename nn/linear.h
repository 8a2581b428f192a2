// A fully connected layer.
#pragma once

#include <gradus/kernels/philox.h>
#include <gradus/nn/module.h>

namespace gradus::inline v0 {

struct LinearOptions {
  bool bias = true;
  DType dtype = DType::f32;
};

/// y = x weight^T + bias: x [..., in], weight [out, in], bias [out] (or none), y [..., out]. Starts from U(-1/sqrt(in), 1/sqrt(in)).
///
///     Linear layer(64, 10, rng);
///     Tensor logits = layer(x);                  // x [N, 64] -> [N, 10]
struct Linear : ModuleOf<Linear> {
  Parameter weight, bias;

  Linear() = default;
  /// Takes one key from `rng`. Throws ValueError for negative sizes.
  Linear(std::int64_t in, std::int64_t out, Generator& rng, const LinearOptions& options = {});

  /// Throws what linear() throws.
  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v);
};

}  // namespace gradus::inline v0
