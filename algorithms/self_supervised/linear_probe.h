// The linear and the few-label probe: how much a frozen representation knows.
//
// Multinomial logistic regression on features, L2 with strength C as scikit-learn writes it: minimise C sum_i CE_i + |W|^2 / 2, the bias
// free. Features are standardised by mean and standard deviation of the labelled subset. The backbone cannot leak: the probe only ever
// sees feature tensors.
#pragma once

#include <gradus/engine/tensor.h>
#include <gradus/kernels/philox.h>

namespace gradus::inline v0 {

struct LinearProbeConfig {
  double c = 1.0;  ///< inverse regularisation
  bool standardize = true;
  int iterations = 300;  ///< of L-BFGS
};

/// Accuracy in percent on the test features of a classifier fitted to the train features. Features [N, D] of any floating type, labels
/// i64 [N]. Throws ShapeError, DTypeError, IndexError (a negative label).
double linear_probe(const Tensor& train_features, const Tensor& train_labels, const Tensor& test_features, const Tensor& test_labels,
                    const LinearProbeConfig& config = {});

/// The same from `labels_per_class` labelled samples of each class (fs1, fs5), drawn without replacement, mean of `draws` draws.
/// Throws ValueError if a class has too few samples.
///
///     double fs1 = few_label_probe(h_train, y_train, h_test, y_test, 1, 10, key);
double few_label_probe(const Tensor& train_features, const Tensor& train_labels, const Tensor& test_features, const Tensor& test_labels,
                       std::int64_t labels_per_class, int draws, Key key, const LinearProbeConfig& config = {});

}  // namespace gradus::inline v0
