#include <cmath>

#include <gradus/engine/ops/contrastive.h>
#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/index.h>
#include <gradus/tests/support/op_case.h>

namespace gradus::testing {
namespace {

double score(const Values& a, std::int64_t i, const Values& b, std::int64_t j, double temperature) {
  const std::int64_t dim = a.shape[1];
  double sum = 0;
  for (std::int64_t d = 0; d < dim; ++d) sum += a[static_cast<std::size_t>(i * dim + d)] * b[static_cast<std::size_t>(j * dim + d)];
  return sum / temperature;
}

/// -log of the positive's softmax probability, the long way.
double cross_entropy_of(double positive, const std::vector<double>& negatives) {
  double sum = 1;
  for (const double s : negatives) sum += std::exp(s - positive);
  return std::log(sum);
}

/// One loss an anchor: entry(a, b) gives the score of anchor a with candidate b, positive(a) its positive; `allowed` may rule others out.
struct Anchors {
  std::int64_t count, candidates;
  std::function<double(std::int64_t, std::int64_t)> entry;
  std::function<std::int64_t(std::int64_t)> positive;
  std::function<bool(std::int64_t, std::int64_t)> allowed = [](std::int64_t, std::int64_t) { return true; };
};
void append_losses(Values& out, const Anchors& anchors) {
  for (std::int64_t a = 0; a < anchors.count; ++a) {
    std::vector<double> negatives;
    for (std::int64_t b = 0; b < anchors.candidates; ++b)
      if (b != anchors.positive(a) && anchors.allowed(a, b)) negatives.push_back(anchors.entry(a, b));
    out.x.push_back(cross_entropy_of(anchors.entry(a, anchors.positive(a)), negatives));
  }
  out.shape = Shape{static_cast<std::int64_t>(out.x.size())};
}

Values mean_of(const Values& v) {
  double sum = 0;
  for (const double x : v.x) sum += x;
  return {Shape{}, {sum / static_cast<double>(v.x.size())}};
}

Values info_nce_reference(const std::vector<Values>& in) {
  Values out;
  const double temperature = in[3][0];
  append_losses(out,
                {.count = in[0].shape[0],
                 .candidates = in[1].shape[0],
                 .entry = [&](std::int64_t i, std::int64_t j) { return score(in[0], i, in[1], j, temperature); },
                 .positive = [&](std::int64_t i) { return static_cast<std::int64_t>(in[2][static_cast<std::size_t>(i)]); },
                 .allowed = [&](std::int64_t i,
                                std::int64_t j) { return in.size() < 5 || in[4][static_cast<std::size_t>(i * in[1].shape[0] + j)] != 0; }});
  return out;
}

Values queue_reference(const std::vector<Values>& in) {
  Values out;
  const double temperature = in[3][0];
  const std::int64_t m = in[2].shape[0];  // candidate m is the positive
  append_losses(
      out,
      {.count = in[0].shape[0],
       .candidates = m,
       .entry = [&](std::int64_t i,
                    std::int64_t j) { return j == m ? score(in[0], i, in[1], i, temperature) : score(in[0], i, in[2], j, temperature); },
       .positive = [m](std::int64_t) { return m; },
       .allowed = [&](std::int64_t i, std::int64_t j) { return in.size() < 5 || in[4][static_cast<std::size_t>(i * m + j)] != 0; }});
  return out;
}

Values symmetric_reference(const std::vector<Values>& in) {
  Values out;
  const double temperature = in[2][0];
  const std::int64_t n = in[0].shape[0];
  const auto own = [](std::int64_t i) { return i; };
  append_losses(out, {.count = n,
                      .candidates = n,
                      .entry = [&](std::int64_t i, std::int64_t j) { return score(in[0], i, in[1], j, temperature); },
                      .positive = own});
  append_losses(out, {.count = n,
                      .candidates = n,
                      .entry = [&](std::int64_t j, std::int64_t i) { return score(in[0], i, in[1], j, temperature); },
                      .positive = own});
  return out;
}

Values nt_xent_reference(const std::vector<Values>& in) {
  Values out;
  const double temperature = in[1][0];
  const std::int64_t n = in[0].shape[0];
  append_losses(out, {.count = n,
                      .candidates = n,
                      .entry = [&](std::int64_t i, std::int64_t j) { return score(in[0], i, in[0], j, temperature); },
                      .positive = [n](std::int64_t i) { return (i + n / 2) % n; },
                      .allowed = [](std::int64_t i, std::int64_t j) { return i != j; }});
  return out;
}

/// -1/|P| the sum over the positives of the log of their softmax probability, the long way; 0 without positives.
Values supervised_reference(const std::vector<Values>& in) {
  const Values &z = in[0], &labels = in[1];
  const std::int64_t n = z.shape[0];
  Values out{Shape{n}, {}};
  for (std::int64_t i = 0; i < n; ++i) {
    double sum = 0, scores = 0, positives = 0;
    for (std::int64_t j = 0; j < n; ++j) {
      if (i == j) continue;
      const double s = score(z, i, z, j, in[2][0]);
      sum += std::exp(s);
      if (labels[static_cast<std::size_t>(i)] == labels[static_cast<std::size_t>(j)]) scores += s, ++positives;
    }
    out.x.push_back(positives > 0 ? std::log(sum) - scores / positives : 0);
  }
  return out;
}

Operand rows(std::int64_t n, std::int64_t dim) { return real({n, dim}, -1, 1); }
Operand temperature() { return real({}, 0.4, 1.2); }
Operand temperature_parameter() { return real({1}, 0.4, 1.2); }

InfoNceOptions each() { return {.reduction = Reduction::none}; }

Tensor zeros(std::initializer_list<std::int64_t> shape, DType dtype = DType::f32) { return Tensor::zeros(Shape(shape), dtype); }
Tensor indices(std::int64_t n) { return Tensor::arange(n); }

void add_info_nce(OpCases& cases) {
  const Tensor q = zeros({4, 3}), k = zeros({6, 3});
  cases.push_back({.op = "info_nce",
                   .operands = {{rows(16, 24), rows(40, 24), index({16}, 40), temperature()},
                                {rows(7, 5), rows(3, 5), index({7}, 3), temperature_parameter()},
                                {rows(1, 1), rows(2, 1), index({1}, 2), temperature()},
                                {rows(0, 3), rows(4, 3), index({0}, 4), temperature()},
                                {rows(3, 0), rows(4, 0), index({3}, 4), temperature()}},
                   .run = [](const TensorList& in) { return info_nce(in[0], in[1], in[2], in[3], each()); },
                   .reference = info_nce_reference,
                   .flops = 2.0 * 16 * 40 * 24,
                   .wrong = {{[=] {
                                info_nce(q, zeros({6, 4}), indices(4), 0.1);
                              },
                              "ShapeError",
                              {"[info_nce]", "[4, 3]", "[6, 4]"}},
                             {[=] { info_nce(q, zeros({6}), indices(4), 0.1); }, "ShapeError", {"[info_nce]", "key", "[6]"}},
                             {[=] { info_nce(q, k, indices(5), 0.1); }, "ShapeError", {"[info_nce]", "positive_index", "[5]"}},
                             {[=] {
                                info_nce(q, zeros({3, 3}), indices(4), 0.1);
                              },
                              "IndexError",
                              {"[info_nce]", "positive_index[3] is 3"}},
                             {[=] { info_nce(q, k, zeros({4}), 0.1); }, "DTypeError", {"[info_nce]", "positive_index"}},
                             {[=] {
                                info_nce(q, zeros({6, 3}, DType::f64), indices(4), 0.1);
                              },
                              "DTypeError",
                              {"[info_nce]", "f64", "cast"}},
                             {[=] { info_nce(q, k, indices(4), 0.0); }, "ValueError", {"[info_nce]", "temperature is 0", "> 0"}},
                             {[=] { info_nce(q, k, indices(4), Tensor::scalar(-1)); }, "ValueError", {"[info_nce]", "temperature is -1"}},
                             {[=] { info_nce(q, k, indices(4), zeros({2})); }, "ShapeError", {"[info_nce]", "temperature", "[2]"}},
                             {[=] {
                                info_nce(q, zeros({1, 3}), Tensor::zeros({4}, DType::i64), 0.1);
                              },
                              "ShapeError",
                              {"[info_nce]", "no negatives"}},
                             {[=] {
                                info_nce(zeros({0, 3}), k, indices(0), 0.1);
                              },
                              "ShapeError",
                              {"[info_nce]", "mean"}},
                             {[=] {
                                info_nce(q, k, indices(4), 0.1, {.mask = zeros({4, 6})});
                              },
                              "DTypeError",
                              {"[info_nce]", "mask", "bool"}},
                             {[=] {
                                info_nce(q, k, indices(4), 0.1, {.mask = zeros({6, 4}, DType::boolean)});
                              },
                              "ShapeError",
                              {"[info_nce]", "mask", "[4, 6]"}},
                             {[=] {
                                const Tensor allowed = Tensor::from({0.f, 1.f, 1.f, 1.f, 1.f, 1.f}, {1, 6});
                                info_nce(zeros({1, 3}), k, indices(1), 0.1, {.mask = cast(allowed, DType::boolean)});
                              },
                              "ValueError",
                              {"[info_nce]", "mask", "positive of query 0"}}}});
  const auto with_positives = [](const Tensor& mask, const Tensor& index) {  // a random mask that forbids no positive
    return greater(cast(mask, DType::f32) + one_hot(index, mask.size(1), DType::f32), zeros_like(one_hot(index, mask.size(1), DType::f32)));
  };
  cases.push_back({.op = "info_nce",
                   .variant = "masked",
                   .operands = {{rows(9, 10), rows(21, 10), index({9}, 21), temperature(), mask({9, 21})}},
                   .run =
                       [=](const TensorList& in) {
                         return info_nce(in[0], in[1], in[2], in[3], {.reduction = Reduction::none, .mask = with_positives(in[4], in[2])});
                       },
                   .reference = info_nce_reference});
  cases.push_back({.op = "info_nce",
                   .variant = "mean",
                   .operands = {{rows(9, 10), rows(21, 10), index({9}, 21), temperature()}},
                   .run = [](const TensorList& in) { return info_nce(in[0], in[1], in[2], in[3]); },
                   .reference = [](const std::vector<Values>& in) { return mean_of(info_nce_reference(in)); }});
}

void add_queue_info_nce(OpCases& cases) {
  const Tensor q = zeros({4, 3});
  cases.push_back({.op = "queue_info_nce",
                   .operands = {{rows(12, 16), rows(12, 16), rows(50, 16), temperature()},
                                {rows(7, 5), rows(7, 5), rows(3, 5), temperature_parameter()},
                                {rows(1, 1), rows(1, 1), rows(1, 1), temperature()},
                                {rows(0, 3), rows(0, 3), rows(4, 3), temperature()}},
                   .run = [](const TensorList& in) { return queue_info_nce(in[0], in[1], in[2], in[3], each()); },
                   .reference = queue_reference,
                   .flops = 2.0 * 12 * 50 * 16,
                   .wrong = {{[=] {
                                queue_info_nce(q, zeros({5, 3}), q, 0.1);
                              },
                              "ShapeError",
                              {"[queue_info_nce]", "positive", "[5, 3]"}},
                             {[=] {
                                queue_info_nce(q, q, zeros({5, 2}), 0.1);
                              },
                              "ShapeError",
                              {"[queue_info_nce]", "queue", "[5, 2]"}},
                             {[=] {
                                queue_info_nce(q, q, zeros({0, 3}), 0.1);
                              },
                              "ShapeError",
                              {"[queue_info_nce]", "no negatives"}},
                             {[=] { queue_info_nce(q, q, q, -0.5); }, "ValueError", {"[queue_info_nce]", "temperature is -0.5"}}}});
  cases.push_back(
      {.op = "queue_info_nce",
       .variant = "masked",
       .operands = {{rows(9, 10), rows(9, 10), rows(21, 10), temperature(), mask({9, 21})}},
       .run =
           [](const TensorList& in) { return queue_info_nce(in[0], in[1], in[2], in[3], {.reduction = Reduction::none, .mask = in[4]}); },
       .reference = queue_reference});
}

void add_symmetric_info_nce(OpCases& cases) {
  const Tensor q = zeros({4, 3});
  cases.push_back(
      {.op = "symmetric_info_nce",
       .operands = {{rows(24, 16), rows(24, 16), temperature()},
                    {rows(7, 5), rows(7, 5), temperature_parameter()},
                    {rows(2, 1), rows(2, 1), temperature()},
                    {rows(0, 3), rows(0, 3), temperature()}},
       .run = [](const TensorList& in) { return symmetric_info_nce(in[0], in[1], in[2], each()); },
       .reference = symmetric_reference,
       .flops = 2.0 * 24 * 24 * 16,
       .wrong = {{[=] {
                    symmetric_info_nce(q, zeros({5, 3}), 0.1);
                  },
                  "ShapeError",
                  {"[symmetric_info_nce]", "[4, 3]", "[5, 3]"}},
                 {[=] {
                    symmetric_info_nce(zeros({1, 3}), zeros({1, 3}), 0.1);
                  },
                  "ShapeError",
                  {"[symmetric_info_nce]", "no negatives"}},
                 {[=] {
                    symmetric_info_nce(q, q, 0.1, {.mask = cast(zeros({4, 4}) + Tensor::from({0.f, 0.f, 1.f, 0.f}), DType::boolean)});
                  },
                  "ValueError",
                  {"[symmetric_info_nce]", "positive of query 0"}}}});
}

void add_nt_xent(OpCases& cases) {
  cases.push_back({.op = "nt_xent",
                   .operands = {{rows(32, 24), temperature()},
                                {rows(14, 5), temperature_parameter()},
                                {rows(4, 1), temperature()},
                                {rows(0, 3), temperature()}},
                   .run = [](const TensorList& in) { return nt_xent(in[0], in[1], Reduction::none); },
                   .reference = nt_xent_reference,
                   .flops = 2.0 * 32 * 32 * 24,
                   .wrong = {{[] {
                                nt_xent(zeros({5, 3}), 0.1);
                              },
                              "ShapeError",
                              {"[nt_xent]", "[5, 3]", "2N"}},
                             {[] {
                                nt_xent(zeros({2, 3}), 0.1);
                              },
                              "ShapeError",
                              {"[nt_xent]", "no negatives"}},
                             {[] { nt_xent(zeros({4}), 0.1); }, "ShapeError", {"[nt_xent]", "[4]"}},
                             {[] {
                                nt_xent(zeros({4, 3}, DType::i64), 0.1);
                              },
                              "DTypeError",
                              {"[nt_xent]", "i64"}},
                             {[] {
                                nt_xent(zeros({4, 3}), -0.1);
                              },
                              "ValueError",
                              {"[nt_xent]", "temperature is -0.1"}},
                             {[] {
                                nt_xent(zeros({0, 3}), 0.1);
                              },
                              "ShapeError",
                              {"[nt_xent]", "mean"}}}});
  cases.push_back({.op = "nt_xent",
                   .variant = "sum",
                   .operands = {{rows(10, 6), temperature()}},
                   .run = [](const TensorList& in) { return nt_xent(in[0], in[1], Reduction::sum); },
                   .reference =
                       [](const std::vector<Values>& in) {
                         Values mean = mean_of(nt_xent_reference(in));
                         mean[0] *= static_cast<double>(in[0].shape[0]);
                         return mean;
                       }});
}

void add_supervised_contrastive(OpCases& cases) {
  const Tensor z = zeros({4, 3});
  cases.push_back(
      {.op = "supervised_contrastive",
       .operands = {{rows(32, 24), index({32}, 8), temperature()},
                    {rows(15, 5), index({15}, 7), temperature_parameter()},
                    {rows(9, 4), index({9}, 1), temperature()},
                    {rows(5, 1), index({5}, 40), temperature()},
                    {rows(0, 3), index({0}, 1), temperature()}},
       .run = [](const TensorList& in) { return supervised_contrastive(in[0], in[1], in[2], Reduction::none); },
       .reference = supervised_reference,
       .flops = 2.0 * 32 * 32 * 24,
       .wrong = {
           {[=] { supervised_contrastive(z, indices(5), 0.1); }, "ShapeError", {"[supervised_contrastive]", "labels", "[5]", "[4, 3]"}},
           {[=] {
              supervised_contrastive(z, zeros({4, 1}, DType::i64), 0.1);
            },
            "ShapeError",
            {"[supervised_contrastive]", "labels", "[4, 1]"}},
           {[=] { supervised_contrastive(z, zeros({4}), 0.1); }, "DTypeError", {"[supervised_contrastive]", "labels", "i64"}},
           {[] {
              supervised_contrastive(zeros({2, 3}), indices(2), 0.1);
            },
            "ShapeError",
            {"[supervised_contrastive]", "no negatives"}},
           {[] {
              supervised_contrastive(zeros({1, 3}), indices(1), 0.1);
            },
            "ShapeError",
            {"[supervised_contrastive]", "no negatives"}},
           {[] { supervised_contrastive(zeros({4}), indices(4), 0.1); }, "ShapeError", {"[supervised_contrastive]", "z", "[4]"}},
           {[=] { supervised_contrastive(z, indices(4), 0.0); }, "ValueError", {"[supervised_contrastive]", "temperature is 0"}},
           {[=] { supervised_contrastive(z, indices(4), zeros({}, DType::f64)); },
            "DTypeError",
            {"[supervised_contrastive]", "temperature"}},
           {[] {
              supervised_contrastive(zeros({0, 3}), indices(0), 0.1);
            },
            "ShapeError",
            {"[supervised_contrastive]", "mean"}}}});
  cases.push_back({.op = "supervised_contrastive",
                   .variant = "mean",
                   .operands = {{rows(12, 6), index({12}, 4), temperature()}},
                   .run = [](const TensorList& in) { return supervised_contrastive(in[0], in[1], in[2]); },
                   .reference = [](const std::vector<Values>& in) { return mean_of(supervised_reference(in)); }});
}

}  // namespace

void add_contrastive_cases(OpCases& cases) {
  add_info_nce(cases);
  add_queue_info_nce(cases);
  add_symmetric_info_nce(cases);
  add_nt_xent(cases);
  add_supervised_contrastive(cases);
}

}  // namespace gradus::testing
