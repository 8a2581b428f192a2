#include <cstddef>

#include <gradus/engine/ops/convolution.h>
#include <gradus/tests/support/op_case.h>

namespace gradus::testing {
namespace {

using Index = std::int64_t;

/// The sizes of one convolution, as the test sees them.
struct Geometry {
  Index n, c, h, w, k, r, s;
  ConvOptions options;

  Index out_h() const { return (h + 2 * options.padding.h - r) / options.stride.h + 1; }
  Index out_w() const { return (w + 2 * options.padding.w - s) / options.stride.w + 1; }
  Shape x() const { return {n, c, h, w}; }
  Shape weight() const { return {k, c / options.groups, r, s}; }
  Shape y() const { return {n, k, out_h(), out_w()}; }
};

/// f(offset in x, offset in w, offset in y) for every product of the convolution.
template <class F> void for_each_product(const Geometry& g, const F& f) {
  const Index group_in = g.c / g.options.groups, group_out = g.k / g.options.groups;
  for (Index n = 0; n < g.n; ++n)
    for (Index k = 0; k < g.k; ++k)
      for (Index i = 0; i < g.out_h(); ++i)
        for (Index j = 0; j < g.out_w(); ++j)
          for (Index c = 0; c < group_in; ++c)
            for (Index a = 0; a < g.r; ++a)
              for (Index b = 0; b < g.s; ++b) {
                const Index y = i * g.options.stride.h + a - g.options.padding.h, x = j * g.options.stride.w + b - g.options.padding.w;
                if (y < 0 || y >= g.h || x < 0 || x >= g.w) continue;
                f(static_cast<std::size_t>(((n * g.c + k / group_out * group_in + c) * g.h + y) * g.w + x),
                  static_cast<std::size_t>(((k * group_in + c) * g.r + a) * g.s + b),
                  static_cast<std::size_t>(((n * g.k + k) * g.out_h() + i) * g.out_w() + j));
              }
}

Values zeros(const Shape& shape) { return {shape, std::vector<double>(static_cast<std::size_t>(shape.elements()))}; }

/// Square images and kernels in the order that makes a geometry of x and w alone.
Geometry geometry(const Shape& x, const Shape& w, const ConvOptions& o) { return {x[0], x[1], x[2], x[3], w[0], w[2], w[3], o}; }

Reference forward(ConvOptions o) {
  return [o](const std::vector<Values>& in) {
    const Geometry g = geometry(in[0].shape, in[1].shape, o);
    Values y = zeros(g.y());
    for_each_product(g, [&](std::size_t x, std::size_t w, std::size_t at) { y[at] += in[0][x] * in[1][w]; });
    if (in.size() > 2)
      for (std::size_t at = 0; at < y.x.size(); ++at)
        y[at] += in[2][at / static_cast<std::size_t>(g.out_h() * g.out_w()) % static_cast<std::size_t>(g.k)];
    return y;
  };
}

Reference input_grad(Geometry g) {
  return [g](const std::vector<Values>& in) {
    Values dx = zeros(g.x());
    for_each_product(g, [&](std::size_t x, std::size_t w, std::size_t y) { dx[x] += in[0][y] * in[1][w]; });
    return dx;
  };
}

Reference weight_grad(Geometry g) {
  return [g](const std::vector<Values>& in) {
    Values dw = zeros(g.weight());
    for_each_product(g, [&](std::size_t x, std::size_t w, std::size_t y) { dw[w] += in[0][x] * in[1][y]; });
    return dw;
  };
}

/// conv2d over several geometries with the same options, with or without bias.
void add_forward(OpCases& cases, const char* variant, const std::vector<Geometry>& geometries, bool bias,
                 std::vector<WrongUse> wrong = {}) {
  const ConvOptions o = geometries[0].options;
  std::vector<std::vector<Operand>> sets;
  for (const Geometry& g : geometries) {
    sets.push_back({real(g.x()), real(g.weight(), -1, 1)});
    if (bias) sets.back().push_back(real({g.k}));
  }
  const Geometry& first = geometries[0];
  cases.push_back({.op = "conv2d",
                   .variant = variant,
                   .operands = std::move(sets),
                   .run = [o, bias](const TensorList& in) { return bias ? conv2d(in[0], in[1], in[2], o) : conv2d(in[0], in[1], o); },
                   .reference = forward(o),
                   .rows_stable = true,
                   .flops = 2.0 * static_cast<double>(first.y().elements() * first.weight().product(1, 4)),
                   .wrong = std::move(wrong)});
}

/// The two gradients as ops of their own, over one geometry each case: their shapes are arguments.
void add_gradients(OpCases& cases, const char* variant, const Geometry& g, std::vector<WrongUse> wrong_input = {},
                   std::vector<WrongUse> wrong_weight = {}) {
  cases.push_back({.op = "conv2d_input_grad",
                   .variant = variant,
                   .operands = {{real(g.y()), real(g.weight(), -1, 1)}},
                   .run = [g](const TensorList& in) { return conv2d_input_grad(in[0], in[1], g.h, g.w, g.options); },
                   .reference = input_grad(g),
                   .rows_stable = g.n > 0,
                   .wrong = std::move(wrong_input)});
  cases.push_back({.op = "conv2d_weight_grad",
                   .variant = variant,
                   .operands = {{real(g.x()), real(g.y(), -1, 1)}},
                   .run = [g](const TensorList& in) { return conv2d_weight_grad(in[0], in[1], g.r, g.s, g.options); },
                   .reference = weight_grad(g),
                   .wrong = std::move(wrong_weight)});
}

Tensor ones(Shape shape, DType dtype = DType::f32) { return Tensor::ones(shape, dtype); }

std::vector<WrongUse> wrong_forward() {
  const auto x = [] { return ones({2, 4, 5, 5}); };
  return {{[=] {
             conv2d(ones({4, 5, 5}), ones({3, 4, 3, 3}));
           },
           "ShapeError",
           {"[conv2d]", "[4, 5, 5]", "[N, C, H, W]"}},
          {[=] {
             conv2d(x(), ones({3, 2, 3, 3}));
           },
           "ShapeError",
           {"[conv2d]", "[2, 4, 5, 5]", "[3, 2, 3, 3]", "1 groups", "[K, 4, R, S]"}},
          {[=] {
             conv2d(x(), ones({3, 2, 3, 3}), {.groups = 2});
           },
           "ShapeError",
           {"[conv2d]", "2 groups", "divisible"}},
          {[=] {
             conv2d(x(), ones({3, 4, 7, 3}));
           },
           "ShapeError",
           {"[conv2d]", "[3, 4, 7, 3]", "padding"}},
          {[=] {
             conv2d(x(), ones({3, 4, 3, 3}), ones({4}));
           },
           "ShapeError",
           {"[conv2d]", "bias", "[3]"}},
          {[=] {
             conv2d(x(), ones({3, 4, 3, 3}, DType::f64));
           },
           "DTypeError",
           {"[conv2d]", "f32[2, 4, 5, 5]", "f64[3, 4, 3, 3]"}},
          {[=] {
             conv2d(x(), ones({3, 4, 3, 3}), ones({3}, DType::f64));
           },
           "DTypeError",
           {"[conv2d]", "bias", "f64[3]"}},
          {[=] {
             conv2d(ones({2, 4, 5, 5}, DType::u8), ones({3, 4, 3, 3}, DType::u8));
           },
           "DTypeError",
           {"[conv2d]", "u8[2, 4, 5, 5]"}},
          {[=] {
             conv2d(x(), ones({3, 4, 3, 3}), {.stride = {1, 0}});
           },
           "ValueError",
           {"[conv2d]", "stride (1, 0)"}},
          {[=] {
             conv2d(x(), ones({3, 4, 3, 3}), {.padding = {-1, 0}});
           },
           "ValueError",
           {"[conv2d]", "padding (-1, 0)"}},
          {[=] {
             conv2d(x(), ones({3, 4, 3, 3}), {.groups = 0});
           },
           "ValueError",
           {"[conv2d]", "groups 0"}}};
}

std::vector<WrongUse> wrong_input_grad() {
  return {{[] {
             conv2d_input_grad(ones({2, 3, 4, 4}), ones({3, 4, 3, 3}), 5, 5);
           },
           "ShapeError",
           {"[conv2d_input_grad]", "[2, 3, 4, 4]", "[2, 3, 3, 3]"}},
          {[] {
             conv2d_input_grad(ones({2, 3, 4}), ones({3, 4, 3, 3}), 5, 5);
           },
           "ShapeError",
           {"[conv2d_input_grad]", "dy", "[2, 3, 4]"}},
          {[] {
             conv2d_input_grad(ones({2, 3, 3, 3}), ones({3, 4, 3, 3}, DType::f64), 5, 5);
           },
           "DTypeError",
           {"[conv2d_input_grad]", "f64"}},
          {[] {
             conv2d_input_grad(ones({2, 3, 3, 3}), ones({3, 4, 3, 3}), 5, 5, {.groups = 0});
           },
           "ValueError",
           {"[conv2d_input_grad]", "groups 0"}}};
}
std::vector<WrongUse> wrong_weight_grad() {
  return {{[] {
             conv2d_weight_grad(ones({2, 4, 5, 5}), ones({2, 3, 4, 4}), 3, 3);
           },
           "ShapeError",
           {"[conv2d_weight_grad]", "[2, 3, 4, 4]", "[2, 3, 3, 3]"}},
          {[] {
             conv2d_weight_grad(ones({2, 4, 5, 5}), ones({1, 3, 3, 3}), 3, 3);
           },
           "ShapeError",
           {"[conv2d_weight_grad]", "[1, 3, 3, 3]", "[2, 3, 3, 3]"}},
          {[] {
             conv2d_weight_grad(ones({2, 4, 5}), ones({2, 3, 3, 3}), 3, 3);
           },
           "ShapeError",
           {"[conv2d_weight_grad]", "x", "[2, 4, 5]"}},
          {[] {
             conv2d_weight_grad(ones({2, 4, 5, 5}), ones({2, 3, 3, 3}, DType::f64), 3, 3);
           },
           "DTypeError",
           {"[conv2d_weight_grad]", "f64"}},
          {[] {
             conv2d_weight_grad(ones({2, 4, 5, 5}), ones({2, 3, 3, 3}), 3, 3, {.stride = 0});
           },
           "ValueError",
           {"[conv2d_weight_grad]", "stride (0, 0)"}}};
}

}  // namespace

void add_convolution_cases(OpCases& cases) {
  const ConvOptions same{.padding = 1}, strided{.stride = {2, 3}, .padding = {1, 2}}, valid{}, grouped{.padding = 1, .groups = 2},
      depthwise{.padding = 1, .groups = 3}, halving{.stride = 2};
  add_forward(cases, "3x3, padded, bias", {{3, 4, 8, 9, 5, 3, 3, same}, {1, 1, 1, 1, 1, 3, 3, same}, {0, 2, 4, 4, 3, 3, 3, same}}, true,
              wrong_forward());
  add_forward(cases, "strides and padding differ", {{2, 3, 9, 11, 4, 3, 2, strided}, {1, 1, 1, 2, 1, 2, 5, strided}}, false);
  add_forward(cases, "1x1 and valid",
              {{2, 5, 4, 7, 3, 1, 1, valid}, {2, 2, 5, 6, 2, 5, 6, valid}, {2, 0, 3, 3, 2, 1, 1, valid}, {2, 3, 3, 3, 0, 2, 2, valid}},
              false);
  add_forward(cases, "groups", {{2, 4, 5, 6, 6, 3, 3, grouped}}, true);
  add_forward(cases, "depthwise", {{2, 3, 6, 10, 3, 3, 3, depthwise}, {1, 3, 5, 5, 6, 3, 3, depthwise}}, false);
  add_forward(cases, "1x1, pixels skipped", {{2, 3, 5, 6, 4, 1, 1, halving}}, false);

  add_gradients(cases, "3x3, padded", {3, 4, 8, 9, 5, 3, 3, same}, wrong_input_grad(), wrong_weight_grad());
  add_gradients(cases, "strides and padding differ", {2, 3, 9, 11, 4, 3, 2, strided});
  add_gradients(cases, "groups", {2, 4, 5, 6, 6, 3, 3, grouped});
  add_gradients(cases, "depthwise", {2, 3, 6, 7, 3, 3, 3, depthwise});
  add_gradients(cases, "1x1, pixels skipped", {2, 3, 5, 6, 4, 1, 1, halving});
  add_gradients(cases, "one element", {1, 1, 1, 1, 1, 1, 1, valid});
  add_gradients(cases, "no images", {0, 2, 4, 4, 3, 3, 3, same});
}

}  // namespace gradus::testing
