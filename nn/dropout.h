// Dropout (Srivastava et al. 2014).
#pragma once

#include <gradus/nn/module.h>

namespace gradus::inline v0 {

/// Inside a TrainingPass each element is zero with probability p and divided by 1 - p otherwise, drawn from the pass's next key; without
/// one, x itself.
///
///     Dropout dropout(.5);
struct Dropout : ModuleOf<Dropout> {
  double p = 0.5;

  Dropout() = default;
  /// Throws ValueError unless 0 <= probability <= 1.
  explicit Dropout(double probability);

  Tensor operator()(const Tensor& x) const;
  void visit(Visitor&) {}
};

}  // namespace gradus::inline v0
