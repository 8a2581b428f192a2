#include <algorithm>
#include <iostream>
#include <optional>

#include <gradus/algorithms/experiments/program/commands.h>
#include <gradus/algorithms/experiments/program/config_record.h>
#include <gradus/algorithms/experiments/program/experiment.h>
#include <gradus/algorithms/experiments/program/files.h>
#include <gradus/algorithms/experiments/program/format.h>
#include <gradus/algorithms/experiments/program/interrupt.h>
#include <gradus/algorithms/experiments/program/print.h>
#include <gradus/algorithms/experiments/program/result.h>
#include <gradus/algorithms/experiments/program/run_state.h>
#include <gradus/algorithms/experiments/program/tape_view.h>
#include <gradus/algorithms/experiments/program/usage.h>
#include <gradus/engine/tape.h>
#include <gradus/kernels/parallel.h>

namespace gradus::experiments {
namespace {

std::string seeds_text(const std::vector<std::uint64_t>& seeds, const std::string& separator) {
  std::vector<std::string> parts;
  for (const std::uint64_t seed : seeds) parts.push_back(std::to_string(seed));
  return joined(parts, separator);
}

// Of one run, or of the summary over all seeds. --out names the folder itself where there is only one run, else the folder around them.
std::string folder_of(const RunCommandOptions& options, const std::string& name, const std::string& suffix, bool single) {
  if (single && !options.out_dir.empty()) return options.out_dir;
  return (options.out_dir.empty() ? "runs" : options.out_dir) + "/" + name + "-" + suffix;
}

// Everything that can be known to be wrong before an hour of training.
std::vector<const Experiment*> checked_experiments(const RunCommandOptions& options) {
  std::vector<const Experiment*> experiments;
  for (const std::string& name : options.names) {
    const Experiment& experiment = as_usage([&]() -> const Experiment& { return find_experiment(name); });
    as_usage([&] { fields_of(experiment.visit, options.assignments); });
    if (std::find(experiments.begin(), experiments.end(), &experiment) != experiments.end())
      throw UsageError{"the experiment '" + std::string(experiment.name) + "' is named twice"};
    experiments.push_back(&experiment);
    if (name != experiment.name && !options.json) std::cout << name << " is shown by " << experiment.name << "\n";
  }
  std::vector<std::uint64_t> seeds = options.seeds;
  std::sort(seeds.begin(), seeds.end());
  if (std::adjacent_find(seeds.begin(), seeds.end()) != seeds.end()) throw UsageError{"--seeds names a seed twice"};
  if (options.device != "cpu" && options.device != "cuda")
    throw UsageError{"there is no device '" + options.device + "'; there are cpu, cuda"};
  if (options.device == "cuda") Tensor::empty({}, DType::f32, Device::cuda);  // says why, if that cannot be
  return experiments;
}

RunOptions run_options(const RunCommandOptions& options, std::uint64_t seed, const std::string& folder) {
  RunOptions run;
  run.seed = seed;
  run.device = options.device == "cuda" ? Device::cuda : Device::cpu;
  run.threads = options.threads;
  run.quick = options.quick;
  run.data_dir = options.data_dir;
  run.out_dir = folder;
  run.assignments = options.assignments;
  run.checkpoint_every = options.checkpoint_every;
  run.resume = options.resume;
  run.silent = options.json;
  if (!options.trace_file.empty()) run.on_tape = [&options](const Tape& tape) { write_file(options.trace_file, tape_json(tape)); };
  return run;
}

// A run that --resume finds finished: its result. Throws IoError if it is the result of something else.
std::optional<Record> finished_run(const Experiment& experiment, const RunOptions& options) {
  const std::string path = options.out_dir + "/result.json";
  if (!options.resume || !exists(path)) return std::nullopt;
  Record saved = from_json(read_file(path), path), wanted;
  wanted.experiment = experiment.name;
  wanted.seed = options.seed;
  wanted.quick = options.quick;
  for (const ConfigField& field : fields_of(experiment.visit, options.assignments)) {
    const auto sets = [&](const std::string& assignment) { return assignment.rfind(field.name + "=", 0) == 0; };
    if (std::any_of(options.assignments.begin(), options.assignments.end(), sets)) wanted.config.push_back(field);
  }
  require_same_run(saved, wanted, path);
  std::cerr << "gradus: the run in " << options.out_dir << " is finished: there is nothing to resume\n";
  return saved;
}

Record run_one(const Experiment& experiment, const RunOptions& options) {
  if (const auto finished = finished_run(experiment, options)) return *finished;
  try {
    Run run(experiment.name, experiment.family, options);
    experiment.run(run);
    if (experiment.tape) experiment.tape(run);  // how many entries a step has; and for --trace
    return run.finish();
  } catch (const Interrupted&) {
    std::cerr << "gradus: interrupted; the checkpoint is in " << options.out_dir << ", the same command with --resume continues\n";
    throw;
  }
}

std::string title_of(const Record& record, const std::string& seeds) {
  std::string title = "\n" + record.experiment + ", " + seeds + (record.quick ? ", quick (not a result)" : "") + ": ";
  return title + std::to_string(record.cost.steps) + " steps in " + duration(record.cost.seconds) + "\n";
}

Record summarize(const RunCommandOptions& options, const Experiment& experiment, const std::vector<Record>& runs) {
  Record summary = summary_of(runs);
  const std::string seeds = seeds_text(options.seeds, ", ");
  const std::string folder = folder_of(options, experiment.name, "seeds" + seeds_text(options.seeds, "-"), false);
  make_folder(folder);
  for (Plot& plot : summary.plots) {
    plot.caption = summary.data.name + " · seeds " + seeds + ": median, band from lowest to highest" + (summary.quick ? " · quick" : "");
    write_file(folder + "/" + plot.file + ".svg", to_svg(plot));
  }
  write_file(folder + "/result.json", summary_to_json(summary, options.seeds));
  if (!options.json)
    std::cout << result_text(summary, title_of(summary, "median of seeds " + seeds)) << "\n  written to " << folder << "\n";
  return summary;
}

}  // namespace

int run_command(const RunCommandOptions& options) {
  const std::vector<const Experiment*> experiments = checked_experiments(options);
  const bool single = experiments.size() == 1 && options.seeds.size() == 1;
  catch_interrupts();
  ThreadPool pool(options.threads);
  const PoolScope scope(pool);
  std::vector<Record> all, summaries;
  bool passed = true;
  for (const Experiment* experiment : experiments) {
    std::vector<Record> runs;
    for (const std::uint64_t seed : options.seeds) {
      const std::string folder = folder_of(options, experiment->name, "seed" + std::to_string(seed), single);
      runs.push_back(run_one(*experiment, run_options(options, seed, folder)));
      if (!options.json)
        std::cout << result_text(runs.back(), title_of(runs.back(), "seed " + std::to_string(seed))) << "\n  written to " << folder
                  << std::endl;
    }
    all.insert(all.end(), runs.begin(), runs.end());
    if (runs.size() > 1) summaries.push_back(summarize(options, *experiment, runs));
    passed = passed && (runs.size() > 1 ? summaries.back() : runs[0]).passed();
  }
  if (options.json) std::cout << to_json(all, summaries, options.seeds);
  return options.check && !passed ? kCheckFailed : kDone;
}

}  // namespace gradus::experiments
