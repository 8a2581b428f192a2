// Meta-gradients: exact tests on the sinusoid network, in f64.
#include <doctest/doctest.h>

#include <cmath>

#include <gradus/algorithms/meta/check_meta_gradient.h>
#include <gradus/algorithms/meta/fomaml.h>
#include <gradus/algorithms/meta/maml.h>
#include <gradus/algorithms/meta/reptile.h>
#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/matmul.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/softmax.h>
#include <gradus/nn/models/mlp.h>

using namespace gradus;

namespace {

constexpr std::uint64_t kSeed = 11;

Tensor mse_loss(const Tensor& output, const Tensor& target) { return mse(output, target); }

Module network(Activation activation) {
  Generator rng(kSeed);
  Mlp mlp({1, 40, 40, 1}, rng, {.activation = activation});
  mlp.to(DType::f64);
  return mlp;
}

std::vector<Task> sinusoids(int count) {
  std::vector<Task> tasks;
  for (int i = 0; i < count; ++i) tasks.push_back(SinusoidTasks{}.sample(fold(Key{kSeed, 1}, static_cast<std::uint64_t>(i)), DType::f64));
  return tasks;
}

/// Mean meta-gradient over tasks.
TensorList mean_gradient(const Module& model, const std::vector<Task>& tasks, const MamlConfig& config) {
  const TensorList theta = model.parameters();
  TensorList mean(theta.size());
  for (const Task& task : tasks) {
    const InnerLoopGradient g = maml_gradient(model, theta, task, mse_loss, config, Key{});
    for (std::size_t i = 0; i < mean.size(); ++i) {
      const Tensor share = g.initial[i] * (1.0 / static_cast<double>(tasks.size()));
      mean[i] = mean[i] ? mean[i] + share : share;
    }
  }
  return mean;
}

/// The meta-objective itself: plain gradient descent, then the query loss. No graph anywhere.
double objective(const Module& model, const TensorList& values, const std::vector<Task>& tasks, const MamlConfig& config) {
  double sum = 0;
  for (const Task& task : tasks) {
    const InnerLoss support = [&](const TensorList& v, int) {
      return mse(bind_parameters(model, std::span<const Tensor>(v))(task.support_inputs), task.support_targets);
    };
    const TensorList adapted = adapt(support, values, config.inner()).back();
    sum += query_loss(model, adapted, task, mse_loss, config.mode, Key{});
  }
  return sum / static_cast<double>(tasks.size());
}

double largest_difference(const TensorList& a, const TensorList& b) {
  double largest = 0, scale = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::fmax(largest, max(abs(a[i] - b[i])).item());
    scale = std::fmax(scale, max(abs(a[i])).item());
  }
  return largest / scale;
}

std::string name_of(Activation a) { return a == Activation::tanh ? "tanh" : a == Activation::relu ? "relu" : "softplus"; }

}  // namespace

TEST_CASE("MAML's meta-gradient agrees with central differences; FOMAML's does not (X1, X2)") {
  const std::vector<Task> tasks = sinusoids(25);
  for (const Activation activation : {Activation::tanh, Activation::softplus, Activation::relu})
    for (const int steps : {1, 5}) {
      const Module model = network(activation);
      const MamlConfig config{.inner_lr = 0.01, .inner_steps = steps};
      MamlConfig first_order = config;
      first_order.differentiate = Differentiate::first_order;
      auto f = [&](const TensorList& v) { return objective(model, v, tasks, config); };
      const MetaGradientCheck exact = check_meta_gradient(f, model.parameters(), mean_gradient(model, tasks, config), Key{kSeed, 2});
      const MetaGradientCheck crude = check_meta_gradient(f, model.parameters(), mean_gradient(model, tasks, first_order), Key{kSeed, 2});
      MESSAGE(name_of(activation), ", K = ", steps, ": MAML ", exact.relative_error, ", FOMAML ", crude.relative_error, " (cosine ",
              crude.cosine, ")");
      CHECK(exact.relative_error < 1e-7);
      CHECK(crude.relative_error > 0.05);
    }
}

TEST_CASE("the adjoint equals the unrolled gradient, and its tape does not grow with K (X4)") {
  const Module model = network(Activation::tanh);
  const Task task = sinusoids(1)[0];
  std::int64_t adjoint_bytes = 0, unrolled_bytes = 0;
  for (const int steps : {1, 5, 10, 100}) {
    MamlConfig config{.inner_lr = 0.01, .inner_steps = steps, .differentiate = Differentiate::unrolled};
    const InnerLoopGradient unrolled = maml_gradient(model, model.parameters(), task, mse_loss, config, Key{});
    config.differentiate = Differentiate::adjoint;
    const InnerLoopGradient adjoint = maml_gradient(model, model.parameters(), task, mse_loss, config, Key{});
    MESSAGE("K = ", steps, ": peak tape bytes ", adjoint.peak_tape_bytes, " adjoint, ", unrolled.peak_tape_bytes, " unrolled");
    CHECK(largest_difference(unrolled.initial, adjoint.initial) < 1e-10);
    if (steps == 1) adjoint_bytes = adjoint.peak_tape_bytes;
    CHECK(adjoint.peak_tape_bytes == adjoint_bytes);
    CHECK(unrolled.peak_tape_bytes > unrolled_bytes);
    unrolled_bytes = unrolled.peak_tape_bytes;
  }
}

TEST_CASE("learned rates and shared parameters: adjoint equals unrolled (Meta-SGD, ANIL)") {
  const Tensor w = Tensor::from({0.5, -1.0, 0.25}), rate = Tensor::from({0.1, 0.2, 0.3}), shared = Tensor::from({1.5, -0.5, 2.0});
  const InnerLoss support = [&](const TensorList& v, int) { return sum(square(tanh(v[0] * shared) - 0.3)); };
  const InnerLoss query = [&](const TensorList& v, int) { return sum(v[0] * v[0] * shared); };
  for (const int steps : {1, 4}) {
    InnerLoopConfig config{.inner_steps = steps};
    const InnerLoopGradient a = inner_loop_gradient(support, query, {w}, {shared}, {rate}, config);
    config.differentiate = Differentiate::adjoint;
    const InnerLoopGradient b = inner_loop_gradient(support, query, {w}, {shared}, {rate}, config);
    CHECK(largest_difference(a.initial, b.initial) < 1e-10);
    CHECK(largest_difference(a.rates, b.rates) < 1e-10);
    CHECK(largest_difference(a.shared, b.shared) < 1e-10);
  }
}

TEST_CASE("quadratic tasks: the meta-gradient is (I - aA)^T A (I - aA) (theta - c) (X3)") {
  const double a = 0.1;
  const Tensor A = Tensor::from({2.0, 0.5, 0.5, 1.0}, {2, 2}), c = Tensor::from({0.3, -0.7}, {1, 2}),
               theta = Tensor::from({1.0, 2.0}, {1, 2});
  const InnerLoss loss = [&](const TensorList& v, int) {
    const Tensor d = v[0] - c;
    return sum(matmul(d, A) * d) * 0.5;
  };
  const InnerLoopGradient g = inner_loop_gradient(loss, loss, {theta}, {}, {}, {.inner_lr = a, .inner_steps = 1});
  const Tensor step = Tensor::from({1 - a * 2.0, -a * 0.5, -a * 0.5, 1 - a * 1.0}, {2, 2});  // I - aA, symmetric
  const Tensor expected = matmul(matmul(matmul(theta - c, step), A), step);
  CHECK(max(abs(g.initial[0] - expected)).item() < 1e-10);
}

TEST_CASE("a detached-copy inner loop has no meta-gradient, and the engine says so (X5)") {
  const Module model = network(Activation::tanh);
  const Task task = sinusoids(1)[0];
  Tape outer(model.parameters());
  Module copy = model;  // fresh parameters: nothing that happens to them is a function of the model's
  {
    Tape inner(copy.parameters());
    const Gradients g = inner.gradients(mse(copy(task.support_inputs), task.support_targets));
    for (std::size_t i = 0; i < g.size(); ++i) assign(g.parameters[i], add_scaled(g.parameters[i], g.values[i], -0.01));
  }
  const Tensor loss = mse(copy(task.query_inputs), task.query_targets);
  CHECK_THROWS_AS(outer.gradients(loss), GradientError);
}

TEST_CASE("FOMAML records no double backward") {
  const Module model = network(Activation::tanh);
  const Task task = sinusoids(1)[0];
  const FomamlConfig config;
  const InnerLoopGradient first = maml_gradient(model, model.parameters(), task, mse_loss, config.as_maml(), Key{});
  MamlConfig second{.inner_lr = config.inner_lr};
  const InnerLoopGradient exact = maml_gradient(model, model.parameters(), task, mse_loss, second, Key{});
  CHECK(first.peak_tape_bytes * 2 < exact.peak_tape_bytes);
}

TEST_CASE("Reptile's leading order: (theta - W) / lr is 2G - aI for two mini-batches of a quadratic") {
  // On one deterministic quadratic loss L = h x^2 / 2: two steps give W = (1 - a h)^2 x, so (x - W) / a = 2 h x - a h^2 x.
  const double a = 0.05, h = 1.7, x = 0.8;
  const Tensor one = Tensor::from({x});
  const InnerLoss loss = [&](const TensorList& v, int) { return sum(v[0] * v[0]) * (h / 2); };
  const TensorList w = adapt(loss, {one}, {.inner_lr = a, .inner_steps = 2}).back();
  CHECK((x - w[0].item()) / a == doctest::Approx(2 * h * x - a * h * h * x).epsilon(1e-12));
}

TEST_CASE("bad configurations are refused") {
  const Module model = network(Activation::tanh);
  const std::vector<Task> tasks = sinusoids(1);
  CHECK_THROWS_AS(maml_gradient(model, model.parameters(), tasks[0], mse_loss, {.inner_steps = 0}, Key{}), ValueError);
  CHECK_THROWS_AS(reptile_direction(model, tasks, mse_loss, {.inner_steps = 1}, Key{}), ValueError);
  CHECK_THROWS_AS(reptile_direction(model, tasks, mse_loss, {.inner_batch = 11}, Key{}), ValueError);
  Adam optimizer({});
  CHECK_THROWS_AS(maml_step(model, optimizer, {}, mse_loss, {}, Key{}), ValueError);
}

TEST_CASE("a task is the same wherever it is drawn, and its points follow y = A sin(x - phase)") {
  const Task a = SinusoidTasks{}.sample(Key{3, 0}, DType::f64), b = SinusoidTasks{}.sample(Key{3, 0}, DType::f64);
  CHECK(max(abs(a.support_targets - b.support_targets)).item() == 0);
  double amplitude = 0;
  for (int i = 0; i < 50; ++i) {
    const Task t = SinusoidTasks{.query = 200}.sample(fold(Key{4, 0}, static_cast<std::uint64_t>(i)));
    CHECK(max(abs(t.query_targets)).item() <= 5.0);
    CHECK(max(abs(t.query_inputs)).item() <= 5.0);
    amplitude += max(abs(t.query_targets)).item() / 50;
  }
  CHECK(amplitude == doctest::Approx(2.55).epsilon(0.25));  // the mean of U[.1, 5]
}
