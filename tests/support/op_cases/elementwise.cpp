#include <cmath>
#include <limits>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/tests/support/op_case.h>

namespace gradus::testing {
namespace {

using Unary = Tensor (*)(const Tensor&);
using Binary = Tensor (*)(const Tensor&, const Tensor&);

std::vector<std::vector<Operand>> unary_operands(double low = -2, double high = 2, std::vector<double> kinks = {}) {
  std::vector<std::vector<Operand>> sets;
  for (const Shape& shape : {Shape{64, 33}, Shape{7}, Shape{}, Shape{3, 1, 5}, Shape{0, 4}})
    sets.push_back({real(shape, low, high, kinks)});
  return sets;
}

/// The same shape, either operand smaller, both smaller, scalars, none.
std::vector<std::vector<Operand>> binary_operands(const Operand& a, const Operand& b) {
  const auto with = [](Operand o, const Shape& shape) {
    o.shape = shape;
    return o;
  };
  std::vector<std::vector<Operand>> sets;
  const std::pair<Shape, Shape> shapes[] = {{{32, 48}, {48}}, {{3, 1}, {1, 5}}, {{2, 3, 4}, {}}, {{1, 3}, {2, 2, 3}},
                                            {{17}, {17}},     {{}, {}},         {{0, 3}, {3}}};
  for (const auto& [left, right] : shapes) sets.push_back({with(a, left), with(b, right)});
  return sets;
}

/// A function of one real tensor. `order` 0: not differentiable.
OpCase unary(const std::string& op, Unary f, double (*exact)(double), double low, double high, std::vector<double> kinks = {},
             int order = 2) {
  return {.op = op,
          .operands = unary_operands(low, high, std::move(kinks)),
          .run = [f](const TensorList& in) { return f(in[0]); },
          .reference = elementwise_reference(exact),
          .order = order,
          .rows_stable = true,
          .wrong = {{[f] { f(Tensor::zeros({2}, DType::i64)); }, "DTypeError", {"[" + op + "]", "x (i64[2] on cpu)", "cast"}}}};
}

std::vector<WrongUse> wrong_pairs(const std::string& op, Binary f) {
  return {{[f] {
             f(Tensor::ones({2, 3}), Tensor::ones({4}));
           },
           "ShapeError",
           {"[" + op + "]", "[2, 3]", "[4]"}},
          {[f] { f(Tensor::ones({2}), Tensor::ones({2}, DType::f64)); }, "DTypeError", {"[" + op + "]", "f32[2]", "f64[2]", "cast"}}};
}

OpCase binary(const std::string& op, Binary f, double (*exact)(double, double), const Operand& a, const Operand& b, int order = 2) {
  return {.op = op,
          .operands = binary_operands(a, b),
          .run = [f](const TensorList& in) { return f(in[0], in[1]); },
          .reference = broadcast_reference(exact),
          .order = order,
          .wrong = wrong_pairs(op, f)};
}

/// An op of a tensor and a number.
OpCase with_number(const std::string& op, const std::string& variant, std::function<Tensor(const Tensor&)> f,
                   std::function<double(double)> exact, double low = -2, double high = 2, std::vector<double> kinks = {}, int order = 2) {
  return {.op = op,
          .variant = variant,
          .operands = unary_operands(low, high, std::move(kinks)),
          .run = [f = std::move(f)](const TensorList& in) { return f(in[0]); },
          .reference = elementwise_reference(std::move(exact)),
          .order = order,
          .rows_stable = true};
}

void add_functions(OpCases& cases) {
  cases.push_back(unary(
      "neg", neg, [](double x) { return -x; }, -2, 2));
  cases.push_back(unary("abs", abs, [](double x) { return std::fabs(x); }, -2, 2, {0}));
  cases.push_back(unary(
      "sign", sign, [](double x) { return x > 0   ? 1.0
                                          : x < 0 ? -1.0
                                                  : 0.0; }, -2, 2, {0}, 0));
  cases.push_back(unary(
      "exp", exp, [](double x) { return std::exp(x); }, -3, 2));
  cases.push_back(unary(
      "log", log, [](double x) { return std::log(x); }, 0.2, 4));
  cases.push_back(unary(
      "log1p", log1p, [](double x) { return std::log1p(x); }, -0.7, 3));
  cases.push_back(unary(
      "expm1", expm1, [](double x) { return std::expm1(x); }, -3, 2));
  cases.push_back(unary(
      "sqrt", sqrt, [](double x) { return std::sqrt(x); }, 0.3, 4));
  cases.push_back(unary(
      "rsqrt", rsqrt, [](double x) { return 1 / std::sqrt(x); }, 0.4, 4));
  cases.push_back(unary(
      "square", square, [](double x) { return x * x; }, -2, 2));
  cases.push_back(unary(
      "reciprocal", reciprocal, [](double x) { return 1 / x; }, 0.5, 3));
  cases.push_back(unary(
      "sin", sin, [](double x) { return std::sin(x); }, -4, 4));
  cases.push_back(unary(
      "cos", cos, [](double x) { return std::cos(x); }, -4, 4));
  cases.push_back(unary(
      "tanh", tanh, [](double x) { return std::tanh(x); }, -3, 3));
  cases.push_back(unary(
      "sigmoid", sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, -6, 6));
  cases.push_back(unary("relu", relu, [](double x) { return x > 0 ? x : 0.0; }, -2, 2, {0}));
  cases.push_back(unary(
      "gelu", gelu, [](double x) { return x * std::erfc(-x / std::sqrt(2.0)) / 2; }, -4, 4));
  cases.push_back(unary(
      "erf", erf, [](double x) { return std::erf(x); }, -3, 3));
  cases.push_back(unary(
      "softplus", softplus, [](double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }, -8, 8));
}

void add_functions_with_numbers(OpCases& cases) {
  cases.push_back(with_number(
      "clamp", "", [](const Tensor& x) { return clamp(x, -0.5, 1); }, [](double x) { return std::fmin(std::fmax(x, -0.5), 1); }, -2, 2,
      {-0.5, 1}));
  cases.back().wrong = {{[] { clamp(Tensor::ones({2}), 1, -1); }, "ValueError", {"[clamp]", "low is 1.0", "high is -1.0", "low <= high"}},
                        {[] { clamp(Tensor::ones({2}), 0, std::nan("")); }, "ValueError", {"[clamp]", "nan"}},
                        {[] { clamp(Tensor::ones({2}, DType::i64), 0, 1); }, "DTypeError", {"[clamp]", "i64[2]"}}};
  cases.push_back(with_number(
      "affine", "", [](const Tensor& x) { return affine(x, -1.5, 0.25); }, [](double x) { return -1.5 * x + 0.25; }));
  cases.back().wrong = {{[] { affine(Tensor::ones({2}, DType::u8), 1, 1); }, "DTypeError", {"[affine]", "u8[2]"}}};
  for (const double n : {0.0, 1.0, 2.0, 3.0, 4.0})
    cases.push_back(with_number(
        "pow", "x^" + std::to_string(static_cast<int>(n)), [n](const Tensor& x) { return pow(x, n); },
        [n](double x) { return std::pow(x, n); }));
  for (const double n : {-1.0, 0.5, -0.5, 2.7})
    cases.push_back(with_number(
        "pow", "x^" + std::to_string(n), [n](const Tensor& x) { return pow(x, n); }, [n](double x) { return std::pow(x, n); }, 0.4, 3));
  cases.back().wrong = {{[] { pow(Tensor::ones({2}, DType::i64), 2.0); }, "DTypeError", {"[pow]", "i64[2]"}}};
  cases.push_back(with_number(
      "add", "number", [](const Tensor& x) { return 0.5 + (x + 1.5); }, [](double x) { return x + 2; }));
  cases.back().wrong = {{[] { add(Tensor::ones({2}, DType::i64), 0.5); }, "ValueError", {"[add]", "i64[2]", "0.5", "integer"}}};
  cases.push_back(with_number(
      "sub", "number", [](const Tensor& x) { return 2.0 - (x - 0.5); }, [](double x) { return 2.5 - x; }));
  cases.push_back(with_number(
      "mul", "number", [](const Tensor& x) { return 3.0 * (x * -0.5); }, [](double x) { return -1.5 * x; }));
  cases.push_back(with_number(
      "div", "number", [](const Tensor& x) { return 3.0 / (x / 2.0); }, [](double x) { return 6 / x; }, 0.5, 3));
  cases.push_back(with_number(
      "maximum", "number", [](const Tensor& x) { return maximum(x, 0.3); }, [](double x) { return std::fmax(x, 0.3); }, -2, 2, {0.3}));
  cases.push_back(with_number(
      "minimum", "number", [](const Tensor& x) { return minimum(x, 0.3); }, [](double x) { return std::fmin(x, 0.3); }, -2, 2, {0.3}));
}

void add_arithmetic(OpCases& cases) {
  const Operand any = real({}), positive = real({}, 0.5, 2);
  cases.push_back(binary(
      "add", add, [](double a, double b) { return a + b; }, any, any));
  cases.back().wrong.push_back(
      {[] { add(Tensor::ones({2}, DType::u8), Tensor::ones({2}, DType::u8)); }, "DTypeError", {"[add]", "u8[2]", "i64"}});
  cases.push_back(binary(
      "sub", sub, [](double a, double b) { return a - b; }, any, any));
  cases.push_back(binary(
      "mul", mul, [](double a, double b) { return a * b; }, any, any));
  cases.push_back(binary(
      "div", div, [](double a, double b) { return a / b; }, any, positive));
  cases.back().wrong.push_back(
      {[] { div(Tensor::ones({2}, DType::i64), Tensor::ones({2}, DType::i64)); }, "DTypeError", {"[div]", "i64[2]"}});
  cases.push_back(binary(
      "maximum", maximum, [](double a, double b) { return std::fmax(a, b); }, any, any));
  cases.push_back(binary(
      "minimum", minimum, [](double a, double b) { return std::fmin(a, b); }, any, any));
  cases.push_back(binary(
      "pow", pow, [](double a, double b) { return std::pow(a, b); }, positive, any));
  cases.push_back(
      {.op = "add_scaled",
       .operands = {{real({64, 33}), real({64, 33})}, {real({7}), real({7})}, {real({}), real({})}, {real({0, 4}), real({0, 4})}},
       .run = [](const TensorList& in) { return add_scaled(in[0], in[1], -0.75); },
       .reference = broadcast_reference([](double a, double b) { return a - 0.75 * b; }),
       .rows_stable = false,
       .wrong = {{[] {
                    add_scaled(Tensor::ones({2, 3}), Tensor::ones({3}), 1);
                  },
                  "ShapeError",
                  {"[add_scaled]", "[2, 3]", "[3]"}},
                 {[] { add_scaled(Tensor::ones({2}), Tensor::ones({2}, DType::f64), 1); }, "DTypeError", {"[add_scaled]", "f64[2]"}}}});
}

void add_comparisons(OpCases& cases) {
  const Operand any = real({});
  const auto compare = [&](const char* op, Binary f, double (*exact)(double, double)) {
    cases.push_back(binary(op, f, exact, any, any, 0));
    cases.back().wrong.push_back({[f] { f(cast(Tensor::ones({2}), DType::bf16), cast(Tensor::ones({2}), DType::bf16)); },
                                  "DTypeError",
                                  {"[" + std::string(op) + "]", "bf16[2]", "cast"}});
  };
  compare("equal", equal, [](double a, double b) { return double(a == b); });
  compare("not_equal", not_equal, [](double a, double b) { return double(a != b); });
  compare("less", less, [](double a, double b) { return double(a < b); });
  compare("less_equal", less_equal, [](double a, double b) { return double(a <= b); });
  compare("greater", greater, [](double a, double b) { return double(a > b); });
  compare("greater_equal", greater_equal, [](double a, double b) { return double(a >= b); });
  cases.push_back(with_number(
      "less", "operators", [](const Tensor& x) { return logical_not(x < 0.5); }, [](double x) { return double(!(x < 0.5)); }, -2, 2, {},
      0));
  cases.push_back({.op = "logical_not",
                   .operands = {{mask({64, 33})}, {mask({7})}, {mask({})}, {mask({0, 4})}},
                   .run = [](const TensorList& in) { return logical_not(in[0]); },
                   .reference = elementwise_reference([](double x) { return double(x == 0); }),
                   .order = 0,
                   .rows_stable = true,
                   .wrong = {{[] { logical_not(Tensor::ones({2})); }, "DTypeError", {"[logical_not]", "f32[2]", "bool"}}}});
}

Values where_reference(const std::vector<Values>& in) {
  const auto pick = [](double c, double a) { return c != 0 ? a : 0; };
  const auto rest = [](double c, double b) { return c != 0 ? 0 : b; };
  const Values chosen = broadcast_reference(pick)({in[0], in[1]}), other = broadcast_reference(rest)({in[0], in[2]});
  return broadcast_reference([](double a, double b) { return a + b; })({chosen, other});
}

void add_selection(OpCases& cases) {
  cases.push_back({.op = "where",
                   .operands = {{mask({32, 48}), real({32, 48}), real({32, 48})},
                                {mask({5, 1}), real({7}), real({5, 7})},
                                {mask({3, 5}), real({}), real({5})},
                                {mask({}), real({}), real({})},
                                {mask({0, 2}), real({2}), real({0, 2})}},
                   .run = [](const TensorList& in) { return where(in[0], in[1], in[2]); },
                   .reference = where_reference,
                   .wrong = {{[] { where(Tensor::ones({2}), Tensor::ones({2}), Tensor::ones({2})); },
                              "DTypeError",
                              {"[where]", "condition", "f32[2]", "bool"}},
                             {[] { where(Tensor::ones({2}, DType::boolean), Tensor::ones({2}), Tensor::ones({2}, DType::i64)); },
                              "DTypeError",
                              {"[where]", "f32[2]", "i64[2]"}},
                             {[] { where(Tensor::ones({2}, DType::boolean), Tensor::ones({3}), Tensor::ones({3})); },
                              "ShapeError",
                              {"[where]", "[2]", "[3]"}}}});
  cases.push_back({.op = "where",
                   .variant = "numbers",
                   .operands = {{mask({32, 48}), real({48})}, {mask({}), real({})}, {mask({0}), real({1})}},
                   .run = [](const TensorList& in) { return where(in[0], where(in[0], 2.0, in[1]), -1.5); },
                   .reference = broadcast_reference([](double c, double) { return c != 0 ? 2 : -1.5; })});
  cases.push_back({.op = "cast",
                   .operands = unary_operands(),
                   .run = [](const TensorList& in) { return cast(cast(in[0], DType::f64), in[0].dtype()); },
                   .reference = elementwise_reference([](double x) { return x; }),
                   .rows_stable = true,
                   .wrong = {{[] { cast(Tensor(), DType::f64); }, "ValueError", {"[cast]", "x"}}}});
  cases.push_back({.op = "cast",
                   .variant = "to i64 and u8",
                   .operands = unary_operands(-300, 300),
                   .run = [](const TensorList& in) { return cast(in[0], DType::i64) - cast(cast(in[0], DType::u8), DType::i64); },
                   .reference = elementwise_reference([](double x) { return std::trunc(x) - std::fmin(std::fmax(std::trunc(x), 0), 255); }),
                   .order = 0,
                   .rows_stable = true});
  cases.push_back({.op = "cast",
                   .variant = "to bf16",
                   .operands = unary_operands(),
                   .run = [](const TensorList& in) { return cast(cast(in[0], DType::bf16), in[0].dtype()); },
                   .reference = elementwise_reference([](double x) { return x; }),
                   .order = 0,
                   .tolerance_f32 = 0x1p-8,  // 8 bits of significand
                   .tolerance_f64 = 0x1p-8,
                   .rows_stable = true});
}

}  // namespace

void add_elementwise_cases(OpCases& cases) {
  add_functions(cases);
  add_functions_with_numbers(cases);
  add_arithmetic(cases);
  add_comparisons(cases);
  add_selection(cases);
}

}  // namespace gradus::testing
