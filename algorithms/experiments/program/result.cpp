#include <gradus/algorithms/experiments/program/result.h>

#include <cmath>

#include <gradus/algorithms/experiments/program/format.h>
#include <gradus/algorithms/experiments/program/json.h>
#include <gradus/kernels/error.h>

namespace gradus::experiments {
namespace {

double number_from(const Json& json) { return json.is_null() ? NAN : json.get<double>(); }

ConfigValue config_value_from(const Json& json) {
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_integer()) return json.get<std::int64_t>();
  if (json.is_string()) return json.get<std::string>();
  return number_from(json);
}

// "fs1 >= 72, worst seed" back into its parts.
Check check_from(const Json& json) {
  std::string name = json.at("name");
  Check check{.metric = {}, .value = number_from(json.at("value")), .comparison = {}, .bound = number_from(json.at("bound"))};
  const auto ends_with = [&name](const std::string& end) {
    const bool yes = name.size() > end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
    if (yes) name.resize(name.size() - end.size());
    return yes;
  };
  if (ends_with(", worst seed")) check.judged = Judged::worst;
  if (ends_with(", mean of seeds")) check.judged = Judged::mean;
  const std::size_t bound = name.rfind(' '), comparison = name.rfind(' ', bound - 1);
  check.metric = name.substr(0, comparison);
  check.comparison = name.substr(comparison + 1, bound - comparison - 1);
  return check;
}

Json as_json(const DataInfo& data) {
  return {{"name", data.name}, {"train", data.train}, {"test", data.test}, {"origin", data.origin}, {"sha256", data.sha256}};
}

Json as_json(const Cost& cost) {
  const double rate = cost.seconds > 0 ? static_cast<double>(cost.samples) / cost.seconds : 0;
  return {{"seconds", cost.seconds},
          {"steps", cost.steps},
          {"samples_per_second", rate},
          {"peak_bytes", cost.peak_bytes},
          {"tape_entries_per_step", cost.tape_entries_per_step}};
}

// Two spaces a level; what lies deeper than `levels` stays on one line, as people write short objects.
void write(std::string& out, const Json& json, int depth, int levels) {
  if (!json.is_structured() || json.empty()) {
    out += json.dump();
    return;
  }
  const bool lines = depth < levels;
  const auto indent = [&](int by) { return lines ? "\n" + std::string(static_cast<std::size_t>(by) * 2, ' ') : std::string(); };
  out += json.is_object() ? '{' : '[';
  for (auto item = json.begin(); item != json.end(); ++item) {
    if (item != json.begin()) out += lines ? "," : ", ";
    out += indent(depth + 1);
    if (json.is_object()) out += Json(item.key()).dump() + ": ";
    write(out, *item, depth + 1, levels);
  }
  out += indent(depth) + (json.is_object() ? '}' : ']');
}

std::string text_of(const Json& json, int levels) {
  std::string out;
  write(out, json, 0, levels);
  return out + "\n";
}

Json summary_json(const Record& summary, const std::vector<std::uint64_t>& seeds) {
  Json json;
  const Json single = as_json(summary);
  for (const auto& item : single.items()) {
    if (item.key() == "seed") json["seeds"] = seeds;
    else json[item.key()] = item.value();
  }
  return json;
}

}  // namespace

Json as_json(double value) { return std::isfinite(value) ? Json(as_written(value)) : Json(nullptr); }

Json as_json(const Values& values) {
  Json json = Json::object();
  for (const auto& [name, value] : values) json[name] = as_json(value);
  return json;
}

Json as_json(const std::vector<ConfigField>& config) {
  Json json = Json::object();
  for (const ConfigField& field : config) {
    const auto* number = std::get_if<double>(&field.value);
    if (number) json[field.name] = as_json(*number);
    else std::visit([&](const auto& value) { json[field.name] = value; }, field.value);
  }
  return json;
}

Json as_json(const Record& record) {
  Json baselines = Json::object(), checks = Json::array(), findings = Json::array();
  for (const auto& [row, values] : record.baselines) baselines[row] = as_json(values);
  for (const Check& check : record.checks)
    checks.push_back({{"name", check.name()}, {"value", as_json(check.value)}, {"bound", as_json(check.bound)}, {"pass", check.pass()}});
  for (const Finding& finding : record.findings)
    findings.push_back({{"name", finding.name},
                        {"value", as_json(finding.value)},
                        {"threshold", as_json(finding.threshold)},
                        {"verdict", finding.verdict},
                        {"advice", finding.advice}});
  return {{"experiment", record.experiment},
          {"family", record.family},
          {"seed", record.seed},
          {"device", record.device},
          {"threads", record.threads},
          {"quick", record.quick},
          {"version", record.version},
          {"data", as_json(record.data)},
          {"config", as_json(record.config)},
          {"metrics", as_json(record.metrics)},
          {"baselines", baselines},
          {"checks", checks},
          {"findings", findings},
          {"cost", as_json(record.cost)}};
}

Values values_from(const Json& json) {
  Values values;
  for (const auto& item : json.items()) values.set(item.key(), number_from(item.value()));
  return values;
}

Record record_from(const Json& json) {
  Record record;
  record.experiment = json.at("experiment");
  record.family = json.at("family");
  record.seed = json.at("seed");
  record.device = json.at("device");
  record.threads = json.at("threads");
  record.quick = json.at("quick");
  record.version = json.at("version");
  const Json& data = json.at("data");
  record.data = {data.at("name"), data.at("train"), data.at("test"), data.at("origin"), data.at("sha256")};
  for (const auto& item : json.at("config").items()) record.config.push_back({item.key(), config_value_from(item.value())});
  record.metrics = values_from(json.at("metrics"));
  for (const auto& item : json.at("baselines").items()) record.baselines.emplace_back(item.key(), values_from(item.value()));
  for (const Json& check : json.at("checks")) record.checks.push_back(check_from(check));
  for (const Json& f : json.at("findings"))
    record.findings.push_back({f.at("name"), number_from(f.at("value")), number_from(f.at("threshold")), f.at("verdict"), f.at("advice")});
  const Json& cost = json.at("cost");
  record.cost = {cost.at("seconds"), cost.at("steps"), 0, cost.at("peak_bytes"), cost.at("tape_entries_per_step")};
  record.cost.samples = std::llround(cost.at("samples_per_second").get<double>() * record.cost.seconds);
  return record;
}

std::string to_json(const Record& record) { return text_of(as_json(record), 2); }

std::string summary_to_json(const Record& summary, const std::vector<std::uint64_t>& seeds) {
  return text_of(summary_json(summary, seeds), 2);
}

std::string to_json(const std::vector<Record>& runs, const std::vector<Record>& summaries, const std::vector<std::uint64_t>& seeds) {
  if (runs.size() == 1) return to_json(runs[0]);
  Json json{{"results", Json::array()}, {"summary", Json::array()}};
  for (const Record& run : runs) json["results"].push_back(as_json(run));
  for (const Record& summary : summaries) json["summary"].push_back(summary_json(summary, seeds));
  return text_of(json, 4);  // the results stand two levels deeper
}

std::string seeds_of(const std::string& text) {
  const Json json = Json::parse(text);
  if (!json.contains("seeds")) return json.at("seed").dump();
  std::string seeds;
  for (const Json& seed : json.at("seeds")) seeds += (seeds.empty() ? "" : ", ") + seed.dump();
  return seeds;
}

Record from_json(const std::string& text, const std::string& path) {
  try {
    Json json = Json::parse(text);
    if (json.contains("seeds")) json["seed"] = json["seeds"].at(0);
    return record_from(json);
  } catch (const nlohmann::json::exception& error) { raise_io(path + " is not the result of a run: " + error.what()); }
}

}  // namespace gradus::experiments
