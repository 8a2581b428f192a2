#include <gradus/benchmarks/kernels/report.h>

#include <iostream>

#include <gradus/algorithms/experiments/program/commands.h>
#include <gradus/algorithms/experiments/program/files.h>
#include <gradus/algorithms/experiments/program/format.h>
#include <gradus/algorithms/experiments/program/progress.h>
#include <gradus/algorithms/experiments/program/table.h>
#include <gradus/benchmarks/kernels/baseline.h>

namespace gradus::costs {
namespace {

using namespace experiments;

constexpr const char* kFooter =
    "\n"
    "  regs, spill, smem  ptxas for sm_80/sm_90 (smem: static + dynamic bytes of a block); warps: resident of 64 on an H100\n"
    "  instr              warp instructions of the PTX; machine code differs by a few percent\n"
    "  sec/req            32-byte sectors of global memory per load or store of a warp: 4.00 is f32 in a row, 16.00 float4\n"
    "  asked, touched     bytes of the lanes; bytes of the sectors. What DRAM moves lies between compulsory and touched, and is not known "
    "here\n"
    "  compulsory         of an entry: each operand read once, each result written once; of a kernel: sectors that it uses, counted once\n"
    "  shared             wavefronts of shared memory / what they would be without bank conflicts\n"
    "  floor              a roofline bound of an H100, the larger of compulsory bytes / 3.35 TB/s and FLOPs / 67 TFLOP/s: not a time "
    "measured\n"
    "  Counters are exact for the PTX and its addresses. They know nothing of time, caches, spills' own traffic or atomics in the memory\n"
    "  system, and what is clean here is not thereby clean on silicon.\n";

constexpr const char* kMakePtxas = "cmake --build <this build> --target gradus_ptxas, which writes them into " GRADUS_PTXAS_DIR;

std::vector<std::string> prefixes(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::vector<const Entry*> chosen(const std::string& only) {
  const std::vector<std::string> wanted = prefixes(only);
  std::vector<const Entry*> list;
  for (const Entry& entry : entries())
    for (const std::string& prefix : wanted.empty() ? std::vector<std::string>{""} : wanted)
      if (entry.name.rfind(prefix, 0) == 0) {
        list.push_back(&entry);
        break;
      }
  if (list.empty()) throw UsageError{"no entry begins with '" + only + "' (gradus kernels --list)"};
  return list;
}

/// "12.3M": counts and bytes in four columns.
std::string amount(double value) {
  const char* unit = "";
  for (const char* next : {"K", "M", "G"}) {
    if (value < 9999.5) break;
    value /= 1000, unit = next;
  }
  return (*unit && value < 100 ? fixed(value, 1) : fixed(value, 0)) + unit;
}
std::string pair(const std::optional<Resources>& a, const std::optional<Resources>& b, int Resources::*member) {
  const auto one = [&](const std::optional<Resources>& r) { return r ? std::to_string((*r).*member) : std::string("-"); };
  return !a && !b ? "-" : one(a) + "/" + one(b);
}
std::string clipped(const std::string& name) {
  constexpr std::size_t kWidth = 46;
  return name.size() <= kWidth ? name : name.substr(0, kWidth - 3) + "...";
}

std::vector<std::string> counted(const emulator::Counters& c, double compulsory) {
  const double flops = static_cast<double>(c.flops);
  return {amount(static_cast<double>(c.warp_instructions)),
          c.load_requests + c.store_requests ? fixed(sectors_per_request(c), 2) : "-",
          amount(static_cast<double>(c.bytes_requested)),
          amount(static_cast<double>(c.bytes_touched)),
          amount(compulsory),
          compulsory > 0 ? fixed(static_cast<double>(c.bytes_touched) / compulsory, 2) : "-",
          c.shared_wavefronts
              ? amount(static_cast<double>(c.shared_wavefronts)) + "/" + amount(static_cast<double>(c.shared_ideal_wavefronts))
              : "-",
          amount(flops),
          fixed(1e6 * roofline_floor(compulsory, flops), 2)};
}

std::vector<std::string> row(std::vector<std::string> head, const std::vector<std::string>& counts) {
  head.insert(head.end(), counts.begin(), counts.end());
  return head;
}

std::string table_text(const std::vector<EntryCost>& costs) {
  Table table({"entry, kernel", "regs", "spill", "smem", "warps", "instr", "sec/req", "asked", "touched", "compulsory", "x", "shared",
               "FLOPs", "floor us"});
  for (const EntryCost& e : costs) {
    table.row(row({e.name, "", "", "", ""}, counted(e.sum, e.least_bytes)));
    for (const KernelCost& k : e.kernels) {
      const std::size_t fixed_shared = k.sm90 ? k.sm90->shared_bytes : 0;
      const std::string shared = k.sm90 ? std::to_string(fixed_shared) + "+" + std::to_string(k.dynamic_shared) : "-";
      table.row(row({"  " + clipped(k.name), pair(k.sm80, k.sm90, &Resources::registers), pair(k.sm80, k.sm90, &Resources::spill_bytes),
                     shared, k.sm90 ? std::to_string(k.warps) : "-"},
                    counted(k.counters, static_cast<double>(k.counters.bytes_compulsory))));
    }
  }
  return table.text();
}

std::vector<EntryCost> measured(const std::vector<const Entry*>& list, const ResourceTable& resources) {
  std::vector<EntryCost> costs;
  Progress progress("kernels");
  for (const Entry* entry : list) {
    progress.update(static_cast<std::int64_t>(costs.size()), static_cast<std::int64_t>(list.size()), entry->name);
    costs.push_back(measure(*entry, resources));
  }
  return costs;
}

/// Prints the sentences under a head; nothing if there are none.
void print_list(const std::string& head, const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  std::cout << "\n  " << head << "\n";
  for (const std::string& line : lines) std::cout << "    " << line << "\n";
}

Json read_baseline(const std::string& path) {
  try {
    return Json::parse(read_file(path));
  } catch (const Json::exception&) { throw UsageError{path + " is not JSON as gradus kernels --update writes it"}; }
}

}  // namespace

int report_kernels(const KernelsOptions& options) {
  const std::vector<const Entry*> list = chosen(options.only);
  if (options.list) {
    for (const Entry* entry : list) std::cout << entry->name << "\n";
    return kDone;
  }
  const Json baseline = options.check_file.empty() ? Json() : read_baseline(options.check_file);  // before the work, in case it is missing
  const ResourceTable resources = read_ptxas(GRADUS_PTXAS_DIR);
  if (resources.empty() && !(options.check_file.empty() && options.update_file.empty()))
    throw UsageError{std::string("a baseline holds registers and spills: first ") + kMakePtxas};
  const std::vector<EntryCost> costs = measured(list, resources);
  std::cout << table_text(costs) << kFooter;
  if (resources.empty()) std::cout << "\n  Registers, spills and occupancy are unknown: first " << kMakePtxas << "\n";
  std::vector<std::string> broken;
  for (const EntryCost& e : costs)
    for (const std::string& text : violations(e)) broken.push_back(e.name + ": " + text);
  if (options.only.empty())  // of all kernels, since entries meet few of them
    for (const std::string& text : spilling(resources)) broken.push_back(text);
  print_list("Bounds that are broken:", broken);
  if (!options.check_file.empty()) std::cout << left_out(baseline);
  const std::vector<std::string> worse = options.check_file.empty() ? std::vector<std::string>() : worse_than(baseline, costs);
  print_list("Worse than " + options.check_file + " by more than 2 %:", worse);
  if (!options.json_file.empty()) write_file(options.json_file, to_json(costs).dump(2) + "\n");
  if (!options.update_file.empty()) {
    const Json before = exists(options.update_file) ? read_baseline(options.update_file) : Json::object();
    write_file(options.update_file, updated(before, costs).dump(1) + "\n");
  }
  return !options.check_file.empty() && !(broken.empty() && worse.empty()) ? kCheckFailed : kDone;
}

}  // namespace gradus::costs
