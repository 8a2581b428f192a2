// Arithmetic on f32 and f64: add sub mul fma mad div rcp sqrt with every rounding, neg abs min max copysign testp.
#include <gradus/kernels/emulator/exec/real.h>

namespace gradus::emulator {

void GRADUS_EMULATOR_FAMILY(register_float_special)();  // float_special.cpp

namespace {

using ptx::Instruction;
using ptx::Type;

struct Add {
  static constexpr int kSources = 2;
  template <class T> static T apply(T a, T b, T) { return a + b; }
};
struct Sub {
  static constexpr int kSources = 2;
  template <class T> static T apply(T a, T b, T) { return a - b; }
};
struct Mul {
  static constexpr int kSources = 2;
  template <class T> static T apply(T a, T b, T) { return a * b; }
};
struct Div {
  static constexpr int kSources = 2;
  template <class T> static T apply(T a, T b, T) { return a / b; }
};
struct Fma {
  static constexpr int kSources = 3;
  template <class T> static T apply(T a, T b, T c) { return fused(a, b, c); }
};
struct Rcp {
  static constexpr int kSources = 1;
  template <class T> static T apply(T a, T, T) { return T{1} / a; }
};
struct Sqrt {
  static constexpr int kSources = 1;
  template <class T> static T apply(T a, T, T) { return std::sqrt(a); }
};

/// A source that the operation does not have reads operand a.
template <class Op, class T> struct Sources {
  const T *a, *b, *c;
  Sources(const Warp& warp, const Decoded& d)
      : a(warp.lanes_of<T>(d.a)), b(Op::kSources > 1 ? warp.lanes_of<T>(d.b) : a), c(Op::kSources > 2 ? warp.lanes_of<T>(d.c) : a) {}
};

template <class Op, class T, bool ftz, bool sat> Flow run_nearest(Warp& warp, const Decoded& d, Mask active) {
  const Sources<Op, T> s(warp, d);
  map_lanes(warp.lanes_of<T>(d.d), active,
            [=](int l) { return finish_real<ftz, sat>(Op::apply(prepare<ftz>(s.a[l]), prepare<ftz>(s.b[l]), prepare<ftz>(s.c[l]))); });
  return Flow::next;
}

/// Other roundings: the host's mode, once for the warp. options: the Round.
template <class Op, class T, bool ftz, bool sat> Flow run_directed(Warp& warp, const Decoded& d, Mask active) {
  const Sources<Op, T> s(warp, d);
  const RoundingScope scope(static_cast<Round>(d.options));
  map_active(warp.lanes_of<T>(d.d), active, [=](int l) {
    const T a = opaque(prepare<ftz>(s.a[l])), b = opaque(prepare<ftz>(s.b[l])), c = opaque(prepare<ftz>(s.c[l]));
    T r;
    if constexpr (std::is_same_v<Op, Fma>) r = std::fma(a, b, c);  // the library's heeds the mode
    else r = Op::apply(a, b, c);
    return finish_real<ftz, sat>(opaque(r));
  });
  return Flow::next;
}

template <class Op> Handler arithmetic(Type t, bool ftz, bool sat, Round round) {
  const bool nearest = round == Round::nearest;
  if (t == Type::f64) return nearest ? run_nearest<Op, double, false, false> : run_directed<Op, double, false, false>;
  if (nearest)
    return ftz ? (sat ? run_nearest<Op, float, true, true> : run_nearest<Op, float, true, false>)
               : (sat ? run_nearest<Op, float, false, true> : run_nearest<Op, float, false, false>);
  return ftz ? (sat ? run_directed<Op, float, true, true> : run_directed<Op, float, true, false>)
             : (sat ? run_directed<Op, float, false, true> : run_directed<Op, float, false, false>);
}

bool is_real(Type t) { return t == Type::f32 || t == Type::f64; }

template <class Op> void select_arithmetic(Decoder& decoder, const Instruction& i, Decoded& out) {
  const Type t = i.type();
  if (!is_real(t)) return;
  allow_modifiers(decoder, i, {"rn", "rz", "rm", "rp", "ftz", "sat", "approx", "full"});
  if (i.has("approx") && t == Type::f64) return;  // float_special.cpp's
  out.instruction_class = kFloat;
  constexpr bool is_special = std::is_same_v<Op, Div> || std::is_same_v<Op, Rcp> || std::is_same_v<Op, Sqrt>;
  out.flops = is_special ? 0 : Op::kSources == 3 ? 2 : 1;
  out.special = is_special ? 1 : 0;
  bind(decoder, i, out, t, t, Op::kSources > 1 ? t : Type::none, Op::kSources > 2 ? t : Type::none);
  const Round round = rounding_of(i);
  out.options = static_cast<std::uint32_t>(round);
  // .approx and .full of div, rcp, sqrt are the correctly rounded values here: within what the manual promises.
  out.run = arithmetic<Op>(t, i.has("ftz"), i.has("sat"), round);
}

// neg, abs, copysign: on the bits, so that NaNs keep theirs.

template <class T> struct BitsOf { using type = std::uint32_t; };
template <> struct BitsOf<double> { using type = std::uint64_t; };
template <class T> using bits_of = typename BitsOf<T>::type;
template <class T> inline constexpr bits_of<T> kSign = bits_of<T>{1} << (8 * sizeof(T) - 1);

template <class T, bool ftz> struct Neg {
  static T apply(T a) { return std::bit_cast<T>(std::bit_cast<bits_of<T>>(prepare<ftz>(a)) ^ kSign<T>); }
};
template <class T, bool ftz> struct Abs {
  static T apply(T a) { return std::bit_cast<T>(std::bit_cast<bits_of<T>>(prepare<ftz>(a)) & ~kSign<T>); }
};
template <class T> struct Copysign {
  static T apply(T a, T b) {
    return std::bit_cast<T>((std::bit_cast<bits_of<T>>(a) & kSign<T>) | (std::bit_cast<bits_of<T>>(b) & ~kSign<T>));
  }
};

template <template <class, bool> class Op> void select_sign(Decoder& decoder, const Instruction& i, Decoded& out) {
  const Type t = i.type();
  if (!is_real(t)) return;
  allow_modifiers(decoder, i, {"ftz"});
  out.instruction_class = kFloat;
  bind(decoder, i, out, t, t);
  out.run = t == Type::f64 ? unary<Op<double, false>, double, double>
            : i.has("ftz") ? unary<Op<float, true>, float, float>
                           : unary<Op<float, false>, float, float>;
}
void select_copysign(Decoder& decoder, const Instruction& i, Decoded& out) {
  const Type t = i.type();
  out.instruction_class = kFloat;
  bind(decoder, i, out, t, t, t);
  out.run = t == Type::f64 ? binary<Copysign<double>, double, double, double> : binary<Copysign<float>, float, float, float>;
}

// min, max: -0 is less than +0; the other operand for a NaN, a NaN for two (or, with .NaN, for one); .xorsign.abs compares magnitudes.

template <bool is_max, class T> inline T extremum(T a, T b) {
  const bool first = is_max ? a > b : a < b;
  const bool zeros = a == b;  // equal: they differ in the sign at most
  const auto x = std::bit_cast<bits_of<T>>(a), y = std::bit_cast<bits_of<T>>(b);
  const T same = std::bit_cast<T>(is_max ? (x & y) : (x | y));
  const T chosen = first ? a : zeros ? same : b;
  return a != a ? b : b != b ? a : chosen;
}
template <bool is_max, class T, bool ftz, bool propagate, bool xorsign> struct Extremum {
  static T apply(T a, T b) {
    a = prepare<ftz>(a);
    b = prepare<ftz>(b);
    const auto sign = (std::bit_cast<bits_of<T>>(a) ^ std::bit_cast<bits_of<T>>(b)) & kSign<T>;
    if constexpr (xorsign) {
      a = Abs<T, false>::apply(a);
      b = Abs<T, false>::apply(b);
    }
    T r = extremum<is_max>(a, b);
    if constexpr (propagate) r = a != a ? a : b != b ? b : r;
    if constexpr (xorsign) r = std::bit_cast<T>(std::bit_cast<bits_of<T>>(r) | sign);
    return canonical(r);
  }
};

template <bool is_max, bool ftz, bool propagate, bool xorsign> constexpr Handler extremum_f32 =
    binary<Extremum<is_max, float, ftz, propagate, xorsign>, float, float, float>;

template <bool is_max> void select_extremum(Decoder& decoder, const Instruction& i, Decoded& out) {
  const Type t = i.type();
  if (!is_real(t)) return;
  allow_modifiers(decoder, i, {"ftz", "NaN", "xorsign", "abs"});
  out.instruction_class = kFloat;
  out.flops = 1;
  bind(decoder, i, out, t, t, t);
  constexpr Handler table[] = {extremum_f32<is_max, false, false, false>, extremum_f32<is_max, true, false, false>,
                               extremum_f32<is_max, false, true, false>,  extremum_f32<is_max, true, true, false>,
                               extremum_f32<is_max, false, false, true>,  extremum_f32<is_max, true, false, true>,
                               extremum_f32<is_max, false, true, true>,   extremum_f32<is_max, true, true, true>};
  out.run = t == Type::f64 ? Handler{binary<Extremum<is_max, double, false, false, false>, double, double, double>}
                           : table[(i.has("ftz") ? 1 : 0) + (i.has("NaN") ? 2 : 0) + (i.has("xorsign") ? 4 : 0)];
}

// testp: options is the class that is asked for.

enum class Number : std::uint32_t { finite, infinite, number, notanumber, normal, subnormal };

template <class T> Flow run_testp(Warp& warp, const Decoded& d, Mask active) {
  const T* a = warp.lanes_of<T>(d.a);
  const auto asked = static_cast<Number>(d.options);
  Mask result = 0;
  for_lanes(active, [&](int l) {
    const int kind = std::fpclassify(a[l]);
    const bool yes = asked == Number::finite       ? kind != FP_NAN && kind != FP_INFINITE
                     : asked == Number::infinite   ? kind == FP_INFINITE
                     : asked == Number::number     ? kind != FP_NAN
                     : asked == Number::notanumber ? kind == FP_NAN
                     : asked == Number::normal     ? kind == FP_NORMAL
                                                   : kind == FP_SUBNORMAL;
    result |= yes ? Mask{1} << l : 0;
  });
  set_predicate(warp, d.d, active, result);
  return Flow::next;
}
void select_testp(Decoder& decoder, const Instruction& i, Decoded& out) {
  constexpr const char* kNames[] = {"finite", "infinite", "number", "notanumber", "normal", "subnormal"};
  allow_modifiers(decoder, i, {"finite", "infinite", "number", "notanumber", "normal", "subnormal"});
  out.instruction_class = kFloat;
  bind(decoder, i, out, Type::pred, i.type());
  for (std::uint32_t k = 0; k < 6; ++k) out.options = i.has(kNames[k]) ? k : out.options;
  out.run = i.type() == Type::f64 ? run_testp<double> : run_testp<float>;
}

}  // namespace

void GRADUS_EMULATOR_FAMILY(register_float)() {
  add_selector("add", select_arithmetic<Add>);
  add_selector("sub", select_arithmetic<Sub>);
  add_selector("mul", select_arithmetic<Mul>);
  add_selector("fma", select_arithmetic<Fma>);
  add_selector("mad", select_arithmetic<Fma>);
  add_selector("div", select_arithmetic<Div>);
  add_selector("rcp", select_arithmetic<Rcp>);
  add_selector("sqrt", select_arithmetic<Sqrt>);
  add_selector("neg", select_sign<Neg>);
  add_selector("abs", select_sign<Abs>);
  add_selector("copysign", select_copysign);
  add_selector("min", select_extremum<false>);
  add_selector("max", select_extremum<true>);
  add_selector("testp", select_testp);
  GRADUS_EMULATOR_FAMILY(register_float_special)();
}

}  // namespace gradus::emulator
