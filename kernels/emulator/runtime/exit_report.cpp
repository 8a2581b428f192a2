#include <gradus/kernels/emulator/runtime/exit_report.h>

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include <gradus/kernels/emulator/check/finding.h>
#include <gradus/kernels/emulator/count/counters.h>
#include <gradus/kernels/emulator/exec/machine.h>
#include <gradus/kernels/emulator/runtime/copy_hash.h>
#include <gradus/kernels/emulator/runtime/device_state.h>
#include <gradus/kernels/emulator/runtime/scheduler.h>

namespace gradus::emulator::runtime {
namespace {

/// Runs what the program never waited for: a GPU may or may not have come to it, and its findings are wanted all the same.
void drain() {
  auto& scheduler = Scheduler::instance();
  if (!scheduler.any_pending() || DeviceState::instance().sticky != 0) return;
  std::fprintf(stderr, "gradus emulator: the program ends without waiting for its last work; on a GPU that may never run\n");
  scheduler.skip_host_functions = true;
  scheduler.finish_all();
}

void write_counters() {
  if (options().count_file.empty()) return;
  std::ofstream out(options().count_file);
  out << counters_json() << "\n";
  if (!out) std::fprintf(stderr, "gradus emulator: cannot write %s\n", options().count_file.c_str());
}

void footer(std::size_t findings) {
  std::fprintf(stderr, "gradus emulator: %zu finding%s, seed %llu. Clean here is not clean on silicon.\n", findings,
               findings == 1 ? "" : "s", static_cast<unsigned long long>(options().seed));
}

void at_exit(int status, void*) {
  std::size_t findings = 0;
  if (lock().try_lock()) {  // a thread that died inside a kernel keeps it: then only report
    drain();
    write_counters();
    write_copy_hash();
    findings = Report::instance().findings().size();
    lock().unlock();
  }
  footer(findings);
  std::cout.flush();
  std::fflush(nullptr);
  if (findings > 0) _exit(kFindingExitCode);
  if (status == 0 && DeviceState::instance().module_failed) _exit(1);
}

}  // namespace

void end_process(int status) {
  at_exit(status, nullptr);
  _exit(status);
}

void report_at_exit() {
  static bool once = false;
  if (once || std::getenv("GRADUS_EMULATOR_NO_EXIT_REPORT") != nullptr) return;
  once = true;
  on_exit(at_exit, nullptr);
}

}  // namespace gradus::emulator::runtime
