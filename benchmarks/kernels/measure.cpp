#include <gradus/benchmarks/kernels/measure.h>

#include <algorithm>
#include <cstdio>

#include <gradus/benchmarks/kernels/launches.h>
#include <gradus/kernels/cuda/vendor.h>
#include <gradus/kernels/device.h>
#include <gradus/kernels/emulator/exec/machine.h>

namespace gradus::costs {
namespace {

/// Counters without checks (tests make those), and the library's own kernels instead of a vendor's.
class Counting {
 public:
  Counting() : checks_(emulator::options().checks), count_(emulator::options().count), vendor_(cuda::use_vendor_libraries(false)) {
    emulator::options().checks = emulator::Checks::none;
    emulator::options().count = true;
  }
  ~Counting() {
    emulator::options().checks = checks_;
    emulator::options().count = count_;
    cuda::use_vendor_libraries(vendor_);
  }
  Counting(const Counting&) = delete;
  Counting& operator=(const Counting&) = delete;

 private:
  emulator::Checks checks_;
  bool count_, vendor_;
};

std::optional<Resources> find(const ResourceTable& table, int architecture, const std::string& key) {
  const auto kernels = table.find(architecture);
  if (kernels == table.end()) return std::nullopt;
  const auto found = kernels->second.find(key);
  return found == kernels->second.end() ? std::nullopt : std::optional(found->second);
}

KernelCost kernel_cost(const Launched& launched, const ResourceTable& resources) {
  KernelCost cost{
      short_name(launched.mangled), emulator::counters_by_kernel()[launched.pretty], launched.threads,
      launched.dynamic_shared,      find(resources, 80, key_of(launched.mangled)),   find(resources, 90, key_of(launched.mangled))};
  if (cost.sm90) cost.warps = resident_warps(*cost.sm90, cost.threads, cost.dynamic_shared);
  return cost;
}

double requests(const emulator::Counters& c) { return static_cast<double>(c.load_requests + c.store_requests); }
double sectors(const emulator::Counters& c) { return static_cast<double>(c.load_sectors + c.store_sectors); }

std::string text(const char* format, double a, double b) {
  char buffer[200];
  std::snprintf(buffer, sizeof buffer, format, a, b);
  return buffer;
}

void check_sectors(const EntryCost& e, std::vector<std::string>& broken) {
  // A sector less or more in a hundred requests is a tail, not a pattern.
  constexpr double kTolerance = 0.01;
  const double wide = (sectors(e.sum) - e.bounds.narrow) / std::max(1.0, requests(e.sum) - e.bounds.narrow);
  if (e.bounds.sectors > 0 && std::abs(wide - e.bounds.sectors) > kTolerance * e.bounds.sectors)
    broken.push_back(text("%.2f sectors per request, bound %.2f", wide, e.bounds.sectors));
  // Mixed widths: whatever a request asks for fills its sectors.
  const double asked = static_cast<double>(e.sum.bytes_requested), touched = static_cast<double>(e.sum.bytes_touched);
  if (e.bounds.sectors == 0 && touched > 1.05 * asked)
    broken.push_back(text("%.0f bytes of sectors touched for %.0f asked: sectors are not whole", touched, asked));
}

Figures figures_of(const emulator::Counters& c, double compulsory) {
  Figures f{{"warp_instructions", static_cast<double>(c.warp_instructions)}, {"bank_conflicts", static_cast<double>(bank_conflicts(c))}};
  if (requests(c) > 0) f["sectors_per_request"] = sectors_per_request(c);
  if (compulsory > 0) f["touched_by_compulsory"] = static_cast<double>(c.bytes_touched) / compulsory;
  return f;
}

}  // namespace

double sectors_per_request(const emulator::Counters& c) { return requests(c) > 0 ? sectors(c) / requests(c) : 0; }
std::uint64_t bank_conflicts(const emulator::Counters& c) { return c.shared_wavefronts - c.shared_ideal_wavefronts; }
double roofline_floor(double bytes, double flops) { return std::max(bytes / 3.35e12, flops / 67e12); }

EntryCost measure(const Entry& entry, const ResourceTable& resources) {
  const Counting counting;
  Operands operands;
  const auto call = entry.make(operands);
  cuda::synchronize("kernels");
  emulator::counters_by_kernel().clear();
  launches().clear();
  call();
  cuda::synchronize("kernels");
  EntryCost cost{entry.name, entry.bounds, operands.least_bytes(), {}, {}};
  for (const Launched& launched : launches()) cost.kernels.push_back(kernel_cost(launched, resources));
  for (const KernelCost& kernel : cost.kernels) cost.sum.add(kernel.counters);
  return cost;
}

std::vector<std::string> violations(const EntryCost& e) {
  std::vector<std::string> broken;
  const double touched = static_cast<double>(e.sum.bytes_touched), asked = static_cast<double>(e.sum.bytes_requested);
  if (e.bounds.streams) {
    if (touched > 1.05 * e.least_bytes)
      broken.push_back(text("bytes touched are %.3f x compulsory, bound %.2f", touched / e.least_bytes, 1.05));
    if (bank_conflicts(e.sum) > 0) broken.push_back(text("%.0f bank conflicts, bound %.0f", static_cast<double>(bank_conflicts(e.sum)), 0));
    check_sectors(e, broken);
  } else if (e.bounds.sectors > 0) {
    check_sectors(e, broken);
  }
  if (e.bounds.global_bytes > 0 && asked > 1.1 * e.bounds.global_bytes)
    broken.push_back(text("global bytes asked are %.3f x the tiling's formula, bound %.2f", asked / e.bounds.global_bytes, 1.1));
  return broken;
}

Figures figures_of(const EntryCost& cost) { return figures_of(cost.sum, cost.least_bytes); }

Figures figures_of(const KernelCost& cost) {
  Figures f = figures_of(cost.counters, static_cast<double>(cost.counters.bytes_compulsory));
  if (cost.sm80) f["registers_sm80"] = cost.sm80->registers, f["spill_bytes_sm80"] = cost.sm80->spill_bytes;
  if (cost.sm90) {
    f["registers_sm90"] = cost.sm90->registers, f["spill_bytes_sm90"] = cost.sm90->spill_bytes;
    f["shared_bytes"] = static_cast<double>(cost.sm90->shared_bytes + cost.dynamic_shared);
    f["warps_without_room"] = kMaxWarps - cost.warps;
  }
  return f;
}

}  // namespace gradus::costs
