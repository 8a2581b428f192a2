#include <gradus/nn/lbfgs.h>

#include <cmath>
#include <deque>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/record.h>
#include <gradus/engine/tape.h>

namespace gradus::inline v0 {
namespace {

double dot(const Tensor& a, const Tensor& b) { return sum(a * b).item(); }

struct Point {
  Tensor x, gradient;
  double value;
};

Point evaluate(const std::function<Tensor(const Tensor&)>& f, const Tensor& x) {
  Tape tape({x});
  const Tensor y = f(x);
  const double value = y.item();
  return {x, tape.gradients(y).values[0], value};
}

struct Pair {
  Tensor s, y;
  double rho;
};

/// -H g by the two loops over the kept pairs.
Tensor direction(const Tensor& gradient, const std::deque<Pair>& pairs) {
  Tensor q = gradient;
  std::vector<double> alpha(pairs.size());
  for (std::size_t i = pairs.size(); i-- > 0;) {
    alpha[i] = pairs[i].rho * dot(pairs[i].s, q);
    q = add_scaled(q, pairs[i].y, -alpha[i]);
  }
  if (!pairs.empty()) q = q * (1 / (pairs.back().rho * dot(pairs.back().y, pairs.back().y)));
  for (std::size_t i = 0; i < pairs.size(); ++i) q = add_scaled(q, pairs[i].s, alpha[i] - pairs[i].rho * dot(pairs[i].y, q));
  return q * -1.0;
}

}  // namespace

LbfgsResult lbfgs(const std::function<Tensor(const Tensor&)>& f, const Tensor& x, const LbfgsConfig& config) {
  require_dtype("lbfgs", "x", x, DType::f64);
  Point at = evaluate(f, x.detach());
  if (!std::isfinite(at.value)) raise_value("[lbfgs] f is " + std::to_string(at.value) + " at the start");
  std::deque<Pair> pairs;
  LbfgsResult result;
  for (; result.iterations < config.iterations; ++result.iterations) {
    if (max(abs(at.gradient)).item() <= config.tolerance) {
      result.converged = true;
      break;
    }
    Tensor d = direction(at.gradient, pairs);
    double slope = dot(d, at.gradient);
    if (slope >= 0) {  // rounding spoiled the pairs: start again along the gradient
      pairs.clear();
      d = at.gradient * -1.0;
      slope = -dot(at.gradient, at.gradient);
    }
    double step = pairs.empty() ? std::fmin(1.0, 1 / std::sqrt(-slope)) : 1.0;
    Point next = evaluate(f, add_scaled(at.x, d, step));
    for (int halvings = 0; !(next.value <= at.value + 1e-4 * step * slope) && halvings < 40; ++halvings) {  // Armijo
      step *= 0.5;
      next = evaluate(f, add_scaled(at.x, d, step));
    }
    if (!(next.value < at.value)) break;  // at the limit of the arithmetic
    const Tensor s = next.x - at.x, y = next.gradient - at.gradient;
    if (const double sy = dot(s, y); sy > 1e-12 * dot(y, y)) pairs.push_back({s, y, 1 / sy});
    if (pairs.size() > static_cast<std::size_t>(config.memory)) pairs.pop_front();
    at = std::move(next);
  }
  result.x = at.x;
  result.value = at.value;
  return result;
}

}  // namespace gradus::inline v0
