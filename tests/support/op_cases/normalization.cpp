#include <cmath>

#include <gradus/engine/ops/normalization.h>
#include <gradus/tests/support/op_case.h>

namespace gradus::testing {
namespace {

using Index = std::int64_t;

constexpr double kEpsilon = 1e-3;  // large enough that a channel of one number has a derivative worth checking

/// The channel of every element of x.
std::vector<std::size_t> channels_of(const Shape& s) {
  const Index inner = s.product(2, s.rank());
  std::vector<std::size_t> c;
  for (Index i = 0; i < s.elements(); ++i) c.push_back(static_cast<std::size_t>(i / inner % s[1]));
  return c;
}

struct Moments {
  std::vector<double> mean, variance;
};
Moments moments_of(const Values& x) {
  const auto channels = static_cast<std::size_t>(x.shape[1]);
  const double count = static_cast<double>(x.x.size()) / static_cast<double>(channels);
  const std::vector<std::size_t> c = channels_of(x.shape);
  Moments m{std::vector<double>(channels), std::vector<double>(channels)};
  for (std::size_t i = 0; i < c.size(); ++i) m.mean[c[i]] += x[i] / count;
  for (std::size_t i = 0; i < c.size(); ++i) m.variance[c[i]] += (x[i] - m.mean[c[i]]) * (x[i] - m.mean[c[i]]) / count;
  return m;
}

Values normalized(const Values& x, const std::vector<double>& mean, const std::vector<double>& variance, const Values& gamma,
                  const Values& beta) {
  const std::vector<std::size_t> c = channels_of(x.shape);
  Values y = x;
  for (std::size_t i = 0; i < c.size(); ++i) y[i] = (x[i] - mean[c[i]]) / std::sqrt(variance[c[i]] + kEpsilon) * gamma[c[i]] + beta[c[i]];
  return y;
}

std::vector<Operand> batch(const Shape& x) { return {real(x), real({x[1]}), real({x[1]})}; }

BatchNormResult ones(const Shape& x, const Shape& gamma, const Shape& beta, DType dtype = DType::f32) {
  return batch_norm(Tensor::ones(x), Tensor::ones(gamma, dtype), Tensor::ones(beta), kEpsilon);
}

void add_batch_norm(OpCases& cases) {
  cases.push_back(
      {.op = "batch_norm",
       .operands = {batch({8, 16, 10, 10}), batch({5, 3}), batch({3, 2, 3, 3}), batch({1, 1, 7}), batch({9, 70}), batch({3, 0, 2})},
       .run = [](const TensorList& in) { return batch_norm(in[0], in[1], in[2], kEpsilon).y; },
       .reference =
           [](const std::vector<Values>& in) {
             const Moments m = moments_of(in[0]);
             return normalized(in[0], m.mean, m.variance, in[1], in[2]);
           },
       .wrong = {{[] { ones({4}, {4}, {4}); }, "ShapeError", {"[batch_norm]", "x", "f32[4]", "[N, C, ...]"}},
                 {[] {
                    ones({2, 3}, {2}, {3});
                  },
                  "ShapeError",
                  {"[batch_norm]", "gamma", "f32[2]", "[3]"}},
                 {[] {
                    ones({2, 3}, {3}, {3, 1});
                  },
                  "ShapeError",
                  {"[batch_norm]", "beta", "f32[3, 1]"}},
                 {[] {
                    ones({2, 3}, {3}, {3}, DType::f64);
                  },
                  "DTypeError",
                  {"[batch_norm]", "gamma", "f64[3]"}},
                 {[] {
                    ones({0, 3}, {3}, {3});
                  },
                  "ShapeError",
                  {"[batch_norm]", "f32[0, 3]", "no elements"}},
                 {[] { batch_norm(Tensor(), Tensor(), Tensor(), kEpsilon); }, "ValueError", {"[batch_norm]", "x"}}}});
  const auto statistic = [&](const char* variant, Tensor BatchNormResult::*member, std::vector<double> Moments::*expected) {
    cases.push_back({.op = "batch_norm",
                     .variant = variant,
                     .operands = {batch({8, 16, 10, 10}), batch({5, 3}), batch({9, 70}), batch({1, 1})},
                     .run = [=](const TensorList& in) { return batch_norm(in[0], in[1], in[2], kEpsilon).*member; },
                     .reference =
                         [=](const std::vector<Values>& in) {
                           return Values{{in[0].shape[1]}, moments_of(in[0]).*expected};
                         },
                     .order = 0});
  };
  statistic("mean", &BatchNormResult::mean, &Moments::mean);
  statistic("variance", &BatchNormResult::variance, &Moments::variance);
}

std::vector<Operand> inference(const Shape& x) {
  std::vector<Operand> operands{real(x), real({x[1]}), real({x[1]}, 0.5, 2), real({x[1]}), real({x[1]})};
  operands[1].constant = operands[2].constant = true;
  return operands;
}

void add_inference(OpCases& cases) {
  cases.push_back(
      {.op = "batch_norm_inference",
       .operands = {inference({8, 16, 10, 10}), inference({5, 3}), inference({1, 1, 7}), inference({9, 70}), inference({0, 3, 2})},
       .run = [](const TensorList& in) { return batch_norm_inference(in[0], in[1], in[2], in[3], in[4], kEpsilon); },
       .reference = [](const std::vector<Values>& in) { return normalized(in[0], in[1].x, in[2].x, in[3], in[4]); },
       .rows_stable = true,
       .wrong = {{[] {
                    const Tensor c = Tensor::ones({3});
                    batch_norm_inference(Tensor::ones({2, 3}), c, Tensor::ones({4}), c, c, kEpsilon);
                  },
                  "ShapeError",
                  {"[batch_norm_inference]", "variance", "f32[4]", "[3]"}},
                 {[] {
                    const Tensor c = Tensor::ones({3});
                    batch_norm_inference(Tensor::ones({2, 3}), Tensor::ones({3}, DType::i64), c, c, c, kEpsilon);
                  },
                  "DTypeError",
                  {"[batch_norm_inference]", "mean", "i64[3]"}}}});
}

}  // namespace

void add_normalization_cases(OpCases& cases) {
  add_batch_norm(cases);
  add_inference(cases);
}

}  // namespace gradus::testing
