#include <gradus/kernels/emulator/runtime/host_access.h>

#include <signal.h>
#include <ucontext.h>

#include <cstdint>
#include <string>

#include <gradus/kernels/emulator/exec/memory.h>
#include <gradus/kernels/emulator/runtime/exit_report.h>
#include <gradus/kernels/emulator/runtime/host_finding.h>
#include <gradus/kernels/emulator/runtime/pinned_guard.h>

namespace gradus::emulator::runtime {
namespace {

struct sigaction before;

#if defined(__x86_64__)
std::uintptr_t faulting_pc(void* context) {
  return static_cast<std::uintptr_t>(static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP]);
}
bool was_write(void* context) { return (static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_ERR] & 2) != 0; }
#else
std::uintptr_t faulting_pc(void*) { return 0; }
bool was_write(void*) { return false; }
#endif

/// The faulting instruction first (+1: it is no return address), then its callers: a memcpy's fault belongs to who called it.
CallSite site_of(void* context) {
  const CallSite callers = CallSite::here();
  CallSite site;
  site.frames[site.count++] = faulting_pc(context) + 1;
  for (std::uint32_t i = 0; i < callers.count && site.count < site.frames.size(); ++i) site.frames[site.count++] = callers.frames[i];
  return site;
}

[[noreturn]] void end_with_finding(std::uint64_t address, void* context) {
  report_call(Kind::host_access, site_of(context),
              std::string("the host ") + (was_write(context) ? "writes" : "reads") +
                  " device memory: " + DeviceMemory::instance().describe(address) + ". Use cudaMemcpy");
  end_process(kFindingExitCode);
}

/// The host touches what a queued copy needs: a finding, after which it may go on.
void report_early_touch(std::uint64_t address, void* context) {
  const std::lock_guard held(lock());
  const CallSite site = site_of(context);
  const std::string text = give_up_guard(address, was_write(context), site);
  if (!text.empty()) report_call(Kind::stream_order, site, text);  // else another thread's fault has given it back
}

// Beyond what async-signal safety allows, deliberately: the fault is synchronous and in the program's own code.
void on_fault(int number, siginfo_t* info, void* context) {
  const auto address = reinterpret_cast<std::uint64_t>(info->si_addr);
  if (DeviceMemory::instance().is_device_page(address)) end_with_finding(address, context);
  if (DeviceMemory::instance().is_host_page(address)) return report_early_touch(address, context);
  static bool passed_on = false;  // once: the other handler may have put this one back and raised the signal anew
  if (!passed_on) {
    passed_on = true;
    if ((before.sa_flags & SA_SIGINFO) != 0 && before.sa_sigaction != nullptr) return before.sa_sigaction(number, info, context);
    if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) return before.sa_handler(number);
  }
  signal(number, SIG_DFL);  // returns to the instruction, which faults again and ends the process as usual
}

}  // namespace

void catch_host_access() {
  struct sigaction action = {};
  if (sigaction(SIGSEGV, nullptr, &action) == 0 && (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == on_fault) return;
  action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGSEGV, &action, &before);
}

}  // namespace gradus::emulator::runtime
