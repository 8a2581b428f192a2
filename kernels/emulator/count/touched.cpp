// The global memory that a launch reads and writes, as ranges: for the check of stream order.
#include <algorithm>

#include <gradus/kernels/emulator/exec/access.h>

namespace gradus::emulator {

bool track_touched = false;
std::vector<WatchedByte>* watched_bytes = nullptr;

namespace {

struct Ranges {
  std::vector<TouchedRange> list;
  std::size_t compact_at = 4096;
};
Ranges& ranges(bool write) {
  static auto &reads = *new Ranges, &writes = *new Ranges;  // work left in a stream runs during exit
  return write ? writes : reads;
}

void compact(Ranges& r) {
  auto& list = r.list;
  std::sort(list.begin(), list.end(), [](const TouchedRange& a, const TouchedRange& b) { return a.address < b.address; });
  std::size_t kept = 0;
  for (const TouchedRange& next : list) {
    if (kept != 0 && next.address <= list[kept - 1].address + list[kept - 1].bytes) {
      TouchedRange& last = list[kept - 1];
      last.bytes = std::max(last.bytes, next.address + next.bytes - last.address);
    } else {
      list[kept++] = next;
    }
  }
  list.resize(kept);
  r.compact_at = std::max<std::size_t>(4096, 2 * kept);
}

void add(Ranges& r, std::uint64_t address, std::uint64_t bytes, bool write) {
  if (!r.list.empty()) {
    TouchedRange& last = r.list.back();
    if (address >= last.address && address <= last.address + last.bytes) {
      last.bytes = std::max(last.bytes, address + bytes - last.address);
      return;
    }
  }
  if (r.list.size() >= r.compact_at) compact(r);
  r.list.push_back({address, bytes, write});
}

/// The parts of `read` that no write covers.
void add_uncovered(TouchedRange read, const std::vector<TouchedRange>& writes, std::vector<TouchedRange>& out) {
  auto write = std::upper_bound(writes.begin(), writes.end(), read.address,
                                [](std::uint64_t at, const TouchedRange& w) { return at < w.address + w.bytes; });
  const std::uint64_t end = read.address + read.bytes;
  std::uint64_t at = read.address;
  for (; write != writes.end() && write->address < end; ++write) {
    if (write->address > at) out.push_back({at, write->address - at, false});
    at = std::max(at, write->address + write->bytes);
  }
  if (at < end) out.push_back({at, end - at, false});
}

}  // namespace

void touch_ranges(const Access& access, const Lanes& lanes) {
  const bool write = access.role != Role::load;
  Ranges& r = ranges(write);
  if (lanes.contiguous) return add(r, lanes.at[0], std::uint64_t{access.bytes} * kLanes, write);
  for (Mask left = lanes.active; left != 0; left &= left - 1) add(r, lanes.at[__builtin_ctz(left)], access.bytes, write);
}

void meet_watched(const Access& access, const Lanes& lanes) {
  if (access.strength != Strength::plain) return;
  for (WatchedByte& byte : *watched_bytes) {
    if (byte.met || (access.role == Role::load && !byte.reads_count)) continue;
    for (Mask left = lanes.active; left != 0 && !byte.met; left &= left - 1) {
      const std::uint64_t at = lanes.at[__builtin_ctz(left)];
      byte.met = byte.address >= at && byte.address - at < access.bytes;
    }
  }
}

std::vector<TouchedRange> take_touched() {
  Ranges &reads = ranges(false), &writes = ranges(true);
  compact(reads);
  compact(writes);
  std::vector<TouchedRange> all = writes.list;
  for (const TouchedRange& read : reads.list) add_uncovered(read, writes.list, all);
  reads = Ranges();
  writes = Ranges();
  return all;
}

}  // namespace gradus::emulator
