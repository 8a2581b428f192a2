// What ptxas says of a kernel (build-cuda/ptx/80/*.txt and 90/*.txt, made by the target gradus_ptxas), and what follows for occupancy.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace gradus::costs {

/// For one architecture.
struct Resources {
  std::string name;                    // short
  int registers = 0, spill_bytes = 0;  // spills: stores and loads
  std::size_t shared_bytes = 0;        // static
};

/// By architecture (80, 90), then by the name that key_of() gives. Empty where the folder is missing.
using ResourceTable = std::map<int, std::map<std::string, Resources>>;
ResourceTable read_ptxas(const std::string& folder);
/// Every kernel that spills, a sentence each.
std::vector<std::string> spilling(const ResourceTable& table);

/// A mangled name without the hashes that nvcc derives from paths and options: the same kernel in any build.
std::string key_of(const std::string& mangled);
/// "softmax_rows<float, 4>": demangled, without namespaces, result and parameters.
std::string short_name(const std::string& mangled);

/// Warps of a multiprocessor of an H100 (64 at most) that a launch keeps resident, by the toolkit's calculator.
int resident_warps(const Resources& r, int threads, std::size_t dynamic_shared);
inline constexpr int kMaxWarps = 64;

}  // namespace gradus::costs
