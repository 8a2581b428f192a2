// gradus-bench: times whole workloads as the median of repeated steps after a warm-up.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <optional>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <gradus/benchmarks/workload.h>
#include <gradus/gradus.h>

namespace {

using gradus::bench::Workload;
using Json = nlohmann::ordered_json;

double seconds_now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Milliseconds of repeated steps: at least 5, for `seconds`, at most 2000.
std::vector<double> measure(const std::function<void()>& step, double seconds) {
  step();
  std::vector<double> times;
  const double end = seconds_now() + seconds;
  while (times.size() < 5 || (seconds_now() < end && times.size() < 2000)) {
    const double start = seconds_now();
    step();
    times.push_back(1e3 * (seconds_now() - start));
  }
  return times;
}

double median(std::vector<double> x) {
  std::sort(x.begin(), x.end());
  return x[x.size() / 2];
}

bool selected(const std::string& name, const std::string& only) {
  if (only.empty()) return true;
  std::size_t at = 0;
  while (at <= only.size()) {
    const std::size_t comma = std::min(only.find(',', at), only.size());
    if (comma > at && name.rfind(only.substr(at, comma - at), 0) == 0) return true;
    at = comma + 1;
  }
  return false;
}

Json run_workload(const Workload& w, double seconds, int threads, gradus::Device device) {
  const auto queue = w.prepare();
  const auto step = [&] {
    queue();
    gradus::synchronize(device);
  };
  const std::vector<double> times = measure(step, seconds);
  const gradus::MemoryPeak peak;
  const std::int64_t mallocs = gradus::bench::malloc_count();
  step();
  const double ms = median(times), least = *std::min_element(times.begin(), times.end());
  std::printf("%-34s %12.4f ms   (min %.4f, n %zu)\n", w.name.c_str(), ms, least, times.size());
  std::fflush(stdout);
  return {{"name", w.name},
          {"ms", ms},
          {"ms_min", least},
          {"n", times.size()},
          {"threads", threads},
          {"device", gradus::name_of(device)},
          {"impl", std::string("gradus ") + gradus::version()},
          {"peak_bytes", peak.bytes()},
          {"mallocs", gradus::bench::malloc_count() - mallocs},
          {"samples", times}};
}

int run(int argc, char** argv) {
  CLI::App app{"Times gradus on whole workloads: median of repeated steps, one thread unless asked."};
  int threads = 1;
  double seconds = 2;
  std::string only, json, device_name = "cpu";
  bool list = false, no_overhead = false;
  app.add_option("--threads", threads, "threads of the pool (1)")->check(CLI::PositiveNumber);
  app.add_option("--seconds", seconds, "time per workload (2)");
  app.add_option("--device", device_name, "where they run (cpu)")->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--only", only, "workloads whose names begin with one of these, comma-separated");
  app.add_option("--json", json, "writes the rows to this file");
  app.add_flag("--list", list, "prints the workloads and ends");
  app.add_flag("--no-overhead", no_overhead, "leaves out the tape's own cost");
  CLI11_PARSE(app, argc, argv);
  if (list) {
    for (const Workload& w : gradus::bench::workloads()) std::printf("%-34s %s\n", w.name.c_str(), w.what.c_str());
    return 0;
  }
  std::optional<gradus::ThreadPool> pool;
  std::optional<gradus::PoolScope> scope;
  if (threads > 1) scope.emplace(pool.emplace(threads));
  const gradus::Device device = device_name == "cuda" ? gradus::Device::cuda : gradus::Device::cpu;
  gradus::bench::use_device(device);
  Json rows = Json::array(), overhead = Json::array();
  for (const Workload& w : gradus::bench::workloads())
    if (selected(w.name, only)) rows.push_back(run_workload(w, seconds, threads, device));
  for (const gradus::bench::Overhead& o : no_overhead ? std::vector<gradus::bench::Overhead>{} : gradus::bench::measure_overhead()) {
    std::printf("%-42s %8.1f ns an op, %.4f mallocs an op\n", o.name.c_str(), o.ns, o.mallocs);
    overhead.push_back({{"name", o.name}, {"ns", o.ns}, {"mallocs", o.mallocs}});
  }
  if (!json.empty()) std::ofstream(json) << Json{{"rows", rows}, {"overhead", overhead}}.dump(1) << "\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "gradus-bench: %s\n", e.what());
    return 1;
  }
}
