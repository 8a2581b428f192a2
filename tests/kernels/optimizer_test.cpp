// Optimizer kernels against their formulas, written out in f64 for one element.
#include <algorithm>
#include <string>

#include <gradus/kernels/optimizer.h>
#include <gradus/tests/kernels/kernel_support.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

constexpr std::int64_t kSizes[] = {0, 1, 3, 7, 8, 9, 31, 100, 70001};

template <class T> struct State {
  Buffer<T> parameter, gradient, mask, m, v;
  explicit State(std::int64_t n) : parameter({n}), gradient({n}), mask({n}), m({n}), v({n}) {
    fill_normal(parameter, 1);
    fill_normal(gradient, 2);
    fill_normal(m, 3);
    fill_normal(v, 4);
    for (std::int64_t i = 0; i < n; ++i) {
      mask[i] = static_cast<T>(i % 3) / 2;
      v[i] = v[i] * v[i];
    }
  }
  bool guards_intact() const {
    return parameter.guards_intact() && gradient.guards_intact() && mask.guards_intact() && m.guards_intact() && v.guards_intact();
  }
};

/// The largest difference, in epsilons of T, of numbers of size 1.
template <class T> double difference(const Buffer<T>& x, const std::vector<double>& exact) {
  double worst = 0;
  for (std::int64_t i = 0; i < x.size(); ++i)
    worst = std::max(worst, std::fabs(x[i] - exact[static_cast<std::size_t>(i)]) / (1 + std::fabs(exact[static_cast<std::size_t>(i)])));
  return worst / std::numeric_limits<T>::epsilon();
}

template <class T> void check_sgd(const SgdStep& s, bool with_momentum, bool with_mask) {
  for (const std::int64_t n : kSizes) {
    State<T> x(n);
    std::vector<double> p, b;
    for (std::int64_t i = 0; i < n; ++i) {
      const double g = x.gradient[i] + s.weight_decay * x.parameter[i], velocity = s.momentum * x.m[i] + g;
      const double direction = !with_momentum ? g : s.nesterov ? g + s.momentum * velocity : velocity;
      p.push_back(x.parameter[i] - s.learning_rate * direction * (with_mask ? x.mask[i] : 1));
      b.push_back(velocity);
    }
    const Buffer<T> before = x.parameter;
    cpu::sgd(x.parameter.array(), with_momentum ? x.m.array() : Array{}, x.gradient.array(), with_mask ? x.mask.array() : ConstArray(), s);
    INFO("n ", n, ", momentum ", with_momentum, ", mask ", with_mask, ", nesterov ", s.nesterov);
    CHECK(difference(x.parameter, p) <= 4);
    if (with_momentum) CHECK(difference(x.m, b) <= 4);
    for (std::int64_t i = 0; with_mask && i < n; i += 3) REQUIRE(std::memcmp(&before[i], &x.parameter[i], sizeof(T)) == 0);
    CHECK(x.guards_intact());
  }
}

template <class T> void check_adam(const AdamStep& s, bool with_mask) {
  for (const std::int64_t n : kSizes) {
    State<T> x(n);
    std::vector<double> p, m, v;
    for (std::int64_t i = 0; i < n; ++i) {
      const double old = x.parameter[i], g = x.gradient[i] + (s.decoupled ? 0 : s.weight_decay * old);
      m.push_back(s.beta1 * x.m[i] + (1 - s.beta1) * g);
      v.push_back(s.beta2 * x.v[i] + (1 - s.beta2) * g * g);
      const double step = s.learning_rate * (m.back() / s.correction1 / (std::sqrt(v.back() / s.correction2) + s.epsilon) +
                                             (s.decoupled ? s.weight_decay * old : 0));
      p.push_back(old - step * (with_mask ? x.mask[i] : 1));
    }
    cpu::adam(x.parameter.array(), x.m.array(), x.v.array(), x.gradient.array(), with_mask ? x.mask.array() : ConstArray(), s);
    INFO("n ", n, ", mask ", with_mask, ", decoupled ", s.decoupled);
    CHECK(difference(x.parameter, p) <= 4);
    CHECK(difference(x.m, m) <= 4);
    CHECK(difference(x.v, v) <= 4);
    CHECK(x.guards_intact());
  }
}

}  // namespace

TEST_CASE("optimizer: sgd") {
  for_each_isa([] {
    for (const bool mask : {false, true})
      for (const bool nesterov : {false, true}) {
        const SgdStep step{.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.01, .nesterov = nesterov};
        check_sgd<float>(step, true, mask);
        check_sgd<double>(step, true, mask);
        check_sgd<float>(step, false, mask);
        check_sgd<double>(step, false, mask);
      }
  });
}

TEST_CASE("optimizer: adam and adamw") {
  for_each_isa([] {
    for (const bool mask : {false, true})
      for (const bool decoupled : {false, true}) {
        AdamStep step{.learning_rate = 1e-2, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 0.1, .decoupled = decoupled};
        step.correction1 = 1 - std::pow(step.beta1, 3);
        step.correction2 = 1 - std::pow(step.beta2, 3);
        check_adam<float>(step, mask);
        check_adam<double>(step, mask);
      }
  });
}

TEST_CASE("optimizer: the first step of adam moves every parameter by the learning rate, whatever the gradient's size") {
  for_each_isa([] {
    for (const double size : {1e-3, 1.0, 1e6}) {
      Buffer<float> p({20}), m({20}), v({20}), g({20}, static_cast<float>(size));
      const AdamStep step{.learning_rate = 0.125, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-12, .correction1 = 0.1, .correction2 = 0.001};
      cpu::adam(p.array(), m.array(), v.array(), g.array(), ConstArray(), step);
      for (int i = 0; i < 20; ++i) CHECK(p[i] == doctest::Approx(-0.125).epsilon(1e-5));
    }
  });
}

TEST_CASE("optimizer: ema, scale and squared_norm") {
  for_each_isa([] {
    for (const std::int64_t n : kSizes) {
      Buffer<float> target({n}), source({n});
      fill_normal(target, 8);
      fill_normal(source, 9);
      std::vector<double> mean, scaled;
      double norm = 0;
      for (std::int64_t i = 0; i < n; ++i) {
        mean.push_back(0.99 * target[i] + 0.01 * source[i]);
        scaled.push_back(0.3 * source[i]);
        norm += static_cast<double>(source[i]) * source[i];
      }
      INFO("n ", n);
      CHECK(cpu::squared_norm(source.array()) == doctest::Approx(norm).epsilon(1e-13));
      cpu::ema(target.array(), source.array(), 0.99);
      CHECK(difference(target, mean) <= 2);
      cpu::scale(source.array(), 0.3);
      CHECK(difference(source, scaled) <= 1);
      CHECK(target.guards_intact());
    }
    Buffer<float> large({3}, 1e30f);  // its squares overflow in f32
    CHECK(cpu::squared_norm(large.array()) == doctest::Approx(3e60).epsilon(1e-6));
    Buffer<double> steady({5}, 0.1);
    Buffer<double> same = steady;
    cpu::ema(same.array(), steady.array(), 0.9);
    CHECK(same[0] == doctest::Approx(0.1).epsilon(1e-15));  // a fixed point stays one
  });
}

TEST_CASE("optimizer: ema with a decay of 0 is the source, and of 1 the target, bit for bit") {
  for_each_isa([] {
    for (const std::int64_t n : kSizes) {
      Buffer<float> target({n}), source({n}, 1e-20f);
      fill_normal(target, 10, 1e10);
      const Buffer<float> before = target;
      cpu::ema(target.array(), source.array(), 1);
      CHECK(target.same_bits(before));
      cpu::ema(target.array(), source.array(), 0);  // target + (source - target) would be 0
      CHECK(target.same_bits(source));
    }
  });
}

TEST_CASE("optimizer: where the mask is 0 the parameter keeps its bits, even if the step is infinite or NaN") {
  for_each_isa([] {
    for (const std::int64_t n : kSizes) {
      for (const double bad : {kInfinity, -kInfinity, kNaN}) {
        State<float> x(n), plain = x;
        for (std::int64_t i = 0; i < n; ++i) x.gradient[i] = plain.gradient[i] = i % 3 == 0 ? static_cast<float>(bad) : 1;
        const SgdStep sgd{.learning_rate = 0.1, .momentum = 0.9};
        AdamStep adam{.learning_rate = 0.1, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8};
        const Buffer<float> before = x.parameter;
        const auto check = [&] {
          for (std::int64_t i = 0; i < n; ++i) {
            const bool kept = std::memcmp(&before[i], &x.parameter[i], sizeof(float)) == 0;
            REQUIRE((i % 3 == 0 ? kept : std::isfinite(x.parameter[i])));
          }
        };
        INFO("n ", n, ", gradient ", bad);
        cpu::sgd(x.parameter.array(), Array{}, x.gradient.array(), x.mask.array(), sgd);
        check();
        cpu::sgd(x.parameter.array(), x.m.array(), x.gradient.array(), x.mask.array(), sgd);
        check();
        x.m = plain.m;
        cpu::adam(x.parameter.array(), x.m.array(), x.v.array(), x.gradient.array(), x.mask.array(), adam);
        check();
        CHECK(x.guards_intact());
      }
    }
  });
}

TEST_CASE("optimizer: a list of tensors is its tensors one by one") {
  State<float> a(100), b(31);
  State<double> c(7);
  State<float> a2 = a, b2 = b;
  State<double> c2 = c;
  const AdamStep step{.learning_rate = 1e-2, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .weight_decay = 0.1};
  AdamStep bare = step;
  bare.weight_decay = 0;
  const auto item = [](auto& x, bool mask, const AdamStep& s) {
    return AdamItem{x.parameter.array(), x.m.array(), x.v.array(), x.gradient.array(), mask ? x.mask.array() : ConstArray(), s};
  };
  const AdamItem items[] = {item(a, true, step), item(b, false, bare), item(c, false, step)};
  cpu::adam_many(items, 3);
  cpu::adam(a2.parameter.array(), a2.m.array(), a2.v.array(), a2.gradient.array(), a2.mask.array(), step);
  cpu::adam(b2.parameter.array(), b2.m.array(), b2.v.array(), b2.gradient.array(), ConstArray(), bare);
  cpu::adam(c2.parameter.array(), c2.m.array(), c2.v.array(), c2.gradient.array(), ConstArray(), step);
  CHECK(a.parameter.same_bits(a2.parameter));
  CHECK(b.parameter.same_bits(b2.parameter));
  CHECK(c.parameter.same_bits(c2.parameter));
  const ConstArray all[] = {a.parameter.array(), b.parameter.array(), c.parameter.array()};
  CHECK(cpu::squared_norm_many(all, 3) == cpu::squared_norm(all[0]) + cpu::squared_norm(all[1]) + cpu::squared_norm(all[2]));
}

TEST_CASE("optimizer: bits do not depend on the number of threads") {
  ThreadPool pool(3);
  for_each_isa([&] {
    State<float> x(3000001), y = x;
    const AdamStep step{.learning_rate = 1e-2, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .correction1 = 0.5, .correction2 = 0.5};
    const auto run = [&](State<float>& s) {
      cpu::adam(s.parameter.array(), s.m.array(), s.v.array(), s.gradient.array(), s.mask.array(), step);
      return cpu::squared_norm(s.parameter.array());
    };
    const double norm = run(x);
    const PoolScope scope(pool);
    CHECK(run(y) == norm);
    CHECK(y.parameter.same_bits(x.parameter));
    CHECK(y.v.same_bits(x.v));
  });
}
