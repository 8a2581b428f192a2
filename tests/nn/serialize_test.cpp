#include <doctest/doctest.h>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/random.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/pass.h>
#include <gradus/nn/dropout.h>
#include <gradus/nn/models/mlp.h>
#include <gradus/nn/serialize.h>

#include "support.h"

using namespace gradus;
using namespace gradus::testing;

namespace {

struct Net : ModuleOf<Net> {
  Mlp body;
  Dropout dropout{.5};
  Linear head;
  Buffer seen{Tensor::zeros({1})};

  explicit Net(Generator& rng) : body({3, 8, 8}, rng), head(8, 2, rng) {}
  Tensor operator()(const Tensor& x) const {
    update_at_end_of_pass(seen, Tensor::ones({1}), .5);
    return head(dropout(relu(body(x))));
  }
  void visit(Visitor& v) {
    v("body", body);
    v("head", head);
    v("seen", seen);
  }
};

/// Everything that one run consists of.
struct Run {
  Generator rng;
  Net net;
  AdamW optimizer;
  std::int64_t step = 0;
  double best = 1e9;
  std::string note = "fresh";
  Tensor queue = Tensor::zeros({2, 3});
  std::vector<std::int64_t> order;
  std::vector<double> losses;
  Checkpoint checkpoint;

  explicit Run(std::uint64_t seed)
      : rng(seed),
        net(rng),
        optimizer({.learning_rate = Schedule::warmup_cosine(1e-2, 3, 40), .weight_decay = .01, .no_decay = no_decay(net)}) {
    checkpoint.add("net", net);
    checkpoint.add("adamw", optimizer, net);
    checkpoint.add("rng", rng);
    checkpoint.add("step", step);
    checkpoint.add("best", best);
    checkpoint.add("note", note);
    checkpoint.add("queue", queue);
    checkpoint.add("order", order);
    checkpoint.add("losses", losses);
  }
  Run(const Run&) = delete;

  void train(int steps) {
    for (int i = 0; i < steps; ++i, ++step) {
      const Tensor x = normal(rng.next_key(), {5, 3}), y = normal(rng.next_key(), {5, 2});
      TrainingPass pass(rng);
      Tape tape(net.parameters());
      const Tensor loss = mean(square(net(x) - y));
      losses.push_back(loss.item());
      order.push_back(step * step);
      best = std::min(best, losses.back());
      optimizer.step(tape.gradients(loss));
    }
    note = "trained";
  }
};

void check_same(Run& a, Run& b) {
  CHECK(same_bits_of(a.net, b.net));
  CHECK(a.rng == b.rng);
  CHECK(a.step == b.step);
  CHECK(a.best == b.best);
  CHECK(a.note == b.note);
  CHECK(same_bits(a.queue, b.queue));
  CHECK(a.order == b.order);
  CHECK(a.losses == b.losses);
  CHECK(a.optimizer.steps() == b.optimizer.steps());
  CHECK(a.optimizer.learning_rate() == b.optimizer.learning_rate());
  const TensorList p = a.net.parameters(), q = b.net.parameters();
  for (std::size_t i = 0; i < p.size(); ++i) {
    const OptimizerState *s = a.optimizer.state_of(p[i]), *t = b.optimizer.state_of(q[i]);
    REQUIRE((s == nullptr) == (t == nullptr));
    if (!s) continue;
    CHECK(s->steps == t->steps);
    CHECK(s->decays == t->decays);
    CHECK(same_bits(s->mask, t->mask));
    for (int m = 0; m < 2; ++m) CHECK(same_bits(s->moments[m], t->moments[m]));
  }
}

}  // namespace

TEST_CASE("checkpoint: ten steps, save, load into fresh objects, ten steps equal twenty, bit for bit") {
  const TemporaryFolder folder;
  Run whole(7), first(7), second(12345);
  whole.train(20);
  first.train(10);
  first.checkpoint.save(folder / "run.safetensors");
  second.checkpoint.load(folder / "run.safetensors");
  check_same(first, second);
  second.train(10);
  check_same(whole, second);
  CHECK_FALSE(same_bits_of(first.net, second.net));
  // Loading keeps the tensors that were there: gradients and optimizer go on with the same ids.
  CHECK(second.optimizer.parameters() == second.net.parameters().size());
}

TEST_CASE("checkpoint: state that only some parameters have, masks and empty values come back") {
  const TemporaryFolder folder;
  Run a(1), b(2);
  a.optimizer.set_update_mask(a.net.head.weight, Tensor::full({2, 8}, .5));
  Tape tape({a.net.head.bias.tensor()});
  const Tensor loss = sum(a.net.head.bias.tensor() * 2.0);
  a.optimizer.step(tape.gradients(loss));
  a.queue = Tensor();
  a.checkpoint.save(folder / "a");
  b.train(3);
  b.checkpoint.load(folder / "a");
  check_same(a, b);
  CHECK(b.optimizer.parameters() == 2);
  CHECK_FALSE(b.queue);
  b.queue = Tensor::ones({4, 1});
  b.checkpoint.save(folder / "b");
  a.checkpoint.load(folder / "b");  // any shape, where there was nothing
  CHECK(same_bits(a.queue, Tensor::ones({4, 1})));
}

TEST_CASE("checkpoint: the config is part of the run") {
  const TemporaryFolder folder;
  Generator rng(1);
  Mlp model({2, 2}, rng);
  Sgd saved({.learning_rate = .5, .momentum = .75, .nesterov = true, .weight_decay = .25}), loaded({.learning_rate = 1});
  Checkpoint out, in;
  out.add("sgd", saved, model);
  in.add("sgd", loaded, model);
  out.save(folder / "x");
  in.load(folder / "x");
  CHECK(loaded.config().momentum == .75);
  CHECK(loaded.config().nesterov);
  CHECK(loaded.config().weight_decay == .25);
  CHECK(loaded.learning_rate() == .5);
}

TEST_CASE("checkpoint: whatever is wrong with a file, nothing changes") {
  Run good(7), run(8);
  good.train(3);
  run.train(2);
  const TensorFile file = good.checkpoint.to_file();
  Run untouched(8);
  untouched.train(2);
  const auto rejected = [&](const TensorFile& wrong) {
    const std::string text = error_of<IoError>([&] { run.checkpoint.load(wrong, "file"); });
    check_same(run, untouched);
    return text;
  };
  const auto replace = [&](const std::string& name, const Tensor& tensor) {
    TensorFile wrong = file;
    for (auto& pair : wrong.tensors)
      if (pair.first == name) pair.second = tensor;
    return rejected(wrong);
  };
  const auto rewrite = [&](const std::string& name, const std::string& text) {
    TensorFile wrong = file;
    for (auto& pair : wrong.metadata)
      if (pair.first == name) pair.second = text;
    return rejected(wrong);
  };
  for (std::size_t i = 0; i < file.tensors.size(); ++i) {
    TensorFile wrong = file;
    wrong.tensors.erase(wrong.tensors.begin() + static_cast<std::ptrdiff_t>(i));
    const std::string& name = file.tensors[i].first;
    // A moment may be absent (never stepped) and so may a tensor value; everything else is missed, or leaves something unclaimed.
    if (name == "queue" || name.ends_with(".m") || name.ends_with(".v")) continue;
    CHECK_MESSAGE(!rejected(wrong).empty(), name);
  }
  for (std::size_t i = 0; i < file.metadata.size(); ++i) {
    TensorFile wrong = file;
    wrong.metadata.erase(wrong.metadata.begin() + static_cast<std::ptrdiff_t>(i));
    CHECK(contains(rejected(wrong), "'" + file.metadata[i].first + "' is missing"));
  }
  CHECK(contains(replace("net.body.layers.1.bias", Tensor::ones({9})), "'net.body.layers.1.bias' is f32[9]; expected f32[8]"));
  CHECK(contains(replace("net.head.weight", Tensor::ones({2, 8}, DType::f64)), "is f64[2, 8]; expected f32[2, 8]"));
  CHECK(contains(replace("adamw.head.weight.m", Tensor::ones({2, 7})), "adamw.head.weight.m"));
  CHECK(contains(replace("adamw.head.weight.steps", Tensor::ones({})), "adamw.head.weight.steps"));
  CHECK(contains(replace("queue", Tensor::ones({2}, DType::i64)), "'queue' is i64"));
  CHECK(contains(replace("losses", Tensor::ones({3, 1}, DType::f64)), "'losses'"));
  CHECK(contains(rewrite("adamw.kind", "adam"), "expected adamw"));
  CHECK(contains(rewrite("adamw.beta1", "x"), "adamw.beta1"));
  CHECK(contains(rewrite("rng", "7"), "'rng'"));
  CHECK(contains(rewrite("step", "1.5"), "'step'"));
  CHECK(contains(rewrite("gradus.checkpoint", "2"), "format 2"));
  TensorFile more = file;
  more.tensors.emplace_back("net.tail.weight", Tensor::ones({1}));
  CHECK(contains(rejected(more), "'net.tail.weight' belongs to nothing here"));
  more = file;
  more.metadata.emplace_back("stage", "3");
  CHECK(contains(rejected(more), "'stage' belongs to nothing here"));
  {
    Tape tape(run.net.parameters());
    CHECK(contains(error_of<GradientError>([&] { run.checkpoint.load(file, "file"); }), "live on a tape"));
  }
  check_same(run, untouched);
  std::string error;
  CHECK_FALSE(run.checkpoint.try_load("/no/such/file", &error));
  CHECK(contains(error, "/no/such/file"));
  run.checkpoint.load(file, "file");
  check_same(run, good);
}

TEST_CASE("checkpoint: what cannot be saved or named says so") {
  Generator rng(1);
  Mlp small({2, 2}, rng), other({2, 2}, rng);
  Sgd sgd({});
  sgd.set_update_mask(other.layers[0].weight, Tensor::ones({2, 2}));
  Checkpoint run;
  run.add("sgd", sgd, small);
  CHECK(contains(error_of<ValueError>([&] { run.to_file(); }), "has state of 1 parameters, of which the model has 0"));
  CHECK(contains(error_of<ValueError>([&] { run.add("sgd", small); }), "two parts are named 'sgd'"));
  CHECK(contains(error_of<ValueError>([&] { run.add("a.b", small); }), "no dot"));
  CHECK(contains(error_of<ValueError>([&] { run.add("", small); }), "no dot"));
}

TEST_CASE("checkpoint: an allocation that fails while loading changes nothing, and the next try succeeds") {
  Run good(7);
  good.train(3);
  const TensorFile file = good.checkpoint.to_file();
  int failures = 0;
  for (std::int64_t nth = 1;; ++nth) {
    Run run(8), untouched(8);
    fail_allocation(nth);
    bool failed = false;
    try {
      run.checkpoint.load(file, "file");
    } catch (const MemoryError&) { failed = true; }
    fail_allocation(0);
    if (!failed) break;
    ++failures;
    check_same(run, untouched);
    run.checkpoint.load(file, "file");
    check_same(run, good);
  }
  CHECK(failures > 10);
}

TEST_CASE("checkpoint: one model alone is a plain file of its names") {
  const TemporaryFolder folder;
  Generator rng(1);
  const Mlp model({2, 3, 1}, rng);
  Mlp other({2, 3, 1}, rng), larger({2, 4, 1}, rng);
  save_module(folder / "m", model);
  const TensorFile file = read_safetensors(folder / "m");
  CHECK(file.tensors.size() == 4);
  CHECK(file.find("layers.1.bias") != nullptr);
  load_module(folder / "m", other);
  CHECK(same_bits_of(model, other));
  CHECK(contains(error_of<IoError>([&] { load_module(folder / "m", larger); }), "expected f32[4, 2]"));
}
