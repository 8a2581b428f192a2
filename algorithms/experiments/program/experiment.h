// What an experiment says about itself, and the one line that makes it known to the program.
//
//     const Experiment simclr_experiment{
//         .name = "simclr", .family = "self_supervised", .paper = "Chen et al. 2020, arXiv:2002.05709",
//         .idea = "Two views of an image are each other's positive, all other images of the batch are negatives.", ...
//         .run = run, .visit = visit_defaults<SimclrExperimentConfig>};
//     GRADUS_EXPERIMENT(simclr_experiment);
#pragma once

#include <string>
#include <vector>

#include <gradus/algorithms/experiments/program/checkpoint.h>
#include <gradus/algorithms/experiments/program/run.h>

namespace gradus::experiments {

struct Experiment {
  const char* name;     // of the algorithm's header
  const char* family;   // its folder
  const char* paper;    // authors, year, where
  const char* idea;     // one sentence
  const char* formula;  // plain text, one line or several
  const char* data;     // the set it trains on
  int quick_seconds, full_seconds;
  std::vector<const char*> ingredients = {};  // algorithms without an experiment of their own that this one shows
  void (*run)(Run&);
  void (*visit)(FieldVisitor&);  // lists the config with its defaults
  void (*tape)(Run&) = nullptr;  // optional: does one training step on a tape of its own and calls run.trace() and run.show() on it
};

/// For Experiment::visit.
template <class Config> void visit_defaults(FieldVisitor& visitor) {
  Config config;
  config.visit(visitor);
}

/// All experiments, by family and name.
std::vector<const Experiment*> all_experiments();
/// The experiment of that name, or the one that shows the ingredient of that name. Throws ValueError naming the nearest.
const Experiment& find_experiment(const std::string& name);

struct Registration {
  explicit Registration(const Experiment& experiment);
};

}  // namespace gradus::experiments

/// Makes `experiment`, a constant of this file, known to the program.
#define GRADUS_EXPERIMENT(experiment) \
  [[maybe_unused]] static const ::gradus::experiments::Registration registration_of_##experiment(experiment)
