#include <doctest/doctest.h>

#include <cmath>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/kernels/error.h>
#include <gradus/nn/initializers.h>

#include "support.h"

using namespace gradus;
using namespace gradus::testing;

namespace {

struct Moments {
  double mean = 0, deviation = 0, largest = 0;
};
Moments moments_of(const Tensor& t) {
  Moments m;
  double square = 0;
  const Tensor wide = cast(t, DType::f64);
  for (const double v : wide.values<double>()) {
    m.mean += v;
    square += v * v;
    m.largest = std::max(m.largest, std::abs(v));
  }
  const auto n = static_cast<double>(t.elements());
  m.mean /= n;
  m.deviation = std::sqrt(square / n - m.mean * m.mean);
  return m;
}

}  // namespace

TEST_CASE("initializers: spread and bounds are those of the papers") {
  const Key key{11, 0};
  const Shape weight{200, 100, 3, 3};
  CHECK(fan_in_of(weight) == 900);
  CHECK(fan_out_of(weight) == 1800);
  // 180,000 draws: the deviation is known to about 0.2 %, checked to 1 %.
  const auto check = [](const Tensor& t, double deviation, double bound) {
    const Moments m = moments_of(t);
    CHECK(std::abs(m.mean) < .01 * deviation);
    CHECK(m.deviation == doctest::Approx(deviation).epsilon(.01));
    CHECK(m.largest <= bound);
    CHECK(m.largest > .99 * bound);
  };
  const double uniform_bound = 1 / std::sqrt(900.);
  check(fan_in_uniform(key, weight, 900), uniform_bound / std::sqrt(3.), uniform_bound);
  check(kaiming_uniform(key, weight, std::sqrt(2.)), std::sqrt(2. / 900), std::sqrt(6. / 900));
  check(xavier_uniform(key, weight), std::sqrt(2. / 2700), std::sqrt(6. / 2700));
  CHECK(moments_of(kaiming_normal(key, weight, std::sqrt(2.))).deviation == doctest::Approx(std::sqrt(2. / 900)).epsilon(.01));
  CHECK(moments_of(xavier_normal(key, weight, 2)).deviation == doctest::Approx(2 * std::sqrt(2. / 2700)).epsilon(.01));
  // A normal cut at 2 deviations has .8796 of its deviation: sqrt(1 - 4 phi(2) / (2 Phi(2) - 1)).
  check(truncated_normal(key, weight, .02), .8796 * .02, .04);
  CHECK(moments_of(truncated_normal(key, weight, .02, 1)).largest <= .02);
}

TEST_CASE("initializers: functions of the key alone") {
  const Key key{5, 1};
  CHECK(same_bits(truncated_normal(key, {7, 9}, 1), truncated_normal(key, {7, 9}, 1)));
  CHECK_FALSE(same_bits(truncated_normal(key, {7, 9}, 1), truncated_normal(fold(key, 1), {7, 9}, 1)));
  const Tensor f32 = cast(kaiming_normal(key, {7, 9}, 1), DType::f64), f64 = kaiming_normal(key, {7, 9}, 1, DType::f64);
  for (std::size_t i = 0; i < 63; ++i) CHECK(f32.values<double>()[i] == doctest::Approx(f64.values<double>()[i]).epsilon(1e-5));
  // Known bits: a change of the generator or of a formula shows here.
  const std::vector<float> first = fan_in_uniform(Key{7, 0}, {2, 2}, 4).to_vector<float>();
  const PhiloxBlock row0 = philox_block(Key{7, 0}, 0, 0);
  CHECK(first[0] == -.5f + uniform_from(row0.word[0]));
  CHECK(first[1] == -.5f + uniform_from(row0.word[1]));
}

TEST_CASE("initializers: edges") {
  CHECK(fan_in_uniform(Key{1, 0}, {3}, 0).to_vector<float>() == std::vector<float>(3, 0));
  CHECK(kaiming_uniform(Key{1, 0}, {0, 4}, 1).elements() == 0);
  CHECK(kaiming_normal(Key{1, 0}, {4, 0}, 1).elements() == 0);
  CHECK(contains(error_of<ShapeError>([] { kaiming_uniform(Key{1, 0}, {4}, 1); }), "[4]"));
  CHECK(contains(error_of<ValueError>([] { truncated_normal(Key{1, 0}, {4}, 1, .1); }), "cut is 0.1"));
  CHECK(truncated_normal(Key{1, 0}, {4}, 0).to_vector<float>() == std::vector<float>(4, 0));
}
