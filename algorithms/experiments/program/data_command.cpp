#include <cstdlib>
#include <iostream>

#include <gradus/algorithms/experiments/data/fetched.h>
#include <gradus/algorithms/experiments/program/commands.h>
#include <gradus/algorithms/experiments/program/format.h>
#include <gradus/algorithms/experiments/program/table.h>
#include <gradus/algorithms/experiments/program/usage.h>
#include <gradus/nn/data/vendored.h>

namespace gradus::experiments {

std::string default_data_dir() {
  const char* data_home = std::getenv("XDG_DATA_HOME");
  if (data_home && *data_home == '/') return std::string(data_home) + "/gradus";  // the XDG rules: a relative path is ignored
  const char* home = std::getenv("HOME");
  return (home && *home ? std::string(home) : std::string(".")) + "/.local/share/gradus";
}

int data_list_command(const std::string& data_dir) {
  Table table({"set", "state", "content", "origin", "licence"});
  table.align_right_from(5);
  for (const auto set : {digits, iris, wine, breast_cancer, diabetes, linnerud, sunspots, co2, elnino}) {
    const Dataset& data = set();
    table.row({data.name, "built in", std::to_string(data.size()) + " samples", data.origin, data.licence});
  }
  table.rule();
  for (const FetchedSet& set : fetched_sets())
    table.row({set.name, is_fetched(set, data_dir) ? "here" : "not here", set.content, set.origin, set.licence});
  std::cout << table.text() << "\n  `gradus data get NAME` fetches one; they are kept in " << data_dir << "\n";
  return kDone;
}

int data_get_command(const std::string& name, const std::string& data_dir) {
  const FetchedSet& set = as_usage([&]() -> const FetchedSet& { return find_fetched_set(name); });
  fetch(set, data_dir, [](const std::string& line) { std::cout << line << std::endl; });
  return kDone;
}

}  // namespace gradus::experiments
