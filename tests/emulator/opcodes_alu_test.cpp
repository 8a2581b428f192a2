// Scalar instructions, each typed form against an independent reference on special values: every pair of 32, third operands in step.
#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "alu_check.h"

using namespace alu;

namespace {

const char* const kIntegers[] = {"u16", "s16", "u32", "s32", "u64", "s64"};

using Exact = std::function<Wide(Wide, Wide, Wide)>;

/// An integer instruction whose result is the low bits of an exact value.
void check_integer(const std::string& text, const std::string& type, int sources, const Exact& exact, const std::string& result = "") {
  const std::string d = result.empty() ? type : result;
  std::vector<std::string> types(static_cast<std::size_t>(sources), type);
  if (sources == 3) types[2] = d;
  check(text, d, types, [=](U64 a, U64 b, U64 c) {
    return static_cast<U64>(exact(value_of(a, type), value_of(b, type), sources == 3 ? value_of(c, d) : 0)) & mask(width_of(d));
  });
}

}  // namespace

TEST_CASE("opcodes: integer sums, products, quotients") {
  for (const std::string t : kIntegers) {
    const int w = width_of(t);
    check_integer(line("add." + t, 2), t, 2, [](Wide a, Wide b, Wide) { return a + b; });
    check_integer(line("sub." + t, 2), t, 2, [](Wide a, Wide b, Wide) { return a - b; });
    check_integer(line("mul.lo." + t, 2), t, 2, [](Wide a, Wide b, Wide) { return a * b; });
    check_integer(line("mul.hi." + t, 2), t, 2, [=](Wide a, Wide b, Wide) { return (a * b) >> w; });
    check_integer(line("mad.lo." + t, 3), t, 3, [](Wide a, Wide b, Wide c) { return a * b + c; });
    check_integer(line("mad.hi." + t, 3), t, 3, [=](Wide a, Wide b, Wide c) { return ((a * b) >> w) + c; });
    check_integer(line("min." + t, 2), t, 2, [](Wide a, Wide b, Wide) { return std::min(a, b); });
    check_integer(line("max." + t, 2), t, 2, [](Wide a, Wide b, Wide) { return std::max(a, b); });
    check_integer(line("div." + t, 2), t, 2, [](Wide a, Wide b, Wide) { return b == 0 ? Wide{-1} : a / b; });
    check_integer(line("rem." + t, 2), t, 2, [](Wide a, Wide b, Wide) { return b == 0 ? Wide{-1} : a % b; });
    check_integer(line("sad." + t, 3), t, 3, [](Wide a, Wide b, Wide c) { return c + (a < b ? b - a : a - b); });
    if (w < 64) {
      const std::string d = t.substr(0, 1) + std::to_string(2 * w);
      check_integer(
          line("mul.wide." + t, 2), t, 2, [](Wide a, Wide b, Wide) { return a * b; }, d);
      check_integer(
          line("mad.wide." + t, 3), t, 3, [](Wide a, Wide b, Wide c) { return a * b + c; }, d);
    }
    if (t[0] != 's') continue;
    check_integer(line("neg." + t, 1), t, 1, [](Wide a, Wide, Wide) { return -a; });
    check_integer(line("abs." + t, 1), t, 1, [](Wide a, Wide, Wide) { return a < 0 ? -a : a; });
  }
  const auto clamp = [](Wide v) { return std::clamp<Wide>(v, -2147483648LL, 2147483647LL); };
  check_integer("add.sat.s32 %d0, %a0, %a1;", "s32", 2, [=](Wide a, Wide b, Wide) { return clamp(a + b); });
  check_integer("sub.sat.s32 %d0, %a0, %a1;", "s32", 2, [=](Wide a, Wide b, Wide) { return clamp(a - b); });
  check_integer("mad.hi.sat.s32 %d0, %a0, %a1, %a2;", "s32", 3, [=](Wide a, Wide b, Wide c) { return clamp(((a * b) >> 32) + c); });
  const auto low24 = [](Wide a) { return a & 0xFFFFFF; };
  check_integer("mul24.lo.u32 %d0, %a0, %a1;", "u32", 2, [=](Wide a, Wide b, Wide) { return low24(a) * low24(b); });
  check_integer("mul24.hi.u32 %d0, %a0, %a1;", "u32", 2, [=](Wide a, Wide b, Wide) { return low24(a) * low24(b) >> 16; });
  check_integer("mad24.lo.u32 %d0, %a0, %a1, %a2;", "u32", 3, [=](Wide a, Wide b, Wide c) { return low24(a) * low24(b) + c; });
}

TEST_CASE("opcodes: carries") {
  check("{.reg .b32 %x; add.cc.u32 %x, %a0, %a1; addc.u32 %d0, %a2, 0;}", "u32", {"u32", "u32", "u32"},
        [](U64 a, U64 b, U64 c) { return (c + ((a + b) >> 32)) & mask(32); });
  check("{.reg .b64 %x; add.cc.s64 %x, %a0, %a1; addc.s64 %d0, %a2, 1;}", "u64", {"u64", "u64", "u64"},
        [](U64 a, U64 b, U64 c) { return c + 1 + (a + b < a ? 1 : 0); });
  check("{.reg .b32 %x; sub.cc.u32 %x, %a0, %a1; subc.u32 %d0, %a2, 0;}", "u32", {"u32", "u32", "u32"},
        [](U64 a, U64 b, U64 c) { return (c - (a < b ? 1 : 0)) & mask(32); });
  check("{.reg .b32 %x; mad.lo.cc.u32 %x, %a0, %a1, %a2; madc.hi.u32 %d0, %a0, %a1, 0;}", "u32", {"u32", "u32", "u32"},
        [](U64 a, U64 b, U64 c) { return (a * b + c) >> 32; });
  check("{.reg .b32 %x; mad.lo.cc.u32 %x, %a0, %a1, %a2; madc.hi.cc.u32 %x, %a0, %a1, %a2; addc.u32 %d0, %x, 0;}", "u32",
        {"u32", "u32", "u32"}, [](U64 a, U64 b, U64 c) {
          const U64 high = ((a * b + c) >> 32) + c;  // its own carry goes to the sum
          return ((high & mask(32)) + (high >> 32)) & mask(32);
        });
  // A chain of three: the carries of the middle one come in and go out.
  check("{.reg .b32 %x, %y, %z; add.cc.u32 %x, %a0, %a1; addc.cc.u32 %y, %a1, %a2; addc.u32 %z, %a0, %a2; xor.b32 %d0, %y, %z;}", "u32",
        {"u32", "u32", "u32"}, [](U64 a, U64 b, U64 c) {
          const U64 x = a + b, y = b + c + (x >> 32), z = a + c + (y >> 32);
          return (y ^ z) & mask(32);
        });
  check("{.reg .b32 %x, %y, %z; sub.cc.u32 %x, %a0, %a1; subc.cc.u32 %y, %a1, %a2; subc.u32 %z, %a0, %a2; xor.b32 %d0, %y, %z;}", "u32",
        {"u32", "u32", "u32"}, [](U64 a, U64 b, U64 c) {
          const S64 x = static_cast<S64>(a) - static_cast<S64>(b), y = static_cast<S64>(b) - static_cast<S64>(c) - (x < 0),
                    z = static_cast<S64>(a) - static_cast<S64>(c) - (y < 0);
          return static_cast<U64>(y ^ z) & mask(32);
        });
  check(
      "{.reg .b32 %x, %y, %z; mad.lo.cc.u32 %x, %a0, %a1, %a2; madc.lo.cc.u32 %y, %a1, %a2, %a0; madc.hi.u32 %z, %a0, %a2, %a1; xor.b32 "
      "%d0, %y, %z;}",
      "u32", {"u32", "u32", "u32"}, [](U64 a, U64 b, U64 c) {
        const U64 x = (a * b & mask(32)) + c, y = (b * c & mask(32)) + a + (x >> 32), z = (a * c >> 32) + b + (y >> 32);
        return (y ^ z) & mask(32);
      });
}

TEST_CASE("opcodes: bits") {
  for (const std::string t : {"b16", "b32", "b64"}) {
    const int w = width_of(t);
    check(line("and." + t, 2), t, {t, t}, [](U64 a, U64 b, U64) { return a & b; });
    check(line("or." + t, 2), t, {t, t}, [](U64 a, U64 b, U64) { return a | b; });
    check(line("xor." + t, 2), t, {t, t}, [](U64 a, U64 b, U64) { return a ^ b; });
    check(line("not." + t, 1), t, {t}, [=](U64 a, U64, U64) { return ~a & mask(w); });
    check(line("cnot." + t, 1), t, {t}, [](U64 a, U64, U64) { return a == 0 ? 1 : 0; });
    check(line("shl." + t, 2), t, {t, "u32"}, [=](U64 a, U64 n, U64) { return n >= static_cast<U64>(w) ? 0 : a << n & mask(w); });
    check(line("shr.u" + std::to_string(w), 2), t, {t, "u32"}, [=](U64 a, U64 n, U64) { return n >= static_cast<U64>(w) ? 0 : a >> n; });
    check(line("shr.s" + std::to_string(w), 2), t, {t, "u32"},
          [=](U64 a, U64 n, U64) { return static_cast<U64>(sign_extend(a, w) >> std::min<U64>(n, 63)) & mask(w); });
    if (w == 16) continue;
    check(line("brev." + t, 1), t, {t}, [=](U64 a, U64, U64) {
      U64 r = 0;
      for (int i = 0; i < w; ++i) r = r << 1 | (a >> i & 1);
      return r;
    });
    check(line("clz." + t, 1), "u32", {t}, [=](U64 a, U64, U64) {
      int n = 0;
      while (n < w && !(a >> (w - 1 - n) & 1)) ++n;
      return static_cast<U64>(n);
    });
    check(line("popc." + t, 1), "u32", {t}, [](U64 a, U64, U64) { return static_cast<U64>(std::popcount(a)); });
    for (const std::string s : {"u", "s"}) {
      const std::string type = s + std::to_string(w);
      const auto highest = [=](U64 a) {
        const U64 v = s == "s" && sign_extend(a, w) < 0 ? ~a & mask(w) : a;
        return v == 0 ? -1 : 63 - std::countl_zero(v);
      };
      check(line("bfind." + type, 1), "u32", {type}, [=](U64 a, U64, U64) { return static_cast<std::uint32_t>(highest(a)); });
      check(line("bfind.shiftamt." + type, 1), "u32", {type},
            [=](U64 a, U64, U64) { return static_cast<std::uint32_t>(highest(a) < 0 ? -1 : w - 1 - highest(a)); });
      check(line("bfe." + type, 3), type, {type, "u32", "u32"}, [=](U64 a, U64 b, U64 c) {
        const int pos = static_cast<int>(b & 255), len = static_cast<int>(c & 255);
        const bool fill = s == "s" && len != 0 && (a >> std::min(pos + len - 1, w - 1) & 1);
        U64 r = 0;
        for (int i = 0; i < w; ++i) r |= (i < len && pos + i < w ? a >> (pos + i) & 1 : (fill ? 1 : 0)) << i;  // the manual's loop
        return r;
      });
    }
    check("bfi." + t + " %d0, %a0, %a1, %a2, 9;", t, {t, t, "u32"}, [=](U64 a, U64 b, U64 c) {
      U64 r = b;
      for (U64 i = 0; i < 9 && (c & 255) + i < static_cast<U64>(w); ++i)
        r = (r & ~(U64{1} << ((c & 255) + i))) | (a >> i & 1) << ((c & 255) + i);
      return r;
    });
  }
  check(line("shf.l.wrap.b32", 3), "b32", {"b32", "b32", "u32"}, [](U64 a, U64 b, U64 c) { return (b << 32 | a) << (c & 31) >> 32; });
  check(line("shf.r.wrap.b32", 3), "b32", {"b32", "b32", "u32"}, [](U64 a, U64 b, U64 c) { return (b << 32 | a) >> (c & 31) & mask(32); });
  check(line("shf.l.clamp.b32", 3), "b32", {"b32", "b32", "u32"},
        [](U64 a, U64 b, U64 c) { return c >= 32 ? a : (b << 32 | a) << c >> 32; });
  check(line("shf.r.clamp.b32", 3), "b32", {"b32", "b32", "u32"},
        [](U64 a, U64 b, U64 c) { return c >= 32 ? b : (b << 32 | a) >> c & mask(32); });
  check("lop3.b32 %d0, %a0, %a1, %a2, 0xCA;", "b32", {"b32", "b32", "b32"},
        [](U64 a, U64 b, U64 c) { return (a & b) | (~a & c & mask(32)); });
  check("lop3.b32 %d0, %a0, %a1, %a2, 0x96;", "b32", {"b32", "b32", "b32"}, [](U64 a, U64 b, U64 c) { return a ^ b ^ c; });
  check(line("prmt.b32", 3), "b32", {"b32", "b32", "b32"}, [](U64 a, U64 b, U64 c) {
    U64 r = 0;
    for (int i = 0; i < 4; ++i) {
      const U64 n = c >> (4 * i) & 15, byte = (b << 32 | a) >> (8 * (n & 7)) & 255;
      r |= (n & 8 ? (byte & 128 ? 255 : 0) : byte) << (8 * i);
    }
    return r;
  });
  check(line("bmsk.clamp.b32", 2), "b32", {"u32", "u32"},
        [](U64 a, U64 b, U64) { return a >= 32 ? 0 : mask(static_cast<int>(std::min<U64>(b, 32))) << a & mask(32); });
  check(line("dp4a.s32.u32", 3), "s32", {"u32", "u32", "u32"}, [](U64 a, U64 b, U64 c) {
    for (int k = 0; k < 4; ++k) c += static_cast<U64>(sign_extend(a >> (8 * k) & 255, 8) * static_cast<S64>(b >> (8 * k) & 255));
    return c & mask(32);
  });
  check(line("vabsdiff4.u32.u32.u32.add", 3), "u32", {"u32", "u32", "u32"}, [](U64 a, U64 b, U64 c) {
    for (int k = 0; k < 4; ++k)
      c += static_cast<U64>(std::abs(static_cast<int>(a >> (8 * k) & 255) - static_cast<int>(b >> (8 * k) & 255)));
    return c & mask(32);
  });
}

namespace {

/// The exact value of a sum is within __float128 only if the exponents are not too far apart; else the smaller one matters by its sign
/// alone.
Quad exact_sum(Quad a, Quad b) {
  if (a == 0 || b == 0 || a != a || b != b) return a + b;
  const Quad large = std::abs(static_cast<double>(a)) > std::abs(static_cast<double>(b)) ? a : b, small = large == a ? b : a;
  const Quad least = large * 0x1p-100;  // far below a unit of either format, and representable beside `large`
  const Quad magnitude = least < 0 ? -least : least, size = small < 0 ? -small : small;
  if (size >= magnitude) return a + b;
  return large + (small < 0 ? -magnitude : magnitude);
}

float flushed(float v) { return std::fpclassify(v) == FP_SUBNORMAL ? std::copysign(0.0f, v) : v; }

template <class T> T real(U64 v) {
  if constexpr (sizeof(T) == 4) return f32(v);
  else return f64(v);
}

/// A zero result keeps the sign that IEEE gives it: x + -x is -0 only when rounding down.
template <class T> T signed_zero(T r, T a, T b, char mode) {
  if (r != 0 || (a == 0 && b == 0 && std::signbit(a) == std::signbit(b))) return r;
  return a + b == 0 ? std::copysign(r, mode == 'm' ? T{-1} : T{1}) : r;
}

template <class T> void check_rounded(const std::string& t, char mode) {
  const std::string rnd = std::string(".r") + mode + ".";
  const auto sum = [=](T a, T b) {
    if (std::isinf(a) || std::isinf(b)) return bits(static_cast<T>(a + b));
    if (a == 0 && b == 0) return bits(std::signbit(a) == std::signbit(b) ? a : std::copysign(T{0}, mode == 'm' ? T{-1} : T{1}));
    return bits(signed_zero(round_to<T>(exact_sum(a, b), mode), a, b, mode));
  };
  check(line("add" + rnd + t, 2), t, {t, t}, [=](U64 x, U64 y, U64) { return sum(real<T>(x), real<T>(y)); });
  check(line("sub" + rnd + t, 2), t, {t, t}, [=](U64 x, U64 y, U64) { return sum(real<T>(x), -real<T>(y)); });
  check(line("mul" + rnd + t, 2), t, {t, t}, [=](U64 x, U64 y, U64) {
    const T a = real<T>(x), b = real<T>(y);
    if (std::isinf(a) || std::isinf(b) || a == 0 || b == 0) return bits(static_cast<T>(a * b));
    return bits(round_to<T>(static_cast<Quad>(a) * b, mode));
  });
  check(line("sqrt" + rnd + t, 1), t, {t}, [=](U64 x, U64, U64) {
    const T a = real<T>(x);
    if (!(a > 0) || std::isinf(a)) return bits(std::sqrt(a));
    const T r = std::sqrt(a);  // nearest; the side of the exact root is that of a - r * r
    const Quad rest = static_cast<Quad>(a) - static_cast<Quad>(r) * r;
    const T up = std::numeric_limits<T>::infinity();
    const bool down = mode == 'z' || mode == 'm';
    return bits(mode == 'n' || rest == 0  ? r
                : down && rest < 0        ? std::nextafter(r, T{0})
                : mode == 'p' && rest > 0 ? std::nextafter(r, up)
                                          : r);
  });
}

}  // namespace

TEST_CASE("opcodes: f32 and f64 arithmetic in every rounding") {
  for (const char mode : {'n', 'z', 'm', 'p'}) {
    check_rounded<float>("f32", mode);
    check_rounded<double>("f64", mode);
    // A product of two floats is exact in double, and a sum of it with a third in __float128 or decided by a sign.
    check(line(std::string("fma.r") + mode + ".f32", 3), "f32", {"f32", "f32", "f32"}, [=](U64 x, U64 y, U64 z) {
      const float a = f32(x), b = f32(y), c = f32(z);
      if (!std::isfinite(a) || !std::isfinite(b) || !std::isfinite(c) || a == 0 || b == 0 || c == 0) {
        if (std::isfinite(a) && std::isfinite(b) && c == 0 && a != 0 && b != 0)
          return bits(round_to<float>(static_cast<Quad>(a) * b, mode));
        const float product = a * b;
        if (product == 0 && c == 0)
          return bits(std::signbit(product) == std::signbit(c) ? c : std::copysign(0.0f, mode == 'm' ? -1.0f : 1.0f));
        return bits(std::fma(a, b, c));
      }
      const Quad sum = exact_sum(static_cast<Quad>(a) * b, c);
      return bits(sum == 0 ? std::copysign(0.0f, mode == 'm' ? -1.0f : 1.0f) : round_to<float>(sum, mode));
    });
  }
  check(line("fma.rn.f64", 3), "f64", {"f64", "f64", "f64"}, [](U64 a, U64 b, U64 c) { return bits(std::fma(f64(a), f64(b), f64(c))); });
  check(line("div.rn.f32", 2), "f32", {"f32", "f32"}, [](U64 a, U64 b, U64) { return bits(f32(a) / f32(b)); });
  check(line("div.rn.f64", 2), "f64", {"f64", "f64"}, [](U64 a, U64 b, U64) { return bits(f64(a) / f64(b)); });
  check(line("rcp.rn.f32", 1), "f32", {"f32"}, [](U64 a, U64, U64) { return bits(1.0f / f32(a)); });
  check(line("sub.rn.ftz.f32", 2), "f32", {"f32", "f32"},
        [](U64 a, U64 b, U64) { return bits(flushed(flushed(f32(a)) - flushed(f32(b)))); });
  check(line("mul.rn.ftz.sat.f32", 2), "f32", {"f32", "f32"}, [](U64 a, U64 b, U64) {
    const float r = flushed(flushed(f32(a)) * flushed(f32(b)));
    return bits(r > 0 ? std::min(r, 1.0f) : 0.0f);
  });
  check(line("rcp.rn.f64", 1), "f64", {"f64"}, [](U64 a, U64, U64) { return bits(1.0 / f64(a)); });
  for (const std::string t : {"f32", "f64"}) {
    const int w = width_of(t);
    const U64 sign = U64{1} << (w - 1);
    const std::string u = "u" + std::to_string(w);
    check(line("neg." + t, 1), u, {t}, [=](U64 a, U64, U64) { return a ^ sign; });
    check(line("abs." + t, 1), u, {t}, [=](U64 a, U64, U64) { return a & ~sign; });
    check(line("copysign." + t, 2), u, {t, t}, [=](U64 a, U64 b, U64) { return (a & sign) | (b & ~sign); });
  }
}

TEST_CASE("opcodes: f32 and f64 min, max") {
  const auto least = [](double a, double b) {
    return std::isnan(a) ? b : std::isnan(b) ? a : a == b ? (std::signbit(a) ? a : b) : std::min(a, b);
  };
  const auto most = [](double a, double b) {
    return std::isnan(a) ? b : std::isnan(b) ? a : a == b ? (std::signbit(a) ? b : a) : std::max(a, b);
  };
  check(line("min.f32", 2), "f32", {"f32", "f32"}, [=](U64 a, U64 b, U64) { return bits(static_cast<float>(least(f32(a), f32(b)))); });
  check(line("max.f32", 2), "f32", {"f32", "f32"}, [=](U64 a, U64 b, U64) { return bits(static_cast<float>(most(f32(a), f32(b)))); });
  check(line("min.f64", 2), "f64", {"f64", "f64"}, [=](U64 a, U64 b, U64) { return bits(least(f64(a), f64(b))); });
  check(line("max.f64", 2), "f64", {"f64", "f64"}, [=](U64 a, U64 b, U64) { return bits(most(f64(a), f64(b))); });
  check(line("max.NaN.f32", 2), "f32", {"f32", "f32"}, [=](U64 a, U64 b, U64) {
    return std::isnan(f32(a)) || std::isnan(f32(b)) ? bits(NAN) : bits(static_cast<float>(most(f32(a), f32(b))));
  });
  check(line("min.xorsign.abs.f32", 2), "f32", {"f32", "f32"}, [=](U64 a, U64 b, U64) {
    const float r = static_cast<float>(least(std::fabs(f32(a)), std::fabs(f32(b))));
    return bits(std::copysign(r, (a ^ b) & 0x80000000u ? -1.0f : 1.0f));
  });
}

TEST_CASE("opcodes: approximate functions") {
  const auto close = [](const std::string& op, double (*f)(double), double tolerance) {
    const std::vector<U64> values = special_values("f32");
    const Lanes in = emulator_test::lanes([&](std::size_t l) { return values[l]; });
    const Lanes got = emulator_test::run_lines(line(op, 1), {"f32"}, {{"f32", in}})[0];
    for (std::size_t l = 0; l < 32; ++l) {
      const auto expected = static_cast<float>(f(f32(in[l])));
      INFO(op << " of " << f32(in[l]) << ": " << f32(got[l]) << " instead of " << expected);
      if (std::isnan(expected)) CHECK(std::isnan(f32(got[l])));
      else if (std::isinf(expected) || expected == 0) CHECK(f32(got[l]) == expected);
      else CHECK(std::fabs(f32(got[l]) - expected) <= tolerance * std::fabs(expected));
    }
  };
  close(
      "ex2.approx.f32", [](double x) { return std::exp2(x); }, 1e-6);
  close(
      "lg2.approx.f32", [](double x) { return std::log2(x); }, 1e-6);
  close(
      "sin.approx.f32", [](double x) { return std::sin(x); }, 1e-6);
  close(
      "cos.approx.f32", [](double x) { return std::cos(x); }, 1e-6);
  close(
      "tanh.approx.f32", [](double x) { return std::tanh(x); }, 1e-6);
  close(
      "rsqrt.approx.f32", [](double x) { return 1 / std::sqrt(x); }, 1e-6);
  close(
      "rcp.approx.f32", [](double x) { return 1 / x; }, 1e-6);
  close(
      "sqrt.approx.f32", [](double x) { return std::sqrt(x); }, 1e-6);
  // .ftz: what would be denormal goes in and comes out as a zero of its sign.
  close(
      "ex2.approx.ftz.f32",
      [](double x) {
        return static_cast<double>(flushed(static_cast<float>(std::exp2(static_cast<double>(flushed(static_cast<float>(x)))))));
      },
      1e-6);
  close(
      "rcp.approx.ftz.f32", [](double x) { return static_cast<double>(flushed(1.0f / flushed(static_cast<float>(x)))); }, 1e-6);
}

TEST_CASE("opcodes: rcp.approx.ftz.f64 is right in its upper half") {
  const std::vector<U64> values = special_values("f64");
  const Lanes in = emulator_test::lanes([&](std::size_t l) { return values[l]; });
  const Lanes got = emulator_test::run_lines("rcp.approx.ftz.f64 %d0, %a0;", {"f64"}, {{"f64", in}})[0];
  const auto flush = [](double v) { return std::fpclassify(v) == FP_SUBNORMAL ? std::copysign(0.0, v) : v; };
  for (std::size_t l = 0; l < 32; ++l) {
    const double expected = flush(1 / flush(f64(in[l])));
    INFO(f64(in[l]) << ": " << f64(got[l]) << " instead of " << expected);
    CHECK((got[l] & mask(32)) == 0);
    if (std::isnan(expected)) CHECK(std::isnan(f64(got[l])));
    else if (std::isinf(expected) || expected == 0) CHECK(got[l] == bits(expected));
    else CHECK(std::fabs(f64(got[l]) - expected) <= 0x1p-19 * std::fabs(expected));
  }
}
