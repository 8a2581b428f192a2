#include <cmath>

#include <gradus/engine/ops/pooling.h>
#include <gradus/tests/support/op_case.h>

namespace gradus::testing {
namespace {

using Index = std::int64_t;
/// Of a window: the values of its real pixels, and how many pixels it has with the padding.
using Summary = std::function<double(const std::vector<double>& pixels, double area)>;

double largest(const std::vector<double>& pixels, double) {
  double y = pixels[0];
  for (const double v : pixels) y = std::fmax(y, v);
  return y;
}
double average(const std::vector<double>& pixels, double area) {
  double y = 0;
  for (const double v : pixels) y += v / area;
  return y;
}

std::vector<double> window(const Values& x, Index plane, Index top, Index left, Pair2d kernel) {
  const Index h = x.shape[2], w = x.shape[3];
  std::vector<double> pixels;
  for (Index i = top; i < top + kernel.h; ++i)
    for (Index j = left; j < left + kernel.w; ++j)
      if (i >= 0 && i < h && j >= 0 && j < w) pixels.push_back(x[static_cast<std::size_t>((plane * h + i) * w + j)]);
  return pixels;
}

Reference pooled(Pair2d kernel, Pair2d stride, Pair2d padding, Summary summary) {
  return [=](const std::vector<Values>& in) {
    const Values& x = in[0];
    const Index out_h = (x.shape[2] + 2 * padding.h - kernel.h) / stride.h + 1,
                out_w = (x.shape[3] + 2 * padding.w - kernel.w) / stride.w + 1;
    Values y{{x.shape[0], x.shape[1], out_h, out_w}, {}};
    for (Index plane = 0; plane < x.shape[0] * x.shape[1]; ++plane)
      for (Index i = 0; i < out_h; ++i)
        for (Index j = 0; j < out_w; ++j)
          y.x.push_back(summary(window(x, plane, i * stride.h - padding.h, j * stride.w - padding.w, kernel),
                                static_cast<double>(kernel.h * kernel.w)));
    return y;
  };
}

struct Pooling {
  const char* op;
  Tensor (*run)(const Tensor&, const Pool2dOptions&);
  Summary summary;
};

void add_pooling(OpCases& cases, const Pooling& p) {
  const auto add = [&](const char* variant, std::vector<std::vector<Operand>> operands, Pool2dOptions o) {
    const Pair2d stride{o.stride.h ? o.stride.h : o.kernel.h, o.stride.w ? o.stride.w : o.kernel.w};
    cases.push_back({.op = p.op,
                     .variant = variant,
                     .operands = std::move(operands),
                     .run = [run = p.run, o](const TensorList& in) { return run(in[0], o); },
                     .reference = pooled(o.kernel, stride, o.padding, p.summary),
                     .rows_stable = true});
  };
  add("2x2", {{real({4, 8, 16, 16})}, {real({3, 2, 7, 9})}, {real({1, 1, 2, 2})}, {real({0, 3, 4, 4})}}, {.kernel = 2});
  add("3x3, stride 2, padded", {{real({2, 8, 17, 17})}, {real({1, 3, 5, 6})}, {real({1, 1, 2, 2})}},
      {.kernel = 3, .stride = 2, .padding = 1});
  add("overlapping", {{real({2, 3, 9, 13})}}, {.kernel = {2, 3}, .stride = {1, 1}, .padding = {0, 1}});
  add("the whole plane", {{real({3, 4, 7, 7})}}, {.kernel = 7});
  add("uneven", {{real({2, 2, 8, 11})}}, {.kernel = {1, 4}, .stride = {3, 3}, .padding = {0, 2}});
  const std::string op = "[" + std::string(p.op) + "]";
  const auto run = p.run;
  cases.back().wrong = {{[=] {
                           run(Tensor::ones({2, 3, 4}), {});
                         },
                         "ShapeError",
                         {op, "f32[2, 3, 4]", "4 axes"}},
                        {[=] {
                           run(Tensor::ones({1, 1, 4, 4}, DType::i64), {});
                         },
                         "DTypeError",
                         {op, "i64[1, 1, 4, 4]"}},
                        {[=] { run(Tensor(), {}); }, "ValueError", {op, "x"}},
                        {[=] {
                           run(Tensor::ones({1, 1, 2, 5}), {.kernel = 3});
                         },
                         "ShapeError",
                         {op, "height 2", "3"}},
                        {[=] {
                           run(Tensor::ones({1, 1, 5, 0}), {.kernel = 1});
                         },
                         "ShapeError",
                         {op, "width 0"}},
                        {[=] {
                           run(Tensor::ones({1, 1, 5, 5}), {.kernel = 3, .padding = 2});
                         },
                         "ValueError",
                         {op, "padding 2", "kernel 3"}},
                        {[=] {
                           run(Tensor::ones({1, 1, 5, 5}), {.kernel = 0});
                         },
                         "ValueError",
                         {op, "kernel 0"}},
                        {[=] {
                           run(Tensor::ones({1, 1, 5, 5}), {.kernel = 2, .stride = -1});
                         },
                         "ValueError",
                         {op, "stride -1"}}};
}

void add_global_average(OpCases& cases) {
  cases.push_back({.op = "global_avg_pool",
                   .operands = {{real({4, 16, 7, 7})}, {real({3, 5, 2, 9})}, {real({1, 1, 1, 1})}, {real({0, 2, 3, 3})}},
                   .run = [](const TensorList& in) { return global_avg_pool(in[0]); },
                   .reference =
                       [](const std::vector<Values>& in) {
                         const Shape& s = in[0].shape;
                         Values y{{s[0], s[1]}, {}};
                         for (Index plane = 0; plane < s[0] * s[1]; ++plane)
                           y.x.push_back(average(window(in[0], plane, 0, 0, {s[2], s[3]}), static_cast<double>(s[2] * s[3])));
                         return y;
                       },
                   .rows_stable = true,
                   .wrong = {{[] {
                                global_avg_pool(Tensor::ones({2, 3}));
                              },
                              "ShapeError",
                              {"[global_avg_pool]", "f32[2, 3]"}},
                             {[] {
                                global_avg_pool(Tensor::ones({2, 3, 0, 4}));
                              },
                              "ShapeError",
                              {"[global_avg_pool]", "f32[2, 3, 0, 4]"}},
                             {[] {
                                global_avg_pool(Tensor::ones({2, 3, 4, 4}, DType::u8));
                              },
                              "DTypeError",
                              {"[global_avg_pool]", "u8"}}}});
}

}  // namespace

void add_pooling_cases(OpCases& cases) {
  add_pooling(cases, {"max_pool2d", max_pool2d, largest});
  add_pooling(cases, {"avg_pool2d", avg_pool2d, average});
  add_global_average(cases);
}

}  // namespace gradus::testing
