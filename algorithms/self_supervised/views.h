// Two augmented views of every image: the pretext task of contrastive learning.
//
// Every *sample* of every view draws its own augmentation, keyed by (key, sample id): one draw per batch would be wrong, and so would one
// key for both views. The whole geometry (rotation, shift, scale) is one affine resampling per image.
#pragma once

#include <gradus/engine/tensor.h>
#include <gradus/kernels/philox.h>
#include <gradus/nn/config.h>

namespace gradus::inline v0 {

struct ViewConfig {
  double rotation = 15;  ///< degrees, uniform in +-
  double shift = 0.12;   ///< share of the image's side, uniform in +-, each axis
  double scale_low = 0.85, scale_high = 1.15;
  double gain = 0.3;       ///< brightness factor uniform in 1 +- gain
  std::int64_t erase = 3;  ///< side of a square set to 0 at a uniform place, in pixels; 0: none
  double noise = 0.05;     ///< standard deviation of normal noise, in units of the pixels

  void visit(FieldVisitor& v);
  /// Almost no augmentation: noise of .02 alone. Contrastive learning must lose its gain with it.
  static ViewConfig almost_none();
};

/// An augmented copy of images [N, C, H, W] f32. sample_ids [N] i64; fold epoch and view into `key`. Throws ShapeError, DTypeError, and
/// ValueError for a square that does not fit or an empty range.
///
///     Tensor a = augmented_view(images, ids, fold(fold(key, epoch), 0), config);
///     Tensor b = augmented_view(images, ids, fold(fold(key, epoch), 1), config);
Tensor augmented_view(const Tensor& images, const Tensor& sample_ids, Key key, const ViewConfig& config);

}  // namespace gradus::inline v0
