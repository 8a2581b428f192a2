// From images to vectors: pooling and flattening as modules.
#pragma once

#include <gradus/engine/ops/pooling.h>
#include <gradus/nn/module.h>

namespace gradus::inline v0 {

/// The largest value of each window: [N, C, H, W] -> [N, C, OH, OW]. A stride of 0 means the kernel's size.
///
///     MaxPool2d pool{.kernel = 2};
struct MaxPool2d : ModuleOf<MaxPool2d> {
  std::int64_t kernel = 2, stride = 0, padding = 0;

  explicit MaxPool2d(std::int64_t kernel_size = 2, std::int64_t step = 0, std::int64_t pad = 0)
      : kernel(kernel_size), stride(step), padding(pad) {}
  Tensor operator()(const Tensor& x) const;
  void visit(Visitor&) {}
};

/// The mean over all positions: [N, C, H, W] -> [N, C].
struct GlobalAvgPool : ModuleOf<GlobalAvgPool> {
  Tensor operator()(const Tensor& x) const;
  void visit(Visitor&) {}
};

/// Everything after the first axis in one: [N, ...] -> [N, D]. A view.
struct Flatten : ModuleOf<Flatten> {
  Tensor operator()(const Tensor& x) const;
  void visit(Visitor&) {}
};

}  // namespace gradus::inline v0
