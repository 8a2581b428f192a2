// Softmax, cross-entropy, reductions and batch normalisation, over rows of [4096, 1024] or an image batch.
#include <gradus/benchmarks/kernels/entry.h>
#include <gradus/kernels/normalization.h>
#include <gradus/kernels/reduce.h>
#include <gradus/kernels/softmax.h>

namespace gradus::costs {
namespace {

constexpr std::int64_t kRows = 4096, kColumns = 1024;
const Shape kMatrix{kRows, kColumns}, kOfRows{kRows}, kOfColumns{kColumns};
constexpr Bounds kVectors{.streams = true, .sectors = 16};

using Line = void (*)(Array, ConstArray, int);
using LineBackward = void (*)(Array, ConstArray, ConstArray, int);

void add_softmax(std::vector<Entry>& entries) {
  const auto forward = [&](const char* name, Line f, int axis) {
    entries.push_back({name,
                       [=](Operands& o) {
                         const auto x = o.in(kMatrix);
                         const auto y = o.out(kMatrix);
                         return [=] { f(y, x, axis); };
                       },
                       kVectors});
  };
  const auto backward = [&](const char* name, LineBackward f) {
    entries.push_back({name,
                       [=](Operands& o) {
                         const auto dy = o.in(kMatrix), y = o.in(kMatrix);
                         const auto dx = o.out(kMatrix);
                         return [=] { f(dx, dy, y, 1); };
                       },
                       kVectors});
  };
  forward("softmax [4096, 1024]", cuda::softmax, 1);
  forward("softmax [4096, 1024] axis 0", cuda::softmax, 0);
  entries.back().bounds.sectors = 4;  // neighbouring columns, a number each
  forward("log_softmax [4096, 1024]", cuda::log_softmax, 1);
  backward("softmax_backward [4096, 1024]", cuda::softmax_backward);
  backward("log_softmax_backward [4096, 1024]", cuda::log_softmax_backward);
}

std::vector<std::int64_t> labels() {
  std::vector<std::int64_t> t(kRows);
  for (std::int64_t i = 0; i < kRows; ++i) t[static_cast<std::size_t>(i)] = i * 37 % kColumns;
  return t;
}

void add_cross_entropy(std::vector<Entry>& entries) {
  // Narrow, a row: its label, loss and lse; backwards its label, lse, dloss, and the label's own gradient, which is stored last.
  constexpr Bounds bounds{.streams = true, .sectors = 16, .narrow = 3.0 * kRows};
  constexpr Bounds backward_bounds{.streams = true, .sectors = 16, .narrow = 4.0 * kRows};
  entries.push_back({"cross_entropy [4096, 1024]",
                     [](Operands& o) {
                       const auto logits = o.in(kMatrix), targets = o.in(kOfRows, labels());
                       const auto loss = o.out(kOfRows), lse = o.out(kOfRows);
                       return [=] { cuda::cross_entropy(loss, lse, logits, targets, {}); };
                     },
                     bounds});
  entries.push_back({"cross_entropy_backward [4096, 1024]",
                     [](Operands& o) {
                       const auto dloss = o.in(kOfRows), logits = o.in(kMatrix), targets = o.in(kOfRows, labels());
                       const auto lse = o.out(kOfRows), dlogits = o.out(kMatrix);
                       const Array loss{o.scratch(kRows * sizeof(float)).data, &kOfRows};
                       cuda::cross_entropy(loss, lse, logits, targets, {});  // what a row does depends on its lse: it must be the true one
                       return [=] { cuda::cross_entropy_backward(dlogits, dloss, logits, lse, targets, {}); };
                     },
                     backward_bounds});
}

using Reduction = void (*)(Array, ConstArray, unsigned);

void add_reductions(std::vector<Entry>& entries) {
  const auto add = [&](const char* name, Reduction f, const Shape& result, unsigned axes) {
    entries.push_back({name,
                       [=](Operands& o) {
                         const auto x = o.in(kMatrix);
                         const auto y = o.out(result);
                         return [=] { f(y, x, axes); };
                       },
                       {.streams = true}});
  };
  add("sum of rows [4096, 1024]", cuda::sum, kOfRows, 2);
  add("sum of columns [4096, 1024]", cuda::sum, kOfColumns, 1);
  add("sum of all [4096, 1024]", cuda::sum, Shape{}, 3);
  add("max of rows [4096, 1024]", cuda::max, kOfRows, 2);
  add("logsumexp of rows [4096, 1024]", cuda::logsumexp, kOfRows, 2);
  add("logsumexp of columns [4096, 1024]", cuda::logsumexp, kOfColumns, 1);
  entries.push_back({"argmax of rows [4096, 1024]",
                     [](Operands& o) {
                       const auto x = o.in(kMatrix);
                       const auto index = o.out(kOfRows, DType::i64);
                       return [=] { cuda::argmax(index, x, 1); };
                     },
                     {.streams = true}});
}

void add_batch_norm(std::vector<Entry>& entries) {
  // Training reads x twice (1.5 x compulsory), backward dy and x (1.67 x): a channel's 64 KiB are spread over several blocks, so that none
  // of them can wait for the statistics with its part on the chip. The second reading finds most of it in L2.
  static const Shape images{32, 64, 32, 16}, channels{64};
  entries.push_back({"batch_norm_train [32, 64, 32, 16]",
                     [](Operands& o) {
                       const auto x = o.in(images), gamma = o.in(channels), beta = o.in(channels);
                       const auto y = o.out(images), mean = o.out(channels), var = o.out(channels), rstd = o.out(channels);
                       return [=] { cuda::batch_norm_train(y, mean, var, rstd, x, gamma, beta, 1e-5); };
                     },
                     {}});
  entries.push_back({"batch_norm_backward [32, 64, 32, 16]",
                     [](Operands& o) {
                       const auto dy = o.in(images), x = o.in(images), mean = o.in(channels), rstd = o.in(channels), gamma = o.in(channels);
                       const auto dx = o.out(images), dgamma = o.out(channels), dbeta = o.out(channels);
                       return [=] { cuda::batch_norm_backward(dx, dgamma, dbeta, dy, x, mean, rstd, gamma); };
                     },
                     {}});
  entries.push_back({"batch_norm [32, 64, 32, 16]",
                     [](Operands& o) {
                       const auto x = o.in(images), mean = o.in(channels), rstd = o.in(channels), gamma = o.in(channels),
                                  beta = o.in(channels);
                       const auto y = o.out(images);
                       return [=] { cuda::batch_norm(y, x, mean, rstd, gamma, beta); };
                     },
                     {}});
}

}  // namespace

void add_rows(std::vector<Entry>& entries) {
  add_softmax(entries);
  add_cross_entropy(entries);
  add_reductions(entries);
  add_batch_norm(entries);
}

}  // namespace gradus::costs
