// f16, f16x2, bf16, bf16x2: arithmetic. Sums and products are exact enough in float that narrowing is the only rounding that shows
// (24 >= 2 * 11 + 2 bits); fused products take half_formats.h's longer way. Comparisons are in half_compare.cpp.
#include <cmath>

#include <gradus/kernels/emulator/exec/half_formats.h>
#include <gradus/kernels/emulator/exec/handler.h>

namespace gradus::emulator {

void register_half_compare();  // half_compare.cpp

namespace {

struct Add {
  template <class F> static std::uint16_t apply(std::uint16_t a, std::uint16_t b) { return F::narrow(F::widen(a) + F::widen(b)); }
};
struct Sub {
  template <class F> static std::uint16_t apply(std::uint16_t a, std::uint16_t b) { return F::narrow(F::widen(a) - F::widen(b)); }
};
struct Mul {
  template <class F> static std::uint16_t apply(std::uint16_t a, std::uint16_t b) { return F::narrow(F::widen(a) * F::widen(b)); }
};
struct Fma {
  template <class F> static std::uint16_t apply(std::uint16_t a, std::uint16_t b, std::uint16_t c) { return fused<F>(a, b, c); }
};
struct Neg {
  template <class F> static std::uint16_t apply(std::uint16_t a) { return a ^ 0x8000; }
};
struct Abs {
  template <class F> static std::uint16_t apply(std::uint16_t a) { return a & 0x7FFF; }
};
struct Ex2 {
  template <class F> static std::uint16_t apply(std::uint16_t a) { return F::narrow(std::exp2(F::widen(a))); }
};
struct Tanh {
  template <class F> static std::uint16_t apply(std::uint16_t a) { return F::narrow(std::tanh(F::widen(a))); }
};

/// Ordered as integers: -0 below +0.
inline std::int16_t key_of(std::uint16_t h) { return static_cast<std::int16_t>((h & 0x8000) != 0 ? h ^ 0x7FFF : h); }

template <bool kMax, bool kNaN, bool kXorSign> struct Extreme {
  template <class F> static std::uint16_t apply(std::uint16_t a, std::uint16_t b) {
    const auto sign = static_cast<std::uint16_t>((a ^ b) & 0x8000);
    const std::uint16_t x = kXorSign ? a & 0x7FFF : a, y = kXorSign ? b & 0x7FFF : b;
    const bool x_nan = is_nan<F>(x), y_nan = is_nan<F>(y);
    const bool take_x = kMax ? key_of(x) >= key_of(y) : key_of(x) <= key_of(y);
    const std::uint16_t one = x_nan ? y : y_nan ? x : take_x ? x : y;
    const bool nan = kNaN ? x_nan || y_nan : x_nan && y_nan;
    return nan ? kHalfNaN : static_cast<std::uint16_t>(kXorSign ? one | sign : one);
  }
};

/// A lane as the instruction holds it: one value, or two in a word.
struct Single {
  using Word = std::uint16_t;
  template <class G, class... A> static Word each(G g, A... a) { return g(a...); }
};
struct Packed {
  using Word = std::uint32_t;
  template <class G, class... A> static Word each(G g, A... a) {
    const std::uint16_t low = g(static_cast<std::uint16_t>(a)...), high = g(static_cast<std::uint16_t>(a >> 16)...);
    return low | static_cast<std::uint32_t>(high) << 16;
  }
};

template <class Op, class F, class Lane, unsigned kMode> Flow run_unary(Warp& warp, const Decoded& d, Mask active) {
  using Word = typename Lane::Word;
  const Word* a = warp.lanes_of<Word>(d.a);
  const auto one = [](std::uint16_t x) { return result<F, kMode>(Op::template apply<F>(operand<F, kMode>(x))); };
  map_lanes(warp.lanes_of<Word>(d.d), active, [=](int l) { return Lane::each(one, a[l]); });
  return Flow::next;
}
template <class Op, class F, class Lane, unsigned kMode> Flow run_binary(Warp& warp, const Decoded& d, Mask active) {
  using Word = typename Lane::Word;
  const Word *a = warp.lanes_of<Word>(d.a), *b = warp.lanes_of<Word>(d.b);
  const auto one = [](std::uint16_t x, std::uint16_t y) {
    return result<F, kMode>(Op::template apply<F>(operand<F, kMode>(x), operand<F, kMode>(y)));
  };
  map_lanes(warp.lanes_of<Word>(d.d), active, [=](int l) { return Lane::each(one, a[l], b[l]); });
  return Flow::next;
}
template <class Op, class F, class Lane, unsigned kMode> Flow run_ternary(Warp& warp, const Decoded& d, Mask active) {
  using Word = typename Lane::Word;
  const Word *a = warp.lanes_of<Word>(d.a), *b = warp.lanes_of<Word>(d.b), *c = warp.lanes_of<Word>(d.c);
  const auto one = [](std::uint16_t x, std::uint16_t y, std::uint16_t z) {
    return result<F, kMode>(Op::template apply<F>(operand<F, kMode>(x), operand<F, kMode>(y), operand<F, kMode>(z)));
  };
  map_lanes(warp.lanes_of<Word>(d.d), active, [=](int l) { return Lane::each(one, a[l], b[l], c[l]); });
  return Flow::next;
}

template <class Op, class F, class Lane, unsigned kMode, int kSources> constexpr Handler handler_of() {
  if constexpr (kSources == 1) return run_unary<Op, F, Lane, kMode>;
  else if constexpr (kSources == 2) return run_binary<Op, F, Lane, kMode>;
  else return run_ternary<Op, F, Lane, kMode>;
}
template <class Op, class F, class Lane, int kSources> Handler by_mode(unsigned mode) {
  switch (mode) {
    case kPlain: return handler_of<Op, F, Lane, kPlain, kSources>();
    case kFtz: return handler_of<Op, F, Lane, kFtz, kSources>();
    case kSat: return handler_of<Op, F, Lane, kSat, kSources>();
    case kFtz | kSat: return handler_of<Op, F, Lane, kFtz | kSat, kSources>();
    case kRelu: return handler_of<Op, F, Lane, kRelu, kSources>();
    case kFtz | kRelu: return handler_of<Op, F, Lane, kFtz | kRelu, kSources>();
    default: return nullptr;
  }
}
template <class Op, int kSources> Handler by_type(ptx::Type type, unsigned mode) {
  switch (type) {
    case ptx::Type::f16: return by_mode<Op, F16, Single, kSources>(mode);
    case ptx::Type::f16x2: return by_mode<Op, F16, Packed, kSources>(mode);
    case ptx::Type::bf16: return by_mode<Op, BF16, Single, kSources>(mode);
    case ptx::Type::bf16x2: return by_mode<Op, BF16, Packed, kSources>(mode);
    default: return nullptr;
  }
}

unsigned mode_of(const ptx::Instruction& i) {
  return (i.has("ftz") ? kFtz : 0u) | (i.has("sat") ? kSat : 0u) | (i.has("relu") ? kRelu : 0u);
}
bool is_half(ptx::Type type) {
  return type == ptx::Type::f16 || type == ptx::Type::f16x2 || type == ptx::Type::bf16 || type == ptx::Type::bf16x2;
}
bool is_packed(ptx::Type type) { return type == ptx::Type::f16x2 || type == ptx::Type::bf16x2; }

/// False: not this family's type.
bool prepare(Decoder& decoder, const ptx::Instruction& i, Decoded& out, std::size_t sources, std::initializer_list<const char*> modifiers) {
  const ptx::Type type = i.type();
  if (!is_half(type)) return false;
  for (std::size_t n = 1; i.type(static_cast<int>(n)) != ptx::Type::none; ++n) decoder.unsupported("mixed types");
  allow_modifiers(decoder, i, modifiers);
  expect_operands(decoder, i, sources + 1);
  bind(decoder, i, out, type, type, sources > 1 ? type : ptx::Type::none, sources > 2 ? type : ptx::Type::none);
  out.instruction_class = kFloat;
  return true;
}

template <class Op, unsigned kFlops> void select_binary(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  if (!prepare(decoder, i, out, 2, {"rn", "ftz", "sat"})) return;
  out.run = by_type<Op, 2>(i.type(), mode_of(i));
  out.flops = is_packed(i.type()) ? 2 * kFlops : kFlops;
}
void select_fma(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  if (!prepare(decoder, i, out, 3, {"rn", "ftz", "sat", "relu"})) return;
  out.run = by_type<Fma, 3>(i.type(), mode_of(i));
  out.flops = is_packed(i.type()) ? 4 : 2;
}
template <class Op> void select_sign(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  if (!prepare(decoder, i, out, 1, {"ftz"})) return;
  out.run = by_type<Op, 1>(i.type(), mode_of(i));
}
template <class Op> void select_approximate(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  if (!prepare(decoder, i, out, 1, {"approx", "ftz"})) return;
  out.run = by_type<Op, 1>(i.type(), mode_of(i));
  out.special = is_packed(i.type()) ? 2 : 1;
}
template <bool kMax> void select_extreme(Decoder& decoder, const ptx::Instruction& i, Decoded& out) {
  if (!prepare(decoder, i, out, 2, {"ftz", "NaN", "xorsign", "abs"})) return;
  const bool nan = i.has("NaN"), xor_sign = i.has("xorsign");
  const auto pick = nan ? (xor_sign ? by_type<Extreme<kMax, true, true>, 2> : by_type<Extreme<kMax, true, false>, 2>)
                        : (xor_sign ? by_type<Extreme<kMax, false, true>, 2> : by_type<Extreme<kMax, false, false>, 2>);
  out.run = pick(i.type(), mode_of(i));
}

}  // namespace

void register_half() {
  add_selector("add", select_binary<Add, 1>);
  add_selector("sub", select_binary<Sub, 1>);
  add_selector("mul", select_binary<Mul, 1>);
  add_selector("fma", select_fma);
  add_selector("neg", select_sign<Neg>);
  add_selector("abs", select_sign<Abs>);
  add_selector("min", select_extreme<false>);
  add_selector("max", select_extreme<true>);
  add_selector("ex2", select_approximate<Ex2>);
  add_selector("tanh", select_approximate<Tanh>);
  register_half_compare();
}

}  // namespace gradus::emulator
