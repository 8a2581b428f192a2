// Comparisons and selection: setp, set, selp, slct (of half types: half_compare.cpp).
#include <cmath>
#include <map>
#include <string>
#include <type_traits>

#include <gradus/kernels/emulator/exec/handler.h>

namespace gradus::emulator {
namespace {

using ptx::Instruction;
using ptx::Operand;
using ptx::Type;

// Each relation as a function; the unordered ones hold if an operand is NaN.
struct Eq {
  template <class T> static bool apply(T a, T b) { return a == b; }
};
struct Ne {
  template <class T> static bool apply(T a, T b) { return a < b || a > b; }
};  // ordered: false for NaN
struct Lt {
  template <class T> static bool apply(T a, T b) { return a < b; }
};
struct Le {
  template <class T> static bool apply(T a, T b) { return a <= b; }
};
struct Gt {
  template <class T> static bool apply(T a, T b) { return a > b; }
};
struct Ge {
  template <class T> static bool apply(T a, T b) { return a >= b; }
};
struct Equ {
  template <class T> static bool apply(T a, T b) { return !(a < b || a > b); }
};
struct Neu {
  template <class T> static bool apply(T a, T b) { return !(a == b); }
};
struct Ltu {
  template <class T> static bool apply(T a, T b) { return !(a >= b); }
};
struct Leu {
  template <class T> static bool apply(T a, T b) { return !(a > b); }
};
struct Gtu {
  template <class T> static bool apply(T a, T b) { return !(a <= b); }
};
struct Geu {
  template <class T> static bool apply(T a, T b) { return !(a < b); }
};
struct Num {
  template <class T> static bool apply(T a, T b) { return a == a && b == b; }
};
struct Nan {
  template <class T> static bool apply(T a, T b) { return a != a || b != b; }
};

/// f32 under .ftz: compared as a flushed value.
struct Flushed {
  float value;
};
inline float flushed(float v) { return std::fabs(v) < 1.17549435e-38f ? 0.0f : v; }

using Compare = Mask (*)(const Warp&, const Decoded&);

template <class Rel, class T> Mask compare(const Warp& warp, const Decoded& d) {
  if constexpr (std::is_same_v<T, Flushed>) {
    const float* a = warp.lanes_of<float>(d.a);
    const float* b = warp.lanes_of<float>(d.b);
    return mask_of([=](int l) { return Rel::apply(flushed(a[l]), flushed(b[l])); });
  } else {
    const T* a = warp.lanes_of<T>(d.a);
    const T* b = warp.lanes_of<T>(d.b);
    return mask_of([=](int l) { return Rel::apply(a[l], b[l]); });
  }
}

enum class Combine : std::uint8_t { none, both, either, differ };

struct CompareExtra {
  Ref third, second_result;
  bool has_second = false, negated = false;
  Combine combine = Combine::none;
};

inline Mask combined(Combine combine, Mask result, Mask third) {
  return combine == Combine::both ? result & third : combine == Combine::either ? result | third : result ^ third;
}

template <class Rel, class T> Flow run_setp(Warp& warp, const Decoded& d, Mask active) {
  set_predicate(warp, d.d, active, compare<Rel, T>(warp, d));
  return Flow::next;
}
/// p|q and a third predicate.
template <class Rel, class T> Flow run_setp_full(Warp& warp, const Decoded& d, Mask active) {
  const auto& extra = *static_cast<const CompareExtra*>(d.extra);
  const Mask result = compare<Rel, T>(warp, d);
  Mask p = result, q = ~result;
  if (extra.combine != Combine::none) {
    const Mask third = warp.predicate(extra.third) ^ (extra.negated ? kAll : 0);
    p = combined(extra.combine, p, third);
    q = combined(extra.combine, q, third);
  }
  set_predicate(warp, d.d, active, p);
  if (extra.has_second) set_predicate(warp, extra.second_result, active, q);
  return Flow::next;
}
/// set: all ones, or 1.0f (options 1).
template <class Rel, class T> Flow run_set(Warp& warp, const Decoded& d, Mask active) {
  Mask result = compare<Rel, T>(warp, d);
  if (const auto* extra = static_cast<const CompareExtra*>(d.extra))
    result = combined(extra->combine, result, warp.predicate(extra->third) ^ (extra->negated ? kAll : 0));
  const std::uint32_t yes = d.options ? 0x3F800000u : 0xFFFFFFFFu;
  map_lanes(warp.lanes_of<std::uint32_t>(d.d), active, [=](int l) { return result & kLaneBit[static_cast<std::size_t>(l)] ? yes : 0u; });
  return Flow::next;
}

struct Handlers {
  Handler setp, setp_full, set;
};
template <class Rel, class T> constexpr Handlers handlers_of = {run_setp<Rel, T>, run_setp_full<Rel, T>, run_set<Rel, T>};

template <class Rel> Handlers integer_handlers(Type t) {
  switch (t) {
    case Type::b16:
    case Type::u16: return handlers_of<Rel, std::uint16_t>;
    case Type::s16: return handlers_of<Rel, std::int16_t>;
    case Type::b32:
    case Type::u32: return handlers_of<Rel, std::uint32_t>;
    case Type::s32: return handlers_of<Rel, std::int32_t>;
    case Type::b64:
    case Type::u64: return handlers_of<Rel, std::uint64_t>;
    default: return handlers_of<Rel, std::int64_t>;
  }
}
template <class Rel> Handlers float_handlers(Type t, bool flush) {
  return t == Type::f64 ? handlers_of<Rel, double> : flush ? handlers_of<Rel, Flushed> : handlers_of<Rel, float>;
}

Handlers find_handlers(Decoder& decoder, const std::string& relation, Type t, bool flush) {
  if (t == Type::f32 || t == Type::f64) {
    using Maker = Handlers (*)(Type, bool);
    static const std::map<std::string, Maker> floats = {
        {"eq", float_handlers<Eq>},   {"ne", float_handlers<Ne>},   {"lt", float_handlers<Lt>},   {"le", float_handlers<Le>},
        {"gt", float_handlers<Gt>},   {"ge", float_handlers<Ge>},   {"equ", float_handlers<Equ>}, {"neu", float_handlers<Neu>},
        {"ltu", float_handlers<Ltu>}, {"leu", float_handlers<Leu>}, {"gtu", float_handlers<Gtu>}, {"geu", float_handlers<Geu>},
        {"num", float_handlers<Num>}, {"nan", float_handlers<Nan>}};
    if (const auto it = floats.find(relation); it != floats.end()) return it->second(t, flush);
  } else {
    using Maker = Handlers (*)(Type);
    static const std::map<std::string, Maker> integers = {
        {"eq", integer_handlers<Eq>}, {"ne", integer_handlers<Neu>}, {"lt", integer_handlers<Lt>}, {"le", integer_handlers<Le>},
        {"gt", integer_handlers<Gt>}, {"ge", integer_handlers<Ge>},  {"lo", integer_handlers<Lt>}, {"ls", integer_handlers<Le>},
        {"hi", integer_handlers<Gt>}, {"hs", integer_handlers<Ge>}};
    if (const auto it = integers.find(relation); it != integers.end()) return it->second(t);
  }
  decoder.unsupported("relation ." + relation + " is not known for ." + ptx::name_of(t));
  return {};  // not reached: the decoder throws
}

Type unsigned_for(const std::string& relation, Type t) {
  const bool is_unsigned = relation == "lo" || relation == "ls" || relation == "hi" || relation == "hs";
  return !is_unsigned ? t : t == Type::s16 ? Type::u16 : t == Type::s32 ? Type::u32 : t == Type::s64 ? Type::u64 : t;
}

bool is_plain(Type t) {
  return t == Type::f32 || t == Type::f64 || t == Type::b16 || t == Type::u16 || t == Type::s16 || t == Type::b32 || t == Type::u32 ||
         t == Type::s32 || t == Type::b64 || t == Type::u64 || t == Type::s64;
}

/// The third operand and how it is combined.
void bind_third(Decoder& decoder, const Instruction& i, CompareExtra& extra) {
  if (i.operands.size() != 4) return;
  extra.combine = i.has("and") ? Combine::both : i.has("or") ? Combine::either : Combine::differ;
  extra.third = decoder.source(i.operands[3], Type::pred);
  extra.negated = i.operands[3].negated;
}

void select_setp(Decoder& decoder, const Instruction& i, Decoded& out) {
  const Type t = i.type();
  if (!is_plain(t)) return;
  if (i.operands.size() < 3 || i.modifiers.empty()) decoder.unsupported("setp has a result and two sources");
  const std::string& relation = i.modifiers[0];
  allow_modifiers(decoder, i, {relation.c_str(), "and", "or", "xor", "ftz"});
  out.instruction_class = t == Type::f32 || t == Type::f64 ? kFloat : kInteger;
  CompareExtra extra;
  const bool pair = i.operands[0].kind == Operand::Kind::pair;
  out.d = destination_or_scrap(decoder, pair ? i.operands[0].elements[0] : i.operands[0], Type::pred);
  if (pair) extra.second_result = destination_or_scrap(decoder, i.operands[0].elements[1], Type::pred);
  extra.has_second = pair;
  out.a = decoder.source(i.operands[1], t);
  out.b = decoder.source(i.operands[2], t);
  bind_third(decoder, i, extra);
  const Handlers handlers = find_handlers(decoder, relation, unsigned_for(relation, t), i.has("ftz"));
  out.run = handlers.setp;
  if (pair || extra.combine != Combine::none) {
    out.extra = decoder.keep(extra);
    out.run = handlers.setp_full;
  }
}

void select_set(Decoder& decoder, const Instruction& i, Decoded& out) {
  const Type t = i.type(), to = i.type(1);
  if (!is_plain(t) || (to != Type::u32 && to != Type::s32 && to != Type::f32)) return;
  if (i.operands.size() < 3 || i.modifiers.empty()) decoder.unsupported("set has a result and two sources");
  const std::string& relation = i.modifiers[0];
  allow_modifiers(decoder, i, {relation.c_str(), "and", "or", "xor", "ftz"});
  out.instruction_class = t == Type::f32 || t == Type::f64 ? kFloat : kInteger;
  out.d = destination_or_scrap(decoder, i.operands[0], to);
  out.a = decoder.source(i.operands[1], t);
  out.b = decoder.source(i.operands[2], t);
  out.options = to == Type::f32 ? 1 : 0;
  CompareExtra extra;
  bind_third(decoder, i, extra);
  if (extra.combine != Combine::none) out.extra = decoder.keep(extra);
  out.run = find_handlers(decoder, relation, unsigned_for(relation, t), i.has("ftz")).set;
}

// selp: d.c the predicate, options 1: negated.

template <class T> Flow run_selp(Warp& warp, const Decoded& d, Mask active) {
  const T* a = warp.lanes_of<T>(d.a);
  const T* b = warp.lanes_of<T>(d.b);
  const Mask p = warp.predicate(d.c) ^ (d.options ? kAll : 0);
  map_lanes(warp.lanes_of<T>(d.d), active, [=](int l) { return p & kLaneBit[static_cast<std::size_t>(l)] ? a[l] : b[l]; });
  return Flow::next;
}

void select_selp(Decoder& decoder, const Instruction& i, Decoded& out) {
  allow_modifiers(decoder, i, {});
  const Type t = i.type();
  out.instruction_class = kInteger;
  bind(decoder, i, out, t, t, t, Type::pred);
  out.options = i.operands[3].negated ? 1 : 0;
  switch (ptx::bytes_of(t)) {
    case 2: out.run = run_selp<std::uint16_t>; break;
    case 4: out.run = run_selp<std::uint32_t>; break;
    case 8: out.run = run_selp<std::uint64_t>; break;
    default: decoder.unsupported("selp of this width");
  }
}

/// slct: a if c >= 0; a NaN chooses b, a -0 and (with .ftz) a denormal chooses a.
template <class T, class C, bool flush> Flow run_slct(Warp& warp, const Decoded& d, Mask active) {
  const T* a = warp.lanes_of<T>(d.a);
  const T* b = warp.lanes_of<T>(d.b);
  const C* c = warp.lanes_of<C>(d.c);
  map_lanes(warp.lanes_of<T>(d.d), active, [=](int l) {
    if constexpr (flush) return flushed(c[l]) >= 0 ? a[l] : b[l];
    else return c[l] >= 0 ? a[l] : b[l];
  });
  return Flow::next;
}
template <class C, bool flush> Handler slct_of(int bytes) {
  return bytes == 2   ? run_slct<std::uint16_t, C, flush>
         : bytes == 4 ? run_slct<std::uint32_t, C, flush>
                      : run_slct<std::uint64_t, C, flush>;
}

void select_slct(Decoder& decoder, const Instruction& i, Decoded& out) {
  allow_modifiers(decoder, i, {"ftz"});
  const Type t = i.type(1), c = i.type();
  out.instruction_class = kInteger;
  bind(decoder, i, out, t, t, t, c);
  const int bytes = ptx::bytes_of(t);
  out.run = c == Type::s32 ? slct_of<std::int32_t, false>(bytes)
            : i.has("ftz") ? slct_of<float, true>(bytes)
                           : slct_of<float, false>(bytes);
}

}  // namespace

void register_compare() {
  add_selector("setp", select_setp);
  add_selector("set", select_set);
  add_selector("selp", select_selp);
  add_selector("slct", select_slct);
}

}  // namespace gradus::emulator
