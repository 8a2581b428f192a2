// Gradients of reductions at ties and at the edges, and the forms of their results.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/tape.h>

using namespace gradus;

namespace {

const double kInfinity = std::numeric_limits<double>::infinity();
using List = std::vector<double>;

List gradient_of(const std::function<Tensor(const Tensor&)>& f, const Tensor& x) {
  Tape tape({x});
  return tape.gradients(sum(f(x))).values[0].to_vector<double>();
}

}  // namespace

TEST_CASE("reduce ops: equal extrema share the gradient evenly") {
  const Tensor x = Tensor::from({1., 3., 3., 2., 5., 5., 5., 5., -1., 0., 0., 0.}, {3, 4});
  const double third = 1.0 / 3;
  CHECK(gradient_of([](const Tensor& v) { return max(v, {1}); }, x) ==
        List{0, 0.5, 0.5, 0, 0.25, 0.25, 0.25, 0.25, 0, third, third, third});
  CHECK(gradient_of([](const Tensor& v) { return min(v); }, x) == List{0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0});
}

TEST_CASE("reduce ops: logsumexp of a row that is all -infinity is -infinity, with gradient 0 to any order") {
  const Tensor x = Tensor::from({-kInfinity, -kInfinity, 0., std::log(3.)}, {2, 2});
  const List y = logsumexp(x, {1}).to_vector<double>();
  CHECK(y[0] == -kInfinity);
  CHECK(y[1] == doctest::Approx(std::log(4.0)));
  const auto lse = [](const Tensor& v) { return where(logsumexp(v, {1}) > -kInfinity, logsumexp(v, {1}), 0.0); };
  const List g = gradient_of(lse, x);
  CHECK(g[0] == 0);
  CHECK(g[1] == 0);
  CHECK(g[2] == doctest::Approx(0.25));
  Tape tape({x});
  const Tensor first = tape.gradients(sum(lse(x)), {.create_graph = true}).values[0];
  const List second = tape.gradients(sum(square(first))).values[0].to_vector<double>();
  CHECK(second[0] == 0);
  CHECK(second[1] == 0);
  CHECK(second[2] == doctest::Approx(2 * 0.25 * 0.1875 - 2 * 0.75 * 0.1875));
}

TEST_CASE("reduce ops: shapes") {
  const Tensor x = Tensor::ones({2, 3, 4});
  CHECK(sum(x).shape() == Shape{});
  CHECK(sum(x, {1}).shape() == Shape{2, 4});
  CHECK(sum(x, {1}, keepdims).shape() == Shape{2, 1, 4});
  CHECK(mean(x, {0, -1}).shape() == Shape{3});
  CHECK(max(x, {-3, 1, 2}, keepdims).shape() == Shape{1, 1, 1});
  CHECK(logsumexp(x, {}).shape() == x.shape());
  CHECK(argmax(x, -1).shape() == Shape{2, 3});
  CHECK(sum(x).item() == 24);
  CHECK(mean(x - mean(x, {0}, keepdims)).item() == 0);
}

TEST_CASE("reduce ops: argmax is a constant; sums of nothing have a gradient of no elements") {
  const Tensor x = Tensor::from({1., 2., 2., 0.}, {2, 2});
  Tape tape({x});
  CHECK_FALSE(tape.is_live(argmax(x, 1)));
  const Tensor none = Tensor::zeros({0, 3}, DType::f64);
  tape.watch(none);
  const TensorList g = tape.gradients(sum(none), {none});
  CHECK(g[0].shape() == Shape{0, 3});
}
