// Runs an entry in the emulator and collects what its kernels did.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <gradus/benchmarks/kernels/entry.h>
#include <gradus/benchmarks/kernels/ptxas.h>
#include <gradus/kernels/emulator/count/counters.h>

namespace gradus::costs {

/// One kernel of an entry, over all its launches there.
struct KernelCost {
  std::string name;
  emulator::Counters counters;
  int threads = 0;                 // of a block
  std::size_t dynamic_shared = 0;  // of the launch that asked most
  std::optional<Resources> sm80, sm90;
  int warps = 0;  // resident on a multiprocessor of an H100; 0: unknown
};

struct EntryCost {
  std::string name;
  Bounds bounds;
  double least_bytes = 0;  // of the call's operands
  emulator::Counters sum;
  std::vector<KernelCost> kernels;  // in the order of their first launch
};

EntryCost measure(const Entry& entry, const ResourceTable& resources);

// Figures of a row.
double sectors_per_request(const emulator::Counters& c);
/// Shared wavefronts above what the same requests need without conflicts.
std::uint64_t bank_conflicts(const emulator::Counters& c);
/// Seconds that an H100 needs at the least: the larger of bytes / 3.35 TB/s and FLOPs / 67 TFLOP/s (fp32 without tensor cores).
double roofline_floor(double bytes, double flops);

/// The bounds that the entry breaks, a sentence each.
std::vector<std::string> violations(const EntryCost& cost);

/// The figures that a baseline keeps, by name; of each, more is worse. Sectors of a row without requests are left out, and so is what ptxas
/// was not asked.
using Figures = std::map<std::string, double>;
Figures figures_of(const EntryCost& cost);
Figures figures_of(const KernelCost& cost);

}  // namespace gradus::costs
