// Functions on top of the tape: recomputation, user-defined ops, Hessian-vector products, gradient checking.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <gradus/engine/tape.h>

namespace gradus::inline v0 {

/// f(inputs) without keeping what f's ops would save: the backward sweep runs f again. Trades time for memory.
///
/// Every tensor live on the tape that f touches (captured weights too) gets its gradient. Under a training pass the second run draws
/// the same random keys and does not update statistics twice. f must be a function of what it touches: called twice, it must compute
/// the same. Errors are those of f.
///
///     Tensor y = recompute([&](const TensorList& in) { return block(in[0]); }, {x});
Tensor recompute(std::function<Tensor(const TensorList&)> f, TensorList inputs);

/// What a custom rule reads: the op's inputs and its result, as they were.
struct CustomEntry {
  TensorList inputs;
  Tensor result;
};
using CustomForward = std::function<Tensor(const TensorList& inputs)>;
/// One gradient per input (empty: none), in differentiable ops if a second order is wanted.
using CustomRule = std::function<TensorList(const CustomEntry& entry, const Tensor& dy)>;

/// A differentiable op of the user's own. `forward` runs unrecorded.
///
///     CustomOp cube("cube", [](const TensorList& in) { return in[0] * in[0] * in[0]; },
///                   [](const CustomEntry& e, const Tensor& dy) { return TensorList{dy * e.inputs[0] * e.inputs[0] * 3.0}; });
///     Tensor y = cube({x});
class CustomOp {
 public:
  CustomOp(std::string name, CustomForward forward, CustomRule rule);
  Tensor operator()(TensorList inputs) const;

 private:
  struct Definition;
  std::shared_ptr<const Definition> definition_;
};
CustomOp custom_op(std::string name, CustomForward forward, CustomRule rule);

/// H v for the Hessian H of the scalar f at x (Pearlmutter 1994, "Fast exact multiplication by the Hessian"): one double sweep, no
/// matrix. `v` has x's shape.
Tensor hvp(const std::function<Tensor(const Tensor&)>& f, const Tensor& x, const Tensor& v);

/// What gradcheck found. `ok` and the largest error |analytic - numeric| / max(1, |numeric|), and where.
struct GradcheckReport {
  bool ok = true;
  double largest_error = 0;
  std::string text;  ///< names order, input, element, both numbers and the seed of the largest error
};
struct GradcheckOptions {
  int order = 2;            ///< 1: gradient; 2: also the gradient of a random direction of the gradient; 3: once more
  double step = 1e-5;       ///< central differences
  double tolerance = 1e-6;  ///< on the error above
  std::uint64_t seed = 1;   ///< of the random cotangents
  std::int64_t most = 64;   ///< elements checked per input, spread over it
};
/// Compares gradients with central differences, in f64, with random non-uniform cotangents. Inputs that are not f64 are constants.
/// Inputs must stay `step` away from kinks. Throws DTypeError if no input is f64.
///
///     GradcheckReport r = gradcheck([](const TensorList& in) { return softplus(in[0]); }, {x});
GradcheckReport gradcheck(const std::function<Tensor(const TensorList&)>& f, const TensorList& inputs,
                          const GradcheckOptions& options = {});

}  // namespace gradus::inline v0
