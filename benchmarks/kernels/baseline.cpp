#include <gradus/benchmarks/kernels/baseline.h>

#include <algorithm>
#include <cstdio>

namespace gradus::costs {
namespace {

using experiments::Json;

Json json_of(const emulator::Counters& c) {
  return {{"launches", c.launches},
          {"blocks", c.blocks},
          {"warp_instructions", c.warp_instructions},
          {"requests", c.load_requests + c.store_requests},
          {"sectors", c.load_sectors + c.store_sectors},
          {"sectors_per_request", sectors_per_request(c)},
          {"atomic_requests", c.atomic_requests},
          {"bytes_requested", c.bytes_requested},
          {"bytes_touched", c.bytes_touched},
          {"shared_wavefronts", c.shared_wavefronts},
          {"shared_ideal_wavefronts", c.shared_ideal_wavefronts},
          {"flops", c.flops},
          {"special", c.special}};
}
Json json_of(const Resources& r) { return {{"registers", r.registers}, {"spill_bytes", r.spill_bytes}, {"shared_bytes", r.shared_bytes}}; }

Json json_of(const KernelCost& k) {
  Json json = json_of(k.counters);
  json["bytes_compulsory"] = k.counters.bytes_compulsory;
  json["threads"] = k.threads;
  json["dynamic_shared_bytes"] = k.dynamic_shared;
  if (k.sm80) json["sm_80"] = json_of(*k.sm80);
  if (k.sm90) json["sm_90"] = json_of(*k.sm90), json["resident_warps"] = k.warps;
  return json;
}

Json json_of(const Figures& figures) {
  Json json = Json::object();
  for (const auto& [name, value] : figures) json[name] = value;
  return json;
}

/// As the baseline keeps an entry.
Json kept(const EntryCost& e) {
  Json json = json_of(figures_of(e));
  json["kernels"] = Json::object();
  for (const KernelCost& k : e.kernels) json["kernels"][k.name] = json_of(figures_of(k));
  return json;
}

void compare(const std::string& where, const Json& before, const Figures& now, std::vector<std::string>& worse) {
  constexpr double kSlack = 1.02;
  for (const auto& [name, value] : now) {
    const auto old = before.find(name);
    if (old == before.end() || value <= old->get<double>() * kSlack) continue;
    char numbers[80];
    std::snprintf(numbers, sizeof numbers, " %.6g, baseline %.6g", value, old->get<double>());
    worse.push_back(where + ": " + name + numbers);
  }
}

}  // namespace

Json to_json(const std::vector<EntryCost>& costs) {
  Json json = Json::object();
  for (const EntryCost& e : costs) {
    Json entry = json_of(e.sum);
    entry["bytes_compulsory"] = e.least_bytes;
    entry["h100_floor_seconds"] = roofline_floor(e.least_bytes, static_cast<double>(e.sum.flops));
    if (e.bounds.global_bytes > 0) entry["tiling_bytes"] = e.bounds.global_bytes;
    entry["violations"] = violations(e);
    entry["kernels"] = Json::object();
    for (const KernelCost& k : e.kernels) entry["kernels"][k.name] = json_of(k);
    json[e.name] = entry;
  }
  return {{"entries", json}};
}

Json updated(const Json& baseline, const std::vector<EntryCost>& costs) {
  Json json = Json::object();
  for (const Entry& entry : entries()) {
    const auto measured = std::find_if(costs.begin(), costs.end(), [&](const EntryCost& c) { return c.name == entry.name; });
    if (measured != costs.end()) json[entry.name] = kept(*measured);
    else if (baseline.contains("entries") && baseline["entries"].contains(entry.name)) json[entry.name] = baseline["entries"][entry.name];
  }
  return {{"entries", json}};
}

std::vector<std::string> worse_than(const Json& baseline, const std::vector<EntryCost>& costs) {
  std::vector<std::string> worse;
  const Json known = baseline.value("entries", Json::object());
  for (const EntryCost& e : costs) {
    const auto before = known.find(e.name);
    if (before == known.end()) {
      worse.push_back(e.name + ": not in the baseline (gradus kernels --update)");
      continue;
    }
    compare(e.name, *before, figures_of(e), worse);
    const Json kernels = before->value("kernels", Json::object());
    for (const KernelCost& k : e.kernels)
      if (kernels.contains(k.name)) compare(e.name + ": " + k.name, kernels[k.name], figures_of(k), worse);
  }
  return worse;
}

}  // namespace gradus::costs
