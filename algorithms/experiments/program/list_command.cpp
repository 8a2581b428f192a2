#include <algorithm>
#include <filesystem>
#include <iostream>
#include <optional>

#include <gradus/algorithms/experiments/program/commands.h>
#include <gradus/algorithms/experiments/program/config_record.h>
#include <gradus/algorithms/experiments/program/experiment.h>
#include <gradus/algorithms/experiments/program/files.h>
#include <gradus/algorithms/experiments/program/format.h>
#include <gradus/algorithms/experiments/program/json.h>
#include <gradus/algorithms/experiments/program/result.h>
#include <gradus/algorithms/experiments/program/table.h>
#include <gradus/algorithms/experiments/program/usage.h>

namespace gradus::experiments {
namespace {

struct CheckStatus {
  std::size_t passed = 0, total = 0;
  std::string folder;
};

// The checks of the run in runs/ that says most: several seeds before one, then the first by name. Quick runs have none.
std::optional<CheckStatus> check_status(const std::string& experiment) {
  std::vector<std::string> folders;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator("runs", none)) {
    const std::string name = entry.path().filename().string();
    if (name.rfind(experiment + "-seed", 0) == 0 && exists(entry.path().string() + "/result.json"))
      folders.push_back(entry.path().string());
  }
  const auto key = [&](const std::string& folder) { return std::pair(folder.find("-seeds") == std::string::npos, folder); };
  std::sort(folders.begin(), folders.end(), [&](const std::string& a, const std::string& b) { return key(a) < key(b); });
  for (const std::string& folder : folders) {
    const std::string path = folder + "/result.json";
    const Record record = from_json(read_file(path), path);
    if (record.quick) continue;
    const auto passed = std::count_if(record.checks.begin(), record.checks.end(), [](const Check& check) { return check.pass(); });
    return CheckStatus{static_cast<std::size_t>(passed), record.checks.size(), folder};
  }
  return std::nullopt;
}

std::string status_text(const std::optional<CheckStatus>& status) {
  if (!status) return "no run";
  if (status->total == 0) return "none";
  return std::to_string(status->passed) + " of " + std::to_string(status->total) +
         (status->passed == status->total ? " pass" : " pass: FAIL");
}

Json list_json(const std::vector<const Experiment*>& experiments) {
  Json json = Json::array();
  for (const Experiment* e : experiments) {
    const auto status = check_status(e->name);
    const Json checks = status ? Json{{"passed", status->passed}, {"total", status->total}, {"run", status->folder}} : Json();
    json.push_back({{"name", e->name},
                    {"family", e->family},
                    {"idea", e->idea},
                    {"paper", e->paper},
                    {"data", e->data},
                    {"quick_seconds", e->quick_seconds},
                    {"full_seconds", e->full_seconds},
                    {"ingredients", e->ingredients},
                    {"checks", checks}});
  }
  return json;
}

std::string list_text(const std::vector<const Experiment*>& experiments) {
  Table table({"name", "family", "paper", "data", "quick", "full", "checks"});
  table.align_right_from(7);
  for (const Experiment* e : experiments) {
    table.row(
        {e->name, e->family, e->paper, e->data, duration(e->quick_seconds), duration(e->full_seconds), status_text(check_status(e->name))});
    for (const char* ingredient : e->ingredients)
      table.row({"  " + std::string(ingredient), e->family, "(shown by " + std::string(e->name) + ")", "", "", "", ""});
  }
  return table.text();
}

}  // namespace

int list_command(const ListOptions& options) {
  std::vector<const Experiment*> experiments = all_experiments();
  if (!options.family.empty()) {
    std::vector<std::string> families;
    for (const Experiment* e : experiments)
      if (std::find(families.begin(), families.end(), e->family) == families.end()) families.emplace_back(e->family);
    if (std::find(families.begin(), families.end(), options.family) == families.end())
      throw UsageError{"there is no family '" + options.family + "'; there are " + joined(nearest_first(options.family, families), ", ")};
    std::erase_if(experiments, [&](const Experiment* e) { return e->family != options.family; });
  }
  std::cout << (options.json ? list_json(experiments).dump(2) + "\n" : list_text(experiments));
  return kDone;
}

int show_command(const std::string& name) {
  const Experiment& e = as_usage([&]() -> const Experiment& { return find_experiment(name); });
  std::cout << e.name << " (" << e.family << ")\n\n" << e.idea << "\n\n  " << e.formula << "\n\n";
  std::cout << "paper  " << e.paper << "\ndata   " << e.data << "\ntime   " << duration(e.quick_seconds) << " quick, "
            << duration(e.full_seconds) << " full\n";
  if (!e.ingredients.empty()) std::cout << "shows  " << joined({e.ingredients.begin(), e.ingredients.end()}, ", ") << "\n";
  Table table({"field", "default", "paper", "meaning"});
  table.align_right_from(4);
  for (const ConfigField& field : fields_of(e.visit)) {
    const std::string choices = field.choices.empty() ? "" : ": " + joined(field.choices, ", ");
    table.row({field.name, to_text(field.value), field.paper.empty() ? "-" : field.paper, field.meaning + choices});
  }
  std::cout << "\n" << table.text() << "\n  gradus run " << e.name << " --set FIELD=VALUE\n";
  return kDone;
}

}  // namespace gradus::experiments
