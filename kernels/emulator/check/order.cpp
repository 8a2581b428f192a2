// Happens-before beyond program order: barriers, lanes that meet, fences, and words that carry releases from warp to warp.
//
// A fence takes a snapshot of the warp's clocks. A strong or atomic write of a word appends the snapshot to the word's log; a strong or
// atomic read acquires the log so far. Within the block that joins clocks; of other blocks the warp remembers which logs it has read how
// far, and looks into them only when an access meets a record of another block.
#include <algorithm>
#include <unordered_set>

#include <gradus/kernels/emulator/exec/access.h>

namespace gradus::emulator {
namespace {

void join(Clock& into, const Clock& other) {
  for (std::size_t w = 0; w < into.size(); ++w) into[w] = std::max(into[w], other[w]);
}

using Acquisitions = std::shared_ptr<const Acquired>;

Acquisitions united(const Acquisitions& a, const Acquisitions& b) {
  if (a == b || b == nullptr) return a;
  if (a == nullptr) return b;
  auto both = std::make_shared<Acquired>();
  auto x = a->logs.begin(), y = b->logs.begin();
  while (x != a->logs.end() || y != b->logs.end()) {
    if (y == b->logs.end() || (x != a->logs.end() && x->first < y->first)) both->logs.push_back(*x++);
    else if (x == a->logs.end() || y->first < x->first) both->logs.push_back(*y++);
    else both->logs.emplace_back(x->first, std::max(x->second, y->second)), ++x, ++y;
  }
  return both;
}

/// Sets how far `log` has been read; returns how far it was before.
std::uint32_t advance(Acquisitions& acquired, const SyncLog& log) {
  std::uint32_t before = 0;
  std::size_t place = 0;
  if (acquired != nullptr) {
    const auto& logs = acquired->logs;
    place = static_cast<std::size_t>(std::lower_bound(logs.begin(), logs.end(), std::make_pair(&log, 0u)) - logs.begin());
    if (place < logs.size() && logs[place].first == &log) before = logs[place].second;
  }
  if (before == log.length) return before;
  auto fresh = acquired == nullptr ? std::make_shared<Acquired>() : std::make_shared<Acquired>(*acquired);
  if (place < fresh->logs.size() && fresh->logs[place].first == &log) fresh->logs[place].second = log.length;
  else fresh->logs.insert(fresh->logs.begin() + static_cast<std::ptrdiff_t>(place), {&log, log.length});
  acquired = std::move(fresh);
  return before;
}

void acquire(Warp& warp, const SyncLog& log) {
  const std::uint32_t before = advance(shadow_of(warp).acquired, log);
  if (before == log.length) return;
  ++shadow_of(warp).acquisitions;
  const auto own = log.by_block.find(warp.block->linear);
  if (own == log.by_block.end()) return;
  for (auto entry = own->second.rbegin(); entry != own->second.rend() && entry->first >= before; ++entry) {
    // A lane that sees what another lane of its warp released has met it (a lock that passes between lanes).
    if (entry->second->warp == warp.index) ++warp.epoch;
    else join(warp.clock, entry->second->block);
  }
}

void release(Warp& warp, SyncLog& log) {
  WarpShadow& shadow = shadow_of(warp);
  if (shadow.snapshot == nullptr) {
    auto snapshot = std::make_shared<Snapshot>();
    snapshot->device = shadow.released_device;
    snapshot->block = shadow.released_block;
    snapshot->warp = warp.index;
    snapshot->acquired = shadow.acquired;
    shadow.snapshot = std::move(snapshot);
  }
  if (log.last == shadow.snapshot.get()) return;
  log.last = shadow.snapshot.get();
  log.by_block[warp.block->linear].emplace_back(log.length++, shadow.snapshot);
}

/// Shared words of all blocks and global words in one key.
std::uint64_t sync_key(const Block& block, ptx::Space space, std::uint64_t at) {
  const std::uint64_t word = at & ~std::uint64_t{3};
  return space == ptx::Space::shared ? kSharedWindow | std::uint64_t{block.linear} << 20 | word : word;
}

// Chains longer than this are believed: looking on would cost more than the check is worth.
constexpr std::size_t kMostVisited = 2048;

/// Looks for a release that covers `other` among the logs acquired, and in what those releases had acquired before.
bool search(const Acquisitions& start, const Interval& other) {
  std::vector<const Acquired*> open;
  std::unordered_set<const Acquired*> seen;
  const auto visit = [&](const Acquisitions& a) {
    if (a != nullptr && seen.insert(a.get()).second) open.push_back(a.get());
  };
  visit(start);
  std::size_t visited = 0;
  while (!open.empty()) {
    const Acquired& acquired = *open.back();
    open.pop_back();
    for (const auto& [log, length] : acquired.logs) {
      const auto found = log->by_block.find(other.block);
      if (found != log->by_block.end()) {
        for (auto entry = found->second.rbegin(); entry != found->second.rend(); ++entry) {
          if (entry->first < length && entry->second->device[other.warp] >= other.clock) return true;
        }
      }
      for (const auto& [block, entries] : log->by_block) {
        for (const auto& [position, snapshot] : entries) {
          if (position < length) visit(snapshot->acquired);
          if (++visited > kMostVisited) return true;
        }
      }
    }
  }
  return false;
}

/// The cheap case: a log that was read directly.
bool covered_directly(const Acquired& acquired, const Interval& other) {
  for (const auto& [log, length] : acquired.logs) {
    const auto found = log->by_block.find(other.block);
    if (found == log->by_block.end()) continue;
    for (auto entry = found->second.rbegin(); entry != found->second.rend(); ++entry) {
      if (entry->first < length && entry->second->device[other.warp] >= other.clock) return true;
    }
  }
  return false;
}

}  // namespace

bool acquired_covers(const Warp& warp, std::uint32_t interval, bool directly) {
  WarpShadow& shadow = shadow_of(warp);
  const Acquisitions& acquired = shadow.acquired;
  if (acquired == nullptr) return false;
  WarpShadow::Verdict& verdict = shadow.verdicts[interval % shadow.verdicts.size()];
  if (verdict.interval == interval && verdict.directly == directly && (verdict.covered || verdict.acquisitions == shadow.acquisitions))
    return verdict.covered;
  const Interval& other = launch_state().interval(interval);
  verdict = {interval, directly, covered_directly(*acquired, other) || (!directly && search(acquired, other)), shadow.acquisitions};
  return verdict.covered;
}

void synchronise(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space) {
  const Access& access = access_of(d);
  if (access.strength == Strength::plain || (space != ptx::Space::shared && space != ptx::Space::global)) return;
  if (access.release && access.role != Role::load) on_fence(warp, lanes.active, access.device_scope);
  WarpShadow& shadow = shadow_of(warp);
  LaunchState& launch = launch_state();
  const bool releases = access.role != Role::load && shadow.fenced, acquires = access.role != Role::store && !launch.logs.empty();
  if (!releases && !acquires) return;
  for (Mask left = lanes.active; left != 0; left &= left - 1) {
    const std::uint64_t key = sync_key(*warp.block, space, lanes.at[__builtin_ctz(left)]);
    // Acquired before it releases: a chain of read-modify-writes hands on what it has seen.
    if (acquires) {
      const auto log = launch.logs.find(key);
      if (log != launch.logs.end()) acquire(warp, log->second);
    }
    if (releases) release(warp, launch.logs[key]);
  }
}

void on_barrier(Block& block, const std::vector<std::uint32_t>& warps) {
  if (!launch_state().check_all || warps.empty()) return;
  Clock clock{}, device{}, own{};
  Acquisitions acquired;
  bool fenced = false;
  for (const std::uint32_t w : warps) {
    const WarpShadow& shadow = shadow_of(block).warps[w];
    join(clock, block.warp[w].clock);
    fenced |= shadow.fenced;
    join(device, shadow.released_device);
    join(own, shadow.released_block);
    acquired = united(acquired, shadow.acquired);
  }
  for (const std::uint32_t w : warps) {
    Warp& warp = block.warp[w];
    WarpShadow& shadow = shadow_of(block).warps[w];
    warp.clock = clock;
    ++warp.clock[w];
    ++warp.epoch;
    shadow.acquired = acquired;
    ++shadow.acquisitions;
    if (!fenced) continue;
    shadow.fenced = true;
    shadow.released_device = device;
    shadow.released_block = own;
    shadow.snapshot = nullptr;
  }
}

void on_warp_sync(Warp& warp, Mask) { ++warp.epoch; }

void on_release(Warp& warp, Mask lanes, std::uint64_t shared_offset) {
  if (!launch_state().check_all) return;
  on_fence(warp, lanes, false);
  release(warp, launch_state().logs[sync_key(*warp.block, ptx::Space::shared, shared_offset)]);
}

void on_acquire(Warp& warp, std::uint64_t shared_offset) {
  auto& logs = launch_state().logs;
  const auto log = logs.find(sync_key(*warp.block, ptx::Space::shared, shared_offset));
  if (log != logs.end()) acquire(warp, log->second);
}

void on_fence(Warp& warp, Mask, bool gpu_scope) {
  if (!launch_state().check_all) return;
  WarpShadow& shadow = shadow_of(warp);
  join(shadow.released_block, warp.clock);
  if (gpu_scope) join(shadow.released_device, warp.clock);
  shadow.fenced = true;
  shadow.snapshot = nullptr;
  ++warp.clock[warp.index];
}

}  // namespace gradus::emulator
