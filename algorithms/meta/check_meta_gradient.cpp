#include <gradus/algorithms/meta/check_meta_gradient.h>

#include <cmath>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/random.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/record.h>

namespace gradus::inline v0 {
namespace {

double dot(const TensorList& a, const TensorList& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i] && b[i]) sum += sum_to(a[i] * b[i], {}).item();
  return sum;
}

TensorList random_unit(const TensorList& like, Key key) {
  TensorList d;
  for (std::size_t i = 0; i < like.size(); ++i) d.push_back(normal(fold(key, i), like[i].shape(), 0, 1, DType::f64));
  const double norm = std::sqrt(dot(d, d));
  for (Tensor& t : d) t = t * (1 / norm);
  return d;
}

TensorList moved(const TensorList& values, const TensorList& direction, double h) {
  TensorList out;
  for (std::size_t i = 0; i < values.size(); ++i) out.push_back(add_scaled(values[i], direction[i], h));
  return out;
}

}  // namespace

MetaGradientCheck check_meta_gradient(const std::function<double(const TensorList&)>& objective, const TensorList& values,
                                      const TensorList& gradient, Key key, int directions, double step) {
  for (const Tensor& v : values) require_dtype("check_meta_gradient", "value", v, DType::f64);
  double aa = 0, nn = 0, an = 0, ee = 0;
  for (int i = 0; i < directions; ++i) {
    const TensorList d = random_unit(values, fold(key, static_cast<std::uint64_t>(i)));
    const double analytic = dot(gradient, d);
    const double numeric = (objective(moved(values, d, step)) - objective(moved(values, d, -step))) / (2 * step);
    aa += analytic * analytic;
    nn += numeric * numeric;
    an += analytic * numeric;
    ee += (analytic - numeric) * (analytic - numeric);
  }
  return {std::sqrt(ee / nn), an / std::sqrt(aa * nn)};
}

}  // namespace gradus::inline v0
