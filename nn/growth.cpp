#include <gradus/nn/growth.h>

#include <cstring>
#include <string>

#include <gradus/engine/record.h>

namespace gradus::inline v0 {
namespace {

/// A tensor seen as [outer, units, inner] around one axis.
struct Slices {
  Slices(const Shape& shape, int axis) : outer(shape.product(0, axis)), units(shape[axis]), inner(shape.product(axis + 1, shape.rank())) {}
  std::int64_t outer, units, inner;
};

void check_units(std::span<const std::int64_t> units, std::int64_t count) {
  for (const std::int64_t unit : units)
    if (unit < -1 || unit >= count)
      raise_index("[take_units] unit " + std::to_string(unit) + " of " + std::to_string(count) +
                  "; expected -1 (new) or one that is there");
}

/// Element source of every element of the new tensor.
std::vector<std::int64_t> element_sources(const Slices& old, std::span<const std::int64_t> units) {
  std::vector<std::int64_t> source;
  source.reserve(static_cast<std::size_t>(old.outer * old.inner) * units.size());
  for (std::int64_t o = 0; o < old.outer; ++o)
    for (const std::int64_t unit : units)
      for (std::int64_t i = 0; i < old.inner; ++i) source.push_back(unit < 0 ? -1 : (o * old.units + unit) * old.inner + i);
  return source;
}

template <class T> void scale_units(T* values, const Slices& grown, std::span<const double> scale) {
  for (std::int64_t o = 0; o < grown.outer; ++o)
    for (const double s : scale)
      for (std::int64_t i = 0; i < grown.inner; ++i) *values++ *= static_cast<T>(s);
}

/// How often each unit's source occurs, as a factor: 1 / copies.
std::vector<double> shares(std::span<const std::int64_t> units, std::int64_t old) {
  std::vector<double> copies(static_cast<std::size_t>(old)), share;
  for (const std::int64_t unit : units) copies[static_cast<std::size_t>(unit)] += 1;
  for (const std::int64_t unit : units) share.push_back(1 / copies[static_cast<std::size_t>(unit)]);
  return share;
}

void take_units(Buffer& buffer, std::span<const std::int64_t> units) {
  const std::vector<std::int64_t> source = element_sources(Slices(buffer.tensor().shape(), 0), units);
  buffer.replace(gather_elements(buffer, source, {static_cast<std::int64_t>(units.size())}));
}

GrowthMap widen_layer(Parameter& weight, Parameter& bias, BatchNorm* norm, Parameter& next, std::int64_t width, Key key) {
  const std::int64_t old = weight.tensor().size(0);
  if (next.tensor().size(1) != old)
    raise_shape("[widen] " + describe("layer.weight", weight) + " has " + std::to_string(old) + " units, " + describe("next.weight", next) +
                " reads " + std::to_string(next.tensor().size(1)) + "; expected as many");
  if (norm && norm->gamma.tensor().size(0) != old)
    raise_shape("[widen] " + describe("norm.gamma", norm->gamma) + " does not fit " + std::to_string(old) + " units");
  const std::vector<std::int64_t> units = copied_units(old, width, key);
  GrowthMap growth;
  growth.push_back(take_units(weight, 0, units));
  if (bias.tensor()) growth.push_back(take_units(bias, 0, units));
  if (norm) {
    growth.push_back(take_units(norm->gamma, 0, units));
    growth.push_back(take_units(norm->beta, 0, units));
    take_units(norm->running_mean, units);
    take_units(norm->running_var, units);
  }
  growth.push_back(take_units(next, 1, units, shares(units, old)));
  return growth;
}

void require_ungrouped(const Conv2d& layer) {
  if (layer.options.groups != 1)
    raise_value("[widen] a convolution of " + std::to_string(layer.options.groups) + " groups cannot be widened; expected 1");
}

}  // namespace

Tensor gather_elements(const Tensor& x, std::span<const std::int64_t> source, const Shape& shape) {
  GRADUS_ASSERT(static_cast<std::int64_t>(source.size()) == shape.elements());
  Tensor y = Tensor::zeros(shape, x.dtype());
  const Tensor here = x.to(Device::cpu);  // growing is rare: it may wait
  const std::size_t bytes = size_of(x.dtype());
  const char* from = static_cast<const char*>(here.array().data);
  char* to = static_cast<char*>(fresh(y).data);
  for (const std::int64_t element : source) {
    if (element >= 0) std::memcpy(to, from + static_cast<std::size_t>(element) * bytes, bytes);
    to += bytes;
  }
  return y.to(x.device());
}

ParameterMap take_units(Parameter& parameter, int axis, std::span<const std::int64_t> units, std::span<const double> scale) {
  const Tensor old = parameter.tensor();
  const int at = require_axis("take_units", "parameter", old, axis);
  require_floating("take_units", "parameter", old);
  if (!scale.empty() && scale.size() != units.size())
    raise_shape("[take_units] " + std::to_string(scale.size()) + " scales for " + std::to_string(units.size()) + " units");
  check_units(units, old.shape()[at]);
  Shape shape;
  for (int i = 0; i < old.rank(); ++i) shape.push_back(i == at ? static_cast<std::int64_t>(units.size()) : old.shape()[i]);
  std::vector<std::int64_t> source = element_sources(Slices(old.shape(), at), units);
  Tensor grown = gather_elements(old, source, shape);
  if (!scale.empty())
    with_floating(grown.dtype(), [&](auto zero) { scale_units(fresh(grown).as<decltype(zero)>(), Slices(shape, at), scale); });
  parameter.replace(grown);
  return {old.id(), grown.id(), shape, std::move(source)};
}

std::vector<std::int64_t> copied_units(std::int64_t old, std::int64_t width, Key key) {
  if (old < 1 || width < old)
    raise_value("[widen] a layer of " + std::to_string(old) + " units cannot get " + std::to_string(width) + "; expected at least as many");
  std::vector<std::int64_t> units(static_cast<std::size_t>(width));
  for (std::int64_t j = 0; j < width; ++j) {
    const std::uint32_t word = philox_block(key, static_cast<std::uint32_t>(j / 4), 0).word[j % 4];
    units[static_cast<std::size_t>(j)] = j < old ? j : below(word, static_cast<std::uint64_t>(old));
  }
  return units;
}

GrowthMap widen(Linear& layer, Linear& next, std::int64_t width, Key key) {
  return widen_layer(layer.weight, layer.bias, nullptr, next.weight, width, key);
}
GrowthMap widen(Linear& layer, BatchNorm& norm, Linear& next, std::int64_t width, Key key) {
  return widen_layer(layer.weight, layer.bias, &norm, next.weight, width, key);
}
GrowthMap widen(Conv2d& layer, Conv2d& next, std::int64_t width, Key key) {
  require_ungrouped(layer);
  require_ungrouped(next);
  return widen_layer(layer.weight, layer.bias, nullptr, next.weight, width, key);
}
GrowthMap widen(Conv2d& layer, Linear& next, std::int64_t width, Key key) {
  require_ungrouped(layer);
  return widen_layer(layer.weight, layer.bias, nullptr, next.weight, width, key);
}
GrowthMap widen(Conv2d& layer, BatchNorm& norm, Conv2d& next, std::int64_t width, Key key) {
  require_ungrouped(layer);
  require_ungrouped(next);
  return widen_layer(layer.weight, layer.bias, &norm, next.weight, width, key);
}
GrowthMap widen(Conv2d& layer, BatchNorm& norm, Linear& next, std::int64_t width, Key key) {
  require_ungrouped(layer);
  return widen_layer(layer.weight, layer.bias, &norm, next.weight, width, key);
}

}  // namespace gradus::inline v0
