// Findings about what the host asked for, at the line where it did (if the program has debug information; the text names the call).
#pragma once

#include <string>

#include <gradus/kernels/emulator/check/finding.h>
#include <gradus/kernels/emulator/runtime/source_line.h>

namespace gradus::emulator::runtime {

void report_call(Kind kind, const CallSite& site, const std::string& text, const std::string& kernel = {});
/// Of the call that is running.
void report_call(Kind kind, const std::string& text);

}  // namespace gradus::emulator::runtime
