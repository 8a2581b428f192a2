#include <gradus/engine/ops/index.h>
#include <gradus/tests/support/op_case.h>

namespace gradus::testing {
namespace {

using Index = std::int64_t;

/// A shape as [outer, extent, inner] around an axis.
struct View {
  Index outer = 1, extent, inner = 1;
  View(const Shape& shape, int axis) : extent(shape[axis]) {
    for (int a = 0; a < axis; ++a) outer *= shape[a];
    for (int a = axis + 1; a < shape.rank(); ++a) inner *= shape[a];
  }
  std::size_t flat(Index o, Index j, Index k) const { return static_cast<std::size_t>((o * extent + j) * inner + k); }
};
template <class F> void for_each(const View& v, const F& f) {
  for (Index o = 0; o < v.outer; ++o)
    for (Index j = 0; j < v.extent; ++j)
      for (Index k = 0; k < v.inner; ++k) f(o, j, k);
}
Index whole(double x) { return static_cast<Index>(x); }

Shape with(const Shape& shape, int axis, Index extent) {
  Shape out;
  for (int a = 0; a < shape.rank(); ++a) out.push_back(a == axis ? extent : shape[a]);
  return out;
}

Reference selected(int axis) {
  return [=](const std::vector<Values>& in) {  // x, index
    Values y{with(in[0].shape, axis, in[1].shape[0]), {}};
    const View from(in[0].shape, axis), to(y.shape, axis);
    for_each(to, [&](Index o, Index j, Index k) { y.x.push_back(in[0][from.flat(o, whole(in[1][std::size_t(j)]), k)]); });
    return y;
  };
}
Reference added(int axis) {
  return [=](const std::vector<Values>& in) {  // x, index, source
    Values y = in[0];
    const View to(y.shape, axis), from(in[2].shape, axis);
    for_each(from, [&](Index o, Index j, Index k) { y[to.flat(o, whole(in[1][std::size_t(j)]), k)] += in[2][from.flat(o, j, k)]; });
    return y;
  };
}
Reference gathered(int axis) {
  return [=](const std::vector<Values>& in) {  // x, index
    Values y{in[1].shape, {}};
    const View from(in[0].shape, axis), to(y.shape, axis);
    for_each(to, [&](Index o, Index j, Index k) { y.x.push_back(in[0][from.flat(o, whole(in[1][to.flat(o, j, k)]), k)]); });
    return y;
  };
}
Reference scattered(int axis) {
  return [=](const std::vector<Values>& in) {  // x, index, source
    Values y = in[0];
    const View to(y.shape, axis), from(in[1].shape, axis);
    for_each(from, [&](Index o, Index j, Index k) { y[to.flat(o, whole(in[1][from.flat(o, j, k)]), k)] += in[2][from.flat(o, j, k)]; });
    return y;
  };
}

Tensor ids(std::initializer_list<Index> values) { return Tensor::from(values); }

void add_slices(OpCases& cases) {
  cases.push_back(
      {.op = "index_select",
       .operands = {{real({20, 9}), index({33}, 20)},
                    {real({5}), index({7}, 5)},
                    {real({1, 3}), index({1}, 1)},
                    {real({4, 0}), index({3}, 4)},
                    {real({4, 3}), index({0}, 4)}},
       .run = [](const TensorList& in) { return index_select(in[0], in[1], 0); },
       .reference = selected(0),
       .wrong = {{[] {
                    index_select(Tensor::zeros({3, 2}), ids({0, 3}), 0);
                  },
                  "IndexError",
                  {"[index_select]", "index[1] is 3", "0 <= index < 3"}},
                 {[] {
                    index_select(Tensor::zeros({3, 2}), ids({-1}), 1);
                  },
                  "IndexError",
                  {"[index_select]", "index[0] is -1", "< 2"}},
                 {[] { index_select(Tensor::zeros({3}), Tensor::zeros({2}), 0); }, "DTypeError", {"[index_select]", "index", "i64"}},
                 {[] { index_select(Tensor::zeros({3}), ids({0}), 1); }, "ShapeError", {"[index_select]", "axis 1"}},
                 {[] {
                    index_select(Tensor::zeros({3}), Tensor::zeros({1, 1}, DType::i64), 0);
                  },
                  "ShapeError",
                  {"[index_select]", "index", "1 axes"}}}});
  cases.push_back({.op = "index_select",
                   .variant = "inner axis",
                   .operands = {{real({6, 8, 5}), index({11}, 8)}, {real({0, 3, 2}), index({2}, 3)}},
                   .run = [](const TensorList& in) { return index_select(in[0], in[1], -2); },
                   .reference = selected(1),
                   .rows_stable = true});
  cases.push_back({.op = "index_add",
                   .operands = {{real({6, 9}), index({33}, 6), real({33, 9})},
                                {real({1}), index({3}, 1), real({3})},
                                {real({2, 0}), index({4}, 2), real({4, 0})},
                                {real({3, 2}), index({0}, 3), real({0, 2})}},
                   .run = [](const TensorList& in) { return index_add(in[0], in[1], in[2], 0); },
                   .reference = added(0),
                   .wrong = {{[] {
                                index_add(Tensor::zeros({3, 2}), ids({0, 3}), Tensor::zeros({2, 2}), 0);
                              },
                              "IndexError",
                              {"[index_add]", "index[1] is 3"}},
                             {[] {
                                index_add(Tensor::zeros({3, 2}), ids({0}), Tensor::zeros({2, 2}), 0);
                              },
                              "ShapeError",
                              {"[index_add]", "source", "f32[2, 2]", "[1, 2]"}},
                             {[] { index_add(Tensor::zeros({3}, DType::i64), ids({0}), Tensor::zeros({1}, DType::i64), 0); },
                              "DTypeError",
                              {"[index_add]", "i64[3]"}},
                             {[] { index_add(Tensor::zeros({3}), ids({0}), Tensor::zeros({1}, DType::f64), 0); },
                              "DTypeError",
                              {"[index_add]", "f32[3]", "f64[1]"}}}});
  cases.push_back({.op = "index_add",
                   .variant = "inner axis",
                   .operands = {{real({4, 3, 5}), index({7}, 3), real({4, 7, 5})}},
                   .run = [](const TensorList& in) { return index_add(in[0], in[1], in[2], 1); },
                   .reference = added(1)});
}

void add_elements(OpCases& cases) {
  cases.push_back({.op = "gather",
                   .operands = {{real({9, 6}), index({9, 1}, 6)},
                                {real({5}), index({8}, 5)},
                                {real({1, 1}), index({1, 1}, 1)},
                                {real({0, 3}), index({0, 2}, 3)}},
                   .run = [](const TensorList& in) { return gather(in[0], in[1], -1); },
                   .reference = [](const std::vector<Values>& in) { return gathered(in[0].shape.rank() - 1)(in); },
                   .wrong = {{[] {
                                gather(Tensor::zeros({2, 3}), Tensor::full({2, 2}, 3, DType::i64), 1);
                              },
                              "IndexError",
                              {"[gather]", "index[0, 0] is 3", "< 3"}},
                             {[] {
                                gather(Tensor::zeros({2, 3}), Tensor::zeros({3, 2}, DType::i64), 1);
                              },
                              "ShapeError",
                              {"[gather]", "f32[2, 3]", "i64[3, 2]", "axis 1"}},
                             {[] {
                                gather(Tensor::zeros({2, 3}), Tensor::zeros({2}, DType::i64), 1);
                              },
                              "ShapeError",
                              {"[gather]", "i64[2]"}},
                             {[] {
                                gather(Tensor::zeros({2, 3}), Tensor::zeros({2, 1}), 1);
                              },
                              "DTypeError",
                              {"[gather]", "index", "i64"}}}});
  cases.push_back({.op = "gather",
                   .variant = "leading and middle axes",
                   .operands = {{real({4, 6, 5}), index({4, 9, 5}, 6)}, {real({3, 2, 0}), index({3, 4, 0}, 2)}},
                   .run = [](const TensorList& in) { return gather(in[0], in[1], 1); },
                   .reference = gathered(1)});
  cases.push_back({.op = "scatter_add",
                   .operands = {{real({9, 6}), index({9, 4}, 6), real({9, 4})},
                                {real({1, 1}), index({1, 3}, 1), real({1, 3})},
                                {real({0, 3}), index({0, 2}, 3), real({0, 2})}},
                   .run = [](const TensorList& in) { return scatter_add(in[0], in[1], in[2], 1); },
                   .reference = scattered(1),
                   .wrong = {{[] {
                                scatter_add(Tensor::zeros({2, 3}), Tensor::full({2, 2}, -1, DType::i64), Tensor::zeros({2, 2}), 1);
                              },
                              "IndexError",
                              {"[scatter_add]", "index[0, 0] is -1"}},
                             {[] {
                                scatter_add(Tensor::zeros({2, 3}), Tensor::zeros({2, 2}, DType::i64), Tensor::zeros({2, 1}), 1);
                              },
                              "ShapeError",
                              {"[scatter_add]", "source", "f32[2, 1]", "same shape"}},
                             {[] { scatter_add(Tensor::zeros({2}, DType::u8), ids({0}), Tensor::zeros({1}, DType::u8), 0); },
                              "DTypeError",
                              {"[scatter_add]", "u8[2]"}}}});
  cases.push_back({.op = "scatter_add",
                   .variant = "leading axis",
                   .operands = {{real({3, 40}), index({7, 40}, 3), real({7, 40})}},
                   .run = [](const TensorList& in) { return scatter_add(in[0], in[1], in[2], 0); },
                   .reference = scattered(0)});
}

void add_one_hot(OpCases& cases) {
  cases.push_back({.op = "one_hot",
                   .operands = {{index({12}, 5)}, {index({3, 2}, 5)}, {index({}, 5)}, {index({0}, 5)}},
                   .run = [](const TensorList& in) { return one_hot(in[0], 5); },
                   .reference =
                       [](const std::vector<Values>& in) {
                         Values y{in[0].shape, {}};
                         y.shape.push_back(5);
                         for (const double v : in[0].x)
                           for (int k = 0; k < 5; ++k) y.x.push_back(v == k ? 1 : 0);
                         return y;
                       },
                   .order = 0,
                   .rows_stable = true,
                   .wrong = {{[] {
                                one_hot(ids({0, 1, 7}), 5);
                              },
                              "IndexError",
                              {"[one_hot]", "index[2] is 7", "< 5"}},
                             {[] { one_hot(Tensor::zeros({2}), 5); }, "DTypeError", {"[one_hot]", "index", "i64"}},
                             {[] { one_hot(ids({0}), 5, DType::bf16); }, "DTypeError", {"[one_hot]", "dtype is bf16"}}}});
}

}  // namespace

void add_index_cases(OpCases& cases) {
  add_slices(cases);
  add_elements(cases);
  add_one_hot(cases);
}

}  // namespace gradus::testing
