// The tests and the kernels of a family, and runs of a test in a process of its own.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gradus/kernels/emulator/exec/loaded_module.h>
#include <gradus/kernels/emulator/runtime/registry.h>

namespace mutation {

struct Source {  // a .cu file
  gradus::emulator::runtime::FatBinary* binary = nullptr;
  gradus::emulator::ptx::Module module;
  std::string name;
};

struct Case {
  std::string name;
  double seconds = 0;
  std::map<std::pair<std::size_t, std::size_t>, std::vector<bool>> executed;  // by source and function: which instructions ran

  bool launches(std::size_t source, std::size_t function) const { return executed.contains({source, function}); }
  /// Whether a warp came to the instruction, if only to be turned away by its guard.
  bool reaches(const std::vector<Source>& sources, std::size_t source, std::size_t function, std::size_t pc) const;
};

/// "softmax_lines.cu" -> "softmax".
std::string family_of(const std::string& file);
std::map<std::string, std::vector<Case>> cases_by_family();
/// Parsed, not loaded: device memory is made by the first load and would be shared by every process forked later.
std::vector<Source> sources_of(const std::string& family);
std::string demangled(const std::string& name);

inline constexpr int kPassed = 0, kFailed = 1, kNotLoaded = 2;

/// Forks; the child's output goes nowhere, its first finding ends it, and so do `seconds`.
pid_t start(double seconds, const std::function<int()>& body);
int run_case(const Case& test);
/// Runs the test as it is: seconds and what it executes. False: it does not pass, or launches nothing of the sources.
bool measure(Case& test, const std::vector<Source>& sources);

}  // namespace mutation
