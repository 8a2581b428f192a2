// Block barriers (bar, barrier: sync, arrive, red) and fences.
#include <algorithm>
#include <string>

#include <gradus/kernels/emulator/exec/handler.h>
#include <gradus/kernels/emulator/exec/launch.h>
#include <gradus/kernels/emulator/exec/memory.h>

namespace gradus::emulator {

void register_mbarrier();  // mbarrier.cpp

namespace {

enum class Reduction : std::uint8_t { none, popc, all, any };

/// Decoded::extra of a barrier.
struct BarrierSite {
  bool aligned = true, arrive = false, has_count = false, negated = false;
  Reduction reduction = Reduction::none;
  Ref id, count, predicate;  // the result: Decoded::d
};
const BarrierSite& site_of(const Decoded& d) { return *static_cast<const BarrierSite*>(d.extra); }

/// Warps whose threads meet at different __syncthreads: the hardware pairs them silently.
void check_pairing(BlockRun& block, Barrier& barrier) {
  if (barrier.expected != 0 || barrier.divergence_told) return;
  const Arrival& first = barrier.arrivals.front();
  for (const Arrival& other : barrier.arrivals) {
    if (other.instruction == first.instruction || !site_of(*first.instruction).aligned || !site_of(*other.instruction).aligned) continue;
    const std::string here = place_of(*first.warp, *first.instruction), there = place_of(*other.warp, *other.instruction);
    if (here == there) continue;  // one barrier of the source, twice in the PTX
    barrier.divergence_told = true;
    report(Kind::divergent_barrier, *other.warp, *other.instruction, first_lane(other.lanes),
           "warp " + std::to_string(other.warp->index) + " of block " + std::to_string(block.linear) + " meets warp " +
               std::to_string(first.warp->index) + " here, which is at another barrier, " + here);
    return;
  }
}

void check_exited(BlockRun& block, Barrier& barrier) {
  if (barrier.expected != 0 || block.exited == 0 || barrier.divergence_told) return;
  const Arrival& last = barrier.arrivals.back();
  report(Kind::divergent_barrier, *last.warp, *last.instruction, first_lane(last.lanes),
         std::to_string(block.exited) + " of " + std::to_string(block.threads) + " threads had exited before this barrier");
}

void give_result(const Barrier& barrier, const Arrival& arrival) {
  const Decoded& d = *arrival.instruction;
  const BarrierSite& site = site_of(d);
  if (site.reduction == Reduction::none) return;
  std::byte* to = arrival.frame->registers + d.d.offset;
  if (site.reduction == Reduction::popc) {
    for_lanes(arrival.lanes, [&](int l) { reinterpret_cast<std::uint32_t*>(to)[l] = barrier.count; });
  } else {
    const bool result = site.reduction == Reduction::all ? barrier.all : barrier.any;
    Mask& p = *reinterpret_cast<Mask*>(to);
    p = (p & ~arrival.lanes) | (result ? arrival.lanes : 0);
  }
}

void release(const Arrival& arrival, std::uint32_t id) {
  if (!arrival.waits) return;
  for (Fragment& f : arrival.warp->fragments)
    if (f.wait == Fragment::Wait::barrier && f.wait_id == id && f.frame == arrival.frame && (f.lanes & arrival.lanes))
      f.wait = Fragment::Wait::none;
}

/// Opens the barrier.
void complete(BlockRun& block, std::uint32_t id) {
  Barrier& barrier = block.barriers[id];
  check_pairing(block, barrier);
  check_exited(block, barrier);
  std::vector<std::uint32_t> warps;
  for (const Arrival& arrival : barrier.arrivals) {
    give_result(barrier, arrival);
    release(arrival, id);
    warps.push_back(arrival.warp->index);
  }
  // What threads did before they ended is over: the barrier has waited for it as for an arrival.
  if (barrier.expected == 0 && block.exited != 0) {
    for (const Warp& warp : block.warp)
      if (live_lanes(warp) == 0) warps.push_back(warp.index);
  }
  std::sort(warps.begin(), warps.end());
  warps.erase(std::unique(warps.begin(), warps.end()), warps.end());
  on_barrier(block, warps);
  ++block.progress;
  ++static_cast<Launch*>(block.launch)->barriers;
  barrier.arrivals.clear();
  barrier.arrived = barrier.expected = barrier.count = 0;
  barrier.all = true;
  barrier.any = barrier.divergence_told = false;
}

bool is_complete(const BlockRun& block, const Barrier& barrier) {
  const std::uint32_t expected = barrier.expected ? barrier.expected : block.threads - block.exited;
  return !barrier.arrivals.empty() && barrier.arrived >= expected;
}

/// Lanes of the running fragment arrive.
void arrive(Warp& warp, const Decoded& d, Mask lanes, std::uint32_t id) {
  const BarrierSite& site = site_of(d);
  BlockRun& block = block_of(warp);
  Barrier& barrier = block.barriers[id];
  std::uint32_t n = static_cast<std::uint32_t>(count_lanes(lanes));
  if (site.has_count) {
    barrier.expected = warp.lanes_of<std::uint32_t>(site.count)[first_lane(lanes)];
    if (lanes == live_lanes(warp)) n = kLanes;  // the hardware counts warps
  }
  barrier.arrived += n;
  barrier.arrivals.push_back({&warp, warp.current->frame, lanes, &d, !site.arrive});
  if (site.reduction != Reduction::none) {
    const Mask p = (warp.predicate(site.predicate) ^ (site.negated ? kAll : 0)) & lanes;
    barrier.count += static_cast<std::uint32_t>(count_lanes(p));
    barrier.all = barrier.all && p == lanes;
    barrier.any = barrier.any || p != 0;
  }
}

Flow run_barrier(Warp& warp, const Decoded& d, Mask active) {
  const BarrierSite& site = site_of(d);
  const auto* ids = warp.lanes_of<std::uint32_t>(site.id);
  const std::uint32_t id = ids[first_lane(active)];
  if (id >= kBarriers) throw DeviceException{719, "barrier " + std::to_string(id) + " does not exist (0 to 15)"};
  leave_inactive_behind(warp, active);
  const Mask missing = live_lanes(warp) & ~active;
  if (site.aligned && missing) {
    WarpRun& run = run_of(warp);
    if (!run.forced) {
      warp.current->wait = Fragment::Wait::warp_sync;
      return Flow::retry;
    }
    block_of(warp).barriers[id].divergence_told = true;
    report(Kind::divergent_barrier, warp, d, first_lane(active),
           "warp " + std::to_string(warp.index) + " of block " + std::to_string(warp.block->linear) +
               " is divided here: " + whereabouts(warp, missing));
  }
  run_of(warp).forced = false;
  const Mask same = active & mask_of([=](int l) { return ids[l] == id; });
  if (same != active) divert(warp, active & ~same, warp.current->frame, warp.current->pc);
  arrive(warp, d, same, id);
  ++warp.current->pc;
  if (!site.arrive) {
    warp.current->wait = Fragment::Wait::barrier;
    warp.current->wait_id = id;
  }
  BlockRun& block = block_of(warp);
  if (is_complete(block, block.barriers[id])) complete(block, id);
  return Flow::left;
}

void select_barrier(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  if (i.has("warp")) return;  // warp_ops.cpp's
  if (i.has("cluster")) decoder.unsupported("clusters are outside this emulator");
  allow_modifiers(decoder, i, {"cta", "sync", "arrive", "red", "aligned", "popc", "and", "or"});
  BarrierSite site;
  site.aligned = i.mnemonic == "bar" || i.has("aligned");
  site.arrive = i.has("arrive");
  std::size_t next = 0;
  if (i.has("red")) {
    site.reduction = i.has("popc") ? Reduction::popc : i.has("and") ? Reduction::all : Reduction::any;
    if (i.operands.size() < 3) decoder.unsupported("a barrier's reduction has a result, a barrier and a predicate");
    out.d = destination_or_scrap(decoder, i.operands[0], site.reduction == Reduction::popc ? ptx::Type::u32 : ptx::Type::pred);
    site.predicate = decoder.source(i.operands.back(), ptx::Type::pred);
    site.negated = i.operands.back().negated;
    next = 1;
  }
  const std::size_t end = i.operands.size() - (i.has("red") ? 1 : 0);
  if (next >= end) decoder.unsupported("which barrier?");
  site.id = decoder.source(i.operands[next++], ptx::Type::u32);
  site.has_count = next < end;
  if (site.has_count) site.count = decoder.source(i.operands[next], ptx::Type::u32);
  if (site.arrive && !site.has_count) decoder.unsupported("arrive needs the number of threads");
  out.extra = decoder.keep(site);
  out.instruction_class = kOther;
  out.run = run_barrier;
}

// Fences. options 1: gpu or system scope.

Flow run_fence(Warp& warp, const Decoded& d, Mask active) {
  on_fence(warp, active, d.options != 0);
  return Flow::next;
}

void select_fence(Decoder&, const ptx::Instruction& i, Decoded& out) {
  out.options = i.has("cta") && !i.has("gl") && !i.has("sys") && !i.has("gpu") ? 0 : 1;
  out.instruction_class = kOther;
  out.run = run_fence;
}

Flow run_nothing(Warp&, const Decoded&, Mask) { return Flow::next; }

void select_griddepcontrol(Decoder&, const ptx::Instruction&, Decoded& out) {
  out.instruction_class = kOther;
  out.run = run_nothing;  // a launch begins when the one before it is over
}

}  // namespace

void recheck_barriers(BlockRun& block) {
  for (std::uint32_t id = 0; id < kBarriers; ++id)
    if (!block.barriers[id].expected && is_complete(block, block.barriers[id])) complete(block, id);
}

bool break_barriers(BlockRun& block) {
  bool any = false;
  for (std::uint32_t id = 0; id < kBarriers; ++id) {
    Barrier& barrier = block.barriers[id];
    if (barrier.arrivals.empty()) continue;
    any = true;
    std::string where;
    for (const Warp& warp : block.warp) {
      Mask missing = warp.lanes;
      for (const Arrival& arrival : barrier.arrivals) missing &= arrival.warp == &warp ? ~arrival.lanes : kAll;
      if (missing && where.size() < 400) where += "; warp " + std::to_string(warp.index) + ": " + whereabouts(warp, missing);
    }
    const Arrival& first = barrier.arrivals.front();
    report(Kind::divergent_barrier, *first.warp, *first.instruction, first_lane(first.lanes),
           std::to_string(barrier.arrived) + " threads of block " + std::to_string(block.linear) + " wait at barrier " +
               std::to_string(id) + " of " + std::to_string(barrier.expected ? barrier.expected : block.threads - block.exited) +
               ", and the others never come" + where);
    barrier.divergence_told = true;
    complete(block, id);
  }
  return any;
}

void register_barrier() {
  add_selector("bar", select_barrier);
  add_selector("barrier", select_barrier);
  add_selector("membar", select_fence);
  add_selector("fence", select_fence);
  add_selector("griddepcontrol", select_griddepcontrol);
  register_mbarrier();
}

}  // namespace gradus::emulator
