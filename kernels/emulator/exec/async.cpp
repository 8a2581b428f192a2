// cp.async: bytes are read when the copy is issued and arrive when somebody waits for it. In between the destination counts as undefined,
// so that a missing wait is found.
#include <algorithm>
#include <cstring>
#include <limits>

#include <gradus/kernels/emulator/exec/access.h>
#include <gradus/kernels/emulator/exec/handler.h>

namespace gradus::emulator {

// exec/barrier.cpp: lanes arrive at the mbarrier at `shared_offset`; with expect_one_more the pending count grows by as many first.
void mbarrier_arrive(Warp& warp, const Decoded& d, std::uint64_t shared_offset, std::uint32_t count, bool expect_one_more);

namespace {

/// Decoded::extra of a copy: its two halves as accesses of their own.
struct Copy {
  Decoded read, write, arrival;
  Access from, to;
  bool has_source_bytes = false, has_ignore = false;
};
const Copy& copy_of(const Decoded& d) { return *static_cast<const Copy*>(d.extra); }

/// The copy that is being issued: for_each_space's bodies have no room for more arguments.
PendingCopy* issuing = nullptr;

Decoded half_of_copy(const Decoded& half, const Decoded& whole) {
  Decoded d = half;
  d.location = whole.location;
  d.source = whole.source;
  return d;
}

std::uint32_t ones(std::uint32_t bytes) { return (1u << bytes) - 1; }

void read_source(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space) {
  observe(warp, d, lanes, space);
  const Access& access = access_of(d);
  const bool tracked = launch_state().check_all && space == ptx::Space::global && access.tracked;
  for_lanes(lanes.active, [&](int l) {
    const auto lane = static_cast<std::size_t>(l);
    std::memcpy(issuing->data[lane].data(), lanes.host(l), access.bytes);
    const bool known = tracked && lanes.at[l] >= access.low && lanes.at[l] < access.high;
    issuing->defined[lane] =
        static_cast<std::uint16_t>(known ? Heap::instance().defined.get(lanes.at[l], access.bytes) : ones(access.bytes));
  });
}

void mark_target(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space) {
  observe(warp, d, lanes, space);
  const Access& access = access_of(d);
  issuing->lanes = lanes.active;
  for_lanes(lanes.active, [&](int l) {
    issuing->to[static_cast<std::size_t>(l)] = static_cast<std::uint32_t>(lanes.at[l]);
    if (launch_state().check_all) shadow_of(*warp.block).shared_defined.clear(lanes.at[l], access.bytes);
  });
}

/// Lanes whose source counts for fewer bytes than the copy: the rest is zero. Returns the lanes that read anything at all.
Mask shorten(const Warp& warp, const Decoded& d, Mask active, std::uint32_t (&bytes)[kLanes]) {
  const Copy& copy = copy_of(d);
  for (std::uint32_t& b : bytes) b = copy.to.bytes;
  if (copy.has_source_bytes) {
    const std::uint32_t* given = warp.lanes_of<std::uint32_t>(d.b);
    for (int l = 0; l < kLanes; ++l) bytes[l] = std::min(given[l], copy.to.bytes);
  }
  if (copy.has_ignore) {
    for_lanes(warp.predicate(d.c), [&](int l) { bytes[l] = 0; });
  }
  Mask reads = 0;
  for_lanes(active, [&](int l) { reads |= bytes[l] != 0 ? Mask{1} << l : 0; });
  return reads;
}

/// Reads fewer bytes than a whole copy for some lanes: one read per size.
void read_sources(Warp& warp, const Decoded& d, Mask reads, const std::uint32_t (&bytes)[kLanes]) {
  const Copy& copy = copy_of(d);
  while (reads != 0) {
    const std::uint32_t size = bytes[__builtin_ctz(reads)];
    Mask same = 0;
    for_lanes(reads, [&](int l) { same |= bytes[l] == size ? Mask{1} << l : 0; });
    reads &= ~same;
    Decoded half = half_of_copy(copy.read, d);
    if (size == copy.from.bytes) {
      half.extra = &copy.from;
      for_each_space(warp, half, same, read_source);
      continue;
    }
    Access shorter = copy.from;
    shorter.bytes = size;
    shorter.low = shorter.high = 0;
    half.extra = &shorter;
    for_each_space(warp, half, same, read_source);
  }
}

Flow issue(Warp& warp, const Decoded& d, Mask active) {
  const Copy& copy = copy_of(d);
  WarpShadow& shadow = shadow_of(warp);
  PendingCopy pending;
  pending.bytes = copy.to.bytes;
  pending.instruction = &d;
  pending.group = shadow.committed;
  pending.defined.fill(static_cast<std::uint16_t>(ones(pending.bytes)));
  std::uint32_t bytes[kLanes];
  const Mask reads = shorten(warp, d, active, bytes);
  issuing = &pending;
  read_sources(warp, d, reads, bytes);
  for_lanes(active, [&](int l) {
    auto& defined = pending.defined[static_cast<std::size_t>(l)];
    defined = static_cast<std::uint16_t>(defined | (ones(pending.bytes) & ~ones(bytes[l])));
  });
  Decoded half = half_of_copy(copy.write, d);
  half.extra = &copy.to;
  for_each_space(warp, half, active, mark_target);
  issuing = nullptr;
  if (pending.lanes != 0) shadow.copies.push_back(pending);
  return Flow::next;
}

void define_arrived(Warp& warp, const PendingCopy& copy, int lane) {
  BitShadow& bits = shadow_of(*warp.block).shared_defined;
  const auto l = static_cast<std::size_t>(lane);
  bits.clear(copy.to[l], copy.bytes);
  for (std::uint32_t b = 0; b < copy.bytes; ++b) {
    if ((copy.defined[l] >> b & 1) != 0) bits.set_few(copy.to[l] + b, 1);
  }
  // Another copy of this lane to the same place is still under way: a ring of buffers that is one too short.
  for (const PendingCopy& other : shadow_of(warp).copies) {
    if ((other.lanes >> lane & 1) != 0 && other.to[l] == copy.to[l]) bits.clear(copy.to[l], std::min(copy.bytes, other.bytes));
  }
}

/// The bytes of some lanes of a copy arrive.
void arrive(Warp& warp, PendingCopy& copy, Mask arrived) {
  std::byte* shared = warp.block->shared.data();
  for_lanes(arrived, [&](int l) {
    std::memcpy(shared + copy.to[static_cast<std::size_t>(l)], copy.data[static_cast<std::size_t>(l)].data(), copy.bytes);
  });
  copy.lanes &= ~arrived;
  ++warp.block->progress;
  if (!launch_state().check_all) return;
  for_lanes(arrived, [&](int l) { define_arrived(warp, copy, l); });
  // For others the write happens now: they need a barrier after this wait.
  const auto& d = *static_cast<const Decoded*>(copy.instruction);
  Decoded half = half_of_copy(copy_of(d).arrival, d);
  half.extra = &copy_of(d).to;
  Lanes lanes;
  for (int l = 0; l < kLanes; ++l) lanes.at[l] = copy.to[static_cast<std::size_t>(l)];
  lanes.active = arrived;
  lanes.delta = reinterpret_cast<std::uint64_t>(shared);
  check_races(warp, half, lanes, ptx::Space::shared);
}

/// Completes what the lanes have under way, but for their newest `keep` groups (-1: for nothing, and the uncommitted too).
void complete(Warp& warp, Mask active, std::int64_t keep) {
  WarpShadow& shadow = shadow_of(warp);
  for (PendingCopy& copy : shadow.copies) {
    Mask due = 0;
    for_lanes(copy.lanes & active, [&](int l) {
      const auto lane = static_cast<std::size_t>(l);
      if (keep < 0 || std::int64_t{copy.group[lane]} < std::int64_t{shadow.committed[lane]} - keep) due |= Mask{1} << l;
    });
    if (due != 0) arrive(warp, copy, due);
  }
  shadow.copies.erase(std::remove_if(shadow.copies.begin(), shadow.copies.end(), [](const PendingCopy& c) { return c.lanes == 0; }),
                      shadow.copies.end());
}

Flow commit(Warp& warp, const Decoded&, Mask active) {
  WarpShadow& shadow = shadow_of(warp);
  for_lanes(active, [&](int l) { ++shadow.committed[static_cast<std::size_t>(l)]; });
  return Flow::next;
}

Flow wait(Warp& warp, const Decoded& d, Mask active) {
  complete(warp, active, d.immediate);
  return Flow::next;
}

void arrive_at_barrier(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space) {
  if (space != ptx::Space::shared) return;
  for_lanes(lanes.active, [&](int l) { mbarrier_arrive(warp, d, lanes.at[l], 1, d.options != 0); });
}

/// The barrier learns of this thread's copies when they are complete; here they are at once.
Flow arrive_when_complete(Warp& warp, const Decoded& d, Mask active) {
  complete(warp, active, -1);
  for_each_space(warp, d, active, arrive_at_barrier);
  return Flow::next;
}

std::uint32_t immediate_of(Decoder& decoder, const ptx::Operand& operand) {
  if (operand.kind != ptx::Operand::Kind::immediate) decoder.unsupported("`" + operand.name + "` must be a constant");
  return static_cast<std::uint32_t>(operand.bits);
}

void bind_half(Decoder& decoder, const ptx::Operand& operand, Access& access, Decoded& half, Role role, std::uint32_t bytes) {
  access.role = role;
  access.space = role == Role::load ? ptx::Space::global : ptx::Space::shared;
  access.bytes = bytes;
  access.element_bytes = static_cast<std::uint8_t>(bytes);
  access.alignment = bytes;
  access.asynchronous = true;
  bind_address(decoder, operand, access, half);
}

void check_copy_modifiers(Decoder& decoder, const ptx::Instruction& instruction) {
  static constexpr std::string_view kKnown[] = {"async",          "ca",      "cg",       "shared",  "shared::cta", "global",
                                                "L2::cache_hint", "L2::64B", "L2::128B", "L2::256B"};
  for (const std::string& m : instruction.modifiers) {
    if (std::find(std::begin(kKnown), std::end(kKnown), m) == std::end(kKnown)) decoder.unsupported("modifier ." + m);
  }
}

void select_copy(Decoder& decoder, const ptx::Instruction& instruction, Decoded& out) {
  check_copy_modifiers(decoder, instruction);
  const auto& operands = instruction.operands;
  if (operands.size() < 3 || operands.size() > 5) decoder.unsupported("a wrong number of operands");
  const std::uint32_t bytes = immediate_of(decoder, operands[2]);
  if (bytes != 4 && bytes != 8 && bytes != 16) decoder.unsupported("copies are of 4, 8 or 16 bytes");
  Copy* copy = decoder.keep(Copy());
  bind_half(decoder, operands[0], copy->to, copy->write, Role::store, bytes);
  bind_half(decoder, operands[1], copy->from, copy->read, Role::load, bytes);
  // A cache policy comes last and is advice.
  const std::size_t given = operands.size() - (instruction.has("L2::cache_hint") ? 1 : 0);
  if (given > 3) {
    const ptx::Operand& rest = operands[3];
    const bool predicate = rest.kind == ptx::Operand::Kind::reg && decoder.register_bytes(rest) == 0;
    copy->has_ignore = predicate;
    copy->has_source_bytes = !predicate;
    (predicate ? out.c : out.b) = decoder.source(rest, predicate ? ptx::Type::pred : ptx::Type::b32);
  }
  copy->arrival = copy->write;
  out.run = issue;
  out.extra = copy;
}

void select_mbarrier_arrive(Decoder& decoder, const ptx::Instruction& instruction, Decoded& out) {
  if (instruction.operands.size() != 1) decoder.unsupported("it needs one operand");
  Access access;
  access.role = Role::store;
  access.bytes = access.element_bytes = 8;
  access.space = instruction.has("shared") || instruction.has("shared::cta") ? ptx::Space::shared : ptx::Space::generic;
  bind_address(decoder, instruction.operands[0], access, out);
  out.options = instruction.has("noinc") ? 0 : 1;
  out.run = arrive_when_complete;
  out.extra = decoder.keep(std::move(access));
}

void select_async(Decoder& decoder, const ptx::Instruction& instruction, Decoded& out) {
  if (!instruction.has("async")) decoder.unsupported("not a cp.async");
  for (const char* m : {"bulk", "reduce", "tensor", "prefetch"}) {
    if (instruction.has(m)) decoder.unsupported("bulk copies are outside this emulator");
  }
  out.instruction_class = kMemory;
  if (instruction.has("commit_group")) {
    out.run = commit;
  } else if (instruction.has("wait_all")) {
    out.run = wait;
    out.immediate = -1;
  } else if (instruction.has("wait_group")) {
    if (instruction.operands.size() != 1) decoder.unsupported("it needs one operand");
    out.run = wait;
    out.immediate = immediate_of(decoder, instruction.operands[0]);
  } else if (instruction.has("mbarrier")) {
    select_mbarrier_arrive(decoder, instruction, out);
  } else {
    select_copy(decoder, instruction, out);
  }
}

}  // namespace

void register_async();
void register_async() { add_selector("cp", select_async); }

}  // namespace gradus::emulator
