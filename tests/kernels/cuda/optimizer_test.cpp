// Optimizer steps on the device, single and in lists, against those on the CPU.
#include <memory>
#include <string>

#include <gradus/kernels/optimizer.h>
#include <gradus/tests/kernels/cuda/support.h>
#include <gradus/tests/kernels/kernel_support.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

/// Nothing, less than a pack, packs with and without a tail, one block exactly, several.
constexpr std::int64_t kSizes[] = {0, 1, 3, 4, 31, 1000, 8192, 8193, 20003};

template <class T> constexpr double kTolerance = sizeof(T) == 4 ? 2e-6 : 1e-14;

/// The arrays of one parameter, on the host and on the device, and as the CPU leaves them.
template <class T> struct State {
  Shape shape;
  std::vector<T> parameter, m, v, gradient, mask;
  DeviceArray<T> parameter_, m_, v_, gradient_, mask_;
  /// `bad`, unless it is 0, is the gradient where the mask is 0.
  State(std::int64_t n, int offset, std::uint32_t seed = 1, double bad = 0, double size = 1)
      : shape({n}),
        parameter(random_values<T>(n, seed, -size, size)),
        m(random_values<T>(n, seed + 1, -1, 1)),
        v(random_values<T>(n, seed + 2, 0, 1)),
        gradient(gradients(n, seed + 3, bad)),
        mask(thirds(n)),
        parameter_(device_array(parameter, shape, offset)),
        m_(device_array(m, shape, offset)),
        v_(device_array(v, shape, offset)),
        gradient_(device_array(gradient, shape, offset)),
        mask_(device_array(mask, shape, offset)) {}

  static std::vector<T> thirds(std::int64_t n) {
    std::vector<T> x(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(i % 3) / 2;
    return x;
  }
  static std::vector<T> gradients(std::int64_t n, std::uint32_t seed, double bad) {
    std::vector<T> x = random_values<T>(n, seed, -1, 1);
    for (std::size_t i = 0; bad != 0 && i < x.size(); i += 3) x[i] = static_cast<T>(bad);
    return x;
  }
  Array host(std::vector<T>& x) { return {x.data(), &shape, dtype_of<T>}; }

  void check() {
    check_close(parameter_.values(), parameter, kTolerance<T>, kTolerance<T>);
    check_close(m_.values(), m, kTolerance<T>, kTolerance<T>);
    check_close(v_.values(), v, kTolerance<T>, kTolerance<T>);
  }
  SgdItem sgd_item(bool momentum, bool masked, const SgdStep& step) {
    return {parameter_.array(), momentum ? m_.array() : Array{}, gradient_.array(), masked ? ConstArray(mask_.array()) : ConstArray(),
            step};
  }
  AdamItem adam_item(bool masked, const AdamStep& step) {
    return {parameter_.array(), m_.array(), v_.array(), gradient_.array(), masked ? ConstArray(mask_.array()) : ConstArray(), step};
  }
  void sgd_on_cpu(bool momentum, bool masked, const SgdStep& step) {
    cpu::sgd(host(parameter), momentum ? host(m) : Array{}, host(gradient), masked ? ConstArray(host(mask)) : ConstArray(), step);
  }
  void adam_on_cpu(bool masked, const AdamStep& step) {
    cpu::adam(host(parameter), host(m), host(v), host(gradient), masked ? ConstArray(host(mask)) : ConstArray(), step);
  }
};

constexpr AdamStep kAdam{
    .learning_rate = 1e-2, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-8, .weight_decay = 0.1, .correction1 = 0.3, .correction2 = 0.1};

template <class T> void check_sgd(std::int64_t n, int offset) {
  for (const bool momentum : {false, true})
    for (const bool masked : {false, true}) {
      INFO("sgd of ", n, ", offset ", offset, ", momentum ", momentum, ", mask ", masked);
      State<T> x(n, offset);
      const SgdStep step{.learning_rate = 0.1, .momentum = 0.9, .weight_decay = 0.01, .nesterov = masked};
      x.sgd_on_cpu(momentum, masked, step);
      const SgdItem i = x.sgd_item(momentum, masked, step);
      cuda::sgd(i.parameter, i.momentum, i.gradient, i.mask, step);
      x.check();
    }
}

template <class T> void check_adam(std::int64_t n, int offset) {
  for (const bool masked : {false, true})
    for (const bool decoupled : {false, true}) {
      INFO("adam of ", n, ", offset ", offset, ", mask ", masked, ", decoupled ", decoupled);
      State<T> x(n, offset);
      AdamStep step = kAdam;
      step.decoupled = decoupled;
      x.adam_on_cpu(masked, step);
      const AdamItem i = x.adam_item(masked, step);
      cuda::adam(i.parameter, i.m, i.v, i.gradient, i.mask, step);
      x.check();
    }
}

template <class T> void check_rest(std::int64_t n, int offset) {
  INFO("ema, scale, squared_norm of ", n, ", offset ", offset);
  State<T> x(n, offset);
  CHECK(cuda::squared_norm(x.gradient_.array()) == doctest::Approx(cpu::squared_norm(x.host(x.gradient))).epsilon(1e-13));
  cpu::ema(x.host(x.parameter), x.host(x.gradient), 0.99);
  cuda::ema(x.parameter_.array(), x.gradient_.array(), 0.99);
  cpu::scale(x.host(x.m), 0.3);
  cuda::scale(x.m_.array(), 0.3);
  x.check();
}

}  // namespace

TEST_CASE("cuda optimizer: sgd, adam, ema, scale and squared_norm") {
  for (const std::int64_t n : kSizes)
    for (const int offset : {0, 1}) {
      check_sgd<float>(n, offset), check_sgd<double>(n, offset);
      check_adam<float>(n, offset), check_adam<double>(n, offset);
      check_rest<float>(n, offset), check_rest<double>(n, offset);
    }
}

TEST_CASE("cuda optimizer: where the mask is 0 the parameter keeps its bits, even if the step is infinite or NaN") {
  for (const double bad : {kInfinity, kNaN}) {
    State<float> x(1003, 0, 1, bad);
    const std::vector<float> before = x.parameter;
    const auto check = [&] {
      const std::vector<float> after = x.parameter_.values();
      for (std::size_t i = 0; i < after.size(); ++i) {
        const bool kept = std::memcmp(&after[i], &before[i], sizeof(float)) == 0;
        REQUIRE((i % 3 == 0 ? kept : std::isfinite(after[i])));
      }
    };
    const SgdItem s = x.sgd_item(false, true, {.learning_rate = 0.1});
    cuda::sgd(s.parameter, s.momentum, s.gradient, s.mask, s.step);
    check();
    const AdamItem a = x.adam_item(true, kAdam);
    cuda::adam(a.parameter, a.m, a.v, a.gradient, a.mask, a.step);
    check();
  }
}

TEST_CASE("cuda optimizer: ema with a decay of 0 is the source, and of 1 the target, bit for bit") {
  State<float> x(1003, 0, 1, 0, 1e10);
  cuda::ema(x.parameter_.array(), x.gradient_.array(), 1);
  check_same_bits(x.parameter_.values(), x.parameter);
  cuda::ema(x.parameter_.array(), x.gradient_.array(), 0);
  check_same_bits(x.parameter_.values(), x.gradient);
}

TEST_CASE("cuda optimizer: squares that overflow in f32 do not") {
  auto x = device_array(std::vector<float>(3, 1e30f), {3});
  CHECK(cuda::squared_norm(x.array()) == doctest::Approx(3e60).epsilon(1e-6));
}

TEST_CASE("cuda optimizer: a long list of tensors of all kinds, in a few launches") {
  std::vector<std::unique_ptr<State<float>>> xs;
  std::vector<std::unique_ptr<State<double>>> wide;
  std::vector<AdamItem> adam;
  std::vector<SgdItem> sgd;
  std::vector<EmaItem> ema;
  std::vector<Array> parameters;
  std::vector<ConstArray> gradients;
  double norm = 0;
  const auto add = [&](auto& list, auto state, int i) {
    auto& x = *state;
    AdamStep step = kAdam;
    if (i % 3 == 0) step.weight_decay = 0;  // the same launch
    if (i > 100) step.correction1 = 0.5;    // another one
    const bool masked = i % 5 == 0;
    norm += cpu::squared_norm(x.host(x.gradient));
    x.adam_on_cpu(masked, step);
    x.sgd_on_cpu(true, masked, {.learning_rate = 0.1, .momentum = 0.9});
    cpu::ema(x.host(x.m), x.host(x.gradient), 0.9);
    cpu::scale(x.host(x.parameter), 0.5);
    adam.push_back(x.adam_item(masked, step));
    sgd.push_back(x.sgd_item(true, masked, {.learning_rate = 0.1, .momentum = 0.9}));
    ema.push_back({x.m_.array(), x.gradient_.array()});
    parameters.push_back(x.parameter_.array());
    gradients.push_back(x.gradient_.array());
    list.push_back(std::move(state));
  };
  for (int i = 0; i < 130; ++i) {
    const std::int64_t n = i == 40 ? 0 : i == 70 ? 30000 : i * 37 % 101;
    add(xs, std::make_unique<State<float>>(n, i % 2, static_cast<std::uint32_t>(10 * i)), i);
    if (i % 50 == 49) add(wide, std::make_unique<State<double>>(n, 0, static_cast<std::uint32_t>(10 * i)), i);
  }
  const int count = static_cast<int>(adam.size());
  CHECK(cuda::squared_norm_many(gradients.data(), count) == doctest::Approx(norm).epsilon(1e-13));
  cuda::adam_many(adam.data(), count);
  cuda::sgd_many(sgd.data(), count);
  cuda::ema_many(ema.data(), count, 0.9);
  cuda::scale_many(parameters.data(), count, 0.5);
  for (const auto& x : xs) x->check();
  for (const auto& x : wide) x->check();
  CHECK(cuda::squared_norm_many(nullptr, 0) == 0);
  cuda::adam_many(nullptr, 0);
}

TEST_CASE("cuda optimizer: the norm has the same bits wherever its tensor lies") {
  const std::vector<float> x = random_values<float>(20003, 7, -1, 1);
  auto a = device_array(x, {20003}), b = device_array(x, {20003}, 3);
  CHECK(cuda::squared_norm(a.array()) == cuda::squared_norm(b.array()));
}
