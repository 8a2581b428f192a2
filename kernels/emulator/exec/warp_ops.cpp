// Lanes that exchange values: shfl, vote, match, redux, elect, activemask.
#include <algorithm>
#include <string>

#include <gradus/kernels/emulator/exec/handler.h>
#include <gradus/kernels/emulator/exec/launch.h>
#include <gradus/kernels/emulator/exec/meeting.h>
#include <gradus/kernels/emulator/exec/memory.h>

namespace gradus::emulator {

namespace {

// shfl: d.a value, d.b lane or distance, d.c clamp and segment; extra: mask and the predicate.

struct ShuffleExtra {
  Ref mask, predicate;
  bool has_predicate = false;
};
enum class Shuffle : std::uint8_t { up, down, bfly, idx };

template <Shuffle mode> inline int source_lane(int lane, int b, std::uint32_t c, bool* inside) {
  const int segment = static_cast<int>(c >> 8 & 31), clamp = static_cast<int>(c & 31);
  const int highest = (lane & segment) | (clamp & ~segment), lowest = lane & segment;
  int from;
  if constexpr (mode == Shuffle::up) from = lane - b;
  else if constexpr (mode == Shuffle::down) from = lane + b;
  else if constexpr (mode == Shuffle::bfly) from = lane ^ b;
  else from = lowest | (b & ~segment);
  *inside = mode == Shuffle::up ? from >= highest : from <= highest;
  return *inside ? from : lane;
}

void report_unread(Warp& warp, const Decoded& d, Mask undefined, const std::uint8_t* from, Mask group) {
  const int lane = first_lane(undefined);
  const Mask source = Mask{1} << from[lane];
  const char* const why = source & warp.exited     ? "has exited"
                          : !(source & warp.lanes) ? "does not exist (the block ends before it)"
                          : source & group         ? "is not in the mask"
                                                   : "does not take part";
  report(Kind::shuffle_mask, warp, d, lane,
         "lane " + std::to_string(lane) + " reads lane " + std::to_string(from[lane]) + ", which " + why + ": the value is undefined");
}

template <Shuffle mode> Flow run_shfl(Warp& warp, const Decoded& d, Mask active) {
  const auto& extra = *static_cast<const ShuffleExtra*>(d.extra);
  const Mask* masks = warp.lanes_of<Mask>(extra.mask);
  const Meeting meeting = meet(warp, d, active, masks);
  if (!meeting.lanes) return Flow::retry;
  const auto* a = warp.lanes_of<std::uint32_t>(d.a);
  const auto* b = warp.lanes_of<std::uint32_t>(d.b);
  const auto* c = warp.lanes_of<std::uint32_t>(d.c);
  alignas(64) std::uint32_t value[kLanes];
  std::uint8_t from[kLanes];
  Mask inside = 0, unread = 0;
  for (int l = 0; l < kLanes; ++l) {
    bool in = false;
    from[l] = static_cast<std::uint8_t>(source_lane<mode>(l, static_cast<int>(b[l] & 31), c[l], &in) & 31);
    value[l] = a[from[l]];
    inside |= in ? Mask{1} << l : 0;
    unread |= (meeting.lanes >> from[l] & masks[l] >> from[l] & 1) ? 0 : Mask{1} << l;
  }
  // A lane outside its own mask has been told already.
  if (const Mask undefined = unread & meeting.lanes & inside) report_unread(warp, d, undefined, from, meeting.lanes);
  map_lanes(warp.lanes_of<std::uint32_t>(d.d), meeting.lanes, [&](int l) { return value[l]; });
  if (extra.has_predicate) set_predicate(warp, extra.predicate, meeting.lanes, inside);
  return finish_meeting(warp, meeting);
}

// vote: d.a the predicate, d.b the mask.

enum class Vote : std::uint8_t { all, any, uni, ballot };
constexpr std::uint32_t kNegated = 1;

template <Vote mode> Flow run_vote(Warp& warp, const Decoded& d, Mask active) {
  const Mask* masks = warp.lanes_of<Mask>(d.b);
  const Meeting meeting = meet(warp, d, active, masks);
  if (!meeting.lanes) return Flow::retry;
  const Mask p = warp.predicate(d.a) ^ (d.options & kNegated ? kAll : 0);
  for_groups(masks, meeting.lanes, [&](Mask group, Mask) {
    const Mask yes = p & group;
    if constexpr (mode == Vote::ballot) {
      map_lanes(warp.lanes_of<std::uint32_t>(d.d), group, [=](int) { return yes; });
    } else {
      const bool result = mode == Vote::all ? yes == group : mode == Vote::any ? yes != 0 : yes == group || yes == 0;
      set_predicate(warp, d.d, group, result ? kAll : 0);
    }
  });
  return finish_meeting(warp, meeting);
}

// match: d.a the value, d.b the mask, d.c the predicate of match.all (options 1).

template <class T, bool all> Flow run_match(Warp& warp, const Decoded& d, Mask active) {
  const Mask* masks = warp.lanes_of<Mask>(d.b);
  const Meeting meeting = meet(warp, d, active, masks);
  if (!meeting.lanes) return Flow::retry;
  const T* a = warp.lanes_of<T>(d.a);
  std::uint32_t result[kLanes] = {};
  Mask equal = 0;
  for_groups(masks, meeting.lanes, [&](Mask group, Mask) {
    for (Mask left = group; left;) {
      const T value = a[first_lane(left)];
      const Mask same = group & mask_of([=](int l) { return a[l] == value; });
      const bool whole = same == group;
      for_lanes(same, [&](int l) { result[l] = !all || whole ? same : 0; });
      equal |= whole ? group : 0;
      left &= ~same;
    }
  });
  map_lanes(warp.lanes_of<std::uint32_t>(d.d), meeting.lanes, [&](int l) { return result[l]; });
  if (all && (d.options & 1)) set_predicate(warp, d.c, meeting.lanes, equal);
  return finish_meeting(warp, meeting);
}

// redux: d.a the value, d.b the mask.

struct Add {
  template <class T> static T apply(T a, T b) { return a + b; }
};
struct Min {
  template <class T> static T apply(T a, T b) { return std::min(a, b); }
};
struct Max {
  template <class T> static T apply(T a, T b) { return std::max(a, b); }
};
struct And {
  template <class T> static T apply(T a, T b) { return a & b; }
};
struct Or {
  template <class T> static T apply(T a, T b) { return a | b; }
};
struct Xor {
  template <class T> static T apply(T a, T b) { return a ^ b; }
};

template <class Op, class T> Flow run_redux(Warp& warp, const Decoded& d, Mask active) {
  const Mask* masks = warp.lanes_of<Mask>(d.b);
  const Meeting meeting = meet(warp, d, active, masks);
  if (!meeting.lanes) return Flow::retry;
  const T* a = warp.lanes_of<T>(d.a);
  T* r = warp.lanes_of<T>(d.d);
  for_groups(masks, meeting.lanes, [&](Mask group, Mask) {
    const int first = first_lane(group);
    T sum = a[first];
    for_lanes(group & (group - 1), [&](int l) { sum = Op::apply(sum, a[l]); });
    map_lanes(r, group, [=](int) { return sum; });
  });
  return finish_meeting(warp, meeting);
}

Flow run_elect(Warp& warp, const Decoded& d, Mask active) {
  const Mask* masks = warp.lanes_of<Mask>(d.b);
  const Meeting meeting = meet(warp, d, active, masks);
  if (!meeting.lanes) return Flow::retry;
  for_groups(masks, meeting.lanes, [&](Mask group, Mask) {
    const int leader = first_lane(group);
    map_lanes(warp.lanes_of<std::uint32_t>(d.d), group, [=](int) { return static_cast<std::uint32_t>(leader); });
    set_predicate(warp, d.c, group, Mask{1} << leader);
  });
  return finish_meeting(warp, meeting);
}

Flow run_activemask(Warp& warp, const Decoded& d, Mask active) {
  map_lanes(warp.lanes_of<std::uint32_t>(d.d), active, [=](int) { return active; });
  return Flow::next;
}

// Selectors.

using Kind_ = ptx::Operand::Kind;
using ptx::Type;

/// d, or d|p.
bool bind_result(Decoder& decoder, const ptx::Operand& operand, Type type, Ref* d, Ref* p) {
  const bool pair = operand.kind == Kind_::pair;
  *d = destination_or_scrap(decoder, pair ? operand.elements[0] : operand, type);
  if (pair) *p = destination_or_scrap(decoder, operand.elements[1], Type::pred);
  return pair;
}

void select_shfl(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  if (!i.has("sync")) decoder.unsupported("shfl without .sync does not exist for this target");
  allow_modifiers(decoder, i, {"sync", "up", "down", "bfly", "idx"});
  expect_operands(decoder, i, 5);
  ShuffleExtra extra;
  extra.has_predicate = bind_result(decoder, i.operands[0], Type::b32, &out.d, &extra.predicate);
  out.a = decoder.source(i.operands[1], Type::b32);
  out.b = decoder.source(i.operands[2], Type::b32);
  out.c = decoder.source(i.operands[3], Type::b32);
  extra.mask = decoder.source(i.operands[4], Type::b32);
  out.extra = decoder.keep(extra);
  out.instruction_class = kOther;
  out.run = i.has("up")     ? run_shfl<Shuffle::up>
            : i.has("down") ? run_shfl<Shuffle::down>
            : i.has("bfly") ? run_shfl<Shuffle::bfly>
                            : run_shfl<Shuffle::idx>;
}

void select_vote(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  if (!i.has("sync")) decoder.unsupported("vote without .sync does not exist for this target");
  allow_modifiers(decoder, i, {"sync", "all", "any", "uni", "ballot"});
  expect_operands(decoder, i, 3);
  const bool ballot = i.has("ballot");
  out.d = destination_or_scrap(decoder, i.operands[0], ballot ? Type::b32 : Type::pred);
  out.a = decoder.source(i.operands[1], Type::pred);
  out.options = i.operands[1].negated ? kNegated : 0;
  out.b = decoder.source(i.operands[2], Type::b32);
  out.instruction_class = kOther;
  out.run = ballot ? run_vote<Vote::ballot> : i.has("all") ? run_vote<Vote::all> : i.has("any") ? run_vote<Vote::any> : run_vote<Vote::uni>;
}

void select_match(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  allow_modifiers(decoder, i, {"sync", "all", "any"});
  expect_operands(decoder, i, 3);
  const bool wide = ptx::bytes_of(i.type()) == 8;
  out.options = bind_result(decoder, i.operands[0], Type::b32, &out.d, &out.c) ? 1 : 0;
  out.a = decoder.source(i.operands[1], i.type());
  out.b = decoder.source(i.operands[2], Type::b32);
  out.instruction_class = kOther;
  out.run = i.has("all") ? (wide ? run_match<std::uint64_t, true> : run_match<std::uint32_t, true>)
                         : (wide ? run_match<std::uint64_t, false> : run_match<std::uint32_t, false>);
}

void select_redux(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  allow_modifiers(decoder, i, {"sync", "add", "min", "max", "and", "or", "xor"});
  if (i.type() == Type::f32) decoder.unsupported("redux of floats is sm_100's");
  expect_operands(decoder, i, 3);
  const bool is_signed = i.type() == Type::s32;
  using U = std::uint32_t;
  using S = std::int32_t;
  out.d = destination_or_scrap(decoder, i.operands[0], i.type());
  out.a = decoder.source(i.operands[1], i.type());
  out.b = decoder.source(i.operands[2], Type::b32);
  out.instruction_class = kOther;
  out.run = i.has("add")   ? run_redux<Add, U>
            : i.has("min") ? (is_signed ? run_redux<Min, S> : run_redux<Min, U>)
            : i.has("max") ? (is_signed ? run_redux<Max, S> : run_redux<Max, U>)
            : i.has("and") ? run_redux<And, U>
            : i.has("or")  ? run_redux<Or, U>
                           : run_redux<Xor, U>;
}

void select_elect(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  expect_operands(decoder, i, 2);
  if (!bind_result(decoder, i.operands[0], Type::b32, &out.d, &out.c)) decoder.unsupported("elect.sync has the results d|p");
  out.b = decoder.source(i.operands[1], Type::b32);
  out.instruction_class = kOther;
  out.run = run_elect;
}

void select_activemask(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  expect_operands(decoder, i, 1);
  out.d = destination_or_scrap(decoder, i.operands[0], Type::b32);
  out.instruction_class = kOther;
  out.run = run_activemask;
}

}  // namespace

void register_warp() {
  add_selector("shfl", select_shfl);
  add_selector("vote", select_vote);
  add_selector("match", select_match);
  add_selector("redux", select_redux);
  add_selector("elect", select_elect);
  add_selector("activemask", select_activemask);
  register_syncwarp();
}

}  // namespace gradus::emulator
