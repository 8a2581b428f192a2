// atom and red: read-modify-write, lane after lane in a seeded order.
#include <gradus/kernels/emulator/exec/access.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <type_traits>

#include <gradus/kernels/emulator/exec/half_bits.h>
#include <gradus/kernels/emulator/exec/handler.h>
#include <gradus/kernels/emulator/exec/machine.h>
#include <gradus/kernels/emulator/exec/order.h>

namespace gradus::emulator {
namespace {

struct Half {
  std::uint16_t bits;
};
struct Bfloat {
  std::uint16_t bits;
};
template <class T> struct Pair { T low, high; };
struct Wide {
  std::uint64_t half[2];
};

float widen(Half v) { return float_of_half(v.bits); }
float widen(Bfloat v) { return float_of_bfloat(v.bits); }
void narrow_to(Half& to, float v) { to.bits = half_of_float(v); }
void narrow_to(Bfloat& to, float v) { to.bits = bfloat_of_float(v); }
template <class T> constexpr bool kIsSmallFloat = std::is_same_v<T, Half> || std::is_same_v<T, Bfloat>;

/// f on both halves of a pair, or on the value, in float for the 16-bit formats.
template <class T, class F> T with_floats(T a, T b, F f) {
  if constexpr (kIsSmallFloat<T>) {
    T r;
    narrow_to(r, f(widen(a), widen(b)));
    return r;
  } else if constexpr (std::is_arithmetic_v<T>) {
    return f(a, b);
  } else {
    return {with_floats(a.low, b.low, f), with_floats(a.high, b.high, f)};
  }
}

// apply(old, b, c): the new value.
struct Add {
  template <class T> static T apply(T old, T b, T) {
    if constexpr (std::is_integral_v<T>) {
      using U = std::make_unsigned_t<T>;
      return static_cast<T>(static_cast<U>(old) + static_cast<U>(b));
    } else {
      return with_floats(old, b, [](auto x, auto y) { return x + y; });
    }
  }
};
struct Min {
  // A NaN loses against a number.
  template <class T> static T apply(T old, T b, T) {
    return with_floats(old, b, [](auto x, auto y) { return y < x || x != x ? y : x; });
  }
};
struct Max {
  template <class T> static T apply(T old, T b, T) {
    return with_floats(old, b, [](auto x, auto y) { return y > x || x != x ? y : x; });
  }
};
struct Exchange {
  template <class T> static T apply(T, T b, T) { return b; }
};
struct CompareAndSwap {
  template <class T> static T apply(T old, T b, T c) { return std::memcmp(&old, &b, sizeof(T)) == 0 ? c : old; }
};
struct Increment {
  template <class T> static T apply(T old, T b, T) { return old >= b ? T{0} : static_cast<T>(old + 1); }
};
struct Decrement {
  template <class T> static T apply(T old, T b, T) { return old == 0 || old > b ? b : static_cast<T>(old - 1); }
};
struct And {
  template <class T> static T apply(T old, T b, T) { return old & b; }
};
struct Or {
  template <class T> static T apply(T old, T b, T) { return old | b; }
};
struct Xor {
  template <class T> static T apply(T old, T b, T) { return old ^ b; }
};

/// f(lane) for the active lanes: in order with seed 0, else rotated and stepped by the seed.
template <class F> void in_seeded_order(const Warp& warp, Mask active, F f) {
  const std::uint64_t seed = options().seed;
  if (seed == 0) return for_lanes(active, f);
  const std::uint64_t random = mix(seed, warp.block->progress * kMaxWarps + warp.index);
  const auto start = static_cast<std::uint32_t>(random >> 8), step = static_cast<std::uint32_t>(random >> 16) | 1;  // odd: visits all 32
  for (std::uint32_t i = 0; i < kLanes; ++i) {
    const std::uint32_t lane = (start + i * step) % kLanes;
    if ((active >> lane & 1) != 0) f(static_cast<int>(lane));
  }
}

template <class T, class Op> void atomic_lanes(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space) {
  const Access& access = access_of(d);
  observe(warp, d, lanes, space);
  const T* swap = warp.lanes_of<T>(d.c);
  bool changed = false;
  in_seeded_order(warp, lanes.active, [&](int l) {
    for (std::uint32_t e = 0; e < access.elements; ++e) {
      std::byte* place = lanes.host(l) + e * sizeof(T);
      T old;
      std::memcpy(&old, place, sizeof(T));
      const T fresh = Op::template apply<T>(old, warp.lanes_of<T>(access.values[e])[l], swap[l]);
      changed |= std::memcmp(&fresh, &old, sizeof(T)) != 0;
      std::memcpy(place, &fresh, sizeof(T));
      warp.lanes_of<T>(access.results[e])[l] = old;
    }
  });
  if (changed) ++warp.block->progress;
}

template <class T, class Op> Flow atomic(Warp& warp, const Decoded& d, Mask active) {
  const Mask refused = for_each_space(warp, d, active, atomic_lanes<T, Op>);
  const Access& access = access_of(d);
  for_lanes(refused, [&](int l) {
    for (std::uint32_t e = 0; e < access.elements; ++e) warp.lanes_of<T>(access.results[e])[l] = T{};
  });
  return Flow::next;
}

using ptx::Type;

template <class Op> Handler of_integers(Type type) {
  switch (type) {
    case Type::u32: return atomic<std::uint32_t, Op>;
    case Type::s32: return atomic<std::int32_t, Op>;
    case Type::u64: return atomic<std::uint64_t, Op>;
    case Type::s64: return atomic<std::int64_t, Op>;
    default: return nullptr;
  }
}
template <class Op> Handler of_small_floats(Type type) {
  switch (type) {
    case Type::f16: return atomic<Half, Op>;
    case Type::bf16: return atomic<Bfloat, Op>;
    case Type::f16x2: return atomic<Pair<Half>, Op>;
    case Type::bf16x2: return atomic<Pair<Bfloat>, Op>;
    default: return nullptr;
  }
}
template <class Op> Handler of_bits(Type type) {
  switch (type) {
    case Type::b32:
    case Type::u32:
    case Type::s32: return atomic<std::uint32_t, Op>;
    case Type::b64:
    case Type::u64:
    case Type::s64: return atomic<std::uint64_t, Op>;
    default: return nullptr;
  }
}
template <class Op> Handler of_any_bits(Type type) {
  if (type == Type::b16) return atomic<std::uint16_t, Op>;
  if (type == Type::b128) return atomic<Wide, Op>;
  if (type == Type::f32) return atomic<std::uint32_t, Op>;  // exch.f32 of old toolchains
  return of_bits<Op>(type);
}

Handler handler_of(std::string_view op, Type type) {
  if (op == "add") {
    if (type == Type::f32) return atomic<float, Add>;
    if (type == Type::f64) return atomic<double, Add>;
    const Handler integers = of_integers<Add>(type);
    return integers != nullptr ? integers : of_small_floats<Add>(type);
  }
  if (op == "min") return of_integers<Min>(type) != nullptr ? of_integers<Min>(type) : of_small_floats<Min>(type);
  if (op == "max") return of_integers<Max>(type) != nullptr ? of_integers<Max>(type) : of_small_floats<Max>(type);
  if (op == "exch") return of_any_bits<Exchange>(type);
  if (op == "cas") return of_any_bits<CompareAndSwap>(type);
  if (op == "inc") return type == Type::u32 ? atomic<std::uint32_t, Increment> : nullptr;
  if (op == "dec") return type == Type::u32 ? atomic<std::uint32_t, Decrement> : nullptr;
  if (op == "and") return of_bits<And>(type);
  if (op == "or") return of_bits<Or>(type);
  if (op == "xor") return of_bits<Xor>(type);
  return nullptr;
}

/// The operation among the modifiers; throws at one that nobody knows.
std::string_view operation_of(Decoder& decoder, const ptx::Instruction& instruction) {
  std::string_view found;
  for (const std::string& m : instruction.modifiers) {
    for (const char* op : {"add", "min", "max", "exch", "cas", "inc", "dec", "and", "or", "xor"}) {
      if (m == op) found = m;
    }
  }
  static constexpr std::string_view kOthers[] = {"noftz",       "volatile",        "relaxed", "acquire", "release", "acq_rel",
                                                 "cta",         "cluster",         "gpu",     "sys",     "global",  "shared",
                                                 "shared::cta", "shared::cluster", "v2",      "v4",      "v8",      "L2::cache_hint"};
  for (const std::string& m : instruction.modifiers) {
    const bool known =
        m == found || ptx::type_of(m) != Type::none || std::find(std::begin(kOthers), std::end(kOthers), m) != std::end(kOthers);
    if (!known) decoder.unsupported("modifier ." + m);
  }
  return found;
}

const ptx::Operand& element(const ptx::Operand& operand, std::size_t i) {
  return operand.kind == ptx::Operand::Kind::vector ? operand.elements[i] : operand;
}

int mentions(const ptx::Operand& operand, std::int32_t reg) {
  int count = (operand.kind == ptx::Operand::Kind::reg || operand.kind == ptx::Operand::Kind::memory) && operand.index == reg ? 1 : 0;
  for (const ptx::Operand& e : operand.elements) count += mentions(e, reg);
  return count;
}

/// Whether nothing in the function names the register but this one result.
bool is_unread(const ptx::Function& function, const ptx::Operand& result) {
  if (result.kind == ptx::Operand::Kind::sink) return true;
  if (result.kind != ptx::Operand::Kind::reg) return false;
  int count = 0;
  for (const ptx::Instruction& instruction : function.body) {
    for (const ptx::Operand& operand : instruction.operands) count += mentions(operand, result.index);
  }
  return count == 1;
}

void select_atomic(Decoder& decoder, const ptx::Instruction& instruction, Decoded& out) {
  const bool reduces = instruction.mnemonic == "red";
  const std::size_t at = reduces ? 0 : 1;
  const std::string_view op = operation_of(decoder, instruction);
  const std::size_t needed = at + (op == "cas" ? 3 : 2);
  // One more is a cache policy, which is advice.
  if (instruction.operands.size() < needed || instruction.operands.size() > needed + 1) decoder.unsupported("a wrong number of operands");
  Access access;
  access.role = Role::atomic;
  bind_modifiers(decoder, instruction, access);
  const Type type = instruction.type();
  access.element_bytes = access.register_bytes = static_cast<std::uint8_t>(bytes_of(type));
  access.bytes = std::uint32_t{access.elements} * access.element_bytes;
  bind_address(decoder, instruction.operands[at], access, out);
  const ptx::Operand& value = instruction.operands[at + 1];
  if (value.kind == ptx::Operand::Kind::vector && value.elements.size() != access.elements) decoder.unsupported("the operand's elements");
  for (std::size_t e = 0; e < access.elements; ++e) {
    access.values[e] = decoder.source(element(value, e), type);
    access.results[e] = reduces || instruction.operands[0].kind == ptx::Operand::Kind::sink
                            ? decoder.scrap()
                            : destination_or_scrap(decoder, element(instruction.operands[0], e), type);
  }
  access.unread = op == "exch" && !reduces && is_unread(*decoder.function, instruction.operands[0]);
  out.c = op == "cas" ? decoder.source(instruction.operands[at + 2], type) : access.values[0];
  out.run = handler_of(op, type);
  if (out.run == nullptr) decoder.unsupported("no such operation on this type");
  out.instruction_class = kMemory;
  out.extra = decoder.keep(std::move(access));
}

}  // namespace

void register_atomic() {
  add_selector("atom", select_atomic);
  add_selector("red", select_atomic);
}

}  // namespace gradus::emulator
