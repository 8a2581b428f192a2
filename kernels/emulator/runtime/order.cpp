#include <gradus/kernels/emulator/runtime/order.h>

#include <algorithm>
#include <map>
#include <utility>

#include <gradus/kernels/emulator/check/finding.h>
#include <gradus/kernels/emulator/exec/machine.h>
#include <gradus/kernels/emulator/exec/memory.h>

namespace gradus::emulator::runtime {
namespace {

/// What a finding says of the other party.
struct Party {
  std::string name, file, kernel;
  std::uint32_t line = 0;
  CallSite site;
  std::uint32_t stream = 0;
  std::uint64_t sequence = 0;
};

struct Touch {
  std::uint64_t begin = 0, end = 0;
  bool write = false;
  std::uint32_t stream = 0, index = 0;
  std::shared_ptr<const Party> party;
};

std::map<std::uint64_t, std::vector<Touch>>& touches() {  // by the allocation's serial number
  static auto* map = new std::map<std::uint64_t, std::vector<Touch>>;
  return *map;
}

SourceLine line_of(const Party& party) {
  if (!party.file.empty()) return {party.file, party.line, {}};
  return resolve(party.site);
}

std::string says(const Party& party, bool write) {
  return party.name + " on stream " + std::to_string(party.stream) + (write ? " writes" : " reads");
}

/// At the operation that the host asked for later, whichever ran first here.
void report_unordered(const Party& mine, const Access& access, const Touch& touch, const Allocation& where) {
  const bool mine_later = mine.sequence > touch.party->sequence;
  const Party &later = mine_later ? mine : *touch.party, &earlier = mine_later ? *touch.party : mine;
  const bool later_writes = mine_later ? access.write : touch.write, earlier_writes = mine_later ? touch.write : access.write;
  const std::uint64_t begin = std::max(access.address, touch.begin), end = std::min(access.address + access.bytes, touch.end);
  const SourceLine line = line_of(later);
  Finding finding;
  finding.kind = Kind::stream_order;
  finding.file = line.file;
  finding.line = line.line;
  finding.kernel = later.kernel;
  finding.text = says(later, later_writes) + " " + std::to_string(end - begin) + " bytes at +" + std::to_string(begin - where.base) +
                 " of " + where.label + ", which " + says(earlier, earlier_writes) + " (" + to_string(line_of(earlier)) +
                 "): no event, synchronisation or stream order between them";
  Report::instance().add(finding);
}

/// True if `later` makes remembering `earlier` pointless: the same stream's, over all of it, and at least as strict.
bool replaces(const Touch& later, const Touch& earlier) {
  return later.stream == earlier.stream && later.begin <= earlier.begin && later.end >= earlier.end && (later.write || !earlier.write);
}

/// The operation's own reads and writes of the same bytes are of one operation: no conflict among them.
bool conflicts(const Operation& operation, const Access& access, const Touch& touch) {
  return (access.write || touch.write) && touch.begin < access.address + access.bytes && access.address < touch.end &&
         !operation.clock.covers(touch.stream, touch.index);
}

void visit(const Operation& operation, const Access& access, const std::shared_ptr<const Party>& party, bool& reported) {
  const Allocation* allocation = access.bytes == 0 ? nullptr : DeviceMemory::instance().find(access.address);
  if (allocation == nullptr || allocation->freed) return;
  auto& list = touches()[allocation->serial];
  if (!reported) {
    for (const Touch& touch : list) {
      if (!conflicts(operation, access, touch)) continue;
      report_unordered(*party, access, touch, *allocation);
      reported = true;
      break;
    }
  }
  Touch mine{access.address, access.address + access.bytes, access.write, operation.stream->id, operation.index, party};
  list.erase(std::remove_if(list.begin(), list.end(), [&](const Touch& t) { return replaces(mine, t); }), list.end());
  list.push_back(std::move(mine));
}

void check(const Operation& operation, const std::vector<Access>& accesses) {
  if (options().checks != Checks::all || accesses.empty()) return;
  const auto party = std::make_shared<const Party>(
      Party{operation.name, operation.file, operation.kernel, operation.line, operation.site, operation.stream->id, operation.sequence});
  bool reported = false;  // one finding an operation is enough
  for (const Access& access : accesses) visit(operation, access, party, reported);
}

}  // namespace

void check_order(const OperationPtr& operation, const std::vector<Access>& accesses) { check(*operation, accesses); }

void check_order_of_launch(Operation& operation) {
  if (!track_touched) return;
  std::vector<Access> accesses;
  for (const TouchedRange& range : take_touched()) accesses.push_back({range.address, range.bytes, range.write});
  check(operation, accesses);
}

void forget_ordered(const Clock& host) {
  for (auto at = touches().begin(); at != touches().end();) {
    auto& list = at->second;
    list.erase(std::remove_if(list.begin(), list.end(), [&](const Touch& t) { return host.covers(t.stream, t.index); }), list.end());
    at = list.empty() ? touches().erase(at) : std::next(at);
  }
}

void forget_allocation(std::uint64_t serial) { touches().erase(serial); }
void forget_everything() { touches().clear(); }

}  // namespace gradus::emulator::runtime
