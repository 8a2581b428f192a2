// Softmax and cross-entropy against their formulas in extended precision.
#include <string>

#include <gradus/kernels/softmax.h>
#include <gradus/tests/kernels/kernel_support.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

using Index = std::int64_t;
using Wide = long double;

// ---- softmax along an axis -------------------------------------------------------------------------------------------------------------

struct Along {
  Shape shape;
  int axis;
};
/// Rows shorter than a vector, with tails, longer than a block; columns in whole and partial vectors; one number; nothing.
std::vector<Along> lines() {
  return {{{5, 7}, 1},       {{3, 64}, 1},      {{2, 1000}, 1},  {{1, 9001}, 1}, {{4, 1}, 1}, {{6, 33}, 0}, {{3, 5, 8}, 1}, {{2, 9, 13}, 1},
          {{2, 3, 4, 5}, 2}, {{2, 3, 4, 5}, 0}, {{40, 3, 2}, 1}, {{1}, 0},       {{17}, 0},   {{0, 5}, 1},  {{5, 0}, 1},    {{3, 0, 4}, 1}};
}

/// Calls f(offset of a line's first number, distance of its numbers) for every line along the axis.
template <class F> void for_each_line(const Along& a, const F& f) {
  const Index n = a.shape[a.axis], inner = a.shape.product(a.axis + 1, a.shape.rank());
  for (Index o = 0; o < a.shape.product(0, a.axis); ++o)
    for (Index i = 0; i < inner; ++i) f(o * n * inner + i, inner);
}

template <class T> Wide log_sum_exp(const Buffer<T>& x, Index at, Index step, Index n) {
  Wide top = -kInfinity, sum = 0;
  for (Index i = 0; i < n; ++i) top = std::max<Wide>(top, x[at + i * step]);
  for (Index i = 0; i < n; ++i) sum += std::exp(x[at + i * step] - top);
  return top + std::log(sum);
}

template <class T> void check_softmax(const Along& a, double tolerance) {
  INFO(to_string(a.shape) << " axis " << a.axis);
  Buffer<T> x(a.shape), y(a.shape), l(a.shape), dy(a.shape), dx(a.shape), dl(a.shape);
  fill_normal(x, 1, 3), fill_normal(dy, 2);
  cpu::softmax(y.array(), x.array(), a.axis);
  cpu::log_softmax(l.array(), x.array(), a.axis);
  cpu::softmax_backward(dx.array(), dy.array(), y.array(), a.axis);
  cpu::log_softmax_backward(dl.array(), dy.array(), l.array(), a.axis);
  const Index n = a.shape[a.axis];
  for_each_line(a, [&](Index at, Index step) {
    const Wide lse = log_sum_exp(x, at, step, n);
    Wide mean = 0, total = 0;
    for (Index i = at; i < at + n * step; i += step) mean += dy[i] * std::exp(x[i] - lse), total += dy[i];
    for (Index i = at; i < at + n * step; i += step) {
      const Wide p = std::exp(x[i] - lse);
      REQUIRE(std::fabs(y[i] / p - 1) <= 4 * tolerance);
      REQUIRE(std::fabs(l[i] - (x[i] - lse)) <= 8 * tolerance);
      REQUIRE(std::fabs(dx[i] - p * (dy[i] - mean)) <= 16 * tolerance);
      REQUIRE(std::fabs(dl[i] - (dy[i] - p * total)) <= 64 * tolerance);
    }
  });
  for (const Buffer<T>* b : {&y, &l, &dx, &dl}) REQUIRE(b->guards_intact());
}

template <class T> std::vector<T> softmax_of(std::vector<T> x, bool logarithm = false) {
  Buffer<T> from({static_cast<Index>(x.size())}), to({static_cast<Index>(x.size())});
  std::copy(x.begin(), x.end(), from.data());
  logarithm ? cpu::log_softmax(to.array(), from.array(), 0) : cpu::softmax(to.array(), from.array(), 0);
  return {to.data(), to.data() + x.size()};
}

// ---- cross-entropy ---------------------------------------------------------------------------------------------------------------------

template <class T> struct Problem {
  Index n, k;
  Buffer<T> logits, loss, lse, dloss, dlogits, weights, soft;
  Buffer<Index> classes;

  Problem(Index rows, Index columns, double spread = 3)
      : n(rows), k(columns), logits({n, k}), loss({n}), lse({n}), dloss({n}), dlogits({n, k}), weights({k}), soft({n, k}), classes({n}) {
    fill_normal(logits, 1, spread), fill_normal(dloss, 2);
    std::mt19937 rng(3);
    for (Index j = 0; j < k; ++j) weights[j] = static_cast<T>(rng() % 1000) / 500;
    for (Index i = 0; i < n; ++i) classes[i] = static_cast<Index>(rng() % static_cast<unsigned>(k));
    for (Index i = 0; i < n * k; ++i) soft[i] = rng() % 4 == 0 ? T(0) : static_cast<T>(rng() % 1000) / static_cast<T>(500 * k);
  }
  void run(bool distributions, bool weighted) {
    const ConstArray t = distributions ? static_cast<const Buffer<T>&>(soft).array() : static_cast<const Buffer<Index>&>(classes).array();
    const ConstArray w = weighted ? ConstArray(weights.array()) : ConstArray();
    cpu::cross_entropy(loss.array(), lse.array(), logits.array(), t, w);
    cpu::cross_entropy_backward(dlogits.array(), dloss.array(), logits.array(), lse.array(), t, w);
  }
  /// w_j t_ij
  Wide target(bool distributions, bool weighted, Index i, Index j) const {
    const Wide w = weighted ? weights[j] : T(1);
    return w * (distributions ? static_cast<Wide>(soft[i * k + j]) : j == classes[i] ? 1 : 0);
  }
};

template <class T> void check_cross_entropy(Index n, Index k, bool distributions, bool weighted, double tolerance) {
  INFO("N " << n << " K " << k << (distributions ? " distributions" : " classes") << (weighted ? ", weighted" : ""));
  Problem<T> p(n, k);
  p.run(distributions, weighted);
  for (Index i = 0; i < n; ++i) {
    CAPTURE(i);
    const Wide lse = log_sum_exp(p.logits, i * k, 1, k);
    Wide loss = 0, mass = 0;
    for (Index j = 0; j < k; ++j) {
      const Wide t = p.target(distributions, weighted, i, j);
      mass += t, loss += t * (lse - p.logits[i * k + j]);
    }
    REQUIRE(std::fabs(p.lse[i] - lse) <= tolerance * std::max<Wide>(1, std::fabs(lse)));
    REQUIRE(std::fabs(p.loss[i] - loss) <= 8 * tolerance * std::max<Wide>(1, loss));
    for (Index j = 0; j < k; ++j) {
      const Wide t = p.target(distributions, weighted, i, j), exact = p.dloss[i] * (std::exp(p.logits[i * k + j] - lse) * mass - t);
      REQUIRE(std::fabs(p.dlogits[i * k + j] - exact) <= 16 * tolerance * std::max<Wide>(1, std::fabs(p.dloss[i])));
    }
  }
  for (const Buffer<T>* b : {&p.loss, &p.lse, &p.dlogits}) REQUIRE(b->guards_intact());
}

}  // namespace

TEST_CASE("softmax: values and gradients along every axis") {
  for_each_isa([] {
    for (const Along& a : lines()) check_softmax<float>(a, 6e-7), check_softmax<double>(a, 2e-15);
  });
}

TEST_CASE("softmax: large logits, -inf, infinity and NaN") {
  for_each_isa([] {
    const float inf = INFINITY;
    CHECK(softmax_of<float>({1e30f, 1e30f, -1e30f}) == std::vector<float>{0.5f, 0.5f, 0});
    CHECK(softmax_of<double>({-1e300, -1e300}) == std::vector<double>{0.5, 0.5});
    CHECK(softmax_of<float>({-inf, 2, -inf, 2}) == std::vector<float>{0, 0.5f, 0, 0.5f});
    CHECK(softmax_of<float>({-inf, 2, -inf}, true) == std::vector<float>{-inf, 0, -inf});
    for (const float y : softmax_of<float>({-inf, -inf})) CHECK(std::isnan(y));
    for (const float y : softmax_of<float>({1, inf, 0})) CHECK(std::isnan(y));
    for (const float y : softmax_of<float>({1, NAN, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9})) CHECK(std::isnan(y));
  });
}

TEST_CASE("softmax: a line does not depend on its neighbours, its place or the number of threads") {
  for_each_isa([] {
    const Index n = 300, inner = 21;
    Buffer<float> x({50, n}), y({50, n}), one({1, n}), alone({1, n}), threaded({50, n});
    fill_normal(x, 5);
    cpu::softmax(y.array(), x.array(), 1);
    std::memcpy(one.data(), x.data() + 37 * n, n * sizeof(float));
    cpu::softmax(alone.array(), one.array(), 1);
    CHECK(std::memcmp(alone.data(), y.data() + 37 * n, n * sizeof(float)) == 0);
    ThreadPool threads(3);
    const PoolScope scope(threads);
    cpu::softmax(threaded.array(), x.array(), 1);
    CHECK(threaded.same_bits(y));

    Buffer<float> columns({4, n, inner}), z({4, n, inner}), column({1, n, 1}), single({1, n, 1});
    fill_normal(columns, 6);
    cpu::log_softmax(z.array(), columns.array(), 1);
    Buffer<float> narrow({1, n, 2}), pair({1, n, 2});
    for (Index i = 0; i < n; ++i) narrow[2 * i] = columns[i * inner + 17], narrow[2 * i + 1] = 0;
    cpu::log_softmax(pair.array(), narrow.array(), 1);
    for (Index i = 0; i < n; ++i) REQUIRE(pair[2 * i] == z[i * inner + 17]);
  });
}

TEST_CASE("cross-entropy: losses, log-sum-exps and gradients of classes and distributions") {
  for_each_isa([] {
    for (const Index n : {1, 3, 8, 21})
      for (const Index k : {1, 2, 7, 10, 64, 100, 2048, 5001})
        for (const bool distributions : {false, true})
          for (const bool weighted : {false, true}) {
            if (n * k > 20000) continue;
            check_cross_entropy<float>(n, k, distributions, weighted, 1e-6);
            check_cross_entropy<double>(n, k, distributions, weighted, 3e-15);
          }
  });
}

TEST_CASE("cross-entropy: small losses and their gradients keep their digits") {
  for_each_isa([] {
    for (const Index k : {2, 10, 100}) {
      Problem<float> p(1, k);
      for (Index j = 0; j < k; ++j) p.logits[j] = 60;
      p.classes[0] = k / 2, p.logits[k / 2] = 100, p.dloss[0] = 1;
      p.run(false, false);
      const double others = static_cast<double>(k - 1) * std::exp(-40.0);
      CHECK(p.loss[0] / others == doctest::Approx(1).epsilon(1e-5));
      CHECK(p.dlogits[k / 2] / -others == doctest::Approx(1).epsilon(1e-5));
    }
  });
}

TEST_CASE("cross-entropy: large logits, masked logits, NaN") {
  for_each_isa([] {
    const Index k = 11;
    for (const bool distributions : {false, true}) {
      Problem<float> p(6, k);
      p.soft = Buffer<float>({6, k});
      for (Index i = 0; i < 6; ++i) p.classes[i] = 4, p.soft[i * k + 4] = 1, p.dloss[i] = 1;
      for (Index j = 0; j < k; ++j) p.logits[0 * k + j] = 3e38f;
      for (Index j = 0; j < k; ++j) p.logits[1 * k + j] = j == 4 ? 1.0f : -INFINITY;  // only the target is left
      p.logits[2 * k + 7] = -INFINITY;                                                // one class is masked
      p.logits[3 * k + 4] = -INFINITY;                                                // the target is masked
      p.logits[4 * k + 2] = NAN;
      for (Index j = 0; j < k; ++j) p.logits[5 * k + j] = -INFINITY;
      p.run(distributions, false);
      CHECK(p.loss[0] == doctest::Approx(std::log(11.0)));
      CHECK(p.loss[1] == 0);
      CHECK(p.lse[1] == 1);
      CHECK(std::isfinite(p.loss[2]));
      CHECK(p.dlogits[2 * k + 7] == 0);
      CHECK(p.loss[3] == INFINITY);
      CHECK(std::isfinite(p.lse[3]));
      CHECK(p.dlogits[3 * k + 4] == doctest::Approx(-1));
      CHECK(std::isnan(p.loss[4]));
      CHECK(std::isnan(p.dlogits[4 * k + 3]));
      CHECK(std::isnan(p.loss[5]));
    }
  });
}

TEST_CASE("cross-entropy: the maximum may come late in a row that is read in blocks") {
  for_each_isa([] {
    Problem<double> p(1, 10000);
    for (Index j = 0; j < p.k; ++j) p.logits[j] = static_cast<double>(j) / 10;
    p.classes[0] = 4999, p.dloss[0] = 1;
    p.run(false, false);
    const Wide lse = log_sum_exp(p.logits, 0, 1, p.k);
    CHECK(std::fabs(p.loss[0] - (lse - p.logits[4999])) < 1e-11);
    for (Index j = 0; j < p.k; ++j) p.logits[j] = -INFINITY;
    p.logits[9999] = 2, p.classes[0] = 9999;
    p.run(false, false);
    CHECK(p.loss[0] == 0);
    CHECK(p.lse[0] == 2);
  });
}

TEST_CASE("cross-entropy: a row does not depend on its neighbours or the number of threads; the gradient may overwrite the logits") {
  for_each_isa([] {
    for (const bool distributions : {false, true}) {
      Problem<float> p(100, 333), q(100, 333);
      p.run(distributions, true);
      {
        ThreadPool threads(3);
        const PoolScope scope(threads);
        q.run(distributions, true);
      }
      CHECK(q.loss.same_bits(p.loss));
      CHECK(q.dlogits.same_bits(p.dlogits));
      const Index row = 57, k = p.k;
      Problem<float> one(1, k);
      std::memcpy(one.logits.data(), p.logits.data() + row * k, k * sizeof(float));
      std::memcpy(one.soft.data(), p.soft.data() + row * k, k * sizeof(float));
      one.classes[0] = p.classes[row], one.dloss[0] = p.dloss[row], one.weights = p.weights;
      one.run(distributions, true);
      CHECK(one.loss[0] == p.loss[row]);
      CHECK(std::memcmp(one.dlogits.data(), p.dlogits.data() + row * k, k * sizeof(float)) == 0);
      const ConstArray t = distributions ? ConstArray(p.soft.array()) : ConstArray(p.classes.array());
      cpu::cross_entropy_backward(p.logits.array(), p.dloss.array(), p.logits.array(), p.lse.array(), t, p.weights.array());
      CHECK(p.logits.same_bits(p.dlogits));
    }
  });
}

TEST_CASE("cross-entropy: no rows") {
  for_each_isa([] {
    Problem<float> p(0, 4);
    p.run(false, true), p.run(true, false);
    CHECK(p.loss.guards_intact());
  });
}
