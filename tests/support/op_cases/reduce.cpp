#include <cmath>
#include <limits>

#include <gradus/engine/ops/reduce.h>
#include <gradus/tests/support/op_case.h>

namespace gradus::testing {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Folds x over axes: value = f(value, element), from `start`; y in the kept axes, or with the reduced ones as 1.
Values folded(const Values& x, const std::vector<int>& axes, bool keep, double start, const std::function<double(double, double)>& f) {
  const int rank = x.shape.rank();
  std::vector<bool> reduced(static_cast<std::size_t>(rank), axes.empty());
  for (const int axis : axes) reduced[static_cast<std::size_t>(axis < 0 ? axis + rank : axis)] = true;
  Shape y_shape;
  for (int i = 0; i < rank; ++i) {
    if (!reduced[static_cast<std::size_t>(i)]) y_shape.push_back(x.shape[i]);
    else if (keep) y_shape.push_back(1);
  }
  Values y{y_shape, std::vector<double>(static_cast<std::size_t>(y_shape.elements()), start)};
  for (std::int64_t i = 0; i < x.shape.elements(); ++i) {
    std::int64_t rest = i, target = 0, step = 1;
    for (int axis = rank - 1; axis >= 0; --axis) {
      const std::int64_t index = rest % x.shape[axis];
      rest /= x.shape[axis];
      if (reduced[static_cast<std::size_t>(axis)]) continue;
      target += index * step;
      step *= x.shape[axis];
    }
    double& value = y[static_cast<std::size_t>(target)];
    value = f(value, x[static_cast<std::size_t>(i)]);
  }
  return y;
}

double plus(double a, double b) { return a + b; }
double larger(double a, double b) { return std::fmax(a, b); }
double smaller(double a, double b) { return std::fmin(a, b); }

Values sum_of(const Values& x, const std::vector<int>& axes, bool keep) { return folded(x, axes, keep, 0, plus); }
Values mean_of(const Values& x, const std::vector<int>& axes, bool keep) {
  Values y = folded(x, axes, keep, 0, plus);
  const double share = y.x.empty() ? 0 : static_cast<double>(y.x.size()) / static_cast<double>(x.x.size());
  for (double& v : y.x) v *= share;
  return y;
}
Values max_of(const Values& x, const std::vector<int>& axes, bool keep) { return folded(x, axes, keep, -kInfinity, larger); }
Values min_of(const Values& x, const std::vector<int>& axes, bool keep) { return folded(x, axes, keep, kInfinity, smaller); }
Values logsumexp_of(const Values& x, const std::vector<int>& axes, bool keep) {
  Values y = folded(x, axes, keep, 0, [](double total, double v) { return total + std::exp(v); });
  for (double& v : y.x) v = std::log(v);
  return y;
}

struct Reduction {
  const char* op;
  Tensor (*all)(const Tensor&);
  Tensor (*some)(const Tensor&, const Axes&);
  Tensor (*kept)(const Tensor&, const Axes&, KeepDims);
  Values (*reference)(const Values&, const std::vector<int>&, bool);
  bool of_nothing;  // a value for an empty set of elements
};

/// One case for each kind of axes, whose kernels differ: all, last, first, both ends, middle, alternating.
void add_cases(OpCases& cases, const Reduction& r) {
  const auto add = [&](const char* variant, std::vector<std::vector<Operand>> operands, const std::vector<int>& axes, bool keep,
                       bool rows) {
    cases.push_back({.op = r.op,
                     .variant = variant,
                     .operands = std::move(operands),
                     .run = [=](const TensorList& in) { return keep ? r.kept(in[0], Axes(axes), keepdims) : r.some(in[0], Axes(axes)); },
                     .reference = [=](const std::vector<Values>& in) { return r.reference(in[0], axes, keep); },
                     .rows_stable = rows});
  };
  add("last axis", {{real({32, 48})}, {real({5, 7})}, {real({1, 1})}, {real({0, 3})}}, {1}, false, true);
  add("first axis", {{real({48, 33})}, {real({7, 5})}, {real({1, 4})}, {real({3, 0})}}, {0}, false, false);
  add("first axis, kept", {{real({48, 33})}, {real({7, 5})}}, {0}, true, false);
  add("all but the second", {{real({6, 5, 4, 3})}, {real({2, 3, 1, 5})}}, {0, 2, -1}, false, false);
  add("the second, kept", {{real({6, 5, 7})}, {real({2, 1, 3})}}, {-2}, true, true);
  add("every other", {{real({3, 2, 4, 3, 2})}}, {0, 2, 4}, false, false);
  cases.push_back({.op = r.op,
                   .variant = "all axes",
                   .operands = {{real({64, 33})}, {real({3, 2, 5})}, {real({})}},
                   .run = [=](const TensorList& in) { return r.all(in[0]); },
                   .reference = [=](const std::vector<Values>& in) { return r.reference(in[0], {}, false); }});
  const std::string op = "[" + std::string(r.op) + "]";
  std::vector<WrongUse>& wrong = cases.back().wrong;
  wrong = {{[=] { r.all(Tensor::ones({2}, DType::i64)); }, "DTypeError", {op, "i64[2]", "cast"}},
           {[=] { r.some(Tensor::ones({2}, DType::boolean), {0}); }, "DTypeError", {op, "bool[2]"}},
           {[=] {
              r.some(Tensor::ones({2, 3}), {2});
            },
            "ShapeError",
            {op, "f32[2, 3]", "2"}},
           {[=] {
              r.some(Tensor::ones({2, 3}), {1, -1});
            },
            "ShapeError",
            {op, "f32[2, 3]", "axis -1", "twice"}}};
  if (!r.of_nothing) {
    wrong.push_back({[=] { r.some(Tensor::ones({0, 3}), {0}); }, "ShapeError", {op, "f32[0, 3]", "nothing"}});
    wrong.push_back({[=] { r.all(Tensor::ones({0})); }, "ShapeError", {op, "f32[0]", "nothing"}});
    return;
  }
  cases.push_back({.op = r.op,
                   .variant = "of nothing",
                   .operands = {{real({0, 3})}},
                   .run = [=](const TensorList& in) { return r.some(in[0], {0}); },
                   .reference = [=](const std::vector<Values>& in) { return r.reference(in[0], {0}, false); }});
}

Values argmax_reference(const Values& x, int axis) {
  const std::int64_t n = x.shape[axis], inner = x.shape.product(axis + 1, x.shape.rank()), outer = x.shape.product(0, axis);
  Shape shape;
  for (int i = 0; i < x.shape.rank(); ++i)
    if (i != axis) shape.push_back(x.shape[i]);
  Values y{shape, {}};
  for (std::int64_t o = 0; o < outer; ++o)
    for (std::int64_t j = 0; j < inner; ++j) {
      std::int64_t best = 0;
      const auto at = [&](std::int64_t i) { return x[static_cast<std::size_t>((o * n + i) * inner + j)]; };
      for (std::int64_t i = 1; i < n; ++i)
        if (at(i) > at(best)) best = i;
      y.x.push_back(static_cast<double>(best));
    }
  return y;
}

void add_argmax(OpCases& cases, int axis, const char* variant, bool rows) {
  cases.push_back({.op = "argmax",
                   .variant = variant,
                   .operands = {{real({32, 48})},
                                {real({5, 7})},
                                {real({1, 1})},
                                axis == 1 ? std::vector<Operand>{real({0, 3})} : std::vector<Operand>{real({3, 0})}},
                   .run = [=](const TensorList& in) { return argmax(in[0], axis); },
                   .reference = [=](const std::vector<Values>& in) { return argmax_reference(in[0], axis); },
                   .order = 0,
                   .rows_stable = rows,
                   .wrong = {{[] {
                                argmax(Tensor::ones({2, 0}), 1);
                              },
                              "ShapeError",
                              {"[argmax]", "f32[2, 0]", "nothing"}},
                             {[] {
                                argmax(Tensor::ones({2, 3}), 2);
                              },
                              "ShapeError",
                              {"[argmax]", "f32[2, 3]"}},
                             {[] { argmax(Tensor::ones({2}, DType::i64), 0); }, "DTypeError", {"[argmax]", "i64[2]"}}}});
}

void add_broadcasts(OpCases& cases) {
  cases.push_back({.op = "sum_to",
                   .operands = {{real({6, 5, 4})}, {real({2, 1, 3})}, {real({0, 5, 4})}},
                   .run =
                       [](const TensorList& in) {
                         return sum_to(in[0], {in[0].size(1), 1});
                       },
                   .reference =
                       [](const std::vector<Values>& in) {
                         Values y = sum_of(in[0], {0, 2}, true);
                         y.shape = {y.shape[1], 1};
                         return y;
                       },
                   .wrong = {{[] {
                                sum_to(Tensor::ones({2, 3}), {4});
                              },
                              "ShapeError",
                              {"[sum_to]", "f32[2, 3]", "[4]"}},
                             {[] { sum_to(Tensor::ones({2}, DType::i64), {}); }, "DTypeError", {"[sum_to]", "i64[2]"}}}});
  cases.push_back({.op = "broadcast_to",
                   .operands = {{real({5, 1})}, {real({1, 1})}, {real({0, 1})}},
                   .run =
                       [](const TensorList& in) {
                         return broadcast_to(in[0], {3, in[0].size(0), 4});
                       },
                   .reference =
                       [](const std::vector<Values>& in) {
                         Values y{{3, in[0].shape[0], 4}, {}};
                         for (std::int64_t i = 0; i < y.shape.elements(); ++i)
                           y.x.push_back(in[0][static_cast<std::size_t>(i / 4 % in[0].shape[0])]);
                         return y;
                       },
                   .wrong = {{[] {
                                broadcast_to(Tensor::ones({2, 3}), {2, 4});
                              },
                              "ShapeError",
                              {"[broadcast_to]", "f32[2, 3]", "[2, 4]"}},
                             {[] { broadcast_to(Tensor(), {2}); }, "ValueError", {"[broadcast_to]"}}}});
}

}  // namespace

void add_reduce_cases(OpCases& cases) {
  add_cases(cases, {"sum", sum, sum, sum, sum_of, true});
  add_cases(cases, {"mean", mean, mean, mean, mean_of, false});
  add_cases(cases, {"max", max, max, max, max_of, false});
  add_cases(cases, {"min", min, min, min, min_of, false});
  add_cases(cases, {"logsumexp", logsumexp, logsumexp, logsumexp, logsumexp_of, false});
  add_argmax(cases, 1, "last axis", true);
  add_argmax(cases, 0, "first axis", false);
  add_broadcasts(cases);
}

}  // namespace gradus::testing
