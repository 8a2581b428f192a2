#include <gradus/kernels/emulator/runtime/host_finding.h>

#include <utility>

namespace gradus::emulator::runtime {

void report_call(Kind kind, const CallSite& site, const std::string& text, const std::string& kernel) {
  const SourceLine where = resolve(site);
  Finding finding;
  finding.kind = kind;
  finding.file = where.file;
  finding.line = where.line;
  finding.text = text;
  finding.kernel = kernel;
  Report::instance().add(std::move(finding));
}

void report_call(Kind kind, const std::string& text) { report_call(kind, CallSite::here(), text); }

}  // namespace gradus::emulator::runtime
