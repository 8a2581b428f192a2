// A two-dimensional convolution layer.
#pragma once

#include <gradus/engine/ops/convolution.h>
#include <gradus/kernels/philox.h>
#include <gradus/nn/module.h>

namespace gradus::inline v0 {

struct Conv2dOptions {
  Pair2d stride = 1;
  Pair2d padding = 0;
  std::int64_t groups = 1;
  bool bias = true;
  DType dtype = DType::f32;
};

/// x [N, C, H, W] -> [N, K, OH, OW], OH = floor((H + 2 padding - kernel) / stride) + 1. weight [K, C / groups, R, S] and bias [K] (or
/// none) start from U(-1/sqrt(f), 1/sqrt(f)), f = C / groups R S.
///
///     Conv2d conv(3, 32, 3, rng, {.padding = 1});
///     Tensor y = conv(images);                   // [N, 3, 28, 28] -> [N, 32, 28, 28]
struct Conv2d : ModuleOf<Conv2d> {
  Parameter weight, bias;
  ConvOptions options;

  Conv2d() = default;
  /// Takes one key from `rng`. Throws ValueError for sizes below 1 and for groups that do not divide both channel counts.
  Conv2d(std::int64_t in, std::int64_t out, Pair2d kernel, Generator& rng, const Conv2dOptions& config = {});

  /// Throws what conv2d() throws.
  Tensor operator()(const Tensor& x) const { return conv2d(x, weight, bias, options); }
  void visit(Visitor& v);
};

}  // namespace gradus::inline v0
