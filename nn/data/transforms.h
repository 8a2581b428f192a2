// Image transforms for data preparation: constants, never differentiated.
#pragma once

#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

/// images [N, C, H, W] resampled bilinearly, once, through one affine map per image: matrices [N, 2, 3] take output coordinates (x, y, 1)
/// to input coordinates, both in [-1, 1] across the image's outer edges (pixel centres lie half a pixel inside, as PyTorch's grid_sample
/// with align_corners = false). Outside the image the value is `fill`. Throws ShapeError, DTypeError.
///
///     Tensor identity = Tensor::from({1.f, 0.f, 0.f, 0.f, 1.f, 0.f}, {1, 2, 3});
///     Tensor same = affine_resample(image, identity, 0);
Tensor affine_resample(const Tensor& images, const Tensor& matrices, double fill);

/// A copy with one rectangle per image set to `value`, in every channel: boxes i64 [N, 4] hold {top, left, bottom, right}, the last two
/// exclusive, clipped to the image.
Tensor fill_rectangles(const Tensor& images, const Tensor& boxes, double value);

}  // namespace gradus::inline v0
