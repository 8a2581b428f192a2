#include <gradus/algorithms/experiments/program/record.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include <gradus/algorithms/experiments/program/format.h>
#include <gradus/kernels/error.h>

namespace gradus::experiments {
namespace {

// The worst value for a check: the one farthest on the failing side; NaN is worse than any.
double worst_of(const std::vector<double>& values, const std::string& comparison) {
  if (std::any_of(values.begin(), values.end(), [](double v) { return std::isnan(v); })) return NAN;
  const bool more_is_better = comparison[0] == '>';
  return more_is_better ? *std::min_element(values.begin(), values.end()) : *std::max_element(values.begin(), values.end());
}

double judged(Judged how, const std::vector<double>& values, const std::string& comparison) {
  if (how == Judged::worst) return worst_of(values, comparison);
  if (how == Judged::mean) return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  return median_of(values);
}

// The median over the runs of what `value` finds in each; runs that lack it are left out.
template <class Find> double median_over(const std::vector<Record>& runs, Find value) {
  std::vector<double> values;
  for (const Record& run : runs)
    if (const double* v = value(run)) values.push_back(*v);
  return median_of(values);
}

const double* find_baseline(const Record& run, const std::string& row, const std::string& name) {
  for (const auto& baseline : run.baselines)
    if (baseline.first == row) return baseline.second.find(name);
  return nullptr;
}

// The same curve of every run as one: median, with a band from lowest to highest. Runs that differ in length are cut to the shortest.
Series merged(const std::vector<const Series*>& runs) {
  Series result{.name = runs[0]->name};
  std::size_t length = runs[0]->y.size();
  for (const Series* run : runs) length = std::min(length, run->y.size());
  for (std::size_t i = 0; i < length; ++i) {
    std::vector<double> values;
    for (const Series* run : runs) values.push_back(run->y[i]);
    result.x.push_back(runs[0]->x[i]);
    result.y.push_back(median_of(values));
    result.low.push_back(*std::min_element(values.begin(), values.end()));
    result.high.push_back(*std::max_element(values.begin(), values.end()));
  }
  return result;
}

std::vector<Plot> merged_plots(const std::vector<Record>& runs) {
  std::vector<Plot> plots = runs[0].plots;
  for (const Record& run : runs)
    if (run.plots.empty()) return {};  // a run that was finished before has its curves in its folder only
  for (std::size_t p = 0; p < plots.size(); ++p) {
    for (std::size_t s = 0; s < plots[p].series.size(); ++s) {
      std::vector<const Series*> same;
      for (const Record& run : runs)
        if (p < run.plots.size() && s < run.plots[p].series.size()) same.push_back(&run.plots[p].series[s]);
      plots[p].series[s] = merged(same);
    }
    for (std::size_t l = 0; l < plots[p].levels.size(); ++l) {
      plots[p].levels[l].y = median_over(runs, [&](const Record& run) -> const double* {
        return p < run.plots.size() && l < run.plots[p].levels.size() ? &run.plots[p].levels[l].y : nullptr;
      });
    }
  }
  return plots;
}

}  // namespace

void Values::set(const std::string& name, double value) {
  for (auto& item : items_)
    if (item.first == name) {
      item.second = value;
      return;
    }
  items_.emplace_back(name, value);
}

const double* Values::find(const std::string& name) const {
  for (const auto& item : items_)
    if (item.first == name) return &item.second;
  return nullptr;
}

std::string Check::name() const {
  const char* how = judged == Judged::worst ? ", worst seed" : judged == Judged::mean ? ", mean of seeds" : "";
  return metric + " " + comparison + " " + shortest(bound) + how;
}

bool Check::pass() const { return holds(value, comparison, bound); }

bool holds(double value, const std::string& comparison, double bound) {
  if (comparison == ">=") return value >= bound;
  if (comparison == "<=") return value <= bound;
  if (comparison == ">") return value > bound;
  if (comparison == "<") return value < bound;
  raise_value("[check] there is no comparison '" + comparison + "'; there are >=, <=, >, <");
}

Values& Record::baseline(const std::string& row) {
  for (auto& baseline : baselines)
    if (baseline.first == row) return baseline.second;
  return baselines.emplace_back(row, Values()).second;
}

bool Record::passed() const {
  return std::all_of(checks.begin(), checks.end(), [](const Check& check) { return check.pass(); });
}

double median_of(std::vector<double> values) {
  if (values.empty() || std::any_of(values.begin(), values.end(), [](double v) { return std::isnan(v); })) return NAN;
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

Record summary_of(const std::vector<Record>& runs) {
  Record all = runs[0];
  for (const auto& [name, unused] : runs[0].metrics) {
    const std::string& metric = name;
    all.metrics.set(name, median_over(runs, [&](const Record& run) { return run.metrics.find(metric); }));
  }
  for (auto& baseline : all.baselines)
    for (const auto& item : Values(baseline.second))
      baseline.second.set(item.first, median_over(runs, [&](const Record& run) { return find_baseline(run, baseline.first, item.first); }));
  for (std::size_t c = 0; c < all.checks.size(); ++c) {
    std::vector<double> values;
    for (const Record& run : runs) values.push_back(c < run.checks.size() ? run.checks[c].value : NAN);
    all.checks[c].value = judged(all.checks[c].judged, values, all.checks[c].comparison);
  }
  for (std::size_t f = 0; f < all.findings.size(); ++f)  // one seed's alarm is the summary's alarm
    for (auto run = runs.rbegin(); run != runs.rend(); ++run)
      if (f < run->findings.size() && run->findings[f].verdict != "ok") all.findings[f] = run->findings[f];
  all.cost = {};
  for (const Record& run : runs) {
    all.cost.seconds += run.cost.seconds;
    all.cost.steps += run.cost.steps;
    all.cost.samples += run.cost.samples;
    all.cost.peak_bytes = std::max(all.cost.peak_bytes, run.cost.peak_bytes);
    all.cost.tape_entries_per_step = std::max(all.cost.tape_entries_per_step, run.cost.tape_entries_per_step);
  }
  all.plots = merged_plots(runs);
  return all;
}

}  // namespace gradus::experiments
