#include <algorithm>
#include <numeric>

#include <gradus/engine/ops/shape.h>
#include <gradus/tests/support/op_case.h>

namespace gradus::testing {
namespace {

using Index = std::int64_t;
using Position = std::vector<Index>;

Position position_of(const Shape& shape, Index flat) {
  Position p(static_cast<std::size_t>(shape.rank()));
  for (int a = shape.rank() - 1; a >= 0; --a) {
    p[static_cast<std::size_t>(a)] = flat % shape[a];
    flat /= shape[a];
  }
  return p;
}
double at(const Values& x, const Position& p) {
  Index flat = 0;
  for (int a = 0; a < x.shape.rank(); ++a) flat = flat * x.shape[a] + p[static_cast<std::size_t>(a)];
  return x[static_cast<std::size_t>(flat)];
}
/// Every element of a result of this shape, from its position.
Values from_positions(const Shape& shape, const std::function<double(const Position&)>& f) {
  Values y{shape, {}};
  for (Index flat = 0; flat < shape.elements(); ++flat) y.x.push_back(f(position_of(shape, flat)));
  return y;
}

/// The same elements, another shape.
Reference viewed(std::function<Shape(const Shape&)> shape) {
  return [shape = std::move(shape)](const std::vector<Values>& in) { return Values{shape(in[0].shape), in[0].x}; };
}

Reference permuted(std::vector<int> axes) {
  return [axes = std::move(axes)](const std::vector<Values>& in) {
    Shape shape;
    for (const int a : axes) shape.push_back(in[0].shape[a]);
    return from_positions(shape, [&](const Position& p) {
      Position q(p.size());
      for (std::size_t i = 0; i < p.size(); ++i) q[static_cast<std::size_t>(axes[i])] = p[i];
      return at(in[0], q);
    });
  };
}

Reference flipped(std::vector<int> axes) {
  return [axes = std::move(axes)](const std::vector<Values>& in) {
    return from_positions(in[0].shape, [&](Position p) {
      for (const int a : axes) p[static_cast<std::size_t>(a)] = in[0].shape[a] - 1 - p[static_cast<std::size_t>(a)];
      return at(in[0], p);
    });
  };
}

Reference sliced(int axis, Index first, Index last, Index step) {
  return [=](const std::vector<Values>& in) {
    Index count = 0;
    for (Index i = first; i < last; i += step) ++count;
    return from_positions(with_extent(in[0].shape, axis, count), [&](Position p) {
      p[static_cast<std::size_t>(axis)] = first + p[static_cast<std::size_t>(axis)] * step;
      return at(in[0], p);
    });
  };
}

Reference padded(std::vector<PadWidth> widths, double value) {
  return [=](const std::vector<Values>& in) {
    Shape shape;
    for (int a = 0; a < in[0].shape.rank(); ++a) shape.push_back(in[0].shape[a] + widths[std::size_t(a)].low + widths[std::size_t(a)].high);
    return from_positions(shape, [&](Position p) {
      for (std::size_t a = 0; a < p.size(); ++a) {
        p[a] -= widths[a].low;
        if (p[a] < 0 || p[a] >= in[0].shape[static_cast<int>(a)]) return value;
      }
      return at(in[0], p);
    });
  };
}

Reference concatenated(int axis) {
  return [=](const std::vector<Values>& in) {
    Index total = 0;
    for (const Values& x : in) total += x.shape[axis];
    return from_positions(with_extent(in[0].shape, axis, total), [&](Position p) {
      std::size_t i = 0;
      Index& along = p[static_cast<std::size_t>(axis)];
      for (; along >= in[i].shape[axis]; ++i) along -= in[i].shape[axis];
      return at(in[i], p);
    });
  };
}

Reference stacked(int axis) {
  return [=](const std::vector<Values>& in) {
    Shape shape;
    for (int a = 0; a <= in[0].shape.rank(); ++a) {
      if (a == axis) shape.push_back(static_cast<Index>(in.size()));
      if (a < in[0].shape.rank()) shape.push_back(in[0].shape[a]);
    }
    return from_positions(shape, [&](Position p) {
      const auto i = static_cast<std::size_t>(p[static_cast<std::size_t>(axis)]);
      p.erase(p.begin() + axis);
      return at(in[i], p);
    });
  };
}

std::vector<std::vector<Operand>> sets_of(std::initializer_list<Shape> shapes) {
  std::vector<std::vector<Operand>> sets;
  for (const Shape& shape : shapes) sets.push_back({real(shape)});
  return sets;
}

void add_views(OpCases& cases) {
  cases.push_back({.op = "reshape",
                   .operands = sets_of({{16, 12}, {4, 3, 1}, {12, 0}}),
                   .run =
                       [](const TensorList& in) {
                         return reshape(in[0], {4, -1});
                       },
                   .reference = viewed([](const Shape& s) {
                     return Shape{4, s.elements() / 4};
                   }),
                   .wrong = {{[] {
                                reshape(Tensor::zeros({2, 3}), {4, 2});
                              },
                              "ShapeError",
                              {"[reshape]", "f32[2, 3]", "[4, 2]", "6 elements"}},
                             {[] {
                                reshape(Tensor::zeros({2, 3}), {-1, -1});
                              },
                              "ShapeError",
                              {"[reshape]", "at most one"}},
                             {[] { reshape(Tensor(), {1}); }, "ValueError", {"[reshape]", "x"}}}});
  cases.push_back({.op = "squeeze",
                   .operands = sets_of({{5, 1, 7}, {1, 1, 1}, {0, 1, 3}}),
                   .run = [](const TensorList& in) { return squeeze(in[0], -2); },
                   .reference = viewed([](const Shape& s) {
                     return Shape{s[0], s[2]};
                   }),
                   .rows_stable = true,
                   .wrong = {{[] {
                                squeeze(Tensor::zeros({2, 3}), 1);
                              },
                              "ShapeError",
                              {"[squeeze]", "f32[2, 3]", "axis 1", "3 positions"}},
                             {[] {
                                squeeze(Tensor::zeros({2, 3}), 2);
                              },
                              "ShapeError",
                              {"[squeeze]", "axis 2"}}}});
  cases.push_back({.op = "unsqueeze",
                   .operands = sets_of({{5, 7}, {1, 1}, {0, 3}}),
                   .run = [](const TensorList& in) { return unsqueeze(in[0], -1); },
                   .reference = viewed([](const Shape& s) {
                     return Shape{s[0], s[1], 1};
                   }),
                   .rows_stable = true,
                   .wrong = {{[] {
                                unsqueeze(Tensor::zeros({2, 3}), 3);
                              },
                              "ShapeError",
                              {"[unsqueeze]", "f32[2, 3]", "place 3"}}}});
  cases.push_back({.op = "slice_rows",
                   .operands = sets_of({{9, 5}, {7}, {6, 0}, {5, 2, 3}}),
                   .run = [](const TensorList& in) { return slice_rows(in[0], 1, 4); },
                   .reference = sliced(0, 1, 4, 1),
                   .wrong = {{[] { slice_rows(Tensor::zeros({3}), 1, 4); }, "ShapeError", {"[slice_rows]", "[1, 4)", "f32[3]"}},
                             {[] { slice_rows(Tensor::zeros({}), 0, 0); }, "ShapeError", {"[slice_rows]"}}}});
  cases.push_back({.op = "pad_rows",
                   .operands = sets_of({{3, 5}, {1}, {0, 4}, {2, 0}}),
                   .run = [](const TensorList& in) { return pad_rows(in[0], 6, 2); },
                   .reference =
                       [](const std::vector<Values>& in) {
                         std::vector<PadWidth> widths(static_cast<std::size_t>(in[0].shape.rank()));
                         widths[0] = {2, 4 - in[0].shape[0]};
                         return padded(widths, 0)(in);
                       },
                   .wrong = {{[] { pad_rows(Tensor::zeros({3}), 4, 2); }, "ShapeError", {"[pad_rows]", "f32[3]", "row 2 of 4"}}}});
}

void add_orders(OpCases& cases) {
  cases.push_back({.op = "transpose",
                   .operands = sets_of({{33, 2, 70}, {1, 5, 3}, {4, 1, 1}, {0, 2, 3}, {2, 3, 1}}),
                   .run = [](const TensorList& in) { return transpose(in[0], 0, -1); },
                   .reference = permuted({2, 1, 0}),
                   .wrong = {{[] {
                                transpose(Tensor::zeros({2, 3}), 0, 2);
                              },
                              "ShapeError",
                              {"[transpose]", "axis 2", "f32[2, 3]"}}}});
  cases.push_back({.op = "permute",
                   .operands = sets_of({{4, 9, 3, 16}, {2, 1, 3, 1}, {1, 1, 1, 1}, {2, 0, 3, 2}}),
                   .run =
                       [](const TensorList& in) {
                         return permute(in[0], {0, 2, -1, 1});
                       },
                   .reference = permuted({0, 2, 3, 1}),
                   .rows_stable = true,
                   .wrong = {{[] {
                                permute(Tensor::zeros({2, 3}), {0, 0});
                              },
                              "ShapeError",
                              {"[permute]", "axis 0", "twice", "f32[2, 3]"}},
                             {[] {
                                permute(Tensor::zeros({2, 3}), {1});
                              },
                              "ShapeError",
                              {"[permute]", "1 axes", "all 2"}}}});
  cases.push_back({.op = "permute",
                   .variant = "only axes of one position move",
                   .operands = sets_of({{3, 1, 5}, {1, 1, 1}, {0, 1, 2}}),
                   .run =
                       [](const TensorList& in) {
                         return permute(in[0], {1, 0, 2});
                       },
                   .reference = permuted({1, 0, 2})});
  cases.push_back({.op = "flip",
                   .operands = sets_of({{6, 5, 9}, {1, 1, 1}, {2, 0, 3}}),
                   .run =
                       [](const TensorList& in) {
                         return flip(in[0], {0, -1});
                       },
                   .reference = flipped({0, 2}),
                   .wrong = {{[] {
                                flip(Tensor::zeros({2, 3}), {1, -1});
                              },
                              "ShapeError",
                              {"[flip]", "axis -1", "twice"}},
                             {[] {
                                flip(Tensor::zeros({2, 3}), {2});
                              },
                              "ShapeError",
                              {"[flip]", "axis 2"}}}});
}

void add_parts(OpCases& cases) {
  cases.push_back({.op = "slice",
                   .operands = sets_of({{6, 12, 7}, {1, 8, 1}, {0, 9, 3}}),
                   .run = [](const TensorList& in) { return slice(in[0], 1, 2, 8); },
                   .reference = sliced(1, 2, 8, 1),
                   .rows_stable = true,
                   .wrong = {{[] {
                                slice(Tensor::zeros({2, 3}), 1, 2, 4);
                              },
                              "ShapeError",
                              {"[slice]", "[2, 4)", "axis 1", "f32[2, 3]", "<= 3"}},
                             {[] {
                                slice(Tensor::zeros({2, 3}), 1, 2, 1);
                              },
                              "ShapeError",
                              {"[slice]", "[2, 1)"}},
                             {[] {
                                slice(Tensor::zeros({2, 3}), 1, 0, 2, 0);
                              },
                              "ShapeError",
                              {"[slice]", "by 0", "step >= 1"}}}});
  cases.push_back({.op = "slice",
                   .variant = "leading axis: a view",
                   .operands = sets_of({{12, 7}, {8}, {9, 0}}),
                   .run = [](const TensorList& in) { return slice(in[0], 0, 2, 8); },
                   .reference = sliced(0, 2, 8, 1)});
  cases.push_back({.op = "slice",
                   .variant = "by steps",
                   .operands = sets_of({{6, 12, 7}, {1, 8, 1}, {0, 9, 3}}),
                   .run = [](const TensorList& in) { return slice(in[0], -2, 1, 8, 3); },
                   .reference = sliced(1, 1, 8, 3)});
  cases.push_back({.op = "pad",
                   .operands = sets_of({{4, 5, 6}, {1, 1, 1}, {0, 2, 1}}),
                   .run =
                       [](const TensorList& in) {
                         return pad(in[0], {{0, 1}, {2, 0}, {1, 3}}, -1.5);
                       },
                   .reference = padded({{0, 1}, {2, 0}, {1, 3}}, -1.5),
                   .wrong = {{[] {
                                pad(Tensor::zeros({2, 3}), {{1, 1}}, 0);
                              },
                              "ShapeError",
                              {"[pad]", "f32[2, 3]", "1 widths"}},
                             {[] {
                                pad(Tensor::zeros({2, 3}), {{0, 0}, {1, -1}}, 0);
                              },
                              "ShapeError",
                              {"[pad]", "-1", "axis 1", "slice()"}}}});
}

void add_wholes(OpCases& cases) {
  cases.push_back({.op = "concat",
                   .operands = {{real({8, 5}), real({8, 9}), real({8, 1})},
                                {real({1, 1}), real({1, 0}), real({1, 2})},
                                {real({0, 2}), real({0, 1}), real({0, 4})}},
                   .run = [](const TensorList& in) { return concat(in, -1); },
                   .reference = concatenated(1),
                   .wrong = {{[] {
                                concat({Tensor::zeros({2, 3}), Tensor::zeros({3, 3})}, 1);
                              },
                              "ShapeError",
                              {"[concat]", "f32[2, 3]", "tensors[1]", "f32[3, 3]", "axis 1"}},
                             {[] {
                                concat({Tensor::zeros({2}), Tensor::zeros({2}, DType::f64)}, 0);
                              },
                              "DTypeError",
                              {"[concat]", "f32[2]", "f64[2]", "cast"}},
                             {[] { concat({}, 0); }, "ShapeError", {"[concat]", "at least one"}},
                             {[] {
                                concat({Tensor::zeros({2}), Tensor()}, 0);
                              },
                              "ValueError",
                              {"[concat]"}},
                             {[] { concat({Tensor::zeros({2})}, 1); }, "ShapeError", {"[concat]", "axis 1"}}}});
  cases.push_back({.op = "concat",
                   .variant = "leading axis, six tensors",
                   .operands = {{real({2, 3}), real({1, 3}), real({0, 3}), real({4, 3}), real({1, 3}), real({2, 3})}},
                   .run = [](const TensorList& in) { return concat(in, 0); },
                   .reference = concatenated(0)});
  cases.push_back({.op = "stack",
                   .operands = {{real({8, 5}), real({8, 5}), real({8, 5})},
                                {real({1, 1}), real({1, 1}), real({1, 1})},
                                {real({0, 4}), real({0, 4}), real({0, 4})}},
                   .run = [](const TensorList& in) { return stack(in, 1); },
                   .reference = stacked(1),
                   .wrong = {{[] {
                                stack({Tensor::zeros({2, 3}), Tensor::zeros({2, 4})}, 0);
                              },
                              "ShapeError",
                              {"[stack]", "f32[2, 3]", "tensors[1]", "f32[2, 4]", "same shape"}},
                             {[] { stack({}, 0); }, "ShapeError", {"[stack]", "at least one"}},
                             {[] { stack({Tensor::zeros({2})}, 2); }, "ShapeError", {"[stack]", "place 2"}}}});
  cases.push_back({.op = "stack",
                   .variant = "scalars, last axis",
                   .operands = {{real({}), real({})}, {real({3}), real({3})}},
                   .run = [](const TensorList& in) { return stack(in, -1); },
                   .reference = [](const std::vector<Values>& in) { return stacked(in[0].shape.rank())(in); }});
}

}  // namespace

void add_shape_cases(OpCases& cases) {
  add_views(cases);
  add_orders(cases);
  add_parts(cases);
  add_wholes(cases);
}

}  // namespace gradus::testing
