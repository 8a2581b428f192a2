#include <gradus/nn/models/mlp.h>

#include <gradus/engine/ops/shape.h>
#include <gradus/engine/record.h>
#include <gradus/engine/tape.h>

namespace gradus::inline v0 {

Mlp::Mlp(const std::vector<std::int64_t>& sizes, Generator& rng, const MlpOptions& options) : activation(options.activation) {
  if (sizes.size() < 2) raise_value("[Mlp] " + std::to_string(sizes.size()) + " sizes; expected at least an input and an output");
  layers.reserve(sizes.size() - 1);
  for (std::size_t i = 0; i + 1 < sizes.size(); ++i)
    layers.emplace_back(sizes[i], sizes[i + 1], rng, LinearOptions{.dtype = options.dtype});
}

namespace {

/// Images as rows. What ends in the layer's width (rows, sequences of rows) stays as it is.
Tensor rows_of(const Tensor& x, std::int64_t width) {
  if (x.rank() < 3 || x.size(-1) == width || x.shape().product(1, x.rank()) != width) return x;
  return reshape(x, {x.size(0), width});
}

}  // namespace

Tensor Mlp::features(const Tensor& x) const {
  if (layers.empty()) raise_value("[Mlp] a model without layers was called; construct it with sizes first");
  require_defined("Mlp", "x", x);
  Tensor y = rows_of(x, layers.front().weight.tensor().size(1));
  for (std::size_t i = 0; i + 1 < layers.size(); ++i) {
    const NameScope scope("layers", static_cast<int>(i));
    y = activate(activation, layers[i](y));
  }
  return y;
}

Tensor Mlp::operator()(const Tensor& x) const {
  const Tensor y = features(x);
  const NameScope scope("layers", static_cast<int>(layers.size()) - 1);
  return layers.back()(y);
}

}  // namespace gradus::inline v0
