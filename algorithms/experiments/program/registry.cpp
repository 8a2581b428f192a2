#include <algorithm>
#include <tuple>

#include <gradus/algorithms/experiments/program/experiment.h>
#include <gradus/algorithms/experiments/program/format.h>

namespace gradus::experiments {
namespace {

// Made at the first use: registrations run before main, in no known order.
std::vector<const Experiment*>& registry() {
  static std::vector<const Experiment*> experiments;
  return experiments;
}

bool shows(const Experiment& experiment, const std::string& name) {
  const auto& shown = experiment.ingredients;
  return experiment.name == name || std::find(shown.begin(), shown.end(), name) != shown.end();
}

}  // namespace

Registration::Registration(const Experiment& experiment) { registry().push_back(&experiment); }

std::vector<const Experiment*> all_experiments() {
  std::vector<const Experiment*> experiments = registry();
  const auto key = [](const Experiment* e) { return std::tuple(std::string(e->family), std::string(e->name)); };
  std::sort(experiments.begin(), experiments.end(), [&](const Experiment* a, const Experiment* b) { return key(a) < key(b); });
  return experiments;
}

const Experiment& find_experiment(const std::string& name) {
  std::vector<std::string> names;
  for (const Experiment* experiment : all_experiments()) {
    if (experiment->name == name) return *experiment;
    names.emplace_back(experiment->name);
  }
  for (const Experiment* experiment : all_experiments())
    if (shows(*experiment, name)) return *experiment;
  if (names.empty()) raise_value("there is no experiment '" + name + "': this program has none");
  names = nearest_first(name, names);
  const bool more = names.size() > 3;
  names.resize(std::min<std::size_t>(names.size(), 3));
  raise_value("there is no experiment '" + name + "'; the nearest names are " + joined(names, ", ") + (more ? " (all: gradus list)" : ""));
}

}  // namespace gradus::experiments
