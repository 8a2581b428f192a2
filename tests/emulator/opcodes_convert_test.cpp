// Comparisons, selection and conversions against an independent reference.
#include <doctest/doctest.h>

#include <map>
#include <string>

#include "alu_check.h"

using namespace alu;

namespace {

using Relation = bool (*)(int order, bool unordered);  // order: -1, 0, 1

const std::map<std::string, Relation> kRelations = {{"eq", [](int o, bool u) { return !u && o == 0; }},
                                                    {"ne", [](int o, bool u) { return !u && o != 0; }},
                                                    {"lt", [](int o, bool u) { return !u && o < 0; }},
                                                    {"le", [](int o, bool u) { return !u && o <= 0; }},
                                                    {"gt", [](int o, bool u) { return !u && o > 0; }},
                                                    {"ge", [](int o, bool u) { return !u && o >= 0; }},
                                                    {"equ", [](int o, bool u) { return u || o == 0; }},
                                                    {"neu", [](int o, bool u) { return u || o != 0; }},
                                                    {"ltu", [](int o, bool u) { return u || o < 0; }},
                                                    {"leu", [](int o, bool u) { return u || o <= 0; }},
                                                    {"gtu", [](int o, bool u) { return u || o > 0; }},
                                                    {"geu", [](int o, bool u) { return u || o >= 0; }},
                                                    {"num", [](int, bool u) { return !u; }},
                                                    {"nan", [](int, bool u) { return u; }}};

double number(const std::string& t, U64 v) { return t == "f32" ? f32(v) : f64(v); }

bool relate(const std::string& relation, const std::string& t, U64 x, U64 y) {
  if (t[0] == 'f') {
    const double a = number(t, x), b = number(t, y);
    return kRelations.at(relation)(a < b ? -1 : a > b ? 1 : 0, std::isnan(a) || std::isnan(b));
  }
  const Wide a = value_of(x, t), b = value_of(y, t);
  return kRelations.at(relation)(a < b ? -1 : a > b ? 1 : 0, false);
}

std::string select_of(const std::string& setp) { return "{.reg .pred %p, %q; " + setp + " selp.u32 %d0, 1, 0, %p;}"; }

}  // namespace

TEST_CASE("opcodes: setp and set") {
  for (const std::string t : {"u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64"}) {
    for (const auto& [name, relation] : kRelations) {
      const bool ordered_only = t[0] != 'f';
      if (ordered_only && (name.size() > 2)) continue;
      const std::string r = name;
      check(select_of("setp." + r + "." + t + " %p, %a0, %a1;"), "u32", {t, t},
            [=](U64 a, U64 b, U64) { return relate(r, t, a, b) ? 1 : 0; });
      check("set." + r + ".u32." + t + " %d0, %a0, %a1;", "u32", {t, t},
            [=](U64 a, U64 b, U64) { return relate(r, t, a, b) ? mask(32) : 0; });
    }
  }
  check(select_of("setp.lo.u32 %p, %a0, %a1;"), "u32", {"u32", "u32"}, [](U64 a, U64 b, U64) { return a < b ? 1 : 0; });
  check(select_of("setp.hs.u32 %p, %a0, %a1;"), "u32", {"u32", "u32"}, [](U64 a, U64 b, U64) { return a >= b ? 1 : 0; });
  check(select_of("setp.ne.u32 %q, %a2, 0; setp.lt.and.s32 %p, %a0, %a1, !%q;"), "u32", {"s32", "s32", "u32"},
        [](U64 a, U64 b, U64 c) { return value_of(a, "s32") < value_of(b, "s32") && c == 0 ? 1 : 0; });
  check(select_of("setp.gt.s32 %q|%p, %a0, %a1;"), "u32", {"s32", "s32"},
        [](U64 a, U64 b, U64) { return value_of(a, "s32") > value_of(b, "s32") ? 0 : 1; });
  check("set.gt.f32.f32 %d0, %a0, %a1;", "f32", {"f32", "f32"}, [](U64 a, U64 b, U64) { return f32(a) > f32(b) ? bits(1.0f) : 0; });
}

TEST_CASE("opcodes: slct, packing moves") {
  check("slct.u32.s32 %d0, %a0, %a1, %a2;", "u32", {"u32", "u32", "s32"},
        [](U64 a, U64 b, U64 c) { return value_of(c, "s32") >= 0 ? a : b; });
  check("slct.u32.f32 %d0, %a0, %a1, %a2;", "u32", {"u32", "u32", "f32"}, [](U64 a, U64 b, U64 c) { return f32(c) >= 0 ? a : b; });
  check("mov.b64 %d0, {%a0, %a1};", "b64", {"b32", "b32"}, [](U64 a, U64 b, U64) { return b << 32 | a; });
  check("{.reg .b32 %x; mov.b64 {_, %x}, %a0; mov.b32 %d0, %x;}", "b32", {"b64"}, [](U64 a, U64, U64) { return a >> 32; });
  check("{.reg .b16 %x, %y; mov.b32 {%x, %y}, %a0; mov.b32 %d0, {%y, %x};}", "b32", {"b32"},
        [](U64 a, U64, U64) { return (a >> 16 | a << 16) & mask(32); });
}

namespace {

U64 clamp_to(const std::string& t, Quad v) {
  const int w = width_of(t);
  const Quad two = Quad(std::ldexp(1.0, t[0] == 's' ? w - 1 : w)), low = t[0] == 's' ? -two : Quad(0), high = two - 1;
  if (v != v) return 0;
  v = v < low ? low : v > high ? high : v;
  return static_cast<U64>(static_cast<Wide>(v)) & mask(w);
}

double whole(double v, char mode) {
  return mode == 'n' ? std::nearbyint(v) : mode == 'z' ? std::trunc(v) : mode == 'm' ? std::floor(v) : std::ceil(v);
}

}  // namespace

TEST_CASE("opcodes: cvt between integers") {
  const std::string types[] = {"u8", "s8", "u16", "s16", "u32", "s32", "u64", "s64"};
  for (const std::string& s : types) {
    for (const std::string& d : types) {
      // A narrow result is extended to its register.
      const std::string wide = d[0] + std::to_string(std::max(16, width_of(d)));
      check("cvt." + d + "." + s + " %d0, %a0;", wide, {s},
            [=](U64 a, U64, U64) { return static_cast<U64>(value_of(static_cast<U64>(value_of(a, s)), d)) & mask(width_of(wide)); });
      check("cvt.sat." + d + "." + s + " %d0, %a0;", wide, {s}, [=](U64 a, U64, U64) {
        const U64 v = clamp_to(d, static_cast<Quad>(value_of(a, s)));
        return static_cast<U64>(value_of(v, d)) & mask(width_of(wide));
      });
    }
  }
}

TEST_CASE("opcodes: cvt between integers and floats") {
  for (const std::string t : {"u16", "s16", "u32", "s32", "u64", "s64"}) {
    for (const char mode : {'n', 'z', 'm', 'p'}) {
      const std::string rnd = std::string("r") + mode;
      check("cvt." + rnd + ".f32." + t + " %d0, %a0;", "f32", {t},
            [=](U64 a, U64, U64) { return bits(round_to<float>(static_cast<Quad>(value_of(a, t)), mode)); });
      check("cvt." + rnd + ".f64." + t + " %d0, %a0;", "f64", {t},
            [=](U64 a, U64, U64) { return bits(round_to<double>(static_cast<Quad>(value_of(a, t)), mode)); });
      check("cvt." + rnd + "i." + t + ".f32 %d0, %a0;", t, {"f32"}, [=](U64 a, U64, U64) { return clamp_to(t, whole(f32(a), mode)); });
      check("cvt." + rnd + "i." + t + ".f64 %d0, %a0;", t, {"f64"}, [=](U64 a, U64, U64) { return clamp_to(t, whole(f64(a), mode)); });
    }
  }
}

TEST_CASE("opcodes: cvt between floats") {
  check("cvt.f64.f32 %d0, %a0;", "f64", {"f32"}, [](U64 a, U64, U64) { return bits(static_cast<double>(f32(a))); });
  for (const char mode : {'n', 'z', 'm', 'p'}) {
    const std::string rnd = std::string("r") + mode;
    check("cvt." + rnd + ".f32.f64 %d0, %a0;", "f32", {"f64"}, [=](U64 a, U64, U64) { return bits(round_to<float>(f64(a), mode)); });
    check("cvt." + rnd + "i.f32.f32 %d0, %a0;", "f32", {"f32"},
          [=](U64 a, U64, U64) { return bits(static_cast<float>(whole(f32(a), mode))); });
    check("cvt." + rnd + "i.f64.f64 %d0, %a0;", "f64", {"f64"}, [=](U64 a, U64, U64) { return bits(whole(f64(a), mode)); });
  }
  check("cvt.sat.f32.f32 %d0, %a0;", "f32", {"f32"}, [](U64 a, U64, U64) { return bits(f32(a) > 0 ? std::min(f32(a), 1.0f) : 0.0f); });
  check("cvt.rn.bf16.f32 %d0, %a0;", "u16", {"f32"}, [](U64 a, U64, U64) {
    if (std::isnan(f32(a))) return U64{0x7FFF};
    return (a + 0x7FFF + (a >> 16 & 1)) >> 16;
  });
  check("cvt.rna.tf32.f32 %d0, %a0;", "b32", {"f32"}, [](U64 a, U64, U64) {
    const U64 magnitude = a & 0x7FFFFFFF;
    return magnitude > 0x7F800000 ? 0x7FFFFFFF : magnitude == 0x7F800000 ? a : (a + 0x1000) & 0xFFFFE000;
  });
  check("{.reg .b16 %x; cvt.rn.f16.f32 %x, %a0; cvt.f32.f16 %d0, %x;}", "f32", {"f32"}, [](U64 a, U64, U64) {
    const float v = f32(a);
    if (!(std::fabs(v) < 65520.0f)) return bits(std::isnan(v) ? v : std::copysign(HUGE_VALF, v));
    const float unit = std::ldexp(1.0f, std::max(v == 0 ? -14 : std::ilogb(v), -14) - 10);
    return bits(std::copysign(std::nearbyint(v / unit) * unit, v));
  });
  check("cvt.rn.bf16x2.f32 %d0, %a0, %a1;", "b32", {"u32", "u32"}, [](U64 a, U64 b, U64) {
    const auto one = [](U64 v) { return std::isnan(f32(v)) ? U64{0x7FFF} : (v + 0x7FFF + (v >> 16 & 1)) >> 16; };
    return one(a) << 16 | one(b);
  });
}
