#include <gradus/algorithms/self_supervised/knn_probe.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/matmul.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/ops/softmax.h>
#include <gradus/engine/record.h>

namespace gradus::inline v0 {
namespace {

/// The label that the k nearest of one row of similarities vote for.
std::int64_t vote(std::span<const double> similarity, std::span<const std::int64_t> labels, std::int64_t k, std::int64_t classes,
                  double temperature) {
  std::vector<std::int64_t> order(similarity.size());
  std::iota(order.begin(), order.end(), 0);
  auto nearer = [&](std::int64_t a, std::int64_t b) {
    const double sa = similarity[static_cast<std::size_t>(a)], sb = similarity[static_cast<std::size_t>(b)];
    return sa != sb ? sa > sb : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + k, order.end(), nearer);
  std::vector<double> votes(static_cast<std::size_t>(classes), 0);
  const double best = similarity[static_cast<std::size_t>(order[0])];
  for (std::int64_t i = 0; i < k; ++i) {
    const auto row = static_cast<std::size_t>(order[static_cast<std::size_t>(i)]);
    votes[static_cast<std::size_t>(labels[row])] += std::exp((similarity[row] - best) / temperature);
  }
  return std::max_element(votes.begin(), votes.end()) - votes.begin();
}

}  // namespace

KnnResult knn_probe(const Tensor& bank_features, const Tensor& bank_labels, const Tensor& features, const Tensor& labels,
                    const KnnProbeConfig& config) {
  require_same_dtype("knn_probe", "bank_features", bank_features, "features", features);
  require_rank("knn_probe", "bank_features", bank_features, 2);
  require_rank("knn_probe", "features", features, 2);
  require_dtype("knn_probe", "bank_labels", bank_labels, DType::i64);
  require_dtype("knn_probe", "labels", labels, DType::i64);
  const std::int64_t n = bank_features.size(0), m = features.size(0);
  if (bank_labels.elements() != n || labels.elements() != m || bank_features.size(1) != features.size(1))
    raise_shape("[knn_probe] " + describe("bank_features", bank_features) + ", " + describe("bank_labels", bank_labels) + ", " +
                describe("features", features) + ", " + describe("labels", labels) + ": expected one label per row and equal widths");
  if (n == 0 || m == 0 || config.k < 1) raise_value("[knn_probe] an empty bank, no queries, or k < 1");
  const auto bank = bank_labels.values<std::int64_t>(), wanted = labels.values<std::int64_t>();
  const std::int64_t classes = 1 + *std::max_element(bank.begin(), bank.end()), k = std::min(config.k, n);
  const Tensor unit_bank = l2_normalize(cast(bank_features.detach(), DType::f64), 1),
               unit = l2_normalize(cast(features.detach(), DType::f64), 1);
  std::int64_t right = 0;
  for (std::int64_t first = 0; first < m; first += config.chunk) {
    const std::int64_t last = std::min(first + config.chunk, m);
    const Tensor similarity = matmul(slice_rows(unit, first, last), unit_bank, {.transpose_b = true});
    for (std::int64_t i = first; i < last; ++i) {
      const auto row = similarity.values<double>().subspan(static_cast<std::size_t>((i - first) * n), static_cast<std::size_t>(n));
      right += vote(row, bank, k, classes, config.temperature) == wanted[static_cast<std::size_t>(i)];
    }
  }
  return {100.0 * static_cast<double>(right) / static_cast<double>(m), k};
}

}  // namespace gradus::inline v0
