// SimCLR on 8x8 digits: what two augmented views of every image teach, judged by one or five labels per class.
#include <cmath>

#include <gradus/algorithms/experiments/program/checkpoint.h>
#include <gradus/algorithms/experiments/program/experiment.h>
#include <gradus/algorithms/self_supervised/knn_probe.h>
#include <gradus/algorithms/self_supervised/linear_probe.h>
#include <gradus/algorithms/self_supervised/simclr.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/pass.h>
#include <gradus/engine/tape.h>
#include <gradus/nn/data/loader.h>
#include <gradus/nn/data/vendored.h>
#include <gradus/nn/models/convnet.h>

namespace gradus::experiments {
namespace {

constexpr std::int64_t kTrain = 1437;                        // of 1,797: the protocol behind the acceptance figures
constexpr std::int64_t kQuickTrain = 160, kQuickTest = 100;  // ten steps that end in minutes under the emulator, too

enum class Augmentation { standard, noise_only };

struct SimclrExperiment {
  SimclrConfig simclr;
  ViewConfig views;
  Augmentation augmentation = Augmentation::standard;
  std::int64_t epochs = 40, batch = 256, warmup_steps = 20;
  double learning_rate = 2e-3, weight_decay = 1e-4;

  void visit(FieldVisitor& v) {
    simclr.visit(v);
    views.visit(v);
    v.choice("augmentation", augmentation, {"standard", "noise_only"}, "noise_only is the ablation that must lose the gain", "standard");
    v.field("epochs", epochs, "passes over the training images", "1000 (CIFAR-10)");
    v.field("batch", batch, "images per step (twice as many views)", "512 (CIFAR-10), 4096");
    v.field("learning_rate", learning_rate, "peak rate of AdamW", "1.0 (LARS, CIFAR-10)");
    v.field("weight_decay", weight_decay, "decoupled, not on biases and norms", "1e-4 (CIFAR-10)");
    v.field("warmup_steps", warmup_steps, "linear warm-up before the cosine", "10 epochs");
  }
};

struct Probes {
  double knn, linear, fs1, fs5;
};

/// How much frozen features know. The same draws of labels for every row of the table.
Probes probe(const Tensor& train, const Tensor& train_labels, const Tensor& test, const Tensor& test_labels, Key key) {
  return {knn_probe(train, train_labels, test, test_labels).accuracy, linear_probe(train, train_labels, test, test_labels),
          few_label_probe(train, train_labels, test, test_labels, 1, 10, fold(key, 1)),
          few_label_probe(train, train_labels, test, test_labels, 5, 10, fold(key, 5))};
}

Probes probe_encoder(const Module& encoder, const Split& data, Key key, Device device) {
  const auto features = [&](const Tensor& images) { return encode(encoder, images.to(device)).to(Device::cpu); };
  return probe(features(data.train.inputs), data.train.labels, features(data.test.inputs), data.test.labels, key);
}

Probes probe_pixels(const Split& data, Key key) {
  auto flat = [](const Tensor& x) { return reshape(x, {x.size(0), -1}); };
  return probe(flat(data.train.inputs), data.train.labels, flat(data.test.inputs), data.test.labels, key);
}

void report_baseline(Run& run, const char* row, const Probes& p) {
  run.baseline(row, "knn", p.knn);
  run.baseline(row, "linear", p.linear);
  run.baseline(row, "fs1", p.fs1);
  run.baseline(row, "fs5", p.fs5);
}

/// The monitor sees the log, so that a resumed run says what an unbroken one says.
void report_findings(Run& run, std::int64_t steps, const SimclrExperiment& config) {
  RepresentationMonitor monitor(steps, config.batch, config.simclr.temperature);
  const Series loss = run.series("loss"), bound = run.series("bound"), positive = run.series("positive_cosine"),
               spread = run.series("z_std"), cosine = run.series("z_cosine"), rank = run.series("z_rank");
  for (std::size_t i = 0; i < loss.x.size(); ++i)
    monitor.observe(static_cast<std::int64_t>(loss.x[i]),
                    {loss.y[i], bound.y[i], loss.y[i] + bound.y[i], positive.y[i], {spread.y[i], cosine.y[i], rank.y[i]}});
  for (const gradus::Finding& f : monitor.findings())
    run.finding({f.name, f.value, f.threshold, f.alarm ? "alarm" : "ok", f.alarm ? f.advice : ""});
}

void report_plots(Run& run, const Series& loss, double ceiling) {
  run.plot({.file = "loss",
            .title = "SimCLR on digits: NT-Xent",
            .x_title = "step",
            .y_title = "loss (nats)",
            .series = {loss},
            .levels = {{"chance, log(2N - 1)", ceiling}}});
  Series cosine = run.series("z_cosine"), spread = run.series("z_std"), positive = run.series("positive_cosine");
  cosine.name = "mean cosine of all pairs";
  spread.name = "spread of z (1: isotropic)";
  positive.name = "cosine of positives";
  run.plot({.file = "collapse",
            .title = "Is it collapsing?",
            .x_title = "step",
            .y_title = "train-mode z (no unit)",
            .series = {positive, spread, cosine},
            .levels = {{"collapse alarm on mean cosine", 0.95}}});
}

/// The tape of one step, for `gradus tape simclr`: a forward of its own that leaves no trace.
void show_tape(Run& run, const Simclr& model, const Tensor& a, const Tensor& b, Key key) {
  TrainingPass pass(key);
  pass.discard();
  Tape tape(model.parameters());
  run.trace(tape);
  const SimclrLoss loss = simclr_loss(model, a, b);
  run.show(tape);
}

void run_simclr(Run& run) {
  SimclrExperiment config;
  if (run.quick()) config.epochs = 2, config.batch = 32;
  run.configure(config);
  const ViewConfig views = config.augmentation == Augmentation::standard ? config.views : ViewConfig::almost_none();
  const Dataset& set = digits();
  Split data = set.split(kTrain, run.seed());
  if (run.quick()) data = {data.train.take(kQuickTrain), data.test.take(kQuickTest)};
  run.data({.name = set.name, .train = data.train.size(), .test = data.test.size(), .origin = set.origin, .sha256 = set.sha256});
  const Key key{run.seed(), 0}, probe_key = fold(key, 1), view_key = fold(key, 2), pass_key = fold(key, 3);

  Generator rng(run.seed());
  const ConvEncoder encoder(1, rng);
  Simclr model(encoder, encoder.features(), config.simclr, rng);
  model.to(run.device());
  const Probes pixels = probe_pixels(data, probe_key), random_encoder = probe_encoder(model.encoder, data, probe_key, run.device());
  Loader loader(data.train, {.batch_size = config.batch}, run.seed());
  const std::int64_t per_epoch = loader.batches_per_epoch(), steps = config.epochs * per_epoch;
  AdamW optimizer({.learning_rate = Schedule::warmup_cosine(config.learning_rate, std::min(config.warmup_steps, steps / 2), steps),
                   .weight_decay = config.weight_decay,
                   .no_decay = no_decay(model)});
  const auto state = [&](Checkpoint& c) {
    c("model", model);
    c("optimizer", optimizer, model);
    c("loader", loader);
  };
  for (const std::int64_t step : run.steps(steps, state)) {
    const Batch batch = loader.next();
    const Key epoch_key = fold(view_key, static_cast<std::uint64_t>(step / per_epoch));
    const Tensor images = batch.inputs.to(run.device());
    const Tensor a = augmented_view(images, batch.sample_ids, fold(epoch_key, 0), views);
    const Tensor b = augmented_view(images, batch.sample_ids, fold(epoch_key, 1), views);
    if (step == 0) show_tape(run, model, a, b, pass_key);
    const SimclrLoss loss = simclr_step(model, optimizer, a, b, fold(pass_key, static_cast<std::uint64_t>(step)));
    const ContrastiveStats s = contrastive_stats(loss);
    run.log(step, {{"loss", s.loss},
                   {"bound", s.bound},
                   {"positive_cosine", s.positive_cosine},
                   {"alignment", s.alignment()},
                   {"z_std", s.z.std_sqrt_d},
                   {"z_cosine", s.z.mean_cosine},
                   {"z_rank", s.z.effective_rank}});
    run.count_samples(config.batch);
  }

  const Probes trained = probe_encoder(model.encoder, data, probe_key, run.device());
  run.metric("knn", trained.knn);
  run.metric("linear", trained.linear);
  run.metric("fs1", trained.fs1);
  run.metric("fs5", trained.fs5);
  run.metric("z_std", run.series("z_std").y.back());
  run.metric("z_cosine", run.series("z_cosine").y.back());
  run.metric("z_rank", run.series("z_rank").y.back());
  report_baseline(run, "raw_pixels", pixels);
  report_baseline(run, "random_encoder", random_encoder);
  report_findings(run, steps, config);
  Series loss = run.series("loss");
  loss.name = "training loss";
  report_plots(run, loss, std::log(2.0 * static_cast<double>(config.batch) - 1));
  run.check("fs1", trained.fs1, ">=", 72);
  run.check("fs1_over_raw_pixels", trained.fs1 - pixels.fs1, ">=", 12);
  run.check("fs5", trained.fs5, ">=", 92);
}

const Experiment simclr_experiment{
    .name = "simclr",
    .family = "self_supervised",
    .paper = "Chen, Kornblith, Norouzi, Hinton 2020, arXiv 2002.05709",
    .idea = "Two augmented views of an image must find each other among all other images of the batch; labels are never used.",
    .formula = "L = (1/2N) sum_i [ -s(i,p(i)) + log sum_{k != i} exp s(i,k) ],  s(i,k) = cos(u_i, u_k) / temperature",
    .data = "digits (8x8, vendored)",
    .quick_seconds = 10,
    .full_seconds = 120,
    .ingredients = {"views", "representation_monitor", "linear_probe", "knn_probe"},
    .run = run_simclr,
    .visit = visit_defaults<SimclrExperiment>};
GRADUS_EXPERIMENT(simclr_experiment);

}  // namespace
}  // namespace gradus::experiments
