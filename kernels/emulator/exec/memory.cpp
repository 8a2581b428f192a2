// Allocations: where device addresses come from, what is freed, what lies next to a stray address.
#include <gradus/kernels/emulator/exec/memory.h>

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include <gradus/kernels/emulator/exec/allocator.h>
#include <gradus/kernels/emulator/exec/machine.h>

namespace gradus::emulator {
namespace {

constexpr std::uint64_t kPretendedTotal = 80 * kGiB;  // of an H100
// What may really be allocated: pages are taken lazily, so that only touched ones cost memory, but a program that asks for "all" must be
// refused.
constexpr std::uint64_t kRealLimit = 16 * kGiB;

Heap& heap() { return Heap::instance(); }

const char* kind_name(AllocationKind kind) {
  switch (kind) {
    case AllocationKind::device: return "device memory";
    case AllocationKind::managed: return "managed memory";
    case AllocationKind::pinned: return "pinned memory";
    case AllocationKind::variable: return "variable";
    case AllocationKind::constant: return "constant";
  }
  return "";
}

std::string named(const Allocation& a) {
  return (a.label.empty() ? std::string(kind_name(a.kind)) : a.label) + " (" + std::to_string(a.bytes) + " bytes" +
         (a.freed ? ", freed)" : ")");
}

}  // namespace

DeviceMemory& DeviceMemory::instance() {
  static DeviceMemory memory;
  return memory;
}

std::uint64_t DeviceMemory::allocate(std::uint64_t bytes, AllocationKind kind, std::string label) {
  Heap& h = heap();
  if (bytes == 0 || bytes > kRealLimit || h.used + bytes > kRealLimit) return 0;
  const bool host = kind == AllocationKind::managed || kind == AllocationKind::pinned;
  const std::uint64_t base = (host ? h.host : h.device).take(bytes);
  if (base == 0) return 0;
  h.used += bytes;
  ++h.generation;
  HeapEntry entry;
  entry.base = base;
  entry.bytes = bytes;
  entry.kind = kind;
  entry.serial = ++h.serial;
  entry.label = std::move(label);
  // Variables are zero or initialised from the start; the host writes managed and pinned memory unseen.
  entry.tracked = kind == AllocationKind::device && options().checks == Checks::all;
  if (entry.tracked) h.defined.clear(base, bytes);
  h.entries.emplace(base, std::move(entry));
  return base;
}

void DeviceMemory::register_host(std::uint64_t base, std::uint64_t bytes, std::string label) {
  Heap& h = heap();
  ++h.generation;
  HeapEntry entry;
  entry.base = base;
  entry.bytes = bytes;
  entry.kind = AllocationKind::pinned;
  entry.serial = ++h.serial;
  entry.label = std::move(label);
  h.entries[base] = std::move(entry);
}

DeviceMemory::FreeResult DeviceMemory::free(std::uint64_t base) { return release(base, false); }
DeviceMemory::FreeResult DeviceMemory::free_variable(std::uint64_t base) { return release(base, true); }

DeviceMemory::FreeResult DeviceMemory::release(std::uint64_t base, bool variables_too) {
  Heap& h = heap();
  const auto found = h.entries.find(base);
  if (found == h.entries.end()) return FreeResult::not_an_allocation;
  HeapEntry& entry = found->second;
  const bool is_variable = entry.kind == AllocationKind::variable || entry.kind == AllocationKind::constant;
  if (is_variable && !variables_too) return FreeResult::not_an_allocation;
  if (entry.freed) return FreeResult::already_freed;
  ++h.generation;
  if (!h.holds(base)) {  // registered host memory
    h.entries.erase(found);
    return FreeResult::ok;
  }
  h.used -= entry.bytes;
  entry.freed = true;
  h.quarantine.push_back(base);
  h.quarantined += entry.bytes;
  h.shrink_quarantine(kQuarantineBytes);
  return FreeResult::ok;
}

const Allocation* DeviceMemory::find(std::uint64_t address) const { return heap().entry_at(address); }

std::string DeviceMemory::describe(std::uint64_t address) const {
  const auto& entries = heap().entries;
  std::ostringstream text;
  text << "address 0x" << std::hex << address << std::dec;
  const auto above = entries.upper_bound(address);
  const auto below = above == entries.begin() ? entries.end() : std::prev(above);
  const std::uint64_t after_end = below == entries.end() ? ~std::uint64_t{0} : address - below->first;
  if (below != entries.end() && after_end < below->second.bytes) {
    text << ", " << after_end << " bytes into " << named(below->second);
    return text.str();
  }
  const std::uint64_t past = below == entries.end() ? ~std::uint64_t{0} : after_end - below->second.bytes;
  const std::uint64_t before = above == entries.end() ? ~std::uint64_t{0} : above->first - address;
  constexpr std::uint64_t kNear = std::uint64_t{1} << 30;  // further off, a neighbour says nothing
  if (past <= before && past < kNear) {
    text << ", " << past << " bytes past the end of " << named(below->second);
  } else if (before < kNear) {
    text << ", " << before << " bytes before " << named(above->second);
  } else if (address < 65536) {
    text << ", a null pointer with an offset";
  } else {
    text << ", which belongs to no allocation (a host pointer?)";
  }
  return text.str();
}

std::byte* DeviceMemory::at(std::uint64_t address) const { return heap().at(address); }
std::uint64_t DeviceMemory::total() const { return kPretendedTotal; }
std::uint64_t DeviceMemory::used() const { return heap().used; }
std::uint64_t DeviceMemory::generation() const { return heap().generation; }
bool DeviceMemory::is_device_page(std::uint64_t address) const { return heap().device.holds(address); }
bool DeviceMemory::is_host_page(std::uint64_t address) const { return heap().host.holds(address); }

void DeviceMemory::define(std::uint64_t address, std::uint64_t bytes) {
  const HeapEntry* entry = heap().entry_at(address);
  if (entry != nullptr && entry->tracked) heap().defined.set(address, std::min(bytes, entry->base + entry->bytes - address));
}

void DeviceMemory::undefine(std::uint64_t address, std::uint64_t bytes) {
  const HeapEntry* entry = heap().entry_at(address);
  if (entry != nullptr && entry->tracked) heap().defined.clear(address, std::min(bytes, entry->base + entry->bytes - address));
}

void DeviceMemory::copy_definedness(std::uint64_t to, std::uint64_t from, std::uint64_t bytes) {
  const HeapEntry* target = heap().entry_at(to);
  if (target == nullptr || !target->tracked) return;
  const HeapEntry* origin = heap().entry_at(from);
  if (origin == nullptr || !origin->tracked) return define(to, bytes);
  heap().defined.copy(to, from, bytes);
}

std::uint64_t DeviceMemory::first_undefined(std::uint64_t address, std::uint64_t bytes) const {
  const HeapEntry* entry = heap().entry_at(address);
  if (entry == nullptr || !entry->tracked) return bytes;
  return heap().defined.first_clear(address, std::min(bytes, entry->base + entry->bytes - address), bytes);
}

std::optional<Finding> DeviceMemory::fault_of_range(std::uint64_t address, std::uint64_t bytes, const char* operation) const {
  if (bytes == 0) return {};
  const HeapEntry* entry = heap().entry_at(address);
  if (entry == nullptr && !heap().holds(address)) return {};
  Finding finding;
  finding.kind = entry != nullptr && entry->freed ? Kind::freed : Kind::out_of_bounds;
  finding.text = std::string(operation) + " of " + std::to_string(bytes) + " bytes at " + describe(address);
  if (entry == nullptr || entry->freed) return finding;
  const std::uint64_t room = entry->base + entry->bytes - address;
  if (bytes <= room) return {};
  finding.text += ": " + std::to_string(bytes - room) + " bytes too many";
  return finding;
}

void DeviceMemory::reset() {
  Heap& h = heap();
  ++h.generation;
  for (auto& [base, entry] : h.entries) {
    if (entry.freed || entry.kind == AllocationKind::variable || entry.kind == AllocationKind::constant || !h.holds(base)) continue;
    h.used -= entry.bytes;
    entry.freed = true;
    h.quarantine.push_back(base);
    h.quarantined += entry.bytes;
  }
  h.shrink_quarantine(0);
}

}  // namespace gradus::emulator
