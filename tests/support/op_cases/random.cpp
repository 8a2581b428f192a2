#include <algorithm>
#include <cmath>
#include <numeric>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/random.h>
#include <gradus/tests/support/op_case.h>

namespace gradus::testing {
namespace {

using Index = std::int64_t;
constexpr Key kKey{0xFEEDu, 2};

std::uint32_t word(Index row, Index element) { return philox_block(kKey, static_cast<std::uint32_t>(element / 4), row).word[element % 4]; }

/// Every element from its row id and its place in the row, by the rule of random.h; `ids` may be null.
Values drawn(const Shape& shape, const Values* ids, const std::function<double(Index row, Index element)>& f) {
  Values y{shape, {}};
  const bool rows = ids || shape.rank() >= 2;
  const Index length = rows ? shape.product(1, shape.rank()) : shape.elements();
  for (Index i = 0; i < shape.elements(); ++i) {
    const Index row = rows ? i / length : 0;
    y.x.push_back(f(ids ? static_cast<Index>((*ids)[static_cast<std::size_t>(row)]) : row, rows ? i % length : i));
  }
  return y;
}
double uniform_number(Index row, Index element) { return static_cast<double>(word(row, element) >> 8) / (1 << 24); }
double normal_number(Index row, Index element) {
  const Index first = element / 2 * 2;
  const double u = (std::floor(word(row, first) / 2.0) + 0.5) * 0x1p-31, angle = 2 * std::acos(-1.0) * word(row, first + 1) * 0x1p-32;
  return std::sqrt(-2 * std::log(u)) * (element % 2 ? std::sin(angle) : std::cos(angle));
}
bool kept(Index row, Index element, double p) { return word(row, element) < p * 0x1p32; }

Tensor ids(std::initializer_list<Index> values) { return Tensor::from(values); }

// Operands of a draw: ids at most. Its result is f32 whatever the type under test.
void add_draws(OpCases& cases) {
  cases.push_back(
      {.op = "uniform",
       .operands = {{}},
       .run = [](const TensorList&) { return uniform(kKey, {37}, -1, 3); },
       .reference =
           [](const std::vector<Values>&) { return drawn({37}, nullptr, [](Index r, Index e) { return -1 + 4 * uniform_number(r, e); }); },
       .order = 0,
       .tolerance_f64 = 1e-6,
       .wrong = {{[] { uniform(kKey, {2}, 1, 0); }, "ValueError", {"[uniform]", "low <= high"}},
                 {[] { uniform(kKey, {2}, 0, NAN); }, "ValueError", {"[uniform]", "nan"}},
                 {[] { uniform(kKey, {2}, 0, 1, DType::i64); }, "DTypeError", {"[uniform]", "i64"}},
                 {[] {
                    uniform(kKey, ids({1, 2, 3}), {2, 5});
                  },
                  "ShapeError",
                  {"[uniform]", "row_ids", "i64[3]", "[2, 5]"}},
                 {[] { uniform(kKey, ids({1}), {}); }, "ShapeError", {"[uniform]", "row_ids"}},
                 {[] { uniform(kKey, Tensor::zeros({2}), {2}); }, "DTypeError", {"[uniform]", "row_ids", "i64"}}}});
  cases.push_back({.op = "uniform",
                   .variant = "row ids",
                   .operands = {{index({5}, 100)}, {index({1}, 9)}, {index({0}, 9)}},
                   .run =
                       [](const TensorList& in) {
                         return uniform(kKey, in[0], {in[0].size(0), 3, 7});
                       },
                   .reference =
                       [](const std::vector<Values>& in) {
                         return drawn({in[0].shape[0], 3, 7}, &in[0], uniform_number);
                       },
                   .order = 0,
                   .tolerance_f64 = 1e-6,
                   .rows_stable = true});
  cases.push_back({.op = "normal",
                   .operands = {{}},
                   .run =
                       [](const TensorList&) {
                         return normal(kKey, {4, 5}, 1, 2);
                       },
                   .reference =
                       [](const std::vector<Values>&) {
                         return drawn({4, 5}, nullptr, [](Index r, Index e) { return 1 + 2 * normal_number(r, e); });
                       },
                   .order = 0,
                   .tolerance_f64 = 1e-5,
                   .wrong = {{[] { normal(kKey, {2}, 0, -1); }, "ValueError", {"[normal]", "stddev is -1"}},
                             {[] { normal(kKey, {2}, INFINITY, 1); }, "ValueError", {"[normal]", "inf"}},
                             {[] { normal(kKey, {2}, 0, 1, DType::u8); }, "DTypeError", {"[normal]", "u8"}},
                             {[] { normal(kKey, ids({1}), {2}); }, "ShapeError", {"[normal]", "row_ids"}}}});
  cases.push_back({.op = "normal",
                   .variant = "row ids, f64",
                   .operands = {{index({6}, 1000)}, {index({0}, 9)}},
                   .run = [](const TensorList& in) { return normal(kKey, in[0], in[0].shape(), 0, 1, DType::f64); },
                   .reference = [](const std::vector<Values>& in) { return drawn(in[0].shape, &in[0], normal_number); },
                   .order = 0,
                   .tolerance_f64 = 1e-5,  // the reference uses the leading 32 of 64 bits
                   .rows_stable = true});
  cases.push_back({.op = "bernoulli",
                   .operands = {{index({7}, 50)}, {index({0}, 9)}},
                   .run =
                       [](const TensorList& in) {
                         return bernoulli(kKey, in[0], {in[0].size(0), 9}, 0.3);
                       },
                   .reference =
                       [](const std::vector<Values>& in) {
                         return drawn({in[0].shape[0], 9}, &in[0], [](Index r, Index e) { return kept(r, e, 0.3) ? 1.0 : 0.0; });
                       },
                   .order = 0,
                   .rows_stable = true,
                   .wrong = {{[] { bernoulli(kKey, {2}, 1.5); }, "ValueError", {"[bernoulli]", "p is 1.5", "0 <= p <= 1"}},
                             {[] { bernoulli(kKey, {2}, NAN); }, "ValueError", {"[bernoulli]"}},
                             {[] { bernoulli(kKey, ids({1}), {2}, 0.5); }, "ShapeError", {"[bernoulli]", "row_ids"}}}});
  cases.push_back({.op = "permutation",
                   .operands = {{}},
                   .run = [](const TensorList&) { return permutation(kKey, 100); },
                   .reference =
                       [](const std::vector<Values>&) {
                         Values y{{100}, std::vector<double>(100)};
                         std::iota(y.x.begin(), y.x.end(), 0.0);
                         std::stable_sort(y.x.begin(), y.x.end(), [](double a, double b) {
                           return word(0, static_cast<Index>(a)) < word(0, static_cast<Index>(b));
                         });
                         return y;
                       },
                   .order = 0,
                   .wrong = {{[] { permutation(kKey, -1); }, "ValueError", {"[permutation]", "n is -1"}}}});
}

Values dropped(const Values& x, const Values* row_ids, double p) {
  Values y = drawn(x.shape, row_ids, [&](Index r, Index e) { return kept(r, e, 1 - p) ? 1 / (1 - p) : 0; });
  for (std::size_t i = 0; i < y.x.size(); ++i) y[i] *= x[i];
  return y;
}

void add_dropout(OpCases& cases) {
  cases.push_back({.op = "dropout",
                   .operands = {{real({32, 24})}, {real({7})}, {real({})}, {real({3, 0})}, {real({2, 3, 5})}},
                   .run = [](const TensorList& in) { return dropout(in[0], 0.4, kKey); },
                   .reference = [](const std::vector<Values>& in) { return dropped(in[0], nullptr, 0.4); },
                   .wrong = {{[] { dropout(Tensor::zeros({2}), 1.1, kKey); }, "ValueError", {"[dropout]", "p is 1.1", "0 <= p <= 1"}},
                             {[] { dropout(Tensor::zeros({2}, DType::i64), 0.5, kKey); }, "DTypeError", {"[dropout]", "i64[2]", "cast"}},
                             {[] {
                                dropout(Tensor::zeros({2, 3}), 0.5, kKey, ids({1}));
                              },
                              "ShapeError",
                              {"[dropout]", "row_ids", "i64[1]", "[2, 3]"}}}});
  cases.push_back({.op = "dropout",
                   .variant = "row ids",
                   .operands = {{real({9, 13}), index({9}, 1000)}, {real({1}), index({1}, 5)}, {real({0, 3}), index({0}, 5)}},
                   .run = [](const TensorList& in) { return dropout(in[0], 0.25, kKey, in[1]); },
                   .reference = [](const std::vector<Values>& in) { return dropped(in[0], &in[1], 0.25); }});
  cases.push_back({.op = "dropout",
                   .variant = "nothing dropped",
                   .operands = {{real({5})}},
                   .run = [](const TensorList& in) { return dropout(in[0], 0, kKey) * 1.0; },
                   .reference = [](const std::vector<Values>& in) { return in[0]; }});
  cases.push_back({.op = "dropout",
                   .variant = "everything dropped",
                   .operands = {{real({5})}},
                   .run = [](const TensorList& in) { return dropout(in[0], 1, kKey); },
                   .reference =
                       [](const std::vector<Values>& in) {
                         return Values{in[0].shape, std::vector<double>(in[0].x.size())};
                       }});
}

}  // namespace

void add_random_cases(OpCases& cases) {
  add_draws(cases);
  add_dropout(cases);
}

}  // namespace gradus::testing
