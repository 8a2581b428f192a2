#include <gradus/benchmarks/kernels/ptxas.h>

#include <cuda_occupancy.h>
#include <cxxabi.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>

#include <gradus/kernels/emulator/exec/machine.h>

namespace gradus::costs {
namespace {

/// The number before `unit` in "Used 26 registers, used 1 barriers, 32 bytes smem"; 0 if it is not there.
int number_before(const std::string& line, const std::string& unit) {
  const std::size_t end = line.find(unit);
  if (end == std::string::npos) return 0;
  std::size_t begin = end;
  while (begin > 0 && line[begin - 1] >= '0' && line[begin - 1] <= '9') --begin;
  return std::atoi(line.substr(begin, end - begin).c_str());
}

/// The text between two apostrophes, the n-th pair of them.
std::string quoted(const std::string& line, int pair) {
  std::size_t at = 0;
  for (int i = 0; i < 2 * pair; ++i) at = line.find('\'', at) + 1;
  const std::size_t begin = line.find('\'', at) + 1;
  return line.substr(begin, line.find('\'', begin) - begin);
}

void read_text(const std::filesystem::path& file, ResourceTable& table) {
  std::ifstream in(file);
  Resources* kernel = nullptr;
  std::string of_properties, entry;
  for (std::string line; std::getline(in, line);) {
    if (line.find("Compiling entry function") != std::string::npos) {
      entry = quoted(line, 0);
      kernel = &table[number_before(quoted(line, 1) + "#", "#")][key_of(entry)];
      kernel->name = short_name(entry);
    } else if (line.find("Function properties for") != std::string::npos) {
      of_properties = line.substr(line.rfind(' ') + 1);  // a device function that was not inlined has properties too
    } else if (kernel && of_properties == entry && line.find("bytes spill stores") != std::string::npos) {
      kernel->spill_bytes = number_before(line, " bytes spill stores") + number_before(line, " bytes spill loads");
    } else if (kernel && line.find("Used ") != std::string::npos) {
      kernel->registers = number_before(line, " registers");
      kernel->shared_bytes = static_cast<std::size_t>(number_before(line, " bytes smem"));
    }
  }
}

std::string demangled(const std::string& name) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status), std::free);
  return text ? text.get() : name;
}

void erase_all(std::string& text, const std::string& part) {
  for (std::size_t at; (at = text.find(part)) != std::string::npos;) text.erase(at, part.size());
}

/// Up to the parenthesis that opens the parameters: the first one outside template arguments.
std::string without_parameters(const std::string& text) {
  int depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '<') ++depth;
    if (text[i] == '>') --depth;
    if (text[i] == '(' && depth == 0) return text.substr(0, i);
  }
  return text;
}

}  // namespace

std::string key_of(const std::string& mangled) {
  // _GLOBAL__N__<8 digits>_<length>_<file>_cu_<8 digits>
  constexpr std::size_t kHash = 8;
  const std::string prefix = "_GLOBAL__N__", suffix = "_cu_";
  std::string key = mangled;
  for (std::size_t at = key.find(prefix); at != std::string::npos; at = key.find(prefix, at + prefix.size())) {
    key.erase(at + prefix.size(), kHash);
    const std::size_t end = key.find(suffix, at);
    if (end != std::string::npos) key.erase(end + suffix.size(), kHash);
  }
  return key;
}

std::string short_name(const std::string& mangled) {
  std::string text = demangled(mangled);
  for (const char* part : {"(anonymous namespace)::", "gradus::v0::cuda::", "gradus::v0::", "product::"}) erase_all(text, part);
  if (text.rfind("void ", 0) == 0) text.erase(0, 5);
  text = without_parameters(text);
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

ResourceTable read_ptxas(const std::string& folder) {
  ResourceTable table;
  for (const char* architecture : {"80", "90"}) {
    std::error_code missing;
    for (const auto& file : std::filesystem::directory_iterator(std::filesystem::path(folder) / architecture, missing))
      if (file.path().extension() == ".txt") read_text(file.path(), table);
  }
  return table;
}

std::vector<std::string> spilling(const ResourceTable& table) {
  std::vector<std::string> lines;
  for (const auto& [architecture, kernels] : table)
    for (const auto& [key, r] : kernels)
      if (r.spill_bytes > 0)
        lines.push_back(r.name + " spills " + std::to_string(r.spill_bytes) + " bytes at sm_" + std::to_string(architecture));
  return lines;
}

int resident_warps(const Resources& r, int threads, std::size_t dynamic_shared) {
  const auto& limit = emulator::limits();
  cudaOccDeviceProp device;
  device.computeMajor = 9, device.computeMinor = 0;
  device.maxThreadsPerBlock = limit.max_threads_per_block;
  device.maxThreadsPerMultiprocessor = limit.max_threads_per_sm;
  device.regsPerBlock = limit.registers_per_block;
  device.regsPerMultiprocessor = limit.registers_per_sm;
  device.warpSize = limit.warp;
  device.numSms = limit.multiprocessors;
  device.sharedMemPerBlock = static_cast<std::size_t>(limit.max_shared_per_block);
  device.sharedMemPerMultiprocessor = static_cast<std::size_t>(limit.shared_per_sm);
  device.sharedMemPerBlockOptin = static_cast<std::size_t>(limit.max_shared_per_block_optin);
  device.reservedSharedMemPerBlock = static_cast<std::size_t>(limit.reserved_shared);
  cudaOccFuncAttributes kernel;
  kernel.maxThreadsPerBlock = limit.max_threads_per_block;
  kernel.numRegs = r.registers;
  kernel.sharedSizeBytes = r.shared_bytes;
  kernel.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
  kernel.maxDynamicSharedSizeBytes = device.sharedMemPerBlockOptin - r.shared_bytes;
  const cudaOccDeviceState state;
  cudaOccResult result;
  if (cudaOccMaxActiveBlocksPerMultiprocessor(&result, &device, &kernel, &state, threads, dynamic_shared) != CUDA_OCC_SUCCESS) return 0;
  return result.activeBlocksPerMultiprocessor * ((threads + limit.warp - 1) / limit.warp);
}

}  // namespace gradus::costs
