// The kNN probe: weighted cosine nearest neighbours, in chunks. Wu et al. 2018 (arXiv 1805.01978), section 3.4.
#pragma once

#include <string>

#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

struct KnnProbeConfig {
  std::int64_t k = 20;
  double temperature = 0.07;  ///< a neighbour of cosine s votes with exp(s / temperature)
  std::int64_t chunk = 256;   ///< queries at a time: memory is chunk x bank
};

struct KnnResult {
  double accuracy = 0;  ///< percent
  std::int64_t k = 0;   ///< neighbours used: at most the bank's size
};

/// Accuracy of labels [M] voted by the k nearest rows of the bank [N, D]. Classes are counted from the bank; ties go to the smaller label.
/// Throws ShapeError, DTypeError, ValueError (an empty bank, k < 1).
///
///     double knn = knn_probe(h_train, y_train, h_test, y_test).accuracy;
KnnResult knn_probe(const Tensor& bank_features, const Tensor& bank_labels, const Tensor& features, const Tensor& labels,
                    const KnnProbeConfig& config = {});

}  // namespace gradus::inline v0
