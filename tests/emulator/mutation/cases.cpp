#include "cases.h"

#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cxxabi.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include <gradus/kernels/emulator/check/finding.h>
#include <gradus/kernels/emulator/ptx/parser.h>

namespace mutation {
namespace {

namespace emulator = gradus::emulator;
using Executed = std::map<const emulator::ptx::Function*, std::vector<bool>>;

std::string escaped(std::string name) {
  for (std::size_t at = name.find(','); at != std::string::npos; at = name.find(',', at + 2)) name.insert(at, "\\");
  return name;
}

/// One line a function that ran: source, function, a 0 or 1 for each instruction.
void write(const std::string& file, const std::vector<Source>& sources, const Executed& executed) {
  std::ofstream out(file);
  for (std::size_t s = 0; s < sources.size(); ++s) {
    const auto& module = sources[s].binary->module;
    for (std::size_t f = 0; module && f < module->program().functions.size(); ++f) {
      const auto found = executed.find(module->program().functions[f].get());
      if (found == executed.end()) continue;
      out << s << ' ' << f << ' ';
      for (const bool ran : found->second) out << (ran ? '1' : '0');
      out << '\n';
    }
  }
}

void read(const std::string& file, Case& test) {
  std::ifstream in(file);
  std::size_t s = 0, f = 0;
  for (std::string bits; in >> s >> f >> bits;) {
    auto& executed = test.executed[{s, f}];
    for (const char bit : bits) executed.push_back(bit == '1');
  }
}

}  // namespace

bool Case::reaches(const std::vector<Source>& sources, std::size_t source, std::size_t function, std::size_t pc) const {
  const auto found = executed.find({source, function});
  if (found == executed.end()) return false;
  const auto& body = sources[source].module.functions[function]->body;
  // An instruction counts when a lane runs it: with a guard, ask the ones before.
  while (pc > 0 && !found->second[pc] && body[pc].guard >= 0) --pc;
  return found->second[pc];
}

std::string family_of(const std::string& file) {
  const std::string name = file.substr(file.rfind('/') + 1);
  if (name.rfind("cross_entropy", 0) == 0) return "softmax";
  return name.substr(0, name.find_first_of("_."));
}

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

int run_case(const Case& test) {
  doctest::Context context;
  context.addFilter("test-case", escaped(test.name).c_str());
  context.setOption("abort-after", 1);
  context.setOption("no-intro", true);
  return context.run() == 0 ? kPassed : kFailed;
}

bool measure(Case& test, const std::vector<Source>& sources) {
  char file[] = "/tmp/gradus_mutation_XXXXXX";
  close(mkstemp(file));
  const auto begin = std::chrono::steady_clock::now();
  const pid_t child = start(600, [&] {
    Executed executed;
    emulator::steps_observer() = [&](const emulator::ptx::Function& function, const std::vector<std::uint64_t>& steps) {
      auto& ran = executed[&function];
      ran.resize(steps.size());
      for (std::size_t pc = 0; pc < steps.size(); ++pc) ran[pc] = ran[pc] || steps[pc] != 0;
    };
    const int result = run_case(test);
    write(file, sources, executed);
    return result;
  });
  int status = 0;
  waitpid(child, &status, 0);
  test.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  read(file, test);
  unlink(file);
  if (status != 0) std::printf("left out, does not pass unchanged: %s (status %x)\n", test.name.c_str(), static_cast<unsigned>(status));
  return status == 0 && !test.executed.empty();
}

}  // namespace mutation
