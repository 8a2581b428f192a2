// The fused contrastive losses against the same losses in plain ops, to third order, and the memory they promise.
#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

#include <gradus/engine/functional.h>
#include <gradus/engine/memory.h>
#include <gradus/engine/ops/contrastive.h>
#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/index.h>
#include <gradus/engine/ops/matmul.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/ops/softmax.h>
#include <gradus/engine/tape.h>

using namespace gradus;

namespace {

Tensor random_rows(std::int64_t rows, std::int64_t dim, unsigned seed, DType dtype = DType::f64) {
  std::mt19937 rng(seed);
  std::normal_distribution<double> normal;
  std::vector<double> x(static_cast<std::size_t>(rows * dim));
  for (double& v : x) v = normal(rng);
  return l2_normalize(cast(Tensor::from(x, {rows, dim}), dtype), 1).detach();
}

// ---- the same losses in plain ops

Tensor forbid(const Tensor& scores, const Tensor& allowed) { return where(allowed, scores, -1e30); }
Tensor scores_of(const Tensor& a, const Tensor& b, const Tensor& temperature) {
  return matmul(a, b, {.transpose_b = true}) / reshape(temperature, Shape{});
}
Tensor off_diagonal(std::int64_t n) { return logical_not(cast(one_hot(Tensor::arange(n), n, DType::f64), DType::boolean)); }

Tensor plain_info_nce(const Tensor& q, const Tensor& k, const Tensor& index, const Tensor& temperature, const Tensor& mask) {
  const Tensor s = scores_of(q, k, temperature);
  return logsumexp(mask ? forbid(s, mask) : s, {1}) - squeeze(gather(s, unsqueeze(index, 1), 1), 1);
}
Tensor plain_queue(const Tensor& q, const Tensor& positive, const Tensor& queue, const Tensor& temperature) {
  const Tensor own = sum(q * positive, {1}, keepdims) / reshape(temperature, Shape{});
  return logsumexp(concat({own, scores_of(q, queue, temperature)}, 1), {1}) - squeeze(own, 1);
}
Tensor plain_symmetric(const Tensor& q, const Tensor& k, const Tensor& temperature) {
  const Tensor s = scores_of(q, k, temperature);
  const Tensor own = sum(q * k, {1}) / reshape(temperature, Shape{});
  return concat({logsumexp(s, {1}) - own, logsumexp(s, {0}) - own}, 0);
}
Tensor plain_nt_xent(const Tensor& z, const Tensor& temperature) {
  const std::int64_t n = z.size(0);
  const Tensor s = scores_of(z, z, temperature);
  std::vector<std::int64_t> other;
  for (std::int64_t i = 0; i < n; ++i) other.push_back((i + n / 2) % n);
  return logsumexp(forbid(s, off_diagonal(n)), {1}) - squeeze(gather(s, Tensor::from(other, {n, 1}), 1), 1);
}

Tensor plain_supervised(const Tensor& z, const Tensor& labels, const Tensor& temperature) {
  const Tensor other = off_diagonal(z.size(0)), s = scores_of(z, z, temperature);
  const Tensor positive = cast(equal(unsqueeze(labels, 1), unsqueeze(labels, 0)), DType::f64) * cast(other, DType::f64);
  const Tensor count = sum(positive, {1});
  const Tensor loss = logsumexp(forbid(s, other), {1}) - sum(positive * s, {1}) / maximum(count, 1);
  return where(greater(count, zeros_like(count)), loss, 0);
}

// ---- comparison

double largest_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a);
  REQUIRE(b);
  REQUIRE(a.shape() == b.shape());
  double worst = 0;
  for (std::size_t i = 0; i < a.values<double>().size(); ++i) {
    const double difference = std::abs(a.values<double>()[i] - b.values<double>()[i]) / std::fmax(1, std::abs(b.values<double>()[i]));
    worst = difference > worst || std::isnan(difference) ? difference : worst;
  }
  return worst;
}

/// A scalar that depends on every element of t in its own way.
Tensor mixed(const Tensor& t, unsigned seed) { return sum(t * reshape(random_rows(1, t.elements(), seed), t.shape())); }

using Loss = std::function<Tensor(const TensorList&)>;

/// The gradients of a mixture of f's gradients, `order` levels deep.
TensorList derivatives(const Loss& f, const TensorList& at, int order) {
  Tape tape(at);
  Tensor scalar = mixed(f(at), 7);
  for (int level = 1;; ++level) {
    const TensorList g = tape.gradients(scalar, at, {.create_graph = level < order});
    if (level == order) return g;
    Tensor next = mixed(g[0], 8);
    for (std::size_t i = 1; i < g.size(); ++i) next = next + mixed(g[i], static_cast<unsigned>(8 + i));
    scalar = next;
  }
}

void check_orders(const Loss& fused, const Loss& plain, const TensorList& at) {
  CHECK(largest_difference(fused(at), plain(at)) < 1e-12);
  for (int order = 1; order <= 4; ++order) {
    CAPTURE(order);
    const TensorList a = derivatives(fused, at, order), b = derivatives(plain, at, order);
    for (std::size_t i = 0; i < at.size(); ++i) {
      CAPTURE(i);
      CHECK(largest_difference(a[i], b[i]) < 1e-8);
    }
  }
}

}  // namespace

TEST_CASE("contrastive losses: fused equals composed from plain ops, to fourth order") {
  const Tensor q = random_rows(6, 5, 1), k = random_rows(9, 5, 2), other = random_rows(6, 5, 3),
               temperature = Tensor::full({1}, 0.7, DType::f64);
  const Tensor index = Tensor::from<std::int64_t>({4, 0, 8, 4, 2, 7});
  check_orders([&](const TensorList& in) { return info_nce(in[0], in[1], index, in[2], {.reduction = Reduction::none}); },
               [&](const TensorList& in) { return plain_info_nce(in[0], in[1], index, in[2], {}); }, {q, k, temperature});
  check_orders([](const TensorList& in) { return queue_info_nce(in[0], in[1], in[2], in[3], {.reduction = Reduction::none}); },
               [](const TensorList& in) { return plain_queue(in[0], in[1], in[2], in[3]); }, {q, other, k, temperature});
  check_orders([](const TensorList& in) { return symmetric_info_nce(in[0], in[1], in[2], {.reduction = Reduction::none}); },
               [](const TensorList& in) { return plain_symmetric(in[0], in[1], in[2]); }, {q, other, temperature});
  check_orders([](const TensorList& in) { return nt_xent(in[0], in[1], Reduction::none); },
               [](const TensorList& in) { return plain_nt_xent(in[0], in[1]); }, {random_rows(8, 5, 4), temperature});
  const Tensor labels = Tensor::from<std::int64_t>({-4, 7, -4, 1, 7, -4, 99, 1LL << 40, 7, 1});  // of three, of two, of their own
  check_orders([&](const TensorList& in) { return supervised_contrastive(in[0], labels, in[1], Reduction::none); },
               [&](const TensorList& in) { return plain_supervised(in[0], labels, in[1]); }, {random_rows(10, 5, 5), temperature});
}

TEST_CASE("contrastive losses: masks, fused and composed, to third order") {
  const std::int64_t rows = 6, columns = 9;
  const Tensor q = random_rows(rows, 5, 11), k = random_rows(columns, 5, 12), temperature = Tensor::full({}, 0.6, DType::f64);
  const Tensor index = Tensor::from<std::int64_t>({4, 0, 8, 4, 2, 7});
  Tensor allowed = one_hot(index, columns, DType::f64);  // the positives, and every third pair
  for (std::int64_t c = 0; c < columns; c += 3)
    allowed = maximum(allowed, broadcast_to(one_hot(Tensor::from<std::int64_t>({c}), columns, DType::f64), {rows, columns}));
  const Tensor mask = cast(allowed, DType::boolean);
  check_orders([&](const TensorList& in) { return info_nce(in[0], in[1], index, in[2], {.reduction = Reduction::none, .mask = mask}); },
               [&](const TensorList& in) { return plain_info_nce(in[0], in[1], index, in[2], mask); }, {q, k, temperature});
}

TEST_CASE("contrastive losses: any operands may be live, the others constant") {
  const TensorList all{random_rows(6, 5, 21), random_rows(6, 5, 22), random_rows(9, 5, 23), Tensor::full({1}, 0.7, DType::f64)};
  for (unsigned subset = 1; subset < 16; ++subset) {
    CAPTURE(subset);
    TensorList live;
    for (std::size_t i = 0; i < 4; ++i)
      if (subset >> i & 1) live.push_back(all[i]);
    const auto with = [&](const TensorList& moved) {
      TensorList in = all;
      for (std::size_t i = 0, next = 0; i < 4; ++i)
        if (subset >> i & 1) in[i] = moved[next++];
      return in;
    };
    const auto fused = [&](const TensorList& moved) {
      const TensorList in = with(moved);
      return queue_info_nce(in[0], in[1], in[2], in[3]);
    };
    const auto plain = [&](const TensorList& moved) {
      const TensorList in = with(moved);
      return mean(plain_queue(in[0], in[1], in[2], in[3]));
    };
    for (int order = 1; order <= 3; ++order) {
      const TensorList a = derivatives(fused, live, order), b = derivatives(plain, live, order);
      for (std::size_t i = 0; i < live.size(); ++i) CHECK(largest_difference(a[i], b[i]) < 1e-8);
    }
  }
}

TEST_CASE("contrastive losses: nothing is recorded for constants, nothing kept for a teacher") {
  const Tensor q = random_rows(6, 5, 31), k = random_rows(9, 5, 32);
  Tape tape({q});
  info_nce(k, k, Tensor::arange(9), 0.1);
  CHECK(tape.stats().entries == 0);
  const Tensor loss = queue_info_nce(q, q.detach(), k, 0.1);
  CHECK(tape.gradients(loss)[q].shape() == q.shape());
}

TEST_CASE("contrastive losses: a queue that is overwritten before the backward sweep is an error") {
  const Tensor q = random_rows(4, 5, 41), queue = random_rows(9, 5, 42);
  Tape tape({q});
  const Tensor loss = queue_info_nce(q, q.detach(), queue, 0.1);
  assign_window(queue, 2, random_rows(4, 5, 43));
  CHECK_THROWS_AS(tape.gradients(loss), GradientError);
}

TEST_CASE("contrastive losses: memory beyond operands and gradients grows with the rows, not with their square") {
  const auto extra = [](std::int64_t rows, std::int64_t own, const std::function<void(const Tensor&, const Tensor&)>& f) {
    const Tensor a = random_rows(rows, 64, 51, DType::f32), b = random_rows(rows, 64, 52, DType::f32);
    f(a, b);  // warm-up: the tape's arena
    const MemoryPeak peak;
    f(a, b);
    return peak.bytes() - own * a.bytes();
  };
  const auto clip = [](const Tensor& a, const Tensor& b) {
    Tape tape({a, b});
    tape.gradients(symmetric_info_nce(a, b, 0.1));
  };
  const auto simclr = [](const Tensor& a, const Tensor&) {
    Tape tape({a});
    tape.gradients(nt_xent(a, 0.1));
  };
  const auto supervised = [](const Tensor& a, const Tensor&) {
    Tape tape({a});
    tape.gradients(supervised_contrastive(a, Tensor::zeros({a.size(0)}, DType::i64), 0.1));
  };
  const auto second = [](const Tensor& a, const Tensor&) {
    Tape tape({a});
    const Tensor g = tape.gradients(nt_xent(a, 0.1), {a}, {.create_graph = true})[0];
    tape.gradients(g, {a}, {.seed = a});
  };
  constexpr std::int64_t kThread = 1 << 20, kTape = 16 << 10;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr std::int64_t kShrink = 8;  // the same bound on fewer rows: sanitized kernels are some thirty times slower
#else
  constexpr std::int64_t kShrink = 1;
#endif
  CHECK(extra(3000 / kShrink, 2, clip) <= 64 * 2 * 3000 / kShrink + kThread + kTape);
  CHECK(extra(6000 / kShrink, 2, clip) <= 64 * 2 * 6000 / kShrink + kThread + kTape);
  CHECK(extra(8192 / kShrink, 1, simclr) <= 64 * 2 * 8192 / kShrink + kThread + kTape);  // the plain scores alone are 256 MiB
  CHECK(extra(4000 / kShrink, 1, supervised) <= 64 * 2 * 4000 / kShrink + kThread + kTape);
  CHECK(extra(2000 / kShrink, 2, second) <= 64 * 2 * 2000 / kShrink + kThread + kTape);
  CHECK(extra(4000 / kShrink, 2, second) <= 64 * 2 * 4000 / kShrink + kThread + kTape);
}
