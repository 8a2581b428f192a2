#include <cmath>

#include <gradus/engine/ops/softmax.h>
#include <gradus/tests/support/op_case.h>

namespace gradus::testing {
namespace {

using Index = std::int64_t;

// ---- softmax, log_softmax

/// y = x - lse along the axis, or its exponential.
Values log_probabilities(const Values& x, int axis) {
  if (axis < 0) axis += x.shape.rank();
  const Index n = x.shape[axis], inner = x.shape.product(axis + 1, x.shape.rank());
  Values y = x;
  for (Index line = 0; n > 0 && line < x.shape.elements() / n; ++line) {
    const auto at = [&](Index i) { return static_cast<std::size_t>(line / inner * n * inner + i * inner + line % inner); };
    double total = 0;
    for (Index i = 0; i < n; ++i) total += std::exp(x[at(i)]);
    for (Index i = 0; i < n; ++i) y[at(i)] = x[at(i)] - std::log(total);
  }
  return y;
}
Values probabilities(const Values& x, int axis) {
  Values y = log_probabilities(x, axis);
  for (double& v : y.x) v = std::exp(v);
  return y;
}

void add_softmax(OpCases& cases, const char* op, Tensor (*run)(const Tensor&, int), Values (*reference)(const Values&, int)) {
  const auto add = [&](const char* variant, std::vector<std::vector<Operand>> operands, int axis, bool rows) {
    cases.push_back({.op = op,
                     .variant = variant,
                     .operands = std::move(operands),
                     .run = [=](const TensorList& in) { return run(in[0], axis); },
                     .reference = [=](const std::vector<Values>& in) { return reference(in[0], axis); },
                     .rows_stable = rows});
  };
  add("last axis", {{real({64, 100})}, {real({5, 7})}, {real({1, 1})}, {real({0, 3})}, {real({3, 0})}}, -1, true);
  add("first axis", {{real({32, 33})}, {real({7, 5})}, {real({3, 0})}}, 0, false);
  add("middle axis", {{real({8, 12, 20})}, {real({2, 3, 5})}}, 1, true);
  add("one axis", {{real({9})}, {real({1})}}, 0, false);
  const std::string name = "[" + std::string(op) + "]";
  cases.back().wrong = {{[=] {
                           run(Tensor::ones({2, 3}), 2);
                         },
                         "ShapeError",
                         {name, "axis 2", "f32[2, 3]"}},
                        {[=] { run(Tensor::ones({}), 0); }, "ShapeError", {name, "axis 0"}},
                        {[=] {
                           run(Tensor::ones({2, 3}, DType::i64), 1);
                         },
                         "DTypeError",
                         {name, "i64[2, 3]", "cast"}},
                        {[=] { run(Tensor(), 0); }, "ValueError", {name, "x"}}};
}

// ---- cross_entropy

/// Losses of rows; targets are classes or distributions, weights may be absent.
std::vector<double> losses(const Values& logits, const Values& targets, const Values* weights) {
  const Values p = log_probabilities(logits, 1);
  const auto n = static_cast<std::size_t>(logits.shape[0]), k = static_cast<std::size_t>(logits.shape[1]);
  std::vector<double> loss(n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < k; ++j) {
      const double t = targets.shape.rank() == 2 ? targets[i * k + j] : static_cast<std::size_t>(targets[i]) == j ? 1 : 0;
      loss[i] -= t * (weights ? (*weights)[j] : 1) * p[i * k + j];
    }
  return loss;
}

/// What the mean divides by: the weights of the target classes, or the number of rows.
double divisor(const Values& targets, const Values* weights) {
  if (!weights || targets.shape.rank() == 2) return static_cast<double>(targets.shape[0]);
  double total = 0;
  for (const double t : targets.x) total += (*weights)[static_cast<std::size_t>(t)];
  return total;
}

Values reduced(const Values& logits, const Values& targets, const Values* weights, Reduction reduction) {
  const std::vector<double> loss = losses(logits, targets, weights);
  if (reduction == Reduction::none) return {{logits.shape[0]}, loss};
  double total = 0;
  for (const double v : loss) total += v;
  return {Shape{}, {reduction == Reduction::sum ? total : total / divisor(targets, weights)}};
}

Operand classes(const Shape& logits) { return index({logits[0]}, logits[1]); }
Operand distributions(const Shape& logits) { return real(logits, 0, 1); }

/// Logits of each shape with their targets, and weights if wanted.
std::vector<std::vector<Operand>> sets(const std::vector<Shape>& logits, Operand (*targets)(const Shape&), bool weighted) {
  std::vector<std::vector<Operand>> out;
  for (const Shape& s : logits) {
    out.push_back({real(s), targets(s)});
    if (!weighted) continue;
    out.back().push_back(real({s[1]}, 0.5, 2));
    out.back().back().constant = true;
  }
  return out;
}

void add_cross_entropy(OpCases& cases, const char* variant, Operand (*targets)(const Shape&), Reduction reduction, bool weighted) {
  std::vector<Shape> shapes{{64, 100}, {5, 7}, {1, 1}, {9, 3}};
  if (reduction != Reduction::mean) shapes.push_back({0, 4});
  cases.push_back(
      {.op = "cross_entropy",
       .variant = variant,
       .operands = sets(shapes, targets, weighted),
       .run =
           [=](const TensorList& in) {
             return cross_entropy(in[0], in[1], {.reduction = reduction, .class_weights = weighted ? in[2] : Tensor()});
           },
       .reference = [=](const std::vector<Values>& in) { return reduced(in[0], in[1], weighted ? &in[2] : nullptr, reduction); }});
}

void entropy_of(const Shape& logits, const Tensor& targets, const CrossEntropyOptions& options = {}) {
  cross_entropy(Tensor::ones(logits), targets, options);
}
Tensor labels(std::initializer_list<Index> values) { return Tensor::from(values); }

std::vector<WrongUse> wrong_cross_entropies() {
  return {{[] {
             entropy_of({3, 4}, labels({0, 4, 1}));
           },
           "IndexError",
           {"[cross_entropy]", "targets[1] is 4", "< 4"}},
          {[] {
             entropy_of({3, 4}, labels({0, 1, -1}));
           },
           "IndexError",
           {"[cross_entropy]", "targets[2] is -1"}},
          {[] {
             entropy_of({3, 4}, labels({0, 1}));
           },
           "ShapeError",
           {"[cross_entropy]", "targets", "i64[2]", "[3]"}},
          {[] { entropy_of({4}, labels({0})); }, "ShapeError", {"[cross_entropy]", "logits", "f32[4]"}},
          {[] {
             entropy_of({0, 4}, labels({}));
           },
           "ShapeError",
           {"[cross_entropy]", "f32[0, 4]", "mean"}},
          {[] {
             entropy_of({3, 4}, Tensor::ones({3, 5}));
           },
           "ShapeError",
           {"[cross_entropy]", "targets", "f32[3, 5]"}},
          {[] {
             entropy_of({3, 4}, Tensor::ones({3, 4}, DType::f64));
           },
           "DTypeError",
           {"[cross_entropy]", "targets", "f64[3, 4]"}},
          {[] {
             entropy_of({3, 4}, Tensor::ones({3}, DType::u8));
           },
           "DTypeError",
           {"[cross_entropy]", "targets", "u8[3]"}},
          {[] {
             entropy_of({3, 4}, Tensor());
           },
           "ValueError",
           {"[cross_entropy]", "targets"}},
          {[] {
             entropy_of({1, 4}, labels({0}), {.class_weights = Tensor::ones({3})});
           },
           "ShapeError",
           {"[cross_entropy]", "class_weights", "[4]"}},
          {[] {
             entropy_of({1, 4}, labels({0}), {.class_weights = Tensor::ones({4}, DType::f64)});
           },
           "DTypeError",
           {"[cross_entropy]", "class_weights", "f64[4]"}},
          {[] {
             cross_entropy(Tensor::ones({1, 4}, DType::i64), labels({0}));
           },
           "DTypeError",
           {"[cross_entropy]", "logits", "i64[1, 4]"}}};
}

// ---- mse, l2_normalize

void add_mse(OpCases& cases, const char* variant, Reduction reduction) {
  std::vector<std::vector<Operand>> operands{{real({64, 33}), real({64, 33})}, {real({5, 7}), real({5, 7})}, {real({}), real({})}};
  if (reduction != Reduction::mean) operands.push_back({real({0, 3}), real({0, 3})});
  cases.push_back(
      {.op = "mse",
       .variant = variant,
       .operands = std::move(operands),
       .run = [=](const TensorList& in) { return mse(in[0], in[1], reduction); },
       .reference =
           [=](const std::vector<Values>& in) {
             Values y = in[0];
             double total = 0;
             for (std::size_t i = 0; i < y.x.size(); ++i) total += y[i] = (in[0][i] - in[1][i]) * (in[0][i] - in[1][i]);
             if (reduction == Reduction::none) return y;
             return Values{Shape{}, {reduction == Reduction::sum ? total : total / static_cast<double>(y.x.size())}};
           },
       .wrong = {{[=] {
                    mse(Tensor::ones({2, 3}), Tensor::ones({3, 2}), reduction);
                  },
                  "ShapeError",
                  {"[mse]", "prediction", "f32[2, 3]", "target", "f32[3, 2]"}},
                 {[=] { mse(Tensor::ones({2}), Tensor::ones({2}, DType::f64), reduction); }, "DTypeError", {"[mse]", "f64[2]"}},
                 {[=] { mse(Tensor::ones({2}, DType::i64), Tensor::ones({2}, DType::i64), reduction); }, "DTypeError", {"[mse]", "i64[2]"}},
                 {[] { mse(Tensor::ones({0}), Tensor::ones({0})); }, "ShapeError", {"[mse]", "f32[0]", "mean"}}}});
}

Values unit_vectors(const Values& x, int axis, double floor) {
  const Index n = x.shape[axis], inner = x.shape.product(axis + 1, x.shape.rank());
  Values y = x;
  for (Index line = 0; n > 0 && line < x.shape.elements() / n; ++line) {
    const auto at = [&](Index i) { return static_cast<std::size_t>(line / inner * n * inner + i * inner + line % inner); };
    double square = 0;
    for (Index i = 0; i < n; ++i) square += x[at(i)] * x[at(i)];
    for (Index i = 0; i < n; ++i) y[at(i)] = x[at(i)] / std::fmax(std::sqrt(square), floor);
  }
  return y;
}

void add_l2_normalize(OpCases& cases) {
  const auto add = [&](const char* variant, std::vector<std::vector<Operand>> operands, int axis, double floor, bool rows) {
    cases.push_back({.op = "l2_normalize",
                     .variant = variant,
                     .operands = std::move(operands),
                     .run = [=](const TensorList& in) { return l2_normalize(in[0], axis, floor); },
                     .reference = [=](const std::vector<Values>& in) { return unit_vectors(in[0], axis, floor); },
                     .rows_stable = rows});
  };
  add("last axis", {{real({64, 33})}, {real({5, 7})}, {real({1, 3})}, {real({0, 3})}}, 1, 1e-12, true);
  add("middle axis", {{real({4, 9, 5})}, {real({2, 2, 3})}}, 1, 1e-12, true);
  add("below the floor", {{real({5, 7}, -0.1, 0.1)}}, 1, 3, true);  // every norm is below 3: x / 3
  cases.back().wrong = {{[] {
                           l2_normalize(Tensor::ones({2, 3}), 2);
                         },
                         "ShapeError",
                         {"[l2_normalize]", "axis 2", "f32[2, 3]"}},
                        {[] {
                           l2_normalize(Tensor::ones({2, 3}, DType::i64), 1);
                         },
                         "DTypeError",
                         {"[l2_normalize]", "i64[2, 3]"}},
                        {[] {
                           l2_normalize(Tensor::ones({2, 3}), 1, 0);
                         },
                         "ValueError",
                         {"[l2_normalize]", "floor", "0"}}};
}

}  // namespace

void add_softmax_cases(OpCases& cases) {
  add_softmax(cases, "softmax", softmax, probabilities);
  add_softmax(cases, "log_softmax", log_softmax, log_probabilities);
  for (const bool weighted : {false, true}) {
    const auto variant = [&](const char* plain, const char* with_weights) { return weighted ? with_weights : plain; };
    add_cross_entropy(cases, variant("classes, none", "classes, none, weighted"), classes, Reduction::none, weighted);
    add_cross_entropy(cases, variant("classes, sum", "classes, sum, weighted"), classes, Reduction::sum, weighted);
    add_cross_entropy(cases, variant("classes, mean", "classes, mean, weighted"), classes, Reduction::mean, weighted);
    add_cross_entropy(cases, variant("soft, none", "soft, none, weighted"), distributions, Reduction::none, weighted);
    add_cross_entropy(cases, variant("soft, mean", "soft, mean, weighted"), distributions, Reduction::mean, weighted);
  }
  cases.back().wrong = wrong_cross_entropies();
  add_mse(cases, "none", Reduction::none);
  add_mse(cases, "mean", Reduction::mean);
  add_mse(cases, "sum", Reduction::sum);
  add_l2_normalize(cases);
}

}  // namespace gradus::testing
