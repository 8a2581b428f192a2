// An experiment that ends in milliseconds and can be told to misbehave: what the program's tests run.
#include <chrono>
#include <cmath>
#include <thread>

#include <gradus/algorithms/experiments/program/experiment.h>
#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/tape.h>
#include <gradus/kernels/error.h>
#include <gradus/nn/data/vendored.h>
#include <gradus/nn/optimizers.h>

namespace gradus::experiments {
namespace {

enum class Mode { plain, fails, no_memory, not_a_number, stops_early };

struct FakeConfig {
  std::int64_t train_steps = 12, polish_steps = 5;
  double learning_rate = 0.1;
  int batch = 32;
  bool collapse = false;
  std::string label = "plain";
  Mode mode = Mode::plain;
  int milliseconds = 0;

  void visit(FieldVisitor& v) {
    v.field("train_steps", train_steps, "steps of the first loop", "1000");
    v.field("polish_steps", polish_steps, "steps of the second loop");
    v.field("learning_rate", learning_rate, "rate of SGD", "0.3");
    v.field("batch", batch, "images per step", "512");
    v.field("collapse", collapse, "fires the finding");
    v.field("label", label, "any text");
    v.choice("mode", mode, {"plain", "fails", "no_memory", "not_a_number", "stops_early"}, "what goes wrong");
    v.field("milliseconds", milliseconds, "pause in each step");
  }
};

// A weight for every pixel: its mean product with the images is driven to the mean label.
struct Pixels : ModuleOf<Pixels> {
  Parameter weight{Tensor::zeros({64})};
  void visit(Visitor& v) { v("weight", weight); }
};

Tensor loss_of(const Pixels& model, const Batch& batch) {
  const Tensor images = reshape(batch.inputs, {batch.inputs.size(0), 64});
  return mean(square(add(mul(images, model.weight), -0.1)));
}

double step_of(Pixels& model, Optimizer& optimizer, const Batch& batch, const FakeConfig& config) {
  std::this_thread::sleep_for(std::chrono::milliseconds(config.milliseconds));
  Tape tape(model.parameters());
  const Tensor loss = loss_of(model, batch);
  optimizer.step(tape.gradients(loss));
  return loss.item();
}

void misbehave(Mode mode) {
  if (mode == Mode::fails) raise_shape("[fake] x is [2, 3]: expected [3, 2]");
  if (mode == Mode::no_memory) throw std::bad_alloc();
}

void run_fake(Run& run) {
  FakeConfig config;
  if (run.quick()) config.train_steps = 3;
  run.configure(config);
  const Split data = digits().split(1437, run.seed());
  run.data({.name = "digits", .train = data.train.size(), .test = data.test.size(), .origin = digits().origin, .sha256 = digits().sha256});
  Pixels model;
  Sgd sgd({.learning_rate = config.learning_rate, .momentum = 0.9});
  Loader loader(data.train, {.batch_size = config.batch}, run.seed());
  Generator rng(run.seed());
  double noise = 0;
  const auto state = [&](Checkpoint& c) {
    c("model", model);
    c("sgd", sgd, model);
    c("loader", loader);
    c("rng", rng);
    c("noise", noise);
  };
  run.baseline("raw_pixels", "score", 0.5);
  for (const std::int64_t step : run.steps(config.train_steps, state)) {
    const double loss = step_of(model, sgd, loader.next(), config);
    noise += uniform_from(philox_block(rng.next_key(), 0, 0).word[0]);
    run.log(step, {{"loss", loss}, {"noise", noise}});
    if (step % 4 == 3) run.log(step, {{"score", static_cast<double>(step)}});
    if (step == 2) run.metric("at_step_2", loss);
    if (step == 5) misbehave(config.mode);
    if (step == 6 && config.mode == Mode::stops_early) break;
    run.count_samples(config.batch);
  }
  const double before_polish = noise;
  for (const std::int64_t step : run.steps("polish", config.polish_steps, state)) {
    run.log(step, {{"polish_loss", step_of(model, sgd, loader.next(), config)}});
    noise += 1;
  }

  const double score = config.mode == Mode::not_a_number ? NAN : static_cast<double>(run.seed());
  run.metric("score", score);
  run.metric("before_polish", before_polish);
  run.metric("noise", noise);
  double squares = 0;  // of all logged losses: a resumed run has some of them from the file
  for (const double loss : run.series("loss").y) squares += loss * loss;
  run.metric("squares", squares);
  run.metric("weight", static_cast<double>(model.weight.tensor().values<float>()[20]));
  run.check("score", score, ">=", 2);
  run.check("score", score, "<=", 3, Judged::worst);
  run.finding({"collapse", config.collapse ? 0.99 : 0.02, 0.95, config.collapse ? "fired" : "ok",
               "All embeddings are equal: keep the stop-gradient."});
  run.plot({.file = "loss",
            .title = "Loss of the fake",
            .x_title = "step",
            .y_title = "loss (squared grey)",
            .series = {run.series("loss")},
            .levels = {{"raw pixels", 0.05}}});
}

void tape_of_fake(Run& run) {
  Pixels model;
  Generator rng(run.seed());
  const Batch batch = digits().sample(8, rng);
  Tape tape(model.parameters());
  run.trace(tape);
  const Tensor loss = loss_of(model, batch);
  run.show(tape);
}

const Experiment fake{.name = "fake",
                      .family = "tests",
                      .paper = "Nobody 2024",
                      .idea = "A straight line through nothing in particular.",
                      .formula = "L = mean (w x - 0.1)^2",
                      .data = "digits",
                      .quick_seconds = 1,
                      .full_seconds = 2,
                      .ingredients = {"fake_ingredient"},
                      .run = run_fake,
                      .visit = visit_defaults<FakeConfig>,
                      .tape = tape_of_fake};
GRADUS_EXPERIMENT(fake);

}  // namespace
}  // namespace gradus::experiments
