// Growing a network without changing what it computes (Chen, Goodfellow & Shlens 2016, "Net2Net", section 2.2): a wider layer copies
// units, and the layer after it divides the outgoing weights of each unit by the number of its copies.
//
// A grown parameter is a new tensor with a new id. What happened to it is a ParameterMap, with which an optimizer moves its state:
//
//     GrowthMap growth = widen(model.layers[0], model.layers[1], 256, rng.next_key());
//     adam.remap(growth);
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <gradus/nn/convolution.h>
#include <gradus/nn/linear.h>
#include <gradus/nn/normalization.h>

namespace gradus::inline v0 {

/// Where the elements of a grown parameter come from.
struct ParameterMap {
  std::uint64_t from = 0, to = 0;    ///< ids of the old and the new tensor
  Shape shape;                       ///< of the new one
  std::vector<std::int64_t> source;  ///< element i of the new tensor was element source[i] of the old one; -1: it has no ancestor
};
using GrowthMap = std::vector<ParameterMap>;

/// Replaces `parameter` by its slices `units` along `axis`: slice j of the new tensor is slice units[j] of the old one, times scale[j]
/// where `scale` is not empty. A unit of -1 is a new slice of zeros. Throws IndexError for a unit that is not there.
ParameterMap take_units(Parameter& parameter, int axis, std::span<const std::int64_t> units, std::span<const double> scale = {});

/// x's elements `source`, in the given shape; zero where source is -1. Not differentiable: what remap() does to an optimizer's moments.
Tensor gather_elements(const Tensor& x, std::span<const std::int64_t> source, const Shape& shape);

/// Which old unit each unit of a wider layer copies: 0 .. old - 1, then `width - old` random ones. Throws ValueError if width < old.
std::vector<std::int64_t> copied_units(std::int64_t old, std::int64_t width, Key key);

/// Gives `layer` `width` units; `next`, which reads them, computes what it did (to rounding). Any elementwise activation may stand
/// between the two. Copies are exact: they stay equal until something (noise, dropout) tells them apart.
/// Throws ShapeError if `next` does not read the units of `layer`, ValueError if width is below the present one.
GrowthMap widen(Linear& layer, Linear& next, std::int64_t width, Key key);
GrowthMap widen(Conv2d& layer, Conv2d& next, std::int64_t width, Key key);
/// Global pooling stands between the two, so that channels are what `next` reads.
GrowthMap widen(Conv2d& layer, Linear& next, std::int64_t width, Key key);
/// The same where a batch norm reads the units of `layer` too: its parameters and running statistics are copied with them.
GrowthMap widen(Linear& layer, BatchNorm& norm, Linear& next, std::int64_t width, Key key);
GrowthMap widen(Conv2d& layer, BatchNorm& norm, Conv2d& next, std::int64_t width, Key key);
GrowthMap widen(Conv2d& layer, BatchNorm& norm, Linear& next, std::int64_t width, Key key);

}  // namespace gradus::inline v0
