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

constexpr const char* kCompiler = GRADUS_NVCC_VERSION;
bool same_compiler(const Json& baseline) { return baseline.value("nvcc", std::string()) == kCompiler; }

/// Another nvcc allots registers and chooses instructions in its own way; what it spills, and what memory sees, may not get worse.
bool is_compilers_choice(const std::string& figure) {
  return figure.rfind("registers", 0) == 0 || figure == "warps_without_room" || figure == "warp_instructions";
}

void compare(const std::string& where, const Json& before, const Figures& now, bool all, std::vector<std::string>& worse) {
  constexpr double kSlack = 1.02;
  for (const auto& [name, value] : now) {
    const auto old = before.find(name);
    if (old == before.end()) {
      worse.push_back(where + ": " + name + " is not in the baseline");
    } else if (value > old->get<double>() * kSlack && (all || !is_compilers_choice(name))) {
      char numbers[80];
      std::snprintf(numbers, sizeof numbers, " %.6g, baseline %.6g", value, old->get<double>());
      worse.push_back(where + ": " + name + numbers);
    }
  }
  for (const auto& [name, value] : before.items())
    if (value.is_number() && !now.contains(name)) worse.push_back(where + ": " + name + " is in the baseline, and unknown now");
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
    else if (same_compiler(baseline) && baseline.contains("entries") && baseline["entries"].contains(entry.name))
      json[entry.name] = baseline["entries"][entry.name];
  }
  return {{"nvcc", kCompiler}, {"entries", json}};
}

std::string left_out(const Json& baseline) {
  return same_compiler(baseline) ? ""
                                 : "  The baseline is of nvcc " + baseline.value("nvcc", std::string("unknown")) + ", this build of " +
                                       kCompiler + ": registers, warps and instructions are not compared.\n";
}

std::vector<std::string> worse_than(const Json& baseline, const std::vector<EntryCost>& costs) {
  std::vector<std::string> worse;
  const bool all = same_compiler(baseline);
  const Json known = baseline.value("entries", Json::object());
  for (const EntryCost& e : costs) {
    const auto before = known.find(e.name);
    if (before == known.end()) {
      worse.push_back(e.name + ": not in the baseline (gradus kernels --update)");
      continue;
    }
    compare(e.name, *before, figures_of(e), all, worse);
    const Json kernels = before->value("kernels", Json::object());
    for (const KernelCost& k : e.kernels)
      if (kernels.contains(k.name)) compare(e.name + ": " + k.name, kernels[k.name], figures_of(k), all, worse);
  }
  return worse;
}

}  // namespace gradus::costs
