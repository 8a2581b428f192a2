#include <gradus/algorithms/self_supervised/linear_probe.h>

#include <cmath>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/index.h>
#include <gradus/engine/ops/matmul.h>
#include <gradus/engine/ops/random.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/ops/softmax.h>
#include <gradus/engine/record.h>
#include <gradus/engine/tape.h>
#include <gradus/nn/lbfgs.h>

namespace gradus::inline v0 {
namespace {

void check(const Tensor& features, const Tensor& labels) {
  require_floating("linear_probe", "features", features);
  require_rank("linear_probe", "features", features, 2);
  require_dtype("linear_probe", "labels", labels, DType::i64);
  if (labels.rank() != 1 || labels.size(0) != features.size(0))
    raise_shape("[linear_probe] " + describe("labels", labels) + " for " + describe("features", features) + ": expected one per row");
  for (const std::int64_t y : labels.values<std::int64_t>())
    if (y < 0) raise_index("[linear_probe] a label is " + std::to_string(y) + "; expected label >= 0");
}

std::int64_t class_count(const Tensor& a, const Tensor& b) {
  return 1 +
         std::max(static_cast<std::int64_t>(max(cast(a, DType::f64)).item()), static_cast<std::int64_t>(max(cast(b, DType::f64)).item()));
}

/// Weights [K, D + 1] in one flat tensor: the last column is the bias.
Tensor logits_of(const Tensor& flat, const Tensor& x, std::int64_t classes) {
  const std::int64_t d = x.size(1);
  return linear(x, reshape(slice_rows(flat, 0, classes * d), {classes, d}), slice_rows(flat, classes * d, classes * (d + 1)));
}

}  // namespace

double linear_probe(const Tensor& train_features, const Tensor& train_labels, const Tensor& test_features, const Tensor& test_labels,
                    const LinearProbeConfig& config) {
  check(train_features, train_labels);
  check(test_features, test_labels);
  if (train_features.size(0) == 0 || test_features.size(0) == 0) raise_value("[linear_probe] no samples");
  Tensor x = cast(train_features.detach(), DType::f64), test = cast(test_features.detach(), DType::f64);
  if (config.standardize) {
    const Tensor centre = mean(x, {0}), spread = sqrt(mean(square(x - centre), {0}));
    const Tensor scale = where(spread > 0.0, reciprocal(spread), ones_like(spread));  // a constant feature stays at 0
    x = (x - centre) * scale;
    test = (test - centre) * scale;
  }
  const std::int64_t classes = class_count(train_labels, test_labels), d = x.size(1);
  const auto objective = [&](const Tensor& flat) {
    const Tensor fit = cross_entropy(logits_of(flat, x, classes), train_labels, {.reduction = Reduction::sum});
    return fit * config.c + sum(square(slice_rows(flat, 0, classes * d))) * 0.5;
  };
  const LbfgsResult fitted = lbfgs(objective, Tensor::zeros({classes * (d + 1)}, DType::f64), {.iterations = config.iterations});
  const Tensor right = argmax(logits_of(fitted.x, test, classes), 1) == test_labels;
  return 100 * mean(cast(right, DType::f64)).item();
}

double few_label_probe(const Tensor& train_features, const Tensor& train_labels, const Tensor& test_features, const Tensor& test_labels,
                       std::int64_t labels_per_class, int draws, Key key, const LinearProbeConfig& config) {
  check(train_features, train_labels);
  const std::int64_t classes = class_count(train_labels, test_labels), n = train_features.size(0);
  const auto labels = train_labels.values<std::int64_t>();
  double total = 0;
  for (int draw = 0; draw < draws; ++draw) {
    const Tensor order = permutation(fold(key, static_cast<std::uint64_t>(draw)), n);
    std::vector<std::int64_t> taken(static_cast<std::size_t>(classes), 0), rows;
    for (const std::int64_t row : order.values<std::int64_t>())
      if (taken[static_cast<std::size_t>(labels[static_cast<std::size_t>(row)])]++ < labels_per_class) rows.push_back(row);
    for (std::int64_t c = 0; c < classes; ++c)
      if (taken[static_cast<std::size_t>(c)] < labels_per_class)
        raise_value("[few_label_probe] class " + std::to_string(c) + " has " + std::to_string(taken[static_cast<std::size_t>(c)]) +
                    " samples; expected at least " + std::to_string(labels_per_class));
    const Tensor chosen = Tensor::from(rows, {static_cast<std::int64_t>(rows.size())});
    total +=
        linear_probe(index_select(train_features, chosen, 0), index_select(train_labels, chosen, 0), test_features, test_labels, config);
  }
  return total / draws;
}

}  // namespace gradus::inline v0
