// A two-dimensional convolution layer.
#pragma once

#include <gradus/kernels/philox.h>
#include <gradus/nn/module.h>

namespace gradus::inline v0 {

struct Conv2dOptions {
  std::int64_t stride = 1, padding = 0, dilation = 1, groups = 1;  ///< both axes alike
  bool bias = true;
  DType dtype = DType::f32;
};

/// x [N, C, H, W] -> [N, K, OH, OW], OH = floor((H + 2 padding - dilation (kernel - 1) - 1) / stride) + 1. weight
/// [K, C / groups, kernel, kernel] and bias [K] start from U(-1/sqrt(f), 1/sqrt(f)), f = C / groups kernel^2.
///
///     Conv2d conv(3, 32, 3, rng, {.padding = 1});
///     Tensor y = conv(images);                   // [N, 3, 28, 28] -> [N, 32, 28, 28]
struct Conv2d : ModuleOf<Conv2d> {
  Parameter weight, bias;
  std::int64_t stride = 1, padding = 0, dilation = 1, groups = 1;

  Conv2d() = default;
  /// Takes one key from `rng`. Throws ValueError for sizes below 1 and for groups that do not divide both channel counts.
  Conv2d(std::int64_t in, std::int64_t out, std::int64_t kernel, Generator& rng, const Conv2dOptions& options = {});

  /// Throws what conv2d() throws.
  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v);
};

}  // namespace gradus::inline v0
