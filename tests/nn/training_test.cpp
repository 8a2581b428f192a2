// Whole training steps: bits across threads, splits and recomputation, faults, memory, several heads, two trainings side by side.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <thread>

#include <gradus/engine/functional.h>
#include <gradus/engine/ops/convolution.h>
#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/matmul.h>
#include <gradus/engine/ops/random.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/ops/softmax.h>
#include <gradus/engine/pass.h>
#include <gradus/kernels/parallel.h>
#include <gradus/nn/dropout.h>
#include <gradus/nn/models/convnet.h>
#include <gradus/nn/models/mlp.h>
#include <gradus/nn/optimizers.h>
#include <gradus/nn/sequential.h>

using namespace gradus;

namespace {

bool same_bits(const Tensor& a, const Tensor& b) {
  return static_cast<bool>(a) == static_cast<bool>(b) &&
         (!a || (a.shape() == b.shape() && std::memcmp(a.array().data, b.array().data, static_cast<std::size_t>(a.bytes())) == 0));
}
bool same_bits(const TensorList& a, const TensorList& b) {
  for (std::size_t i = 0; i < a.size(); ++i)
    if (!same_bits(a[i], b[i])) return false;
  return a.size() == b.size();
}

Tensor labels(std::int64_t n, std::int64_t classes) {
  std::vector<std::int64_t> y;
  for (std::int64_t i = 0; i < n; ++i) y.push_back((7 * i) % classes);
  return Tensor::from(y, {n});
}

/// Parameters after `steps` steps of a small convnet, everything from `seed`.
TensorList train_convnet(std::uint64_t seed, int steps) {
  Generator rng(seed);
  const Convnet model(1, 4, rng);
  Adam adam({.learning_rate = 1e-2});
  const Tensor x = uniform(Key{seed, 1}, {12, 1, 8, 8}), y = labels(12, 4);
  for (int i = 0; i < steps; ++i) {
    const TrainingPass pass(rng);
    Tape tape(model.parameters());
    adam.step(tape.gradients(cross_entropy(model(x), y)));
  }
  TensorList out;
  for (const NamedTensor& t : model.named_tensors()) out.push_back(t.tensor);
  return out;
}

}  // namespace

TEST_CASE("training: one, two and three threads give the same bits") {
  const TensorList one = train_convnet(5, 4);
  for (const int threads : {2, 3}) {
    ThreadPool pool(threads);
    const PoolScope scope(pool);
    CHECK(same_bits(train_convnet(5, 4), one));
  }
}

TEST_CASE("training: two threads train two models as they would one after the other") {
  const TensorList a = train_convnet(5, 4), b = train_convnet(6, 4);
  TensorList a2, b2;
  std::thread first([&] { a2 = train_convnet(5, 4); }), second([&] { b2 = train_convnet(6, 4); });
  first.join();
  second.join();
  CHECK(same_bits(a, a2));
  CHECK(same_bits(b, b2));
}

TEST_CASE("training: rows of matmul and conv2d and their gradients do not depend on the batch, for batches of 64, 7 and 1 and 2 threads") {
  const Tensor x = uniform(Key{1, 0}, {64, 6, 9, 9}, -1, 1), w = normal(Key{2, 0}, {10, 3, 3, 3}), v = normal(Key{3, 0}, {300, 37});
  const Tensor flat = uniform(Key{4, 0}, {64, 300}, -1, 1);
  struct Result {
    Tensor y, dx;
  };
  auto differentiate = [](const Tensor& input, auto f) {
    Tape tape({input});
    const Tensor y = f(input);
    return Result{y, tape.gradients(y, {.seed = Tensor::full(y.shape(), 0.5)}).values[0]};
  };
  auto conv = [&](const Tensor& in) { return conv2d(in, w, {.stride = 2, .padding = 1, .groups = 2}); };
  auto product = [&](const Tensor& in) { return matmul(in, v); };
  const Result conv_whole = differentiate(x, conv), product_whole = differentiate(flat, product);
  ThreadPool pool(2);
  for (const int threads : {1, 2})
    for (const std::int64_t batch : {64, 7, 1})
      for (std::int64_t first = 0; first < 64; first += batch) {
        std::optional<PoolScope> scope;
        if (threads == 2) scope.emplace(pool);
        const std::int64_t last = std::min<std::int64_t>(first + batch, 64);
        const Result c = differentiate(slice_rows(x, first, last), conv), p = differentiate(slice_rows(flat, first, last), product);
        CHECK(same_bits(c.y, slice_rows(conv_whole.y, first, last)));
        CHECK(same_bits(c.dx, slice_rows(conv_whole.dx, first, last)));
        CHECK(same_bits(p.y, slice_rows(product_whole.y, first, last)));
        CHECK(same_bits(p.dx, slice_rows(product_whole.dx, first, last)));
      }
}

TEST_CASE("training: recompute replays dropout and batch norm bit for bit and updates statistics once") {
  const Tensor x = uniform(Key{1, 0}, {12, 1, 8, 8}), y = labels(12, 4);
  auto step = [&](bool thrifty) {
    Generator rng(9);
    const Convnet model(1, 4, rng);
    const Dropout dropout(0.3);
    TensorList out;
    {
      const TrainingPass pass(rng);
      Tape tape(model.parameters());
      auto trunk = [&](const TensorList& in) { return dropout(model.features(in[0])); };
      const Tensor h = thrifty ? recompute(trunk, {x}) : trunk({x});
      out = tape.gradients(cross_entropy(model.head(h), y)).values;
    }
    for (const NamedTensor& t : model.named_tensors()) out.push_back(t.tensor);  // statistics too
    return out;
  };
  CHECK(same_bits(step(true), step(false)));
}

TEST_CASE("training: a step of one head leaves the other head, its moments and step count alone") {
  Generator rng(2);
  const Mlp trunk({8, 16}, rng);
  const Linear first(16, 3, rng), second(16, 5, rng);
  TensorList all = trunk.parameters();
  for (const Linear* head : {&first, &second})
    for (const Tensor& p : head->parameters()) all.push_back(p);
  Adam adam({.learning_rate = 1e-2});
  const Tensor x = uniform(Key{1, 0}, {6, 8});
  auto step = [&](const Linear& head, std::int64_t classes) {
    Tape tape(all);
    adam.step(tape.gradients(cross_entropy(head(trunk(x)), labels(6, classes))));
  };
  step(second, 5);
  const Tensor weight = second.weight.tensor().clone();
  step(first, 3);
  step(first, 3);
  CHECK(same_bits(second.weight, weight));
  CHECK(adam.state_of(second.weight)->steps == 1);
  CHECK(adam.state_of(first.weight)->steps == 2);
}

TEST_CASE("training: after warm-up a step asks the system for nothing") {
  Generator rng(2);
  const Convnet model(1, 4, rng);
  Adam adam({.learning_rate = 1e-2});
  const Tensor x = uniform(Key{1, 0}, {12, 1, 8, 8}), y = labels(12, 4);
  auto step = [&] {
    const TrainingPass pass(rng);
    Tape tape(model.parameters());
    adam.step(tape.gradients(cross_entropy(model(x), y)));
  };
  for (int i = 0; i < 3; ++i) step();
  const std::int64_t calls = memory_stats().system_calls, bytes = thread_active_bytes();
  for (int i = 0; i < 5; ++i) step();
  CHECK(memory_stats().system_calls == calls);
  CHECK(thread_active_bytes() == bytes);
}

TEST_CASE("training: the n-th allocation of a step fails, for every n: a typed error, no leak, and a second try gives the same bits") {
  Generator rng(2);
  const Mlp model({8, 16, 4}, rng);
  Adam adam({.learning_rate = 1e-2});
  const Tensor x = uniform(Key{1, 0}, {6, 8}), y = labels(6, 4);
  auto step = [&](const Mlp& m, Adam& a) {
    Tape tape(m.parameters());
    a.step(tape.gradients(cross_entropy(m(x), y)));
  };
  step(model, adam);
  auto run = [&](int fail_at) {  // one more step on copies, which keep the state
    Mlp m = model;
    Adam a({.learning_rate = 1e-2});
    step(m, a);
    bool failed = false;
    fail_allocation(fail_at);
    try {
      step(m, a);
    } catch (const MemoryError&) { failed = true; }
    fail_allocation(0);
    if (failed) step(m, a);
    return std::pair{failed, m.parameters()};
  };
  const TensorList right = run(0).second;
  for (int n = 1;; ++n) {
    const std::int64_t bytes = thread_active_bytes();
    bool failed = false;
    {
      const auto result = run(n);
      failed = result.first;
      CHECK(same_bits(result.second, right));
    }
    CHECK(thread_active_bytes() == bytes);
    if (!failed) {
      CHECK(n > 30);
      break;
    }
  }
}
