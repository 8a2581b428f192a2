// Moves, selections, predicates' logic, jumps and calls, conversions of addresses.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "alu_check.h"

using namespace alu;

namespace {

const std::vector<std::string>& scalar_types() {
  static const std::vector<std::string> types = {"b16", "u16", "s16", "b32", "u32", "s32", "f32", "b64", "u64", "s64", "f64"};
  return types;
}

/// A type whose values are compared bit by bit: NaN keeps its payload in a move.
std::string bits_type(const std::string& type) { return "b" + std::to_string(width_of(type)); }

std::string registers(const std::string& type) { return type[0] == 'f' ? type : bits_type(type); }

/// A literal of the type whose bits are the pattern 0x40490FDB, or its upper half in f64.
std::string literal_of(const std::string& type) {
  if (type == "f32") return "0f40490FDB";
  if (type == "f64") return "0d400921FB54442D18";
  return width_of(type) == 16 ? "0x4049" : "-7";
}
U64 literal_bits(const std::string& type) {
  if (type == "f32") return 0x40490FDB;
  if (type == "f64") return 0x400921FB54442D18;
  return width_of(type) == 16 ? 0x4049 : static_cast<U64>(-7) & mask(width_of(type));
}

}  // namespace

TEST_CASE("opcodes: mov of every type, from registers and literals") {
  for (const std::string& t : scalar_types()) {
    const std::string scratch = "{.reg ." + registers(t) + " %x; ";
    const auto copy = [](U64 a, U64, U64) { return a; };
    check(scratch + "mov." + t + " %x, %a0; mov." + t + " %d0, %x;}", bits_type(t), {bits_type(t)}, copy);
    const U64 wanted = literal_bits(t);
    check(scratch + "mov." + t + " %x, " + literal_of(t) + "; mov." + t + " %d0, %x;}", bits_type(t), {"u16"},
          [=](U64, U64, U64) { return wanted; });
  }
  const std::string declared = "{.reg .pred %p, %q; ";
  check(declared + "setp.ne.u32 %p, %a0, 0; mov.pred %q, %p; selp.b32 %d0, 1, 0, %q;}", "u32", {"u32"},
        [](U64 a, U64, U64) { return a != 0 ? 1 : 0; });
  check(declared + "mov.pred %q, -1; selp.b32 %d0, 1, 0, %q;}", "u32", {"u32"}, [](U64, U64, U64) { return 1; });
  check(declared + "mov.pred %q, 0; selp.b32 %d0, 1, 0, %q;}", "u32", {"u32"}, [](U64, U64, U64) { return 0; });
}

TEST_CASE("opcodes: selp of every type") {
  for (const std::string& t : scalar_types()) {
    check("{.reg .pred %p; setp.ne.u32 %p, %a2, 0; selp." + t + " %d0, %a0, %a1, %p;}", bits_type(t), {bits_type(t), bits_type(t), "u32"},
          [](U64 a, U64 b, U64 c) { return c != 0 ? a : b; });
    const U64 literal = literal_bits(t);
    check("{.reg .pred %p; setp.ne.u32 %p, %a1, 0; selp." + t + " %d0, " + literal_of(t) + ", %a0, %p;}", bits_type(t),
          {bits_type(t), "u32"}, [=](U64 a, U64 b, U64) { return b != 0 ? literal : a; });
  }
}

TEST_CASE("opcodes: logic on predicates") {
  const auto pair = [](const std::string& op, bool (*wanted)(bool, bool)) {
    check("{.reg .pred %p, %q, %r; setp.gt.s32 %p, %a0, 20; setp.gt.s32 %q, %a1, 20; " + op + ".pred %r, %p, %q; selp.u32 %d0, 1, 0, %r;}",
          "u32", {"s32", "s32"}, [=](U64 a, U64 b, U64) { return wanted(value_of(a, "s32") > 20, value_of(b, "s32") > 20) ? 1 : 0; });
  };
  pair("and", [](bool p, bool q) { return p && q; });
  pair("or", [](bool p, bool q) { return p || q; });
  pair("xor", [](bool p, bool q) { return p != q; });
  check("{.reg .pred %p, %q; setp.gt.s32 %p, %a0, 20; not.pred %q, %p; selp.u32 %d0, 1, 0, %q;}", "u32", {"s32"},
        [](U64 a, U64, U64) { return value_of(a, "s32") > 20 ? 0 : 1; });
  // Under a guard the other lanes keep their bit.
  check("{.reg .pred %p, %q; setp.gt.s32 %p, %a0, 20; setp.gt.s32 %q, %a1, 20; @%p not.pred %q, %q; selp.u32 %d0, 1, 0, %q;}", "u32",
        {"s32", "s32"}, [](U64 a, U64 b, U64) { return (value_of(a, "s32") > 20) != (value_of(b, "s32") > 20) ? 1 : 0; });
}

TEST_CASE("opcodes: setp of untyped bits") {
  for (const std::string t : {"b16", "b32", "b64"}) {
    const std::string declared = "{.reg .pred %p; ";
    check(declared + "setp.eq." + t + " %p, %a0, %a1; selp.u32 %d0, 1, 0, %p;}", "u32", {t, t},
          [](U64 a, U64 b, U64) { return a == b ? 1 : 0; });
    check(declared + "setp.ne." + t + " %p, %a0, %a1; selp.u32 %d0, 1, 0, %p;}", "u32", {t, t},
          [](U64 a, U64 b, U64) { return a != b ? 1 : 0; });
  }
}

TEST_CASE("opcodes: jumps") {
  check("{bra.uni L1; mov.u32 %a0, 7; L2: bra.uni L3; L1: add.u32 %a0, %a0, 1; bra.uni L2; L3: mov.u32 %d0, %a0;}", "u32", {"u32"},
        [](U64 a, U64, U64) { return (a + 1) & mask(32); });
  // Lanes part and meet again.
  check("{.reg .pred %p; setp.gt.s32 %p, %a0, 20; @%p bra L1; mov.u32 %d0, 5; bra.uni L2; L1: mov.u32 %d0, %a0; L2: add.u32 %d0, %d0, 1;}",
        "u32", {"u32"}, [](U64 a, U64, U64) { return value_of(a, "s32") > 20 ? (a + 1) & mask(32) : 6; });
  check(
      "{.reg .pred %p; .reg .b32 %n; and.b32 %n, %a0, 7; mov.u32 %d0, 0; L1: setp.eq.u32 %p, %n, 0; @%p bra L2; sub.u32 %n, %n, 1; add.u32 "
      "%d0, %d0, 3; "
      "bra.uni L1; L2: }",
      "u32", {"u32"}, [](U64 a, U64, U64) { return 3 * (a & 7); });
}

TEST_CASE("opcodes: addresses from generic to their space and back") {
  const auto twice = [](const std::string& space) {
    const Lanes values = emulator_test::lanes([](std::size_t l) { return 1000 * l + 17; });
    const std::string lines = "mov.u64 %g, memory;\ncvta." + space +
                              ".u64 %h, %g;\nmul.wide.u32 %o, %lane, 4;\nadd.u64 %h, %h, %o;\nst.u32 [%h], %a0;\ncvta.to." + space +
                              ".u64 %g, %h;\nld." + space + ".u32 %d0, [%g];";
    const std::string memory = space == "global" ? "" : "." + space + " .align 16 .b8 memory[128];";
    return emulator_test::run_lines(lines, {"b32"}, {{"b32", values}}, ".reg .b64 %g, %h, %o; " + memory)[0] == values;
  };
  CHECK(twice("shared"));
  CHECK(twice("local"));
  const emulator_test::DeviceBuffer buffer(128);
  const Lanes pointers = emulator_test::lanes([&](std::size_t l) { return buffer.address() + 4 * l; });
  const Lanes values = emulator_test::lanes([](std::size_t l) { return 0x80000000u + l; });
  const auto got =
      emulator_test::run_lines("cvta.to.global.u64 %g, %a0;\nst.global.u32 [%g], %a1;\ncvta.global.u64 %g, %g;\nld.u32 %d0, [%g];", {"b32"},
                               {{"b64", pointers}, {"b32", values}}, ".reg .b64 %g;");
  CHECK(got[0] == values);
}
