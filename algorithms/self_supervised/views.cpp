#include <gradus/algorithms/self_supervised/views.h>

#include <cmath>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/random.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/record.h>
#include <gradus/engine/tape.h>
#include <gradus/nn/data/transforms.h>

namespace gradus::inline v0 {
namespace {

// Columns of the per-sample uniform numbers.
enum Draw : std::int64_t { kRotation, kShiftX, kShiftY, kScale, kGain, kEraseX, kEraseY, kDraws };

/// One row of [0, 1) numbers as what they stand for.
struct SampleView {
  double angle, shift_x, shift_y, scale;
  float gain;
  std::int64_t erase_x, erase_y;

  SampleView(std::span<const float> u, const ViewConfig& c, std::int64_t height, std::int64_t width) {
    auto symmetric = [&](Draw d, double most) { return most * (2.0 * static_cast<double>(u[d]) - 1.0); };
    angle = symmetric(kRotation, c.rotation) * 3.14159265358979323846 / 180;
    shift_x = symmetric(kShiftX, 2 * c.shift);  // the image is [-1, 1] wide
    shift_y = symmetric(kShiftY, 2 * c.shift);
    scale = c.scale_low + (c.scale_high - c.scale_low) * static_cast<double>(u[kScale]);
    gain = static_cast<float>(1 + symmetric(kGain, c.gain));
    erase_x = static_cast<std::int64_t>(u[kEraseX] * static_cast<float>(width - c.erase + 1));
    erase_y = static_cast<std::int64_t>(u[kEraseY] * static_cast<float>(height - c.erase + 1));
  }
  /// From output to input coordinates: the inverse of scale, rotate, shift.
  void write_matrix(float* m) const {
    const double c = std::cos(angle) / scale, s = std::sin(angle) / scale;
    const double rows[6] = {c, s, -(c * shift_x + s * shift_y), -s, c, -(-s * shift_x + c * shift_y)};
    for (int i = 0; i < 6; ++i) m[i] = static_cast<float>(rows[i]);
  }
};

void check_views(const Tensor& images, const Tensor& sample_ids, const ViewConfig& config) {
  require_dtype("augmented_view", "images", images, DType::f32);
  require_dtype("augmented_view", "sample_ids", sample_ids, DType::i64);
  require_rank("augmented_view", "images", images, 4);
  if (sample_ids.rank() != 1 || sample_ids.size(0) != images.size(0))
    raise_shape("[augmented_view] " + describe("sample_ids", sample_ids) + " for " + describe("images", images) +
                ": expected one per image");
  if (config.erase < 0 || config.erase > images.size(2) || config.erase > images.size(3))
    raise_value("[augmented_view] erase is " + std::to_string(config.erase) + ", which does not fit into " + describe("images", images));
  if (!(config.scale_low > 0 && config.scale_low <= config.scale_high))
    raise_value("[augmented_view] scale range [" + std::to_string(config.scale_low) + ", " + std::to_string(config.scale_high) +
                "]: expected 0 < low <= high");
}

}  // namespace

void ViewConfig::visit(FieldVisitor& v) {
  v.field("rotation", rotation, "largest rotation, degrees", "none (crops)");
  v.field("shift", shift, "largest shift, share of the side", "crops of .08 to 1 of the area");
  v.field("scale_low", scale_low, "smallest scale", "crops of .08 to 1 of the area");
  v.field("scale_high", scale_high, "largest scale", "crops of .08 to 1 of the area");
  v.field("gain", gain, "brightness factor 1 +- this", "colour jitter .8");
  v.field("erase", erase, "side of the erased square, pixels", "none");
  v.field("noise", noise, "standard deviation of added noise", "none (blur)");
}

ViewConfig ViewConfig::almost_none() { return {0, 0, 1, 1, 0, 0, 0.02}; }

Tensor augmented_view(const Tensor& images, const Tensor& sample_ids, Key key, const ViewConfig& config) {
  check_views(images, sample_ids, config);
  const NoGrad data;
  const std::int64_t n = images.size(0), height = images.size(2), width = images.size(3);
  const Device device = images.device();
  const Tensor draws = uniform(fold(key, 0), sample_ids.to(Device::cpu), {n, kDraws}, 0, 1);
  Tensor matrices = Tensor::empty({n, 2, 3}), gains = Tensor::empty({n, 1, 1, 1}), boxes = Tensor::empty({n, 4}, DType::i64);
  for (std::int64_t i = 0; i < n; ++i) {
    const SampleView view(draws.values<float>().subspan(static_cast<std::size_t>(i * kDraws), kDraws), config, height, width);
    view.write_matrix(fresh(matrices).as<float>() + 6 * i);
    fresh(gains).as<float>()[i] = view.gain;
    std::int64_t* box = fresh(boxes).as<std::int64_t>() + 4 * i;
    box[0] = view.erase_y, box[1] = view.erase_x, box[2] = view.erase_y + config.erase, box[3] = view.erase_x + config.erase;
  }
  const bool moves = config.rotation != 0 || config.shift != 0 || config.scale_low != 1 || config.scale_high != 1;
  Tensor view = moves ? affine_resample(images, matrices.to(device), 0) : images;
  if (config.gain != 0) view = view * gains.to(device);
  if (config.erase > 0) view = fill_rectangles(view, boxes.to(device), 0);
  if (config.noise > 0) view = view + normal(fold(key, 1), sample_ids.to(device), images.shape(), 0, config.noise);
  return view;
}

}  // namespace gradus::inline v0
