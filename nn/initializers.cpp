#include <gradus/nn/initializers.h>

#include <cmath>
#include <string>

#include <gradus/engine/ops/random.h>
#include <gradus/engine/record.h>

namespace gradus::inline v0 {
namespace {

void require_weight(const Shape& weight) {
  if (weight.rank() < 2) raise_shape("[initializer] a weight " + to_string(weight) + " has no fan-in; expected [out, in, ...]");
}

Tensor symmetric_uniform(Key key, const Shape& shape, double bound, DType dtype) { return uniform(key, shape, -bound, bound, dtype); }

/// numerator / denominator; a weight without elements has no scale.
double ratio(double numerator, std::int64_t denominator) { return denominator > 0 ? numerator / static_cast<double>(denominator) : 0; }

/// Takes from `again` what lies beyond the bound. True if something still does.
template <class T> bool replace_beyond(Array y, ConstArray again, double bound) {
  T* values = y.as<T>();
  const T* fresh_values = again.as<T>();
  bool left = false;
  for (std::int64_t i = 0; i < y.elements(); ++i) {
    if (std::abs(static_cast<double>(values[i])) > bound) values[i] = fresh_values[i];
    left |= std::abs(static_cast<double>(values[i])) > bound;
  }
  return left;
}

}  // namespace

std::int64_t fan_in_of(const Shape& weight) {
  require_weight(weight);
  return weight.product(1, weight.rank());
}

std::int64_t fan_out_of(const Shape& weight) {
  require_weight(weight);
  return weight[0] * weight.product(2, weight.rank());
}

Tensor fan_in_uniform(Key key, const Shape& shape, std::int64_t fan_in, DType dtype) {
  return symmetric_uniform(key, shape, std::sqrt(ratio(1, fan_in)), dtype);
}

Tensor kaiming_uniform(Key key, const Shape& weight, double gain, DType dtype) {
  return symmetric_uniform(key, weight, gain * std::sqrt(ratio(3, fan_in_of(weight))), dtype);
}

Tensor kaiming_normal(Key key, const Shape& weight, double gain, DType dtype) {
  return normal(key, weight, 0, gain * std::sqrt(ratio(1, fan_in_of(weight))), dtype);
}

Tensor xavier_uniform(Key key, const Shape& weight, double gain, DType dtype) {
  return symmetric_uniform(key, weight, gain * std::sqrt(ratio(6, fan_in_of(weight) + fan_out_of(weight))), dtype);
}

Tensor xavier_normal(Key key, const Shape& weight, double gain, DType dtype) {
  return normal(key, weight, 0, gain * std::sqrt(ratio(2, fan_in_of(weight) + fan_out_of(weight))), dtype);
}

Tensor truncated_normal(Key key, const Shape& shape, double stddev, double cut, DType dtype) {
  if (!(cut >= 0.5)) raise_value("[truncated_normal] cut is " + std::to_string(cut) + " standard deviations; expected at least 0.5");
  Tensor t = normal(key, shape, 0, stddev, dtype);
  // Attempt n of an element is its draw under fold(key, n): which elements need it does not matter to the others.
  bool left = true;
  for (std::uint64_t attempt = 0; left; ++attempt) {
    const Tensor again = attempt == 0 ? t : normal(fold(key, attempt), shape, 0, stddev, dtype);
    with_floating(dtype, [&](auto zero) { left = replace_beyond<decltype(zero)>(fresh(t), again.array(), cut * std::abs(stddev)); });
  }
  return t;
}

}  // namespace gradus::inline v0
