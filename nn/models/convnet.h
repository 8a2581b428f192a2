// Small convolutional networks for small images.
#pragma once

#include <vector>

#include <gradus/nn/convolution.h>
#include <gradus/nn/linear.h>
#include <gradus/nn/normalization.h>

namespace gradus::inline v0 {

/// 3x3 convolution (padding 1), batch norm, ReLU and, where `pool` is set, 2x2 max pooling:
/// [N, in, H, W] -> [N, out, H, W] or [N, out, H/2, W/2].
struct ConvBlock : ModuleOf<ConvBlock> {
  Conv2d conv;
  BatchNorm norm;
  bool pool = true;

  ConvBlock() = default;
  ConvBlock(std::int64_t in, std::int64_t out, bool with_pool, Generator& rng, DType dtype = DType::f32);

  Tensor operator()(const Tensor& x) const;
  void visit(Visitor& v);
};

struct ConvEncoderOptions {
  std::vector<std::int64_t> widths = {32, 64, 128};
  int pools = 2;  ///< how many of the last blocks end in pooling: 2 suits 8x8 images, 3 suits 28x28
  DType dtype = DType::f32;
};

/// Blocks of growing width, then the mean over all positions: images [N, channels, H, W] -> features [N, widths.back()].
///
///     ConvEncoder encoder(1, rng);
///     Tensor h = encoder(images);                // [N, 1, 8, 8] -> [N, 128]
struct ConvEncoder : ModuleOf<ConvEncoder> {
  Vec<ConvBlock> blocks;

  ConvEncoder() = default;
  /// Throws ValueError without widths.
  ConvEncoder(std::int64_t channels, Generator& rng, const ConvEncoderOptions& options = {});

  Tensor operator()(const Tensor& x) const;
  std::int64_t features() const { return blocks.back().conv.weight.tensor().size(0); }
  void visit(Visitor& v) { v("blocks", blocks); }
};

/// A classifier on top of an encoder whose blocks all pool: images [N, channels, H, W] -> logits [N, classes].
///
///     Convnet model(1, 10, rng);
///     Tensor logits = model(images);             // [N, 1, 28, 28] -> [N, 10]
struct Convnet : ModuleOf<Convnet> {
  ConvEncoder encoder;
  Linear head;

  Convnet() = default;
  Convnet(std::int64_t channels, std::int64_t classes, Generator& rng, const ConvEncoderOptions& options = {.pools = 3});

  Tensor operator()(const Tensor& x) const { return head(features(x)); }
  Tensor features(const Tensor& x) const;
  void visit(Visitor& v);
};

}  // namespace gradus::inline v0
