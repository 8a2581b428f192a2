#include <gradus/algorithms/experiments/program/print.h>

#include <algorithm>

#include <gradus/algorithms/experiments/program/format.h>
#include <gradus/algorithms/experiments/program/table.h>

namespace gradus::experiments {
namespace {

// Every metric's name: the run's own, then those that only a baseline has.
std::vector<std::string> metric_names(const Record& record) {
  std::vector<std::string> names;
  const auto add = [&names](const Values& values) {
    for (const auto& item : values)
      if (std::find(names.begin(), names.end(), item.first) == names.end()) names.push_back(item.first);
  };
  add(record.metrics);
  for (const auto& baseline : record.baselines) add(baseline.second);
  return names;
}

std::string cell(const Values& values, const std::string& name) {
  const double* value = values.find(name);
  return value ? readable(*value) : "";
}

std::string figures(const Record& record) {
  std::vector<std::string> head{"", record.experiment};
  for (const auto& baseline : record.baselines) head.push_back(baseline.first);
  Table table(head);
  for (const std::string& name : metric_names(record)) {
    std::vector<std::string> row{name, cell(record.metrics, name)};
    for (const auto& baseline : record.baselines) row.push_back(cell(baseline.second, name));
    table.row(row);
  }
  return table.text();
}

std::string checks(const Record& record) {
  if (record.checks.empty()) return "";
  Table table({"check", "value", ""});
  for (const Check& check : record.checks) table.row({check.name(), readable(check.value), check.pass() ? "pass" : "FAIL"});
  return "\n" + table.text();
}

std::string findings(const Record& record) {
  std::string text;
  for (const Finding& finding : record.findings) {
    text +=
        "  " + finding.name + ": " + finding.verdict + " (" + readable(finding.value) + ", threshold " + readable(finding.threshold) + ")";
    text += finding.verdict == "ok" || finding.advice.empty() ? "\n" : ". " + finding.advice + "\n";
  }
  return text.empty() ? "" : "\n" + text;
}

}  // namespace

std::string result_text(const Record& record, const std::string& title) {
  return title + "\n" + figures(record) + checks(record) + findings(record);
}

}  // namespace gradus::experiments
