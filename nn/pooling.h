// From images to vectors: pooling and flattening as modules.
#pragma once

#include <gradus/engine/ops/pooling.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/nn/module.h>

namespace gradus::inline v0 {

/// The largest value of each window: [N, C, H, W] -> [N, C, OH, OW]; by default the windows of 2x2 that tile the image.
///
///     Sequential body(Conv2d(1, 32, 3, rng, {.padding = 1}), Relu(), MaxPool2d());
struct MaxPool2d : ModuleOf<MaxPool2d> {
  Pool2dOptions options;

  MaxPool2d() = default;
  explicit MaxPool2d(const Pool2dOptions& windows) : options(windows) {}
  Tensor operator()(const Tensor& x) const { return max_pool2d(x, options); }
  void visit(Visitor&) {}
};

/// The mean over all positions: [N, C, H, W] -> [N, C].
struct GlobalAvgPool : ModuleOf<GlobalAvgPool> {
  Tensor operator()(const Tensor& x) const { return global_avg_pool(x); }
  void visit(Visitor&) {}
};

/// Everything after the first axis in one: [N, ...] -> [N, D]. A view.
struct Flatten : ModuleOf<Flatten> {
  Tensor operator()(const Tensor& x) const { return reshape(x, {x.size(0), x.shape().product(1, x.rank())}); }
  void visit(Visitor&) {}
};

}  // namespace gradus::inline v0
