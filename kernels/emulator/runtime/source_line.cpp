#include <gradus/kernels/emulator/runtime/source_line.h>

#include <execinfo.h>
#include <link.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <vector>

namespace gradus::emulator::runtime {
namespace {

constexpr int kDeepest = 17;  // the runtime's own frames are about half a dozen

/// The loaded object that holds an address, and the address as the file has it.
struct Place {
  std::uintptr_t address = 0, in_file = 0;
  std::string file;
};

int match(dl_phdr_info* info, std::size_t, void* data) {
  auto& place = *static_cast<Place*>(data);
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& header = info->dlpi_phdr[i];
    const std::uintptr_t begin = info->dlpi_addr + header.p_vaddr;
    if (header.p_type != PT_LOAD || place.address < begin || place.address >= begin + header.p_memsz) continue;
    place.in_file = place.address - info->dlpi_addr;
    place.file = info->dlpi_name[0] == '\0' ? "/proc/self/exe" : info->dlpi_name;
    return 1;
  }
  return 0;
}

std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::vector<SourceLine> ask_addr2line(std::uintptr_t pc) {
  Place place;
  place.address = pc - 1;  // a return address may be the next line's
  dl_iterate_phdr(match, &place);
  std::vector<SourceLine> lines;
  const bool of_system = place.file.rfind("/lib", 0) == 0 || place.file.rfind("/usr/lib", 0) == 0;  // memcpy's line is in nobody's program
  if (place.file.empty() || of_system) return lines;
  std::string file = place.file;
  if (char* real = realpath(file.c_str(), nullptr)) {  // the shell's /proc/self is another process
    file = real;
    std::free(real);
  }
  char address[32];
  std::snprintf(address, sizeof address, "0x%zx", static_cast<std::size_t>(place.in_file));
  std::FILE* pipe = popen(("addr2line -f -i -e " + quoted(file) + " " + address + " 2>/dev/null").c_str(), "r");
  if (pipe == nullptr) return lines;
  char name[4096], where[4096];
  while (std::fgets(name, sizeof name, pipe) != nullptr && std::fgets(where, sizeof where, pipe) != nullptr) {
    SourceLine line;
    line.function = std::string(name).substr(0, std::string(name).find('\n'));
    std::string text = where;
    const auto colon = text.rfind(':');
    if (colon == std::string::npos || text[0] == '?') continue;
    line.file = text.substr(0, colon);
    line.line = static_cast<std::uint32_t>(std::strtoul(text.c_str() + colon + 1, nullptr, 10));
    lines.push_back(line);
  }
  pclose(pipe);
  return lines;
}

bool is_users(const SourceLine& line) {
  if (line.line == 0) return false;
  for (const char* part :
       {"kernels/emulator/", "/targets/x86_64-linux/include/", "/cuda/include/", ".cudafe1.", "/include/c++/", "tmpxft_"}) {
    if (line.file.find(part) != std::string::npos) return false;
  }
  // nvcc's stub of a kernel carries the kernel's own line.
  return line.function.find("__device_stub__") == std::string::npos;
}

}  // namespace

CallSite CallSite::here() {
  void* frames[kDeepest];
  const int found = backtrace(frames, kDeepest);
  CallSite site;
  for (int i = 1; i < found && site.count < site.frames.size(); ++i)
    site.frames[site.count++] = reinterpret_cast<std::uintptr_t>(frames[i]);
  return site;
}

SourceLine resolve(const CallSite& site) {
  static auto& known = *new std::map<std::uintptr_t, std::vector<SourceLine>>;  // used during exit too
  for (std::uint32_t i = 0; i < site.count; ++i) {
    auto found = known.find(site.frames[i]);
    if (found == known.end()) found = known.emplace(site.frames[i], ask_addr2line(site.frames[i])).first;
    for (const SourceLine& line : found->second) {
      if (is_users(line)) return line;
    }
  }
  return {};
}

std::string to_string(const SourceLine& where) {
  if (where.file.empty()) return "the host program";
  const auto slash = where.file.rfind('/');
  return where.file.substr(slash == std::string::npos ? 0 : slash + 1) + ":" + std::to_string(where.line);
}

}  // namespace gradus::emulator::runtime
