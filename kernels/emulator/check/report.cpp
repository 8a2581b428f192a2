// From a running instruction to a finding: names of threads, and the line that the user wrote.
#include <algorithm>
#include <cstdint>
#include <string>

#include <gradus/kernels/emulator/exec/launch.h>
#include <gradus/kernels/emulator/exec/shadow.h>

namespace gradus::emulator {
namespace {

std::string triple(const std::uint64_t (&v)[3]) {
  return "(" + std::to_string(v[0]) + "," + std::to_string(v[1]) + "," + std::to_string(v[2]) + ")";
}

void unfold(std::uint64_t linear, const std::uint32_t (&size)[3], std::uint64_t (&out)[3]) {
  const std::uint64_t x = size[0] != 0 ? size[0] : 1, y = size[1] != 0 ? size[1] : 1;
  out[0] = linear % x;
  out[1] = linear / x % y;
  out[2] = linear / x / y;
}

const ptx::Location* users_location(const ptx::Module& module, std::uint32_t index) {
  const ptx::Location* innermost = nullptr;
  // A chain of inlined calls is no longer than this in sane code; a broken table must not loop.
  for (int depth = 0; depth < 64 && index < module.locations.size(); ++depth) {
    const ptx::Location& location = module.locations[index];
    if (innermost == nullptr && location.line != 0) innermost = &location;
    if (location.line != 0 && location.file < module.files.size() && !is_toolkit_file(module.files[location.file])) return &location;
    if (location.inlined_at < 0) break;
    index = static_cast<std::uint32_t>(location.inlined_at);
  }
  return innermost;
}

}  // namespace

bool is_toolkit_file(const std::string& file) {
  for (const char* part :
       {"/targets/x86_64-linux/include/", "/targets/sbsa-linux/include/", "/targets/aarch64-linux/include/", "/usr/local/cuda", "/opt/cuda",
        "/usr/lib/cuda", "/usr/include/", "/cuda_runtime/include/", "/cuda_cccl/include/"}) {
    if (file.find(part) != std::string::npos) return true;
  }
  return false;
}

std::string thread_name_of(const Warp& any, std::uint32_t block, std::uint32_t warp, std::uint32_t lane) {
  const LaunchConfig& config = launch_of(any).config;
  std::uint64_t b[3], t[3];
  unfold(block, config.grid, b);
  unfold(warp * std::uint64_t{kLanes} + lane, config.block, t);
  return "block " + triple(b) + " thread " + triple(t);
}

std::string thread_name(const Warp& warp, int lane) {
  return thread_name_of(warp, warp.block->linear, warp.index, static_cast<std::uint32_t>(lane));
}

SourcePlace place_of_location(const ptx::Module& module, std::uint32_t location) {
  const ptx::Location* place = users_location(module, location);
  if (place == nullptr) return {};
  return {place->file < module.files.size() ? place->file : 0, place->line};
}

std::string line_text(const ptx::Module& module, std::uint32_t location) {
  const SourcePlace place = place_of_location(module, location);
  if (place.line == 0) return "an unknown line";
  const std::string& file = module.files[place.file];
  const auto slash = file.rfind('/');
  return (slash == std::string::npos ? file : file.substr(slash + 1)) + ":" + std::to_string(place.line);
}

bool is_of_primitives(const ptx::Module& module, std::uint32_t location) {
  if (location >= module.locations.size()) return false;
  const std::uint32_t file = module.locations[location].file;
  if (file >= module.files.size() || !is_toolkit_file(module.files[file])) return false;
  return module.files[file].find("/cub/") != std::string::npos || module.files[file].find("/thrust/") != std::string::npos;
}

bool worth_telling(Kind kind, const Decoded& d, std::uint32_t other_location) {
  const std::uint64_t low = std::min(d.location, other_location), high = std::max(d.location, other_location);
  return launch_state().told.insert(static_cast<std::uint64_t>(kind) << 56 | low << 28 | high).second;
}

Finding finding_at(Kind kind, std::uint32_t location, const std::string& text) {
  const LaunchState& launch = launch_state();
  Finding finding;
  finding.kind = kind;
  finding.kernel = launch.kernel;
  finding.text = text;
  if (launch.module == nullptr) return finding;
  const SourcePlace place = place_of_location(*launch.module, location);
  if (place.line == 0) return finding;
  finding.file = launch.module->files[place.file];
  finding.line = place.line;
  return finding;
}

void report(Kind kind, Warp& warp, const Decoded& d, int lane, const std::string& text) {
  Finding finding = finding_at(kind, d.location, text);
  const std::string who = thread_name(warp, lane);
  if (text.find(who) == std::string::npos) finding.text += " (" + who + ")";
  if (finding.line == 0 && d.source != nullptr) finding.text += " at `" + d.source->text + "`";
  Report::instance().add(std::move(finding));
}

}  // namespace gradus::emulator
