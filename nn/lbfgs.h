// L-BFGS for small smooth deterministic problems: probes, solvers. Nocedal and Wright 2006, algorithms 7.4 and 7.5, with backtracking.
#pragma once

#include <functional>

#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

struct LbfgsConfig {
  int iterations = 200;
  int memory = 10;          ///< pairs (s, y) kept
  double tolerance = 1e-6;  ///< on the largest gradient element
};
struct LbfgsResult {
  Tensor x;
  double value = 0;
  int iterations = 0;
  bool converged = false;
};
/// Minimises the scalar f, a differentiable function of one f64 tensor, from x. Throws what f throws, and ValueError if f(x) is not finite.
///
///     LbfgsResult r = lbfgs([](const Tensor& w) { return sum(w * w); }, Tensor::ones({3}, DType::f64));
LbfgsResult lbfgs(const std::function<Tensor(const Tensor&)>& f, const Tensor& x, const LbfgsConfig& config = {});

}  // namespace gradus::inline v0
