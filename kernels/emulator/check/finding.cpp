#include <gradus/kernels/emulator/check/finding.h>

#include <cstdio>
#include <utility>

namespace gradus::emulator {

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::out_of_bounds: return "out-of-bounds";
    case Kind::misaligned: return "misaligned";
    case Kind::freed: return "freed";
    case Kind::uninitialised: return "uninitialised";
    case Kind::race_in_block: return "race-in-block";
    case Kind::race_between_blocks: return "race-between-blocks";
    case Kind::divergent_barrier: return "divergent-barrier";
    case Kind::missing_syncwarp: return "missing-syncwarp";
    case Kind::shuffle_mask: return "shuffle-mask";
    case Kind::launch_limit: return "launch-limit";
    case Kind::stream_order: return "stream-order";
    case Kind::host_access: return "host-access";
    case Kind::livelock: return "livelock";
  }
  return "";
}

namespace {

std::string line_of(const Finding& finding, const char* before_kind) {
  std::string text = finding.file.empty() ? std::string("?") : finding.file;
  if (finding.line != 0) text += ":" + std::to_string(finding.line);
  text += std::string(": ") + before_kind + name_of(finding.kind) + ": " + finding.text;
  if (!finding.kernel.empty()) text += " [kernel " + finding.kernel + "]";
  return text;
}

}  // namespace

std::string to_string(const Finding& finding) { return line_of(finding, ""); }

Report& Report::instance() {
  static Report& report = *new Report();  // outlives every static object that may still report at exit
  return report;
}

void Report::add(Finding finding) {
  for (std::size_t i = 0; i < findings_.size(); ++i) {
    const Finding& known = findings_[i];
    if (known.kind != finding.kind || known.line != finding.line || known.file != finding.file || known.kernel != finding.kernel) continue;
    if (finding.line == 0 && known.text != finding.text) continue;  // without a line, only the text tells findings apart
    ++counts_[i];
    return;
  }
  findings_.push_back(std::move(finding));
  counts_.push_back(1);
  if (sink_) sink_(findings_.back());
  else std::fprintf(stderr, "%s\n", to_string(findings_.back()).c_str());
}

void Report::note(const Finding& finding) {
  const std::string text = line_of(finding, "note: ");
  if (notes_.insert(text).second && !sink_) std::fprintf(stderr, "%s\n", text.c_str());
}

void Report::clear() {
  notes_.clear();
  findings_.clear();
  counts_.clear();
}

void Report::set_sink(std::function<void(const Finding&)> sink) { sink_ = std::move(sink); }

}  // namespace gradus::emulator
