#include <cstddef>

#include <gradus/engine/ops/matmul.h>
#include <gradus/tests/support/op_case.h>

namespace gradus::testing {
namespace {

using Index = std::int64_t;

/// The flat position, in an operand with leading axes `s[0, rank - 2)`, of the matrix that belongs to matrix `flat` of a result with
/// leading axes `y`.
Index matrix_at(Index flat, const Shape& y, const Shape& s) {
  Index at = 0, stride = 1;
  for (int i = y.rank() - 3, j = s.rank() - 3; i >= 0; --i, --j) {
    const Index coordinate = flat % y[i];
    flat /= y[i];
    if (j < 0) continue;
    at += s[j] == 1 ? 0 : coordinate * stride;
    stride *= s[j];
  }
  return at;
}

/// Element (i, j) of the matrix at `matrix`, transposed or not.
double element(const Values& x, Index matrix, Index i, Index j, bool transposed) {
  const Index rows = x.shape[x.shape.rank() - 2], columns = x.shape[x.shape.rank() - 1];
  return x[static_cast<std::size_t>(matrix * rows * columns + (transposed ? j * columns + i : i * columns + j))];
}

Reference product(MatmulOptions o) {
  return [o](const std::vector<Values>& in) {
    const Values &a = in[0], &b = in[1];
    Values y{matmul_shape(a.shape, b.shape, o), {}};
    const int rank = y.shape.rank();
    const Index depth = a.shape[a.shape.rank() - (o.transpose_a ? 2 : 1)];
    for (Index matrix = 0; matrix < y.shape.product(0, rank - 2); ++matrix)
      for (Index i = 0; i < y.shape[rank - 2]; ++i)
        for (Index j = 0; j < y.shape[rank - 1]; ++j) {
          double sum = 0;
          for (Index p = 0; p < depth; ++p)
            sum += element(a, matrix_at(matrix, y.shape, a.shape), i, p, o.transpose_a) *
                   element(b, matrix_at(matrix, y.shape, b.shape), p, j, o.transpose_b);
          y.x.push_back(sum);
        }
    return y;
  };
}

Shape stored(Shape batch, Index rows, Index columns, bool transposed) {
  batch.push_back(transposed ? columns : rows);
  batch.push_back(transposed ? rows : columns);
  return batch;
}

/// Products that take different paths: blocked, a row, a column, an outer product, odd, one element, empty in each extent.
std::vector<std::vector<Operand>> flat_operands(MatmulOptions o) {
  std::vector<std::vector<Operand>> sets;
  const Index sizes[][3] = {{24, 40, 33}, {1, 19, 21}, {13, 1, 10}, {7, 5, 1}, {5, 3, 2}, {1, 1, 1}, {0, 3, 2}, {3, 0, 2}, {3, 2, 0}};
  for (const auto& [m, n, k] : sizes) sets.push_back({real(stored({}, m, k, o.transpose_a)), real(stored({}, k, n, o.transpose_b))});
  return sets;
}

/// Leading axes: equal, one operand without, broadcast both ways, empty.
std::vector<std::vector<Operand>> batched_operands(MatmulOptions o) {
  std::vector<std::vector<Operand>> sets;
  const std::pair<Shape, Shape> batches[] = {{{3, 2}, {3, 2}}, {{4}, {}},  {{}, {3}}, {{2, 1}, {1, 3}},
                                             {{3}, {2, 1}},    {{1}, {1}}, {{0}, {0}}};
  for (const auto& [a, b] : batches) sets.push_back({real(stored(a, 5, 9, o.transpose_a)), real(stored(b, 9, 4, o.transpose_b))});
  return sets;
}

std::vector<WrongUse> wrong_products() {
  return {{[] {
             matmul(Tensor::ones({2, 3}), Tensor::ones({4, 5}));
           },
           "ShapeError",
           {"[matmul]", "[2, 3]", "[4, 5]", "3 and 4"}},
          {[] {
             matmul(Tensor::ones({2, 3}), Tensor::ones({4, 5}), {.transpose_b = true});
           },
           "ShapeError",
           {"[4, 5] transposed", "3 and 5"}},
          {[] {
             matmul(Tensor::ones({3}), Tensor::ones({3, 2}));
           },
           "ShapeError",
           {"[matmul]", "two axes"}},
          {[] {
             matmul(Tensor::ones({2, 4, 3}), Tensor::ones({3, 3, 5}));
           },
           "ShapeError",
           {"[matmul]", "[2]", "[3]"}},
          {[] {
             matmul(Tensor::ones({2, 3}), Tensor::ones({3, 2}, DType::f64));
           },
           "DTypeError",
           {"[matmul]", "f32[2, 3]", "f64[3, 2]"}},
          {[] {
             matmul(Tensor::ones({2, 3}, DType::i64), Tensor::ones({3, 2}, DType::i64));
           },
           "DTypeError",
           {"[matmul]", "i64[2, 3]"}}};
}

void add_products(OpCases& cases, const std::string& variant, MatmulOptions o) {
  const auto run = [o](const TensorList& in) { return matmul(in[0], in[1], o); };
  cases.push_back({.op = "matmul",
                   .variant = variant,
                   .operands = flat_operands(o),
                   .run = run,
                   .reference = product(o),
                   .rows_stable = !o.transpose_a,
                   .flops = 2.0 * 24 * 40 * 33,
                   .wrong = o.transpose_a || o.transpose_b ? std::vector<WrongUse>{} : wrong_products()});
  cases.push_back({.op = "matmul", .variant = variant + ", batched", .operands = batched_operands(o), .run = run, .reference = product(o)});
}

Values linear_reference(const std::vector<Values>& in) {
  const Values &x = in[0], &w = in[1];
  const Index inputs = w.shape[1], outputs = w.shape[0];
  Shape shape(x.shape.begin(), x.shape.rank() - 1);
  const Index rows = shape.elements();
  shape.push_back(outputs);
  Values y{shape, {}};
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < outputs; ++j) {
      double sum = in.size() > 2 ? in[2][static_cast<std::size_t>(j)] : 0;
      for (Index p = 0; p < inputs; ++p) sum += x[static_cast<std::size_t>(i * inputs + p)] * w[static_cast<std::size_t>(j * inputs + p)];
      y.x.push_back(sum);
    }
  return y;
}

/// x, weight and, if asked for, bias: an ordinary batch, a single row, two leading axes, a vector, one element, no rows.
std::vector<std::vector<Operand>> linear_operands(bool bias) {
  std::vector<std::vector<Operand>> sets;
  const std::pair<Shape, Shape> shapes[] = {{{16, 17}, {20, 17}}, {{1, 16}, {16, 16}}, {{2, 3, 5}, {7, 5}}, {{9}, {3, 9}},
                                            {{2, 3, 0}, {7, 0}},  {{1, 1}, {1, 1}},    {{0, 4}, {3, 4}}};
  for (const auto& [x, w] : shapes) {
    sets.push_back({real(x), real(w)});
    if (bias) sets.back().push_back(real({w[0]}));
  }
  return sets;
}

std::vector<WrongUse> wrong_linears() {
  return {{[] {
             linear(Tensor::ones({2, 3}), Tensor::ones({5, 4}), {});
           },
           "ShapeError",
           {"[linear]", "f32[2, 3]", "f32[5, 4]", "[..., 4]"}},
          {[] {
             linear(Tensor::ones({2, 4}), Tensor::ones({4}), {});
           },
           "ShapeError",
           {"[linear]", "weight"}},
          {[] {
             linear(Tensor::ones({2, 4}), Tensor::ones({5, 4}), Tensor::ones({4}));
           },
           "ShapeError",
           {"[linear]", "bias", "f32[4]", "[5]"}},
          {[] {
             linear(Tensor::ones({2, 4}), Tensor::ones({5, 4}, DType::f64), {});
           },
           "DTypeError",
           {"[linear]", "f32[2, 4]", "f64[5, 4]"}},
          {[] {
             linear(Tensor::ones({2, 4}), Tensor::ones({5, 4}), Tensor::ones({5}, DType::f64));
           },
           "DTypeError",
           {"[linear]", "f64[5]"}}};
}

}  // namespace

void add_matmul_cases(OpCases& cases) {
  add_products(cases, "straight", {});
  add_products(cases, "a transposed", {.transpose_a = true});
  add_products(cases, "b transposed", {.transpose_b = true});
  add_products(cases, "both transposed", {.transpose_a = true, .transpose_b = true});
  cases.push_back({.op = "linear",
                   .variant = "with bias",
                   .operands = linear_operands(true),
                   .run = [](const TensorList& in) { return linear(in[0], in[1], in[2]); },
                   .reference = linear_reference,
                   .rows_stable = true,
                   .flops = 2.0 * 16 * 17 * 20,
                   .wrong = wrong_linears()});
  cases.push_back({.op = "linear",
                   .variant = "without bias",
                   .operands = linear_operands(false),
                   .run = [](const TensorList& in) { return linear(in[0], in[1], {}); },
                   .reference = linear_reference,
                   .rows_stable = true});
}

}  // namespace gradus::testing
