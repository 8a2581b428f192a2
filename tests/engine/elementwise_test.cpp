// What the registry of ops cannot say: gradients at ties and kinks, at the edges of a domain, and what is recorded at all.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/tape.h>

using namespace gradus;

namespace {

const double kInfinity = std::numeric_limits<double>::infinity();

Tensor row(std::initializer_list<double> values) { return Tensor::from(values); }

/// Gradients of sum(f(inputs)) by the fused rules and by the composed ones, which must agree: one list per input.
std::vector<std::vector<double>> gradients_of(const std::function<Tensor(const TensorList&)>& f, const TensorList& inputs) {
  Tape tape(inputs);
  const Tensor loss = sum(f(inputs));
  const Gradients composed = tape.gradients(loss, {.create_graph = true}), fused = tape.gradients(loss);
  std::vector<std::vector<double>> out;
  for (std::size_t i = 0; i < fused.size(); ++i) {
    out.push_back(fused.values[i].to_vector<double>());
    CHECK(composed.values[i].to_vector<double>() == out.back());
  }
  return out;
}
std::vector<double> gradient_of(const std::function<Tensor(const Tensor&)>& f, const Tensor& x) {
  return gradients_of([&](const TensorList& in) { return f(in[0]); }, {x})[0];
}

using List = std::vector<double>;

}  // namespace

TEST_CASE("elementwise ops: equal operands of maximum and minimum share the gradient") {
  const Tensor a = row({1, 2, 3}), b = row({2, 2, 2});
  const auto larger = gradients_of([](const TensorList& in) { return maximum(in[0], in[1]); }, {a, b});
  CHECK(larger[0] == List{0, 0.5, 1});
  CHECK(larger[1] == List{1, 0.5, 0});
  const auto smaller = gradients_of([](const TensorList& in) { return minimum(in[0], in[1]); }, {a, b});
  CHECK(smaller[0] == List{1, 0.5, 0});
  CHECK(smaller[1] == List{0, 0.5, 1});
}

TEST_CASE("elementwise ops: gradients at kinks") {
  CHECK(gradient_of([](const Tensor& x) { return relu(x); }, row({-1, 0, 2})) == List{0, 0, 1});
  CHECK(gradient_of([](const Tensor& x) { return abs(x); }, row({-1, 0, 2})) == List{-1, 0, 1});
  CHECK(gradient_of([](const Tensor& x) { return clamp(x, -1, 1); }, row({-2, -1, 0, 1, 2})) == List{0, 1, 1, 1, 0});
}

TEST_CASE("elementwise ops: gradients of powers where a factor is zero or infinite") {
  CHECK(gradient_of([](const Tensor& x) { return pow(x, 0.0); }, row({0, 2})) == List{0, 0});
  CHECK(gradient_of([](const Tensor& x) { return pow(x, 1.0); }, row({0, 2})) == List{1, 1});
  CHECK(gradient_of([](const Tensor& x) { return pow(x, 2.0); }, row({0, -3})) == List{0, -6});
  const auto g = gradients_of([](const TensorList& in) { return pow(in[0], in[1]); }, {row({0, 0, 0, 2}), row({0, 1, 2, 0})});
  CHECK(g[0] == List{0, 1, 0, 0});
  CHECK(g[1] == List{0, 0, 0, std::log(2.0)});
}

TEST_CASE("elementwise ops: where keeps what it does not choose out of the gradient, NaN included") {
  const Tensor x = row({-1, 4}), positive = x > 0.0;
  const auto root = [&](const Tensor& v) { return where(positive, sqrt(where(positive, v, 1.0)), 0.0); };
  CHECK(gradient_of(root, x) == List{0, 0.25});
}

TEST_CASE("elementwise ops: integers, comparisons and casts to them are constants") {
  Tensor x = row({1.5, -2.5});
  Tape tape({x});
  CHECK_FALSE(tape.is_live(sign(x)));
  CHECK_FALSE(tape.is_live(x > 0.0));
  CHECK_FALSE(tape.is_live(cast(x, DType::i64)));
  CHECK_FALSE(tape.is_live(cast(x, DType::bf16)));
  CHECK_FALSE(tape.is_live(cast(cast(x, DType::i64), DType::f64)));
  CHECK(tape.is_live(cast(x, DType::f32)));
  CHECK(tape.stats().entries == 1);
}

TEST_CASE("elementwise ops: a gradient passes a cast in the type of the input") {
  const Tensor x = row({1, 2});
  Tape tape({x});
  const Tensor loss = sum(square(cast(x, DType::f32)));
  const Tensor g = tape.gradients(loss).values[0];
  CHECK(g.dtype() == DType::f64);
  CHECK(g.to_vector<double>() == List{2, 4});
}

TEST_CASE("elementwise ops: numbers and integers") {
  const Tensor n = Tensor::from<std::int64_t>({1, 2, 3});
  CHECK((n + 1).to_vector<std::int64_t>() == std::vector<std::int64_t>{2, 3, 4});
  CHECK((10 - n * 2).to_vector<std::int64_t>() == std::vector<std::int64_t>{8, 6, 4});
  CHECK(maximum(n, 2).to_vector<std::int64_t>() == std::vector<std::int64_t>{2, 2, 3});
  CHECK(cast(n == 2, DType::i64).to_vector<std::int64_t>() == std::vector<std::int64_t>{0, 1, 0});
  CHECK_THROWS_AS(n + 0.5, ValueError);
  CHECK_THROWS_AS(n / 2, DTypeError);
  CHECK(row({1, 2}).dtype() == (row({1, 2}) / 2).dtype());
}

TEST_CASE("elementwise ops: NaN and infinity are ordinary values") {
  const Tensor x = row({kInfinity, -kInfinity, std::nan("")});
  const auto y = softplus(x).to_vector<double>();
  CHECK(y[0] == kInfinity);
  CHECK(y[1] == 0);
  CHECK(std::isnan(y[2]));
  CHECK(gelu(x).to_vector<double>()[1] == 0);
  CHECK((x == x).to_vector<bool>() == std::vector<bool>{true, true, false});
}
