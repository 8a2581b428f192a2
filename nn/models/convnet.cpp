#include <gradus/nn/models/convnet.h>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/pooling.h>
#include <gradus/engine/tape.h>

namespace gradus::inline v0 {

ConvBlock::ConvBlock(std::int64_t in, std::int64_t out, bool with_pool, Generator& rng, DType dtype)
    : conv(in, out, 3, rng, {.padding = 1, .dtype = dtype}), norm(out, {.dtype = dtype}), pool(with_pool) {}

Tensor ConvBlock::operator()(const Tensor& x) const {
  const Tensor y = relu(norm(conv(x)));
  return pool ? max_pool2d(y, {}) : y;
}

void ConvBlock::visit(Visitor& v) {
  v("conv", conv);
  v("norm", norm);
}

ConvEncoder::ConvEncoder(std::int64_t channels, Generator& rng, const ConvEncoderOptions& options) {
  if (options.widths.empty()) raise_value("[ConvEncoder] widths is empty; expected one number a block");
  blocks.reserve(options.widths.size());
  for (const std::int64_t width : options.widths) {
    const bool pool = static_cast<int>(blocks.size()) + options.pools >= static_cast<int>(options.widths.size());
    blocks.emplace_back(channels, width, pool, rng, options.dtype);
    channels = width;
  }
}

Tensor ConvEncoder::operator()(const Tensor& x) const {
  Tensor y = x;
  int index = 0;
  for (const ConvBlock& block : blocks) {
    const NameScope scope("blocks", index++);
    y = block(y);
  }
  return global_avg_pool(y);
}

Convnet::Convnet(std::int64_t channels, std::int64_t classes, Generator& rng, const ConvEncoderOptions& options)
    : encoder(channels, rng, options), head(encoder.features(), classes, rng, {.dtype = options.dtype}) {}

Tensor Convnet::features(const Tensor& x) const {
  const NameScope scope("encoder");
  return encoder(x);
}

void Convnet::visit(Visitor& v) {
  v("encoder", encoder);
  v("head", head);
}

}  // namespace gradus::inline v0
