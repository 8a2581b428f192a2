// Do the kernels' tests notice faults? Plants one fault at a time in the PTX of a family's kernels, in memory, and runs that family's CUDA
// tests under the emulator. A mutant is noticed by a finding of the checks, a failed or crashed test, or its time limit. What is a mutant:
// mutant.h. Only the tests that come to the changed instruction are run for it; one that no test comes to survives.
//
//   mutate_kernels [--count N] [--family NAME] [--kind NAME] [--seed S] [--jobs N] [--least FRACTION] [--unexecuted yes]
//
// N mutants of each family and kind (20), drawn from the kernels that the family's tests launch. A survivor that equivalent.txt explains
// does not count. Ends with 1 if fewer than FRACTION (0.95) of the others are noticed, with 2 if an entry of equivalent.txt fits no mutant.
// --unexecuted yes only lists the mutants that no test comes to. The program is test_kernels' CUDA tests with another
// main.
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "accepted.h"
#include "cases.h"
#include "mutant.h"

namespace {

using namespace mutation;
namespace emulator = gradus::emulator;

struct Settings {
  std::size_t count = 20, jobs = 1;
  unsigned seed = 20240607;
  double least = 0.95;
  std::string family, kind;
  bool unexecuted = false;
};

struct Job {
  std::size_t source = 0;
  Mutant mutant;
  std::vector<const Case*> cases;  // those that come to the instruction, the quick ones first
  int status = 0;
  Accepted* accepted = nullptr;
  double limit() const {
    double sum = 0;
    for (const Case* c : cases) sum += c->seconds;
    return 20 + 5 * sum;
  }
  bool noticed() const { return status != 0; }
};

struct Cell {
  std::size_t mutants = 0, noticed = 0, accepted = 0;
  void add(const Cell& other) { mutants += other.mutants, noticed += other.noticed, accepted += other.accepted; }
};

class Family {
 public:
  Family(const std::string& name, std::vector<Case> cases, const Settings& settings, std::vector<Accepted>& accepted)
      : name_(name), settings_(settings), accepted_(accepted), sources_(sources_of(name)) {
    for (Case& test : cases) {
      if (measure(test, sources_)) cases_.push_back(test);
    }
    std::sort(cases_.begin(), cases_.end(), [](const Case& a, const Case& b) { return a.seconds < b.seconds; });
    find_mutants();
  }

  std::map<Kind, Cell> run() {
    draw();
    std::map<pid_t, Job*> running;
    for (std::size_t next = 0; next < jobs_.size() || !running.empty();) {
      while (next < jobs_.size() && running.size() < settings_.jobs) {
        Job& job = jobs_[next++];
        if (!job.cases.empty()) running[start(job.limit(), [&] { return run_mutant(job); })] = &job;
      }
      if (running.empty()) continue;
      int status = 0;
      const auto found = running.find(wait(&status));
      if (found == running.end()) continue;
      found->second->status = status;
      running.erase(found);
    }
    return count();
  }

  void list_unexecuted() const {
    for (const Case& c : cases_) std::printf("  %5.1f s: %s\n", c.seconds, c.name.c_str());
    for (const auto& [kind, jobs] : mutants_) {
      for (const Job& job : jobs) {
        if (job.cases.empty()) print(job);
      }
    }
  }

 private:
  /// Of all kernels that a test launches.
  void find_mutants() {
    std::size_t entries = 0, launched = 0;
    for (std::size_t s = 0; s < sources_.size(); ++s) {
      const auto& functions = sources_[s].module.functions;
      std::vector<bool> is_launched;
      for (std::size_t f = 0; f < functions.size(); ++f) {
        is_launched.push_back(std::any_of(cases_.begin(), cases_.end(), [&](const Case& c) { return c.launches(s, f); }));
        if (!functions[f]->is_entry) continue;
        ++entries;
        launched += is_launched[f];
        if (!is_launched[f]) std::printf("  no test launches %s\n", demangled(functions[f]->name).c_str());
      }
      for (const Mutant& m : mutants_of(sources_[s].module)) {
        if (!is_launched[m.function]) continue;
        Job job{s, m, {}, 0, nullptr};
        for (const Case& c : cases_) {
          if (c.reaches(sources_, s, m.function, m.pc)) job.cases.push_back(&c);
        }
        mutants_[m.kind].push_back(job);
      }
    }
    std::size_t all = 0, executed = 0;
    for (const auto& [kind, jobs] : mutants_) {
      all += jobs.size();
      executed += static_cast<std::size_t>(std::count_if(jobs.begin(), jobs.end(), [](const Job& job) { return !job.cases.empty(); }));
    }
    std::printf("%s: %zu tests launch %zu of %zu kernels and execute %zu of their %zu mutants\n", name_.c_str(), cases_.size(), launched,
                entries, executed, all);
    accept();
  }

  void accept() {
    for (auto& [kind, jobs] : mutants_) {
      for (Job& job : jobs) {
        const Place place = place_of(sources_[job.source].module, job.mutant);
        for (Accepted& entry : accepted_) {
          if (!entry.fits(place, kind, kernel_of(job))) continue;
          ++entry.matches;
          job.accepted = &entry;
        }
      }
    }
  }

  void draw() {
    std::mt19937 random(settings_.seed);
    for (auto& [kind, jobs] : mutants_) {
      std::shuffle(jobs.begin(), jobs.end(), random);
      if (!settings_.kind.empty() && settings_.kind != name_of(kind)) continue;
      jobs_.insert(jobs_.end(), jobs.begin(), jobs.begin() + static_cast<std::ptrdiff_t>(std::min(jobs.size(), settings_.count)));
    }
  }

  int run_mutant(const Job& job) {
    emulator::options().livelock_steps = 3'000'000;
    emulator::ptx::Module module = std::move(sources_[job.source].module);  // the parent keeps its own
    apply(module, job.mutant);
    auto& binary = *sources_[job.source].binary;
    try {
      binary.module = std::make_shared<emulator::LoadedModule>(std::move(module));
    } catch (const std::exception&) { return kNotLoaded; }
    binary.tried = true;
    for (const Case* c : job.cases) {
      if (const int result = run_case(*c)) return result;
    }
    return kPassed;
  }

  std::string kernel_of(const Job& job) const { return demangled(sources_[job.source].module.functions[job.mutant.function]->name); }

  std::map<Kind, Cell> count() {
    std::map<Kind, Cell> cells;
    for (Job& job : jobs_) {
      Cell& cell = cells[job.mutant.kind];
      const bool accepted = !job.noticed() && job.accepted != nullptr;
      cell.accepted += accepted;
      cell.mutants += !accepted;
      cell.noticed += job.noticed();
      if (accepted) ++job.accepted->survivors;
      else print(job);
    }
    std::fflush(stdout);
    return cells;
  }

  /// Survivors, and what is no good sign either.
  void print(const Job& job) const {
    // SIGABRT: a check failed inside a destructor.
    const bool crashed = WIFSIGNALED(job.status) && WTERMSIG(job.status) != SIGALRM && WTERMSIG(job.status) != SIGABRT;
    const char* what = !job.noticed() ? (job.cases.empty() ? "survives, never executed" : "survives")
                       : crashed      ? "crashes the emulator"
                       : WIFEXITED(job.status) && WEXITSTATUS(job.status) == kNotLoaded ? "does not load"
                                                                                        : nullptr;
    if (what == nullptr) return;
    const auto& module = sources_[job.source].module;
    const auto& i = module.functions[job.mutant.function]->body[job.mutant.pc];
    const Place place = place_of(module, job.mutant);
    std::printf("  %s %s: %s; %s operand %zu of `%s` (line %u of the PTX); %s in %s\n", name_of(job.mutant.kind), what,
                place.brief().c_str(), place.text.c_str(), job.mutant.operand, i.text.c_str(), i.text_line,
                sources_[job.source].name.c_str(), kernel_of(job).c_str());
  }

  std::string name_;
  const Settings& settings_;
  std::vector<Accepted>& accepted_;
  std::vector<Source> sources_;
  std::vector<Case> cases_;
  std::map<Kind, std::vector<Job>> mutants_;
  std::vector<Job> jobs_;
};

Cell print_row(const std::string& name, const std::map<Kind, Cell>& cells) {
  Cell all;
  std::printf("%-14s", name.c_str());
  for (const Kind kind : kKinds) {
    const auto found = cells.find(kind);
    const Cell cell = found == cells.end() ? Cell{} : found->second;
    all.add(cell);
    std::printf("%5zu/%-4zu", cell.noticed, cell.mutants);
  }
  std::printf("%6zu/%zu", all.noticed, all.mutants);
  if (all.accepted) std::printf(" and %zu accepted", all.accepted);
  std::printf("\n");
  return all;
}

/// The share that is noticed.
double print_table(const std::map<std::string, std::map<Kind, Cell>>& table) {
  std::printf("\nnoticed/mutants");
  for (const Kind kind : kKinds) std::printf("%9s ", name_of(kind));
  std::printf("%9s\n", "all");
  std::map<Kind, Cell> sums;
  for (const auto& [family, cells] : table) {
    print_row(family, cells);
    for (const auto& [kind, cell] : cells) sums[kind].add(cell);
  }
  const Cell all = print_row("all", sums);
  return all.mutants ? static_cast<double>(all.noticed) / static_cast<double>(all.mutants) : 0;
}

void print_accepted(const std::vector<Accepted>& accepted) {
  for (const Accepted& entry : accepted) {
    if (entry.survivors == 0) continue;
    std::printf("accepted, %zu: %s %s: %s\n", entry.survivors, entry.file.c_str(), entry.kind.c_str(), entry.reason.c_str());
  }
}

/// Of a run of all families: whether each entry fits a mutant.
bool all_fit(const std::vector<Accepted>& accepted) {
  bool fit = true;
  for (const Accepted& entry : accepted) {
    if (entry.matches) continue;
    fit = false;
    std::printf("equivalent.txt: fits no mutant: %s | %s | %s | %s\n", entry.file.c_str(), entry.kind.c_str(), entry.kernel.c_str(),
                entry.line.c_str());
  }
  return fit;
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
    else if (name == "--unexecuted") s.unexecuted = value == "yes";
    else std::fprintf(stderr, "unknown: %s\n", name.c_str()), std::exit(2);
  }
  return s;
}

}  // namespace

int main(int argc, char** argv) {
  const Settings settings = read_settings(argc, argv);
  std::vector<Accepted> accepted = read_accepted(GRADUS_EQUIVALENT_MUTANTS);
  std::map<std::string, std::map<Kind, Cell>> table;
  for (const auto& [name, cases] : cases_by_family()) {
    if (!settings.family.empty() && settings.family != name) continue;
    Family family(name, cases, settings, accepted);
    if (settings.unexecuted) family.list_unexecuted();
    else table[name] = family.run();
  }
  if (settings.unexecuted) return 0;
  const double share = print_table(table);
  print_accepted(accepted);
  std::printf("%.1f %% noticed, seed %u\n", 100 * share, settings.seed);
  if (settings.family.empty() && !all_fit(accepted)) return 2;
  return share >= settings.least ? 0 : 1;
}
