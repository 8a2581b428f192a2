#include <gradus/nn/data/transforms.h>

#include <gradus/engine/record.h>
#include <gradus/kernels/resample.h>

namespace gradus::inline v0 {

Tensor affine_resample(const Tensor& images, const Tensor& matrices, double fill) {
  require_floating("affine_resample", "images", images);
  require_rank("affine_resample", "images", images, 4);
  require_same_dtype("affine_resample", "images", images, "matrices", matrices);
  if (!(matrices.shape() == Shape{images.size(0), 2, 3}))
    raise_shape("[affine_resample] " + describe("matrices", matrices) + " for " + describe("images", images) + ": expected [N, 2, 3]");
  Tensor y = empty_like(images);
  GRADUS_RUN(images.device(), affine_resample, fresh(y), images.array(), matrices.array(), fill);
  return y;
}

Tensor fill_rectangles(const Tensor& images, const Tensor& boxes, double value) {
  require_floating("fill_rectangles", "images", images);
  require_rank("fill_rectangles", "images", images, 4);
  require_dtype("fill_rectangles", "boxes", boxes, DType::i64);
  if (!(boxes.shape() == Shape{images.size(0), 4}))
    raise_shape("[fill_rectangles] " + describe("boxes", boxes) + " for " + describe("images", images) + ": expected [N, 4]");
  Tensor y = images.clone();
  GRADUS_RUN(images.device(), fill_rectangles, fresh(y), boxes.array(), value);
  return y;
}

}  // namespace gradus::inline v0
