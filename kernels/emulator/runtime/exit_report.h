// What happens when the program ends: queued work, the counters' file, the footer, the exit code.
#pragma once

namespace gradus::emulator::runtime {

/// Registers the report (once). Findings end the process with kFindingExitCode, a module that could not be loaded with 1 (unless the
/// program itself ends with another code).
void report_at_exit();
/// The same report at once, without the program's own exit handlers.
[[noreturn]] void end_process(int status);

}  // namespace gradus::emulator::runtime
