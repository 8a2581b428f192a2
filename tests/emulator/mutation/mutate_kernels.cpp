// Do the kernels' tests notice faults? Plants one fault at a time in the PTX of a family's kernels, in memory, and runs that family's CUDA
// tests under the emulator. A mutant is noticed by a finding of the checks, a failed or crashed test, or its time limit.
//
//   mutate_kernels [--count N] [--family NAME] [--kind NAME] [--seed S] [--jobs N] [--least FRACTION]
//
// N mutants of each family and kind (20), drawn from the kernels that the family's tests launch. Ends with 1 if fewer than FRACTION (0.95)
// of all are noticed. The program is test_kernels' CUDA tests with another main.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cxxabi.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gradus/kernels/emulator/check/finding.h>
#include <gradus/kernels/emulator/count/counters.h>
#include <gradus/kernels/emulator/exec/loaded_module.h>
#include <gradus/kernels/emulator/ptx/parser.h>
#include <gradus/kernels/emulator/runtime/registry.h>

#include "mutant.h"

namespace {

using namespace mutation;
namespace emulator = gradus::emulator;

struct Settings {
  std::size_t count = 20, jobs = 1;
  unsigned seed = 20240607;
  double least = 0.95;
  std::string family, kind;
};

// ---- what there is: modules and tests by family ---------------------------------------------------------------------------------------

struct Source {  // a .cu file
  emulator::runtime::FatBinary* binary = nullptr;
  emulator::ptx::Module module;
  std::string name;
};

struct Case {
  std::string name;
  double seconds = 0;
  std::set<std::string> kernels;  // demangled, launched by it
};

/// "softmax_lines.cu" -> "softmax".
std::string family_of(const std::string& file) {
  const std::string name = file.substr(file.rfind('/') + 1);
  if (name.rfind("cross_entropy", 0) == 0) return "softmax";
  return name.substr(0, name.find_first_of("_."));
}

/// Without loading: device memory is made by the first load and would be shared by every process forked later.
std::vector<Source> sources_of(const std::string& family) {
  std::vector<Source> sources;
  for (const auto& binary : emulator::runtime::fat_binaries()) {
    const auto images = emulator::ptx::images_of(binary->wrapper);
    if (images.empty()) continue;
    // What was compiled: the .file directive that names a .cu, or the first one where every line is a header's.
    const std::string_view text = images[0].text;
    std::string name;
    for (std::size_t at = text.find(".file\t"); at != std::string_view::npos; at = text.find(".file\t", at + 1)) {
      std::string_view line = text.substr(at, text.find('\n', at) - at);
      line = line.substr(line.find('"') + 1);
      const std::string file(line.substr(0, line.find('"')));
      if (const bool is_source = file.ends_with(".cu"); is_source || name.empty()) name = file;
      if (name.ends_with(".cu")) break;
    }
    if (name.empty() || family_of(name) != family) continue;
    sources.push_back({binary.get(), emulator::ptx::parse(text), name.substr(name.rfind('/') + 1)});
  }
  return sources;
}

std::map<std::string, std::vector<Case>> cases_by_family() {
  std::map<std::string, std::vector<Case>> families;
  for (const auto& test : doctest::detail::getRegisteredTests()) {
    const std::string file = test.m_file.c_str(), name = test.m_name;
    if (name.rfind("cuda ", 0) == 0) families[family_of(file)].push_back({name, 0, {}});
  }
  return families;
}

std::string demangled(const std::string& name) {
  int status = 0;
  char* text = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
  const std::string result = status == 0 && text != nullptr ? text : name;
  std::free(text);
  return result;
}

// ---- runs, each in a process of its own -----------------------------------------------------------------------------------------------

constexpr int kPassed = 0, kFailed = 1, kNotLoaded = 2;

/// Forks; the child's output goes nowhere, and it ends by itself after `seconds`.
pid_t start(double seconds, const std::function<int()>& body) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child != 0) return child;
  const int nowhere = open("/dev/null", O_WRONLY);
  dup2(nowhere, 1);
  dup2(nowhere, 2);
  for (const int number : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE}) signal(number, SIG_DFL);
  alarm(static_cast<unsigned>(std::ceil(seconds)));
  emulator::Report::instance().set_sink([](const emulator::Finding&) { _exit(emulator::kFindingExitCode); });
  _exit(body());
}

std::string escaped(std::string name) {
  for (std::size_t at = name.find(','); at != std::string::npos; at = name.find(',', at + 2)) name.insert(at, "\\");
  return name;
}

int run_case(const Case& test) {
  doctest::Context context;
  context.addFilter("test-case", escaped(test.name).c_str());
  context.setOption("abort-after", 1);
  context.setOption("no-intro", true);
  return context.run() == 0 ? kPassed : kFailed;
}

/// Runs the test as it is: seconds and kernels. False: it does not pass, or launches nothing.
bool measure(Case& test) {
  char file[] = "/tmp/gradus_mutation_XXXXXX";
  close(mkstemp(file));
  const auto begin = std::chrono::steady_clock::now();
  const pid_t child = start(600, [&] {
    emulator::options().count = true;
    const int result = run_case(test);
    std::ofstream out(file);
    for (const auto& [kernel, counters] : emulator::counters_by_kernel()) out << kernel << '\n';
    out.close();
    return result;
  });
  int status = 0;
  waitpid(child, &status, 0);
  test.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) test.kernels.insert(line);
  unlink(file);
  if (status != 0) std::printf("left out, does not pass unchanged: %s (status %x)\n", test.name.c_str(), static_cast<unsigned>(status));
  return status == 0 && !test.kernels.empty();
}

struct Job {
  Source* source = nullptr;
  Mutant mutant;
  std::vector<const Case*> cases;  // the quick ones first
  int status = 0;
  bool executed = true;  // of survivors: whether a trap in its place is noticed
  double limit() const {
    double sum = 0;
    for (const Case* c : cases) sum += c->seconds;
    return 20 + 5 * sum;
  }
  bool noticed() const { return status != 0; }
};

int run_mutant(const Job& job, bool trap) {
  emulator::options().livelock_steps = 3'000'000;
  emulator::ptx::Module module = std::move(job.source->module);  // the parent keeps its own
  (trap ? apply_trap : apply)(module, job.mutant);
  auto& binary = *job.source->binary;
  try {
    binary.module = std::make_shared<emulator::LoadedModule>(std::move(module));
  } catch (const std::exception&) { return kNotLoaded; }
  binary.tried = true;
  for (const Case* c : job.cases) {
    if (const int result = run_case(*c)) return result;
  }
  return kPassed;
}

/// All of them, a few at a time; done(job, status).
void run_all(std::vector<Job*> jobs, bool trap, std::size_t at_once, const std::function<void(Job&, int)>& done) {
  std::map<pid_t, Job*> running;
  while (!jobs.empty() || !running.empty()) {
    while (!jobs.empty() && running.size() < at_once) {
      Job* job = jobs.back();
      jobs.pop_back();
      running[start(job->limit(), [=] { return run_mutant(*job, trap); })] = job;
    }
    int status = 0;
    const pid_t child = wait(&status);
    const auto found = running.find(child);
    if (found == running.end()) continue;
    done(*found->second, status);
    running.erase(found);
  }
}

// ---- a family -------------------------------------------------------------------------------------------------------------------------

struct Cell {
  std::size_t mutants = 0, noticed = 0;
};

class Family {
 public:
  Family(const std::string& name, std::vector<Case> cases, const Settings& settings) : name_(name), settings_(settings) {
    for (Case& test : cases) {
      if (measure(test)) cases_.push_back(test);
    }
    std::sort(cases_.begin(), cases_.end(), [](const Case& a, const Case& b) { return a.seconds < b.seconds; });
    sources_ = sources_of(name);
  }

  std::map<Kind, Cell> run() {
    draw();
    std::vector<Job*> all;
    for (Job& job : jobs_) all.push_back(&job);
    run_all(all, false, settings_.jobs, [](Job& job, int status) { job.status = status; });
    std::vector<Job*> survivors;
    for (Job& job : jobs_) {
      if (!job.noticed()) survivors.push_back(&job);
    }
    run_all(survivors, true, settings_.jobs, [](Job& job, int status) { job.executed = status != 0; });
    return count();
  }

 private:
  std::vector<const Case*> cases_for(const emulator::ptx::Function& function) const {
    const std::string name = demangled(function.name);
    std::vector<const Case*> cases;
    for (const Case& c : cases_) {
      if (!function.is_entry || c.kernels.contains(name)) cases.push_back(&c);
    }
    return cases;
  }

  void draw() {
    std::map<Kind, std::vector<Job>> drawn;
    std::size_t entries = 0, launched = 0;
    for (Source& source : sources_) {
      std::vector<std::vector<const Case*>> cases;
      for (const auto& f : source.module.functions) {
        cases.push_back(f->has_body ? cases_for(*f) : std::vector<const Case*>{});
        if (!f->is_entry) continue;
        ++entries;
        launched += !cases.back().empty();
        if (cases.back().empty()) std::printf("  no test launches %s\n", demangled(f->name).c_str());
      }
      for (const Mutant& m : mutants_of(source.module)) {
        if (!cases[m.function].empty()) drawn[m.kind].push_back({&source, m, cases[m.function], 0, true});
      }
    }
    std::printf("%s: %zu tests launch %zu of %zu kernels\n", name_.c_str(), cases_.size(), launched, entries);
    std::mt19937 random(settings_.seed);
    for (auto& [kind, jobs] : drawn) {
      std::shuffle(jobs.begin(), jobs.end(), random);
      if (!settings_.kind.empty() && settings_.kind != name_of(kind)) continue;
      jobs.resize(std::min(jobs.size(), settings_.count));
      jobs_.insert(jobs_.end(), jobs.begin(), jobs.end());
    }
  }

  std::map<Kind, Cell> count() const {
    std::map<Kind, Cell> cells;
    for (const Job& job : jobs_) {
      Cell& cell = cells[job.mutant.kind];
      ++cell.mutants;
      cell.noticed += job.noticed();
      const auto& function = *job.source->module.functions[job.mutant.function];
      // SIGABRT: a check failed inside a destructor.
      const bool crashed = WIFSIGNALED(job.status) && WTERMSIG(job.status) != SIGALRM && WTERMSIG(job.status) != SIGABRT;
      if (job.noticed() && !crashed && !(WIFEXITED(job.status) && WEXITSTATUS(job.status) == kNotLoaded)) continue;
      const char* what = !job.noticed() ? (job.executed ? "survives" : "survives, never executed")
                         : crashed      ? "crashes the emulator"
                                        : "does not load";
      std::printf("  %s %s %s operand %zu: %s; `%s` in %s\n", place_of(job.source->module, job.mutant).c_str(), job.source->name.c_str(),
                  name_of(job.mutant.kind), job.mutant.operand, what, function.body[job.mutant.pc].text.c_str(),
                  demangled(function.name).c_str());
    }
    std::fflush(stdout);
    return cells;
  }

  std::string name_;
  const Settings& settings_;
  std::vector<Case> cases_;
  std::vector<Source> sources_;
  std::vector<Job> jobs_;
};

void print_row(const std::string& name, const std::map<Kind, Cell>& cells) {
  Cell all;
  std::printf("%-14s", name.c_str());
  for (const Kind kind : kKinds) {
    const auto found = cells.find(kind);
    const Cell cell = found == cells.end() ? Cell{} : found->second;
    all.mutants += cell.mutants;
    all.noticed += cell.noticed;
    std::printf("%5zu/%-4zu", cell.noticed, cell.mutants);
  }
  std::printf("%6zu/%zu\n", all.noticed, all.mutants);
}

Settings read_settings(int argc, char** argv) {
  Settings s;
  s.jobs = std::max(1u, std::thread::hardware_concurrency());
  for (int k = 1; k + 1 < argc; k += 2) {
    const std::string name = argv[k], value = argv[k + 1];
    if (name == "--count") s.count = std::stoul(value);
    else if (name == "--family") s.family = value;
    else if (name == "--kind") s.kind = value;
    else if (name == "--seed") s.seed = static_cast<unsigned>(std::stoul(value));
    else if (name == "--jobs") s.jobs = std::stoul(value);
    else if (name == "--least") s.least = std::stod(value);
    else std::fprintf(stderr, "unknown: %s\n", name.c_str()), std::exit(2);
  }
  return s;
}

}  // namespace

int main(int argc, char** argv) {
  const Settings settings = read_settings(argc, argv);
  std::map<std::string, std::map<Kind, Cell>> table;
  for (const auto& [family, cases] : cases_by_family()) {
    if (!settings.family.empty() && settings.family != family) continue;
    Family proof(family, cases, settings);
    table[family] = proof.run();
  }
  std::map<Kind, Cell> sums;
  Cell all;
  std::printf("\nnoticed/mutants");
  for (const Kind kind : kKinds) std::printf("%9s ", name_of(kind));
  std::printf("%9s\n", "all");
  for (const auto& [family, cells] : table) {
    print_row(family, cells);
    for (const auto& [kind, cell] : cells) {
      sums[kind].mutants += cell.mutants;
      sums[kind].noticed += cell.noticed;
      all.mutants += cell.mutants;
      all.noticed += cell.noticed;
    }
  }
  print_row("all", sums);
  const double share = all.mutants ? static_cast<double>(all.noticed) / static_cast<double>(all.mutants) : 0;
  std::printf("%.1f %% noticed, seed %u\n", 100 * share, settings.seed);
  return share >= settings.least ? 0 : 1;
}
