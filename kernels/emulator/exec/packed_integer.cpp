// Integers packed in a word: dp4a, dp2a, the video instructions on bytes and halves (vadd4, vabsdiff4, ...), 16-bit pairs of add, min, max.
#include <algorithm>
#include <cstdlib>
#include <string>

#include <gradus/kernels/emulator/exec/handler.h>

namespace gradus::emulator {
namespace {

using ptx::Instruction;
using ptx::Type;
using U32 = std::uint32_t;
using S32 = std::int32_t;

/// Part k of `bits` bits.
template <int bits, bool is_signed> inline S32 part(U32 word, int k) {
  const U32 up = word << (32 - bits - k * bits);
  return is_signed ? static_cast<S32>(up) >> (32 - bits) : static_cast<S32>(up >> (32 - bits));
}

template <bool a_signed, bool b_signed> struct Dp4a {
  static U32 apply(U32 a, U32 b, U32 c) {
    for (int k = 0; k < 4; ++k) c += static_cast<U32>(part<8, a_signed>(a, k) * part<8, b_signed>(b, k));
    return c;
  }
};
template <bool a_signed, bool b_signed, int high> struct Dp2a {
  static U32 apply(U32 a, U32 b, U32 c) {
    for (int k = 0; k < 2; ++k) c += static_cast<U32>(part<16, a_signed>(a, k) * part<8, b_signed>(b, k + 2 * high));
    return c;
  }
};

template <template <bool, bool> class Op> Handler dot(bool a_signed, bool b_signed) {
  return a_signed ? (b_signed ? ternary<Op<true, true>, U32, U32, U32, U32> : ternary<Op<true, false>, U32, U32, U32, U32>)
                  : (b_signed ? ternary<Op<false, true>, U32, U32, U32, U32> : ternary<Op<false, false>, U32, U32, U32, U32>);
}
template <bool a, bool b> using Dp2aLo = Dp2a<a, b, 0>;
template <bool a, bool b> using Dp2aHi = Dp2a<a, b, 1>;

void select_dot(Decoder& decoder, const Instruction& i, Decoded& out) {
  allow_modifiers(decoder, i, {"lo", "hi"});
  const bool a_signed = i.type(1) == Type::s32, b_signed = i.type(0) == Type::s32;
  out.instruction_class = kInteger;
  bind(decoder, i, out, Type::b32, Type::b32, Type::b32, Type::b32);
  out.run = i.mnemonic == "dp4a" ? dot<Dp4a>(a_signed, b_signed)
            : i.has("hi")        ? dot<Dp2aHi>(a_signed, b_signed)
                                 : dot<Dp2aLo>(a_signed, b_signed);
}

// Video instructions of sources without selectors: options: 1 .sat, 2 .add, 4 signed result.

enum class Video : std::uint8_t { add, sub, abs_difference, min, max, average };
constexpr U32 kSat = 1, kAdd = 2, kSignedResult = 4;

inline S32 video(Video op, S32 a, S32 b) {
  switch (op) {
    case Video::add: return a + b;
    case Video::sub: return a - b;
    case Video::abs_difference: return std::abs(a - b);
    case Video::min: return std::min(a, b);
    case Video::max: return std::max(a, b);
    default: return (a + b + 1) >> 1;
  }
}

template <Video op, int bits, bool is_signed> Flow run_video(Warp& warp, const Decoded& d, Mask active) {
  const U32* a = warp.lanes_of<U32>(d.a);
  const U32* b = warp.lanes_of<U32>(d.b);
  const U32* c = warp.lanes_of<U32>(d.c);
  const bool sat = d.options & kSat, add = d.options & kAdd, signed_result = d.options & kSignedResult;
  const S32 low = signed_result ? -(1 << (bits - 1)) : 0, high = signed_result ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
  map_active(warp.lanes_of<U32>(d.d), active, [=](int l) {
    U32 packed = 0, sum = c[l];
    for (int k = 0; k < 32 / bits; ++k) {
      S32 v = video(op, part<bits, is_signed>(a[l], k), part<bits, is_signed>(b[l], k));
      if (sat) v = std::clamp(v, low, high);
      sum += static_cast<U32>(v);
      packed |= (static_cast<U32>(v) & ((1u << bits) - 1)) << (bits * k);
    }
    return add ? sum : packed;
  });
  return Flow::next;
}

template <Video op> void select_video(Decoder& decoder, const Instruction& i, Decoded& out) {
  allow_modifiers(decoder, i, {"sat", "add"});
  const Type d = i.type(2), a = i.type(1), b = i.type(0);
  if (a != b || i.operands.size() != 4) decoder.unsupported("this form of a video instruction");
  out.instruction_class = kInteger;
  bind(decoder, i, out, Type::b32, Type::b32, Type::b32, Type::b32);
  out.options = (i.has("sat") ? kSat : 0) | (i.has("add") ? kAdd : 0) | (d == Type::s32 ? kSignedResult : 0);
  const bool is_signed = a == Type::s32, bytes = i.mnemonic.back() == '4';
  out.run = bytes ? (is_signed ? run_video<op, 8, true> : run_video<op, 8, false>)
                  : (is_signed ? run_video<op, 16, true> : run_video<op, 16, false>);
}

// add, min, max of u16x2 and s16x2.

struct Add {
  template <class T> static T apply(T a, T b) { return static_cast<T>(a + b); }
};
struct Min {
  template <class T> static T apply(T a, T b) { return std::min(a, b); }
};
struct Max {
  template <class T> static T apply(T a, T b) { return std::max(a, b); }
};
template <class Op> struct Relu {
  template <class T> static T apply(T a, T b) { return std::max<T>(Op::apply(a, b), 0); }
};

template <class Op, class T> Flow run_pairs(Warp& warp, const Decoded& d, Mask active) {
  const U32* a = warp.lanes_of<U32>(d.a);
  const U32* b = warp.lanes_of<U32>(d.b);
  map_lanes(warp.lanes_of<U32>(d.d), active, [=](int l) {
    const auto low = static_cast<std::uint16_t>(Op::apply(static_cast<T>(a[l]), static_cast<T>(b[l])));
    const auto high = static_cast<std::uint16_t>(Op::apply(static_cast<T>(a[l] >> 16), static_cast<T>(b[l] >> 16)));
    return static_cast<U32>(high) << 16 | low;
  });
  return Flow::next;
}

template <class Op> void select_pairs(Decoder& decoder, const Instruction& i, Decoded& out) {
  const Type t = i.type();
  if (t != Type::u16x2 && t != Type::s16x2) return;
  allow_modifiers(decoder, i, {"relu"});
  out.instruction_class = kInteger;
  bind(decoder, i, out, Type::b32, Type::b32, Type::b32);
  out.run = i.has("relu")      ? run_pairs<Relu<Op>, std::int16_t>
            : t == Type::u16x2 ? run_pairs<Op, std::uint16_t>
                               : run_pairs<Op, std::int16_t>;
}

}  // namespace

void register_packed_integer() {
  add_selector("dp4a", select_dot);
  add_selector("dp2a", select_dot);
  for (const char* n : {"2", "4"}) {
    add_selector((std::string("vadd") + n).c_str(), select_video<Video::add>);
    add_selector((std::string("vsub") + n).c_str(), select_video<Video::sub>);
    add_selector((std::string("vabsdiff") + n).c_str(), select_video<Video::abs_difference>);
    add_selector((std::string("vmin") + n).c_str(), select_video<Video::min>);
    add_selector((std::string("vmax") + n).c_str(), select_video<Video::max>);
    add_selector((std::string("vavrg") + n).c_str(), select_video<Video::average>);
  }
  add_selector("add", select_pairs<Add>);
  add_selector("min", select_pairs<Min>);
  add_selector("max", select_pairs<Max>);
}

}  // namespace gradus::emulator
