#include <gradus/kernels/emulator/runtime/pinned_guard.h>

#include <sys/mman.h>

#include <algorithm>
#include <vector>

#include <gradus/kernels/emulator/exec/allocator.h>
#include <gradus/kernels/emulator/exec/machine.h>
#include <gradus/kernels/emulator/exec/memory.h>
#include <gradus/kernels/emulator/runtime/host_access.h>
#include <gradus/kernels/emulator/runtime/host_finding.h>

namespace gradus::emulator::runtime {
namespace {

struct Guard {
  std::uint64_t begin = 0, end = 0;  // whole pages
  bool write = false;                // by the copy
  bool kernel = false;               // a queued kernel may use this managed memory
  std::uint32_t stream = 0, index = 0;
  std::string name;
  CallSite site;
};

std::vector<Guard>& guards() {
  static auto* all = new std::vector<Guard>;
  return *all;
}

void protect(std::uint64_t begin, std::uint64_t end, int protection) {
  if (begin < end) mprotect(reinterpret_cast<void*>(begin), end - begin, protection);
}

/// A copy that reads leaves the host its reads.
void apply(const Guard& guard, std::uint64_t begin, std::uint64_t end) {
  protect(std::max(begin, guard.begin), std::min(end, guard.end), guard.write ? PROT_NONE : PROT_READ);
}

/// Gives the pages back, but for what the guards that are left hold of them.
void give_back(std::uint64_t begin, std::uint64_t end) {
  protect(begin, end, PROT_READ | PROT_WRITE);
  for (const bool write : {false, true}) {
    for (const Guard& guard : guards()) {
      if (guard.write == write) apply(guard, begin, end);
    }
  }
}

template <class F> void remove_guards(F which) {
  auto& all = guards();
  const auto first = std::stable_partition(all.begin(), all.end(), [&](const Guard& g) { return !which(g); });
  const std::vector<Guard> removed(first, all.end());
  all.erase(first, all.end());
  for (const Guard& guard : removed) give_back(guard.begin, guard.end);
}

void take_pages(Guard guard, const Operation& operation) {
  guard.stream = operation.stream->id;
  guard.index = operation.index;
  guard.name = operation.name;
  guard.site = operation.site;
  if (guards().empty()) catch_host_access();
  const std::uint64_t begin = guard.begin, end = guard.end;
  guards().push_back(std::move(guard));
  give_back(begin, end);
}

/// The pages of which an access leaves the host nothing: what else lies in them belongs to no allocation.
void add_guard(const Operation& operation, const Access& access) {
  const HeapEntry* entry = Heap::instance().entry_at(access.address);
  if (entry == nullptr || entry->freed || !Heap::instance().host.holds(entry->base)) return;
  const std::uint64_t stop = access.address + access.bytes, last = entry->base + entry->bytes;
  Guard guard;
  guard.begin = (access.address + kPage - 1) / kPage * kPage;  // allocations begin with a page
  guard.end = (stop == last ? stop + kPage - 1 : stop) / kPage * kPage;
  if (guard.begin >= guard.end) return;
  guard.write = access.write;
  take_pages(std::move(guard), operation);
}

/// One guard an allocation and stream is enough: that of the newest kernel.
void add_kernel_guard(const Operation& operation, const HeapEntry& entry) {
  const auto same = [&](const Guard& g) { return g.kernel && g.begin == entry.base && g.stream == operation.stream->id; };
  const auto found = std::find_if(guards().begin(), guards().end(), same);
  if (found != guards().end()) {
    found->index = operation.index;
    return;
  }
  Guard guard;
  guard.begin = entry.base;
  guard.end = (entry.base + entry.bytes + kPage - 1) / kPage * kPage;
  guard.write = guard.kernel = true;
  take_pages(std::move(guard), operation);
}

/// What the host touched while kernels were queued.
struct HostTouch {
  std::uint64_t address = 0, sequence = 0;  // of the newest operation then
  bool write = false;
  CallSite site;
};
std::vector<HostTouch>& touches() {
  static auto* all = new std::vector<HostTouch>;
  return *all;
}
constexpr std::size_t kMostTouches = 256;

}  // namespace

void guard_host_pages(const Operation& operation) {
  if (options().checks != Checks::all || operation.quiet) return;
  for (const Access& access : operation.accesses) add_guard(operation, access);
  if (operation.kernel.empty()) return;
  for (const auto& [base, entry] : Heap::instance().entries) {
    if (entry.kind == AllocationKind::managed && !entry.freed) add_kernel_guard(operation, entry);
  }
}

void release_guards(const Clock& host) {
  if (!guards().empty()) remove_guards([&](const Guard& g) { return host.covers(g.stream, g.index); });
}

void drop_guards() {
  remove_guards([](const Guard&) { return true; });
}

std::string give_up_guard(std::uint64_t address, bool write, const CallSite& site) {
  const auto shares = [&](const Guard& g) { return g.kernel && address >= g.begin && address < g.end; };
  if (std::any_of(guards().begin(), guards().end(), shares)) {
    remove_guards(shares);
    if (touches().size() < kMostTouches) touches().push_back({address, Scheduler::instance().sequence(), write, site});
  }
  const auto holds = [&](const Guard& g) { return address >= g.begin && address < g.end && (g.write || write); };
  const auto found = std::find_if(guards().begin(), guards().end(), holds);
  if (found == guards().end()) return {};
  const std::string text = std::string("the host ") + (write ? "writes to " : "reads ") + DeviceMemory::instance().describe(address) +
                           ", which " + found->name + " on stream " + std::to_string(found->stream) + " (" +
                           to_string(resolve(found->site)) + ") " + (found->write ? "writes" : "reads") +
                           ": nothing has waited for that yet";
  remove_guards(holds);
  return text;
}

void watch_touched_bytes(const Operation& kernel) {
  static auto* bytes = new std::vector<WatchedByte>;
  bytes->clear();
  for (const HostTouch& touch : touches()) {
    if (kernel.sequence <= touch.sequence) bytes->push_back({touch.address, touch.write, false});
  }
  watched_bytes = bytes->empty() ? nullptr : bytes;
}

void report_met_bytes(const Operation& kernel) {
  if (watched_bytes == nullptr) return;
  std::size_t i = 0;
  for (const HostTouch& touch : touches()) {
    if (kernel.sequence > touch.sequence || !(*watched_bytes)[i++].met) continue;
    report_call(Kind::stream_order, touch.site,
                std::string("the host ") + (touch.write ? "writes to " : "reads ") + DeviceMemory::instance().describe(touch.address) +
                    ", which " + kernel.name + " on stream " + std::to_string(kernel.stream->id) + " (" + to_string(resolve(kernel.site)) +
                    ") uses: nothing has waited for that kernel yet");
  }
  watched_bytes = nullptr;
}

void forget_touched_bytes() { touches().clear(); }

}  // namespace gradus::emulator::runtime
