// What a run leaves behind: the content of result.json as plain values.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <gradus/algorithms/experiments/program/svg.h>

namespace gradus::experiments {

/// Named numbers in the order in which they were first given.
class Values {
 public:
  void set(const std::string& name, double value);
  /// The value, or null.
  const double* find(const std::string& name) const;
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }
  bool empty() const { return items_.empty(); }

 private:
  std::vector<std::pair<std::string, double>> items_;
};

using ConfigValue = std::variant<bool, std::int64_t, double, std::string>;

struct ConfigField {
  std::string name;
  ConfigValue value;
  std::string meaning = {}, paper = {};
  std::vector<std::string> choices = {};
};

/// The data that a run used. `instead_of` names the set that was wanted and is not there.
struct DataInfo {
  std::string name = {};
  std::int64_t train = 0, test = 0;
  std::string origin = {}, sha256 = {};
  std::string instead_of = {};
};

/// How a check of several seeds is judged: on their median, their worst value or their mean.
enum class Judged { median, worst, mean };

/// An acceptance row of the specification, evaluated on this run. NaN fails.
struct Check {
  std::string metric;
  double value = 0;
  std::string comparison;  // ">=", "<=", ">" or "<"
  double bound = 0;
  Judged judged = Judged::median;

  /// "fs1 >= 72", and ", worst seed" or ", mean of seeds" where it is not the median that counts.
  std::string name() const;
  bool pass() const;
};

/// A monitor's word on the run. `verdict` is "ok" or one word for what is wrong; `advice` is one sentence.
struct Finding {
  std::string name;
  double value = 0, threshold = 0;
  std::string verdict = "ok", advice = {};
};

struct Cost {
  double seconds = 0;
  std::int64_t steps = 0;
  std::int64_t samples = 0;
  std::int64_t peak_bytes = 0;
  std::int64_t tape_entries_per_step = 0;
};

struct Record {
  std::string experiment, family;
  std::uint64_t seed = 1;
  std::string device = "cpu";
  int threads = 1;
  bool quick = false;
  std::string version;
  DataInfo data;
  std::vector<ConfigField> config;
  Values metrics;
  std::vector<std::pair<std::string, Values>> baselines;
  std::vector<Check> checks;
  std::vector<Finding> findings;
  Cost cost;
  std::vector<Plot> plots;  // not in result.json: they are the .svg files beside it

  Values& baseline(const std::string& row);
  /// True if no check failed.
  bool passed() const;
};

/// value COMPARISON bound, false for NaN. Throws ValueError for a comparison that does not exist.
bool holds(double value, const std::string& comparison, double bound);

/// The record of several seeds: each metric, baseline and curve is the median over the runs, each check is judged as it asks to be.
Record summary_of(const std::vector<Record>& runs);
/// Median of the values; the mean of the middle two if their number is even; NaN if any is NaN.
double median_of(std::vector<double> values);

}  // namespace gradus::experiments
