// Geometric image transformations: one bilinear resampling through an affine map per image, and rectangles filled with a constant.
#pragma once

#include <gradus/kernels/array.h>

namespace gradus::inline v0 {

namespace cpu {
/// y[n, :, i, j] = x[n] sampled at matrix n times (u, v, 1), bilinearly; x [N, C, H, W], y [N, C, H', W'], matrices [N, 2, 3], f32 or f64.
///
/// (u, v) is the centre of output pixel (row i, column j) in normalised coordinates, u across and v down, in which the image's outer edges
/// are -1 and 1: u = (2 j + 1) / W' - 1. The result, (x, y) in the same units of the input image, falls on the centre of column
/// ((x + 1) W - 1) / 2 (the convention of spatial transformers, Jaderberg et al. 2015, with corners not aligned). Pixels outside the input
/// have the value `fill`. Of finite values the identity, mirrorings and quarter turns of a square image are exact. A coordinate that is not
/// finite gives NaN.
void affine_resample(Array y, ConstArray x, ConstArray matrices, double fill);
/// y[n, :, top .. bottom-1, left .. right-1] = value, boxes (i64 [N, 4]) = top, left, bottom, right, clipped to the image; y [N, C, H, W],
/// f32 or f64. The other pixels keep their values.
void fill_rectangles(Array y, ConstArray boxes, double value);
}  // namespace cpu

namespace cuda {
void affine_resample(Array y, ConstArray x, ConstArray matrices, double fill);
void fill_rectangles(Array y, ConstArray boxes, double value);
}  // namespace cuda

}  // namespace gradus::inline v0
