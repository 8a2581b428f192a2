// What an experiment is given: seed, options and data folder on the way in; log, figures, checks and checkpoints on the way out.
//
//     void run(Run& run) {
//       MyConfig config;
//       if (run.quick()) config.epochs = 1;
//       run.configure(config);                                   // applies --set, goes into result.json
//       Generator rng(run.seed());
//       Encoder encoder(config, rng);
//       Adam adam({.learning_rate = config.learning_rate});
//       const auto state = [&](Checkpoint& c) { c("encoder", encoder); c("adam", adam, encoder); c("rng", rng); };
//       for (const std::int64_t step : run.steps(config.steps, state)) {
//         ...
//         run.log(step, {{"loss", loss.item()}});
//       }
//       run.metric("accuracy", accuracy);
//       run.baseline("raw_pixels", "accuracy", 54.9);
//       run.check("accuracy", accuracy, ">=", 72);
//     }
//
// The loop over run.steps() is what makes a run resumable: `state` names everything that a step changes and that lives longer than a
// step. What is computed before the loop is computed again on resume; it must follow from seed and config alone.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gradus/algorithms/experiments/program/record.h>
#include <gradus/kernels/array.h>
#include <gradus/nn/config.h>

namespace gradus::inline v0 {
class Tape;
}

namespace gradus::experiments {

class Checkpoint;
class Run;

/// Names everything that a training loop changes (checkpoint.h). It is called anew for each saving and restoring.
using State = std::function<void(Checkpoint&)>;

/// Options of one run, as the command line gives them.
struct RunOptions {
  std::uint64_t seed = 1;
  Device device = Device::cpu;
  int threads = 1;
  bool quick = false;
  std::string data_dir;
  std::string out_dir;                   // empty: nothing is written
  std::vector<std::string> assignments;  // "field=value"
  std::int64_t checkpoint_every = 0;     // 0: only when interrupted
  bool resume = false;
  bool silent = false;                       // nothing on stdout
  std::function<void(const Tape&)> on_tape;  // sees the first tape that the experiment shows
};

/// The steps of a training loop, for a range-for. At the end of a step it reports progress, saves a checkpoint when one is due, and ends
/// the run when an interrupt was requested.
class Steps {
 public:
  struct End {};
  class Iterator {
   public:
    std::int64_t operator*() const { return step_; }
    Iterator& operator++();
    bool operator!=(End) const { return step_ < total_; }

   private:
    friend class Steps;
    Iterator(Run& run, std::int64_t step, std::int64_t total) : run_(&run), step_(step), total_(total) {}
    Run* run_;
    std::int64_t step_, total_;
  };
  ~Steps();
  Steps(const Steps&) = delete;
  Steps& operator=(const Steps&) = delete;
  Iterator begin() const { return {run_, first_, total_}; }
  End end() const { return {}; }

 private:
  friend class Run;
  Steps(Run& run, std::int64_t first, std::int64_t total)
      : run_(run), first_(first), total_(total), exceptions_(std::uncaught_exceptions()) {}
  Run& run_;
  std::int64_t first_, total_;
  int exceptions_;
};

class Run {
 public:
  Run(std::string experiment, std::string family, RunOptions options);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  std::uint64_t seed() const;
  int threads() const;
  /// Where models and batches belong: `model.to(run.device())`.
  Device device() const;
  /// The same algorithm at a size that ends in seconds.
  bool quick() const;
  /// Where fetched data is.
  const std::string& data_dir() const;

  /// Applies --set to the config and records its fields. Call it once, after the quick sizes are set. Throws ValueError as set_field().
  template <class Config> void configure(Config& config) {
    configure_by([&config](FieldVisitor& visitor) { config.visit(visitor); });
  }
  /// States what the run trains on, and prints the run's first line.
  void data(DataInfo info);

  /// Steps 0 .. total - 1, or from the checkpoint's step on when resumed. A run with several loops names each.
  Steps steps(std::int64_t total, State state) { return steps("train", total, std::move(state)); }
  Steps steps(const std::string& loop, std::int64_t total, State state);
  /// Appends a row to log.csv and shows its first figures beside the progress bar. Only inside a loop over steps().
  void log(std::int64_t step, const std::vector<std::pair<std::string, double>>& values);
  /// What the log holds of one metric, for a plot.
  Series series(const std::string& metric) const;
  /// Progress of work outside a loop over steps(): `done` of `total`.
  void progress(std::int64_t done, std::int64_t total, const std::string& text);

  void metric(const std::string& name, double value);
  void baseline(const std::string& row, const std::string& name, double value);
  /// An acceptance row: value COMPARISON bound, the comparison being >=, <=, > or <. With several seeds it is judged on their median,
  /// worst value or mean. A quick run has no checks.
  void check(const std::string& metric, double value, const std::string& comparison, double bound, Judged judged = Judged::median);
  void finding(Finding finding);
  void plot(Plot plot);
  /// A sentence for the reader of the terminal.
  void note(const std::string& text);

  /// Samples that went through the model, for samples per second.
  void count_samples(std::int64_t samples);
  /// Call it on a step's tape before the first op: when a listing was asked for, entries then keep their norm and time.
  void trace(Tape& tape) const;
  /// Call it on a step's tape once the loss is there: its entries are counted, and whoever asked for a listing gets it.
  void show(const Tape& tape);

  /// Ends the run: writes plots and result.json. Called by the program.
  Record finish();

 private:
  friend class Steps;
  void configure_by(const std::function<void(FieldVisitor&)>& visit);
  void end_step(std::int64_t step);
  void end_loop(bool failed) noexcept;

  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace gradus::experiments
