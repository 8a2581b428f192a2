#include <iostream>

#include <gradus/algorithms/experiments/program/commands.h>
#include <gradus/algorithms/experiments/program/config_record.h>
#include <gradus/algorithms/experiments/program/experiment.h>
#include <gradus/algorithms/experiments/program/files.h>
#include <gradus/algorithms/experiments/program/tape_view.h>
#include <gradus/algorithms/experiments/program/usage.h>
#include <gradus/engine/tape.h>

namespace gradus::experiments {
namespace {

struct TapeShown {};  // thrown through the experiment: its first tape is all that is wanted

void show_tape(const Experiment& experiment, const TapeOptions& options, const Tape& tape) {
  std::cout << tape.table();
  if (!options.dot_file.empty()) write_file(options.dot_file, tape.dot());
  if (!options.svg_file.empty())
    write_file(options.svg_file, tape_svg(rows_of(tape), std::string(experiment.name) + ": the tape of one training step"));
}

}  // namespace

int tape_command(const TapeOptions& options) {
  const Experiment& experiment = as_usage([&]() -> const Experiment& { return find_experiment(options.name); });
  as_usage([&] { fields_of(experiment.visit, options.assignments); });
  RunOptions run_options;
  run_options.seed = options.seed;
  run_options.quick = true;
  run_options.silent = true;
  run_options.data_dir = options.data_dir;
  run_options.assignments = options.assignments;
  run_options.on_tape = [&](const Tape& tape) {
    show_tape(experiment, options, tape);
    throw TapeShown();
  };
  try {
    Run run(experiment.name, experiment.family, run_options);
    (experiment.tape ? experiment.tape : experiment.run)(run);
  } catch (const TapeShown&) { return kDone; }
  raise_value("the experiment " + std::string(experiment.name) + " shows no tape");
}

}  // namespace gradus::experiments
