// mbarrier objects: 64 bits in shared memory. Their layout is opaque to programs; here
//   bits 0-19 pending arrivals, 20-39 arrivals expected in a phase, 40-62 bytes still to come (tx-count), 63 the phase's parity.
#include <cstring>
#include <string>

#include <gradus/kernels/emulator/exec/access.h>
#include <gradus/kernels/emulator/exec/handler.h>
#include <gradus/kernels/emulator/exec/launch.h>
#include <gradus/kernels/emulator/exec/memory.h>

namespace gradus::emulator {
namespace {

using ptx::Instruction;
using ptx::Type;
constexpr std::uint64_t kCountMask = (1u << 20) - 1, kTxMask = (1u << 23) - 1, kParity = std::uint64_t{1} << 63;
constexpr int kExpectedAt = 20, kTxAt = 40;

struct Object {
  std::uint64_t pending = 0, expected = 0, tx = 0;
  bool parity = false;
};
Object unpack(std::uint64_t word) {
  return {word & kCountMask, word >> kExpectedAt & kCountMask, word >> kTxAt & kTxMask, (word & kParity) != 0};
}
std::uint64_t pack(const Object& o) {
  return (o.pending & kCountMask) | (o.expected & kCountMask) << kExpectedAt | (o.tx & kTxMask) << kTxAt | (o.parity ? kParity : 0);
}
void complete_if_due(Object& o) {
  if (o.pending != 0 || o.tx != 0) return;
  o.parity = !o.parity;
  o.pending = o.expected;
}

enum class Operation : std::uint8_t { init, invalidate, arrive, expect, complete_tx };

/// Behind the Access in Decoded::extra: what arrives, and where the state goes.
struct BarrierAccess : Access {
  Operation operation = Operation::arrive;
  bool drop = false, expects = false, has_count = false, has_state = false, parity = false;
  Ref count, result, state;
};
const BarrierAccess& site_of(const Decoded& d) { return *static_cast<const BarrierAccess*>(static_cast<const Access*>(d.extra)); }

std::uint64_t load_word(const Lanes& lanes, int lane) {
  std::uint64_t word;
  std::memcpy(&word, lanes.host(lane), sizeof word);
  return word;
}

void apply(const BarrierAccess& site, Object& o, std::uint32_t count) {
  switch (site.operation) {
    case Operation::init: o = {count, count, 0, false}; return;
    case Operation::invalidate: o = {}; return;
    case Operation::expect: o.tx += count; return;
    case Operation::complete_tx:
      o.tx -= count;
      complete_if_due(o);
      return;
    case Operation::arrive: break;
  }
  if (site.expects) {
    o.tx += count;
    count = 1;
  }
  o.pending -= count;
  if (site.drop) o.expected -= count;
  complete_if_due(o);
}

void change(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space) {
  const BarrierAccess& site = site_of(d);
  if (site.operation == Operation::init) define_lanes(warp, d, lanes, space);
  else check_defined(warp, d, lanes, space);
  const auto* counts = site.has_count ? warp.lanes_of<std::uint32_t>(site.count) : nullptr;
  for_lanes(lanes.active, [&](int l) {
    const std::uint64_t before = load_word(lanes, l);
    Object o = unpack(before);
    apply(site, o, counts ? counts[l] : 1);
    const std::uint64_t after = pack(o);
    std::memcpy(lanes.host(l), &after, sizeof after);
    if (site.has_state) warp.lanes_of<std::uint64_t>(site.result)[l] = before;
    if (site.operation == Operation::arrive) on_release(warp, Mask{1} << l, lanes.at[l]);
  });
  ++warp.block->progress;
}

/// test_wait, try_wait: true once the phase of the state (or of that parity) is over. try_wait does not suspend: its loop is left to the
/// scheduler.
void test(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space) {
  const BarrierAccess& site = site_of(d);
  check_defined(warp, d, lanes, space);
  Mask done = 0;
  for_lanes(lanes.active, [&](int l) {
    const bool asked =
        site.parity ? (warp.lanes_of<std::uint32_t>(site.state)[l] & 1) != 0 : (warp.lanes_of<std::uint64_t>(site.state)[l] & kParity) != 0;
    if (unpack(load_word(lanes, l)).parity == asked) return;
    done |= Mask{1} << l;
    on_acquire(warp, lanes.at[l]);
  });
  set_predicate(warp, site.result, lanes.active, done);
}

Flow run_change(Warp& warp, const Decoded& d, Mask active) {
  for_each_space(warp, d, active, change);
  return Flow::next;
}
/// Lanes whose phase is not over will ask again: the others first.
Flow run_test(Warp& warp, const Decoded& d, Mask active) {
  for_each_space(warp, d, active, test);
  const bool over = (active & ~warp.predicate(site_of(d).result)) == 0;
  if (over) return Flow::next;
  launch_of(warp).slept += kPollNanoseconds;
  return Flow::yields;
}

/// pending_count: of a state.
Flow run_pending(Warp& warp, const Decoded& d, Mask active) {
  const auto* a = warp.lanes_of<std::uint64_t>(d.a);
  map_lanes(warp.lanes_of<std::uint32_t>(d.d), active, [=](int l) { return static_cast<std::uint32_t>(a[l] & kCountMask); });
  return Flow::next;
}

void bind_object(Decoder& decoder, const Instruction& i, const ptx::Operand& operand, BarrierAccess& site, Decoded& out) {
  site.role = Role::atomic;
  site.bytes = site.element_bytes = 8;
  site.space = i.has("shared") || i.has("shared::cta") ? ptx::Space::shared : ptx::Space::generic;
  bind_address(decoder, operand, site, out);
}

void select_wait(Decoder& decoder, const Instruction& i, Decoded& out) {
  if (i.operands.size() < 3) decoder.unsupported("a test has a result, an object and a state");
  BarrierAccess site;
  site.parity = i.has("parity");
  site.result = destination_or_scrap(decoder, i.operands[0], Type::pred);
  bind_object(decoder, i, i.operands[1], site, out);
  site.state = decoder.source(i.operands[2], site.parity ? Type::b32 : Type::b64);
  out.extra = static_cast<const Access*>(decoder.keep(std::move(site)));
  out.run = run_test;
}

void select_change(Decoder& decoder, const Instruction& i, Decoded& out) {
  BarrierAccess site;
  site.operation = i.has("init")                                                     ? Operation::init
                   : i.has("inval")                                                  ? Operation::invalidate
                   : i.has("expect_tx") && !i.has("arrive") && !i.has("arrive_drop") ? Operation::expect
                   : i.has("complete_tx")                                            ? Operation::complete_tx
                                                                                     : Operation::arrive;
  site.drop = i.has("arrive_drop");
  site.expects = i.has("expect_tx") && site.operation == Operation::arrive;
  std::size_t next = 0;
  if (site.operation == Operation::arrive) {
    site.has_state = i.operands.at(0).kind != ptx::Operand::Kind::sink;
    if (site.has_state) site.result = decoder.destination(i.operands[0], Type::b64);
    next = 1;
  }
  if (next >= i.operands.size()) decoder.unsupported("which object?");
  bind_object(decoder, i, i.operands[next++], site, out);
  site.has_count = next < i.operands.size();
  if (site.has_count) site.count = decoder.source(i.operands[next], Type::b32);
  out.extra = static_cast<const Access*>(decoder.keep(std::move(site)));
  out.run = run_change;
}

void select_mbarrier(Decoder& decoder, const Instruction& i, Decoded& out) {
  if (i.has("shared::cluster") || i.has("cluster")) decoder.unsupported("clusters are outside this emulator");
  allow_modifiers(decoder, i,
                  {"init", "inval", "arrive", "arrive_drop", "test_wait", "try_wait", "pending_count", "expect_tx", "complete_tx", "parity",
                   "noComplete", "shared", "shared::cta", "release", "acquire", "relaxed", "cta"});
  out.instruction_class = kOther;
  if (i.has("test_wait") || i.has("try_wait")) return select_wait(decoder, i, out);
  if (!i.has("pending_count")) return select_change(decoder, i, out);
  bind(decoder, i, out, Type::b32, Type::b64);
  out.run = run_pending;
}

}  // namespace

/// For cp.async.mbarrier.arrive (async.cpp); without .noinc the arrival is one more than those expected.
void mbarrier_arrive(Warp& warp, const Decoded&, std::uint64_t shared_offset, std::uint32_t count, bool expect_one_more) {
  std::byte* at = warp.block->shared.data() + shared_offset;
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  Object o = unpack(word);
  o.pending -= expect_one_more ? 0 : count;
  complete_if_due(o);
  word = pack(o);
  std::memcpy(at, &word, sizeof word);
  ++warp.block->progress;
}

void register_mbarrier() { add_selector("mbarrier", select_mbarrier); }

}  // namespace gradus::emulator
