#include <cmath>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/tests/support/op_case.h>

namespace gradus::testing {
namespace {

std::vector<std::vector<Operand>> unary_operands(double low = -2, double high = 2, std::vector<double> kinks = {}) {
  std::vector<std::vector<Operand>> sets;
  for (const Shape& shape : {Shape{64, 33}, Shape{7}, Shape{}, Shape{3, 1, 5}, Shape{0, 4}}) sets.push_back({real(shape, low, high, kinks)});
  return sets;
}

}  // namespace

void add_elementwise_cases(OpCases& cases) {
  cases.push_back({.op = "softplus",
                   .operands = unary_operands(-8, 8),
                   .run = [](const TensorList& in) { return softplus(in[0]); },
                   .reference = elementwise_reference([](double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }),
                   .rows_stable = true,
                   .wrong = {{[] { softplus(Tensor::zeros({2}, DType::i64)); }, "DTypeError", {"[softplus]", "i64[2]", "cast"}}}});
  cases.push_back({.op = "add",
                   .operands = {{real({32, 48}), real({48})}, {real({3, 1}), real({1, 5})}, {real({2, 3, 4}), real({})}, {real({0, 3}), real({3})}},
                   .run = [](const TensorList& in) { return add(in[0], in[1]); },
                   .reference = broadcast_reference([](double a, double b) { return a + b; }),
                   .wrong = {{[] { add(Tensor::zeros({2, 3}), Tensor::zeros({4})); }, "ShapeError", {"[add]", "[2, 3]", "[4]"}},
                             {[] { add(Tensor::zeros({2}), Tensor::zeros({2}, DType::f64)); }, "DTypeError", {"[add]", "f32[2]", "f64[2]", "cast"}}}});
}

}  // namespace gradus::testing
