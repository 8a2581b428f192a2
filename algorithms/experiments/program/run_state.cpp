#include <gradus/algorithms/experiments/program/run_state.h>

#include <gradus/algorithms/experiments/program/json.h>
#include <gradus/kernels/error.h>

namespace gradus::experiments {
namespace {

void require_same(const Json& saved, const Json& now, const std::string& what, const std::string& path) {
  if (saved != now) raise_io(path + " belongs to another run: its " + what + " is " + saved.dump() + ", this run's is " + now.dump());
}

}  // namespace

std::string to_json(const RunState& state) {
  Json loops = Json::array();
  for (const LoopState& loop : state.loops)
    loops.push_back({{"name", loop.name}, {"done", loop.done}, {"total", loop.total}, {"finished", loop.finished}});
  return Json{{"record", as_json(state.record)}, {"loops", loops}, {"log_rows", state.log_rows}, {"log_columns", state.log_columns}}.dump();
}

RunState run_state_from_json(const std::string& text, const std::string& path) {
  try {
    const Json json = Json::parse(text);
    RunState state{record_from(json.at("record")), {}, json.at("log_rows"), json.at("log_columns")};
    for (const Json& loop : json.at("loops"))
      state.loops.push_back({loop.at("name"), loop.at("done"), loop.at("total"), loop.at("finished")});
    return state;
  } catch (const nlohmann::json::exception& error) { raise_io(path + " is not the checkpoint of a run: " + error.what()); }
}

void require_same_run(const Record& saved, const Record& now, const std::string& path) {
  require_same(saved.experiment, now.experiment, "experiment", path);
  require_same(saved.seed, now.seed, "seed", path);
  require_same(saved.quick, now.quick, "--quick", path);
  const Json before = as_json(saved.config), after = as_json(now.config);
  for (const auto& field : after.items())
    require_same(before.contains(field.key()) ? before.at(field.key()) : Json(), field.value(), "field " + field.key(), path);
}

}  // namespace gradus::experiments
