// Bits: and or xor not cnot lop3 shl shr shf bfe bfi bfind brev clz popc bmsk fns prmt szext; logic on predicates.
#include <algorithm>

#include <gradus/kernels/emulator/exec/handler.h>

namespace gradus::emulator {
namespace {

using ptx::Instruction;
using ptx::Type;
template <class T> inline constexpr U32 kBits = static_cast<U32>(8 * sizeof(T));

struct And {
  template <class T> static T apply(T a, T b) { return a & b; }
};
struct Or {
  template <class T> static T apply(T a, T b) { return a | b; }
};
struct Xor {
  template <class T> static T apply(T a, T b) { return a ^ b; }
};
struct Not {
  template <class T> static T apply(T a) { return static_cast<T>(~a); }
};
struct Cnot {
  template <class T> static T apply(T a) { return a == 0 ? 1 : 0; }
};

// Shifts by the width or more clamp.
struct Shl {
  template <class T> static T apply(T a, U32 n) { return n < kBits<T> ? static_cast<T>(static_cast<U64>(a) << n) : T{0}; }
};
struct Shr {
  template <class T> static T apply(T a, U32 n) { return n < kBits<T> ? static_cast<T>(a >> n) : static_cast<T>(a < 0 ? -1 : 0); }
};
template <bool wrap> struct ShfL {
  static U32 apply(U32 a, U32 b, U32 c) {
    const U32 n = wrap ? c & 31 : std::min(c, 32u);
    return static_cast<U32>(((U64{b} << 32 | a) << n) >> 32);
  }
};
template <bool wrap> struct ShfR {
  static U32 apply(U32 a, U32 b, U32 c) {
    const U32 n = wrap ? c & 31 : std::min(c, 32u);
    return static_cast<U32>((U64{b} << 32 | a) >> n);
  }
};

template <class U> inline U low_ones(U32 n) { return n >= kBits<U> ? static_cast<U>(~U{0}) : static_cast<U>((U{1} << n) - 1); }

/// bfe: position and length are bytes; a signed field is filled with its top bit, taken at the word's end at most.
struct Bfe {
  template <class T> static T apply(T a, U32 position, U32 length) {
    using U = std::make_unsigned_t<T>;
    const U32 pos = position & 0xFF, len = length & 0xFF, top = kBits<T> - 1;
    const bool is_signed = static_cast<T>(-1) < T{1};
    const U bits = static_cast<U>(a);
    const bool fill = is_signed && len != 0 && (bits >> std::min(pos + len - 1, top) & 1) != 0;
    const U field = pos > top ? U{0} : static_cast<U>(bits >> pos);
    const U32 taken = pos > top ? 0 : std::min(len, top + 1 - pos);
    return static_cast<T>((field & low_ones<U>(taken)) | (fill ? static_cast<U>(~low_ones<U>(std::min(taken, len))) : U{0}));
  }
};

/// Position of the highest bit that differs from the sign; -1 if there is none.
struct Bfind {
  template <class T> static U32 apply(T a) {
    const U64 bits = a < 0 ? ~static_cast<U64>(static_cast<S64>(a)) : static_cast<U64>(a);
    return bits == 0 ? 0xFFFFFFFFu : 63u - static_cast<U32>(__builtin_clzll(bits));
  }
};
template <class T> struct BfindShift {
  static U32 apply(T a) {
    const U32 at = Bfind::apply(a);
    return at == 0xFFFFFFFFu ? at : kBits<T> - 1 - at;
  }
};
struct Brev {
  template <class T> static T apply(T a) {
    U64 r = 0;
    for (U32 i = 0; i < kBits<T>; ++i) r |= static_cast<U64>(a >> i & 1) << (kBits<T> - 1 - i);
    return static_cast<T>(r);
  }
};
struct Clz {
  template <class T> static U32 apply(T a) { return a == 0 ? kBits<T> : static_cast<U32>(__builtin_clzll(a)) - (64 - kBits<T>); }
};
struct Popc {
  template <class T> static U32 apply(T a) {
    U64 v = a;
    v -= (v >> 1) & 0x5555555555555555u;
    v = (v & 0x3333333333333333u) + ((v >> 2) & 0x3333333333333333u);
    v = (v + (v >> 4)) & 0x0F0F0F0F0F0F0F0Fu;
    return static_cast<U32>((v * 0x0101010101010101u) >> 56);
  }
};
template <bool wrap> struct Bmsk {
  static U32 apply(U32 a, U32 b) {
    if (wrap) return low_ones<U32>(b & 31) << (a & 31);
    return a >= 32 ? 0 : static_cast<U32>(low_ones<U64>(std::min(b, 32u)) << a);
  }
};
template <class T> struct Szext {
  static T apply(T a, U32 n, bool wrap) {
    const U32 width = wrap ? n & 31 : std::min(n, 32u);
    if (width == 0) return 0;
    return width >= 32 ? a : static_cast<T>(static_cast<T>(static_cast<U32>(a) << (32 - width)) >> (32 - width));
  }
};
struct SzextClampU {
  static U32 apply(U32 a, U32 n) { return Szext<U32>::apply(a, n, false); }
};
struct SzextClampS {
  static S32 apply(S32 a, U32 n) { return Szext<S32>::apply(a, n, false); }
};
struct SzextWrapU {
  static U32 apply(U32 a, U32 n) { return Szext<U32>::apply(a, n, true); }
};
struct SzextWrapS {
  static S32 apply(S32 a, U32 n) { return Szext<S32>::apply(a, n, true); }
};
/// fns: the n-th set bit from `base` on, downwards for negative n.
struct Fns {
  static U32 apply(U32 mask, U32 base, S32 n) {
    if (n == 0) return mask >> (base & 31) & 1 ? base : 0xFFFFFFFFu;
    const S32 step = n > 0 ? 1 : -1;
    S32 left = n > 0 ? n : -n;
    for (S32 at = static_cast<S32>(base & 31); at >= 0 && at < 32; at += step)
      if ((mask >> at & 1) && --left == 0) return static_cast<U32>(at);
    return 0xFFFFFFFFu;
  }
};

/// prmt's default mode: four nibbles choose bytes of b:a, bit 3 of a nibble replicates that byte's sign.
struct Prmt {
  static U32 apply(U32 a, U32 b, U32 c) {
    const U64 bytes = U64{b} << 32 | a;
    U32 r = 0;
    for (U32 i = 0; i < 4; ++i) {
      const U32 choice = c >> (4 * i);
      const U32 byte = static_cast<U32>(bytes >> (8 * (choice & 7))) & 0xFF;
      r |= ((choice & 8) ? ((byte & 0x80) ? 0xFFu : 0u) : byte) << (8 * i);
    }
    return r;
  }
};
enum class PrmtMode : std::uint8_t { f4e, b4e, rc8, ecl, ecr, rc16 };
template <PrmtMode mode> struct PrmtAs {
  static U32 apply(U32 a, U32 b, U32 c) {
    const U32 n = c & 3;
    U32 choice = 0;
    for (U32 i = 0; i < 4; ++i) {
      const U32 at = mode == PrmtMode::f4e   ? n + i
                     : mode == PrmtMode::b4e ? (n + 8 - i) & 7
                     : mode == PrmtMode::rc8 ? n
                     : mode == PrmtMode::ecl ? std::max(i, n)
                     : mode == PrmtMode::ecr ? std::min(i, n)
                                             : (n & 1) * 2 + (i & 1);
      choice |= at << (4 * i);
    }
    return Prmt::apply(a, b, choice);
  }
};

/// lop3: the table is Decoded::immediate.
Flow run_lop3(Warp& warp, const Decoded& d, Mask active) {
  const U32* a = warp.lanes_of<U32>(d.a);
  const U32* b = warp.lanes_of<U32>(d.b);
  const U32* c = warp.lanes_of<U32>(d.c);
  U32 minterm[8];
  for (int i = 0; i < 8; ++i) minterm[i] = d.immediate >> i & 1 ? ~0u : 0u;
  map_lanes(warp.lanes_of<U32>(d.d), active, [&](int l) {
    const U32 low =
        (~a[l] & ((~b[l] & ((~c[l] & minterm[0]) | (c[l] & minterm[1]))) | (b[l] & ((~c[l] & minterm[2]) | (c[l] & minterm[3])))));
    const U32 high =
        (a[l] & ((~b[l] & ((~c[l] & minterm[4]) | (c[l] & minterm[5]))) | (b[l] & ((~c[l] & minterm[6]) | (c[l] & minterm[7])))));
    return low | high;
  });
  return Flow::next;
}

/// bfi: four sources, d.a the field, d.b the word, d.c the position, extra the length.
template <class T> Flow run_bfi(Warp& warp, const Decoded& d, Mask active) {
  const T* a = warp.lanes_of<T>(d.a);
  const T* b = warp.lanes_of<T>(d.b);
  const U32* position = warp.lanes_of<U32>(d.c);
  const U32* length = warp.lanes_of<U32>(*static_cast<const Ref*>(d.extra));
  map_active(warp.lanes_of<T>(d.d), active, [=](int l) {
    const U32 pos = position[l] & 0xFF, len = length[l] & 0xFF;
    if (pos >= kBits<T>) return b[l];
    const T ones = static_cast<T>(low_ones<T>(len) << pos);
    return static_cast<T>((b[l] & ~ones) | (static_cast<T>(a[l] << pos) & ones));
  });
  return Flow::next;
}

template <class Op> Flow run_predicates(Warp& warp, const Decoded& d, Mask active) {
  const Mask a = warp.predicate(d.a) ^ (d.options & 1 ? kAll : 0), b = warp.predicate(d.b) ^ (d.options & 2 ? kAll : 0);
  set_predicate(warp, d.d, active, Op::apply(a, b));
  return Flow::next;
}
Flow run_not_predicate(Warp& warp, const Decoded& d, Mask active) {
  set_predicate(warp, d.d, active, ~(warp.predicate(d.a) ^ (d.options & 1 ? kAll : 0)));
  return Flow::next;
}

template <class Op> void select_logic(Decoder& decoder, const Instruction& i, Decoded& out) {
  const Type t = i.type();
  out.instruction_class = kInteger;
  allow_modifiers(decoder, i, {});
  bind(decoder, i, out, t, t, t);
  if (t == Type::pred) {
    out.options = (i.operands[1].negated ? 1u : 0u) | (i.operands[2].negated ? 2u : 0u);
    out.run = run_predicates<Op>;
    return;
  }
  const int bytes = ptx::bytes_of(t);
  out.run = bytes == 2   ? binary<Op, U16, U16, U16>
            : bytes == 4 ? binary<Op, U32, U32, U32>
            : bytes == 8 ? binary<Op, U64, U64, U64>
                         : nullptr;
}

template <class Op> void select_unary_bits(Decoder& decoder, const Instruction& i, Decoded& out) {
  const Type t = i.type();
  out.instruction_class = kInteger;
  allow_modifiers(decoder, i, {});
  bind(decoder, i, out, t, t);
  if (t == Type::pred) {
    out.options = i.operands[1].negated ? 1 : 0;
    out.run = run_not_predicate;
    return;
  }
  const int bytes = ptx::bytes_of(t);
  out.run = bytes == 2 ? unary<Op, U16, U16> : bytes == 4 ? unary<Op, U32, U32> : bytes == 8 ? unary<Op, U64, U64> : nullptr;
}

void select_shl(Decoder& decoder, const Instruction& i, Decoded& out) {
  const Type t = i.type();
  out.instruction_class = kInteger;
  bind(decoder, i, out, t, t, Type::u32);
  const int bytes = ptx::bytes_of(t);
  out.run = bytes == 2 ? binary<Shl, U16, U16, U32> : bytes == 4 ? binary<Shl, U32, U32, U32> : binary<Shl, U64, U64, U32>;
}
void select_shr(Decoder& decoder, const Instruction& i, Decoded& out) {
  const Type t = i.type();
  out.instruction_class = kInteger;
  bind(decoder, i, out, t, t, Type::u32);
  switch (t) {
    case Type::s16: out.run = binary<Shr, S16, S16, U32>; break;
    case Type::s32: out.run = binary<Shr, S32, S32, U32>; break;
    case Type::s64: out.run = binary<Shr, S64, S64, U32>; break;
    default:
      out.run = ptx::bytes_of(t) == 2   ? binary<Shr, U16, U16, U32>
                : ptx::bytes_of(t) == 4 ? binary<Shr, U32, U32, U32>
                                        : binary<Shr, U64, U64, U32>;
  }
}
void select_shf(Decoder& decoder, const Instruction& i, Decoded& out) {
  allow_modifiers(decoder, i, {"l", "r", "clamp", "wrap"});
  out.instruction_class = kInteger;
  bind(decoder, i, out, Type::b32, Type::b32, Type::b32, Type::u32);
  const bool wrap = i.has("wrap");
  if (i.has("l")) out.run = wrap ? ternary<ShfL<true>, U32, U32, U32, U32> : ternary<ShfL<false>, U32, U32, U32, U32>;
  else out.run = wrap ? ternary<ShfR<true>, U32, U32, U32, U32> : ternary<ShfR<false>, U32, U32, U32, U32>;
}
void select_bfe(Decoder& decoder, const Instruction& i, Decoded& out) {
  const Type t = i.type();
  out.instruction_class = kInteger;
  bind(decoder, i, out, t, t, Type::u32, Type::u32);
  switch (t) {
    case Type::u32: out.run = ternary<Bfe, U32, U32, U32, U32>; break;
    case Type::s32: out.run = ternary<Bfe, S32, S32, U32, U32>; break;
    case Type::u64: out.run = ternary<Bfe, U64, U64, U32, U32>; break;
    default: out.run = ternary<Bfe, S64, S64, U32, U32>;
  }
}
void select_bfi(Decoder& decoder, const Instruction& i, Decoded& out) {
  const Type t = i.type();
  out.instruction_class = kInteger;
  expect_operands(decoder, i, 5);
  out.d = destination_or_scrap(decoder, i.operands[0], t);
  out.a = decoder.source(i.operands[1], t);
  out.b = decoder.source(i.operands[2], t);
  out.c = decoder.source(i.operands[3], Type::u32);
  out.extra = decoder.keep(decoder.source(i.operands[4], Type::u32));
  out.run = ptx::bytes_of(t) == 4 ? run_bfi<U32> : run_bfi<U64>;
}
void select_bfind(Decoder& decoder, const Instruction& i, Decoded& out) {
  const Type t = i.type();
  allow_modifiers(decoder, i, {"shiftamt"});
  out.instruction_class = kInteger;
  bind(decoder, i, out, Type::u32, t);
  const bool shift = i.has("shiftamt");
  switch (t) {
    case Type::u32: out.run = shift ? unary<BfindShift<U32>, U32, U32> : unary<Bfind, U32, U32>; break;
    case Type::s32: out.run = shift ? unary<BfindShift<S32>, U32, S32> : unary<Bfind, U32, S32>; break;
    case Type::u64: out.run = shift ? unary<BfindShift<U64>, U32, U64> : unary<Bfind, U32, U64>; break;
    default: out.run = shift ? unary<BfindShift<S64>, U32, S64> : unary<Bfind, U32, S64>;
  }
}
template <class Op, bool to_u32> void select_count(Decoder& decoder, const Instruction& i, Decoded& out) {
  const Type t = i.type();
  out.instruction_class = kInteger;
  bind(decoder, i, out, to_u32 ? Type::u32 : t, t);
  if constexpr (to_u32) out.run = ptx::bytes_of(t) == 4 ? unary<Op, U32, U32> : unary<Op, U32, U64>;
  else out.run = ptx::bytes_of(t) == 4 ? unary<Op, U32, U32> : unary<Op, U64, U64>;
}
void select_bmsk(Decoder& decoder, const Instruction& i, Decoded& out) {
  allow_modifiers(decoder, i, {"clamp", "wrap"});
  out.instruction_class = kInteger;
  bind(decoder, i, out, Type::b32, Type::u32, Type::u32);
  out.run = i.has("wrap") ? binary<Bmsk<true>, U32, U32, U32> : binary<Bmsk<false>, U32, U32, U32>;
}
void select_szext(Decoder& decoder, const Instruction& i, Decoded& out) {
  allow_modifiers(decoder, i, {"clamp", "wrap"});
  const Type t = i.type();
  out.instruction_class = kInteger;
  bind(decoder, i, out, t, t, Type::u32);
  if (t == Type::s32) out.run = i.has("wrap") ? binary<SzextWrapS, S32, S32, U32> : binary<SzextClampS, S32, S32, U32>;
  else out.run = i.has("wrap") ? binary<SzextWrapU, U32, U32, U32> : binary<SzextClampU, U32, U32, U32>;
}
void select_fns(Decoder& decoder, const Instruction& i, Decoded& out) {
  out.instruction_class = kInteger;
  bind(decoder, i, out, Type::b32, Type::b32, Type::b32, Type::s32);
  out.run = ternary<Fns, U32, U32, U32, S32>;
}
void select_prmt(Decoder& decoder, const Instruction& i, Decoded& out) {
  allow_modifiers(decoder, i, {"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"});
  out.instruction_class = kInteger;
  bind(decoder, i, out, Type::b32, Type::b32, Type::b32, Type::b32);
  const std::pair<const char*, Handler> modes[] = {
      {"f4e", ternary<PrmtAs<PrmtMode::f4e>, U32, U32, U32, U32>}, {"b4e", ternary<PrmtAs<PrmtMode::b4e>, U32, U32, U32, U32>},
      {"rc8", ternary<PrmtAs<PrmtMode::rc8>, U32, U32, U32, U32>}, {"ecl", ternary<PrmtAs<PrmtMode::ecl>, U32, U32, U32, U32>},
      {"ecr", ternary<PrmtAs<PrmtMode::ecr>, U32, U32, U32, U32>}, {"rc16", ternary<PrmtAs<PrmtMode::rc16>, U32, U32, U32, U32>}};
  out.run = ternary<Prmt, U32, U32, U32, U32>;
  for (const auto& [name, handler] : modes)
    if (i.has(name)) out.run = handler;
}
void select_lop3(Decoder& decoder, const Instruction& i, Decoded& out) {
  allow_modifiers(decoder, i, {});
  expect_operands(decoder, i, 5);
  if (i.operands[4].kind != ptx::Operand::Kind::immediate) decoder.unsupported("lop3's table must be a constant");
  out.instruction_class = kInteger;
  out.d = destination_or_scrap(decoder, i.operands[0], Type::b32);
  out.a = decoder.source(i.operands[1], Type::b32);
  out.b = decoder.source(i.operands[2], Type::b32);
  out.c = decoder.source(i.operands[3], Type::b32);
  out.immediate = static_cast<std::int64_t>(i.operands[4].bits & 0xFF);
  out.run = run_lop3;
}

}  // namespace

void GRADUS_EMULATOR_FAMILY(register_bits)() {
  add_selector("and", select_logic<And>);
  add_selector("or", select_logic<Or>);
  add_selector("xor", select_logic<Xor>);
  add_selector("not", select_unary_bits<Not>);
  add_selector("cnot", select_unary_bits<Cnot>);
  add_selector("shl", select_shl);
  add_selector("shr", select_shr);
  add_selector("shf", select_shf);
  add_selector("bfe", select_bfe);
  add_selector("bfi", select_bfi);
  add_selector("bfind", select_bfind);
  add_selector("brev", select_count<Brev, false>);
  add_selector("clz", select_count<Clz, true>);
  add_selector("popc", select_count<Popc, true>);
  add_selector("bmsk", select_bmsk);
  add_selector("szext", select_szext);
  add_selector("fns", select_fns);
  add_selector("prmt", select_prmt);
  add_selector("lop3", select_lop3);
}

}  // namespace gradus::emulator
