// f16, f16x2, bf16, bf16x2: every typed form against whole-number arithmetic, on special values and random ones.
#include <cmath>
#include <functional>
#include <random>
#include <string>

#include <doctest/doctest.h>

#include "half_reference.h"
#include "ptx_kernel.h"

namespace {

using namespace emulator_test;

constexpr std::uint32_t kSeed = 20240607;
using Oracle = std::function<std::uint32_t(HalfFormat, std::uint32_t, std::uint32_t, std::uint32_t)>;

/// Zeros, the borders of every class, ties, and random bits.
std::vector<std::uint32_t> interesting(HalfFormat f) {
  const std::uint32_t infinity = f.infinity(), one = static_cast<std::uint32_t>(f.bias()) << f.mantissa_bits, unit = 1u << f.mantissa_bits;
  std::vector<std::uint32_t> v = {0,
                                  1,
                                  2,
                                  3,
                                  unit - 1,
                                  unit,
                                  unit + 1,
                                  one - 1,
                                  one,
                                  one + 1,
                                  one + unit,
                                  one + unit + 1,
                                  infinity - 2,
                                  infinity - 1,
                                  infinity,
                                  infinity + 1,
                                  0x7FFF,
                                  one + (unit >> 1),
                                  one - unit,
                                  one / 2};
  const std::size_t n = v.size();
  for (std::size_t i = 0; i < n; ++i) v.push_back(v[i] | 0x8000);
  return v;
}

struct Case {
  std::string opcode;  // without the type
  int sources;
  Oracle oracle;
};

void check(const Case& c, HalfFormat f, bool packed) {
  const std::string type = std::string(f.exponent_bits == 5 ? "f16" : "bf16") + (packed ? "x2" : "");
  const std::string opcode = c.opcode + "." + type;
  std::string line = opcode + " %d0, %a0";
  for (int i = 1; i < c.sources; ++i) line += ", %a" + std::to_string(i);
  line += ";";
  std::mt19937 random(kSeed);
  const std::vector<std::uint32_t> special = interesting(f);
  const auto pick = [&] { return random() % 3 == 0 ? random() & 0xFFFF : special[random() % special.size()]; };
  for (int round = 0; round < 24; ++round) {
    std::vector<Input> inputs;
    for (int i = 0; i < c.sources; ++i)
      inputs.push_back({packed ? "b32" : "b16", lanes([&](std::size_t) { return pick() | (packed ? pick() << 16 : 0); })});
    const Lanes got = run_lines(line, {packed ? "b32" : "b16"}, inputs)[0];
    for (std::size_t l = 0; l < 32; ++l) {
      for (unsigned shift = 0; shift < (packed ? 32u : 16u); shift += 16) {
        std::uint32_t in[3] = {};
        for (std::size_t i = 0; i < inputs.size(); ++i) in[i] = static_cast<std::uint32_t>(inputs[i].values[l] >> shift) & 0xFFFF;
        const std::uint32_t want = c.oracle(f, in[0], in[1], in[2]), have = static_cast<std::uint32_t>(got[l] >> shift) & 0xFFFF;
        if (want == have) continue;
        CAPTURE(opcode);
        CAPTURE(kSeed);
        CAPTURE(in[0]);
        CAPTURE(in[1]);
        CAPTURE(in[2]);
        REQUIRE(have == want);
      }
    }
  }
}

void check_all(const Case& c, bool with_bf16 = true) {
  check(c, kF16, false);
  check(c, kF16, true);
  if (!with_bf16) return;
  check(c, kBF16, false);
  check(c, kBF16, true);
}

std::uint32_t flushed(HalfFormat f, std::uint32_t h) { return (h & f.infinity()) == 0 ? h & 0x8000 : h; }
std::uint32_t saturated(HalfFormat f, std::uint32_t h) {
  const double v = value_of(f, h);
  return v != v || v <= 0 ? 0 : v > 1 ? static_cast<std::uint32_t>(f.bias()) << f.mantissa_bits : h;
}
std::uint32_t relu(HalfFormat f, std::uint32_t h) { return value_of(f, h) == value_of(f, h) && (h & 0x8000) != 0 ? 0 : h; }

std::uint32_t add(HalfFormat f, std::uint32_t a, std::uint32_t b, std::uint32_t) { return rounded(f, sum(exact_of(f, a), exact_of(f, b))); }
std::uint32_t subtract(HalfFormat f, std::uint32_t a, std::uint32_t b, std::uint32_t) {
  return rounded(f, sum(exact_of(f, a), exact_of(f, b ^ 0x8000)));
}
std::uint32_t multiply(HalfFormat f, std::uint32_t a, std::uint32_t b, std::uint32_t) {
  return rounded(f, product(exact_of(f, a), exact_of(f, b)));
}
std::uint32_t fuse(HalfFormat f, std::uint32_t a, std::uint32_t b, std::uint32_t c) {
  return rounded(f, sum(product(exact_of(f, a), exact_of(f, b)), exact_of(f, c)));
}
std::uint32_t extreme(HalfFormat f, std::uint32_t a, std::uint32_t b, bool maximum, bool nan_wins) {
  const double x = value_of(f, a), y = value_of(f, b);
  if (x != x || y != y) return nan_wins || (x != x && y != y) ? 0x7FFF : x != x ? b : a;
  const bool less = x < y || (x == y && std::signbit(x) && !std::signbit(y));
  return less == maximum ? b : a;
}

Oracle with_ftz(Oracle g) {
  return [g](HalfFormat f, std::uint32_t a, std::uint32_t b, std::uint32_t c) {
    return flushed(f, g(f, flushed(f, a), flushed(f, b), flushed(f, c)));
  };
}
Oracle after(Oracle g, std::uint32_t (*h)(HalfFormat, std::uint32_t)) {
  return [g, h](HalfFormat f, std::uint32_t a, std::uint32_t b, std::uint32_t c) { return h(f, g(f, a, b, c)); };
}

TEST_CASE("half: add, sub, mul") {
  const std::pair<const char*, Oracle> ops[] = {{"add", add}, {"sub", subtract}, {"mul", multiply}};
  for (const auto& [name, oracle] : ops) {
    const std::string op = name;
    check_all({op, 2, oracle});
    check_all({op + ".rn", 2, oracle});
    check_all({op + ".ftz", 2, with_ftz(oracle)}, false);
    check_all({op + ".sat", 2, after(oracle, saturated)}, false);
    check_all({op + ".ftz.sat", 2, after(with_ftz(oracle), saturated)}, false);
  }
}

TEST_CASE("half: fma") {
  check_all({"fma.rn", 3, fuse});
  check_all({"fma.rn.relu", 3, after(fuse, relu)});
  check_all({"fma.rn.ftz", 3, with_ftz(fuse)}, false);
  check_all({"fma.rn.sat", 3, after(fuse, saturated)}, false);
  check_all({"fma.rn.ftz.sat", 3, after(with_ftz(fuse), saturated)}, false);
  check_all({"fma.rn.ftz.relu", 3, after(with_ftz(fuse), relu)}, false);
}

TEST_CASE("half: a fused product is rounded once") {
  // 1.0000001b * 1.0000001b = 1.00000100000001b: a tie of bf16 but for the last bit, and c a long way below.
  const Lanes a = lanes([](std::size_t) { return 0x3F81; }), c = lanes([](std::size_t l) { return l % 2 == 0 ? 0x0001 : 0x8001; });
  const Lanes got = run_lines("fma.rn.bf16 %d0, %a0, %a0, %a1;", {"b16"}, {{"b16", a}, {"b16", c}})[0];
  for (std::size_t l = 0; l < 32; ++l) CHECK(got[l] == fuse(kBF16, 0x3F81, 0x3F81, static_cast<std::uint32_t>(c[l])));
}

TEST_CASE("half: neg, abs") {
  const auto unless_nan = [](Oracle g) {
    return [g](HalfFormat f, std::uint32_t a, std::uint32_t b, std::uint32_t c) { return g(f, a, b, c); };
  };
  const Oracle negate = [](HalfFormat, std::uint32_t a, std::uint32_t, std::uint32_t) { return a ^ 0x8000; };
  const Oracle absolute = [](HalfFormat, std::uint32_t a, std::uint32_t, std::uint32_t) { return a & 0x7FFF; };
  check_all({"neg", 1, unless_nan(negate)});
  check_all({"abs", 1, absolute});
  check_all({"neg.ftz", 1, with_ftz(negate)}, false);
  check_all({"abs.ftz", 1, with_ftz(absolute)}, false);
}

TEST_CASE("half: min, max") {
  for (const bool maximum : {false, true}) {
    const std::string op = maximum ? "max" : "min";
    const Oracle plain = [=](HalfFormat f, std::uint32_t a, std::uint32_t b, std::uint32_t) { return extreme(f, a, b, maximum, false); };
    const Oracle nan = [=](HalfFormat f, std::uint32_t a, std::uint32_t b, std::uint32_t) { return extreme(f, a, b, maximum, true); };
    const auto xor_sign = [=](bool nan_wins) -> Oracle {
      return [=](HalfFormat f, std::uint32_t a, std::uint32_t b, std::uint32_t) {
        const std::uint32_t one = extreme(f, a & 0x7FFF, b & 0x7FFF, maximum, nan_wins);
        return value_of(f, one) != value_of(f, one) ? one : one | ((a ^ b) & 0x8000);
      };
    };
    check_all({op, 2, plain});
    check_all({op + ".NaN", 2, nan});
    check_all({op + ".xorsign.abs", 2, xor_sign(false)});
    check_all({op + ".NaN.xorsign.abs", 2, xor_sign(true)});
    check_all({op + ".ftz", 2, with_ftz(plain)}, false);
    check_all({op + ".ftz.NaN", 2, with_ftz(nan)}, false);
  }
}

TEST_CASE("half: ex2, tanh") {
  // Approximate instructions: to within one unit of the correctly rounded result.
  struct Form {
    const char* opcode;
    double (*f)(double);
    HalfFormat format;
    bool packed, ftz;
  };
  const auto ex2 = [](double x) { return std::exp2(x); };
  const auto tanh = [](double x) { return std::tanh(x); };
  const Form forms[] = {{"ex2.approx.f16", ex2, kF16, false, false},      {"ex2.approx.f16x2", ex2, kF16, true, false},
                        {"ex2.approx.ftz.bf16", ex2, kBF16, false, true}, {"ex2.approx.ftz.bf16x2", ex2, kBF16, true, true},
                        {"tanh.approx.f16", tanh, kF16, false, false},    {"tanh.approx.f16x2", tanh, kF16, true, false},
                        {"tanh.approx.bf16", tanh, kBF16, false, false},  {"tanh.approx.bf16x2", tanh, kBF16, true, false}};
  std::mt19937 random(kSeed);
  for (const Form& form : forms) {
    const std::vector<std::uint32_t> special = interesting(form.format);
    const auto pick = [&] { return random() % 2 == 0 ? random() & 0xFFFF : special[random() % special.size()]; };
    const std::string type = form.packed ? "b32" : "b16";
    const Lanes a = lanes([&](std::size_t) { return pick() | (form.packed ? pick() << 16 : 0); });
    const Lanes got = run_lines(std::string(form.opcode) + " %d0, %a0;", {type}, {{type, a}})[0];
    for (std::size_t l = 0; l < 32; ++l) {
      for (unsigned shift = 0; shift < (form.packed ? 32u : 16u); shift += 16) {
        const auto in = static_cast<std::uint32_t>(a[l] >> shift) & 0xFFFF, have = static_cast<std::uint32_t>(got[l] >> shift) & 0xFFFF;
        const double x = value_of(form.format, form.ftz ? flushed(form.format, in) : in), y = form.f(x), z = value_of(form.format, have);
        const double smallest = std::ldexp(1.0, 1 - form.format.bias()), unit = std::ldexp(1.0, -form.format.mantissa_bits);
        const double largest = value_of(form.format, form.format.infinity() - 1);
        CAPTURE(form.opcode);
        CAPTURE(in);
        if (y != y) CHECK(z != z);
        else if (y > largest) CHECK(z >= largest);
        else CHECK(std::fabs(z - y) <= unit * std::max(std::fabs(y), smallest) + (form.ftz ? smallest : 0));
      }
    }
  }
}

bool holds(const std::string& op, double x, double y) {
  const bool unordered = x != x || y != y;
  if (op == "num") return !unordered;
  if (op == "nan") return unordered;
  const std::string base = op.substr(0, 2);
  if (unordered) return op.size() == 3;
  return base == "eq" ? x == y : base == "ne" ? x != y : base == "lt" ? x < y : base == "le" ? x <= y : base == "gt" ? x > y : x >= y;
}

const char* const kComparisons[] = {"eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};

TEST_CASE("half: setp") {
  std::mt19937 random(kSeed);
  for (const HalfFormat f : {kF16, kBF16}) {
    for (const bool packed : {false, true}) {
      const std::vector<std::uint32_t> special = interesting(f);
      const auto pick = [&] { return special[random() % special.size()]; };
      const std::string type = packed ? "b32" : "b16", suffix = std::string(f.exponent_bits == 5 ? "f16" : "bf16") + (packed ? "x2" : "");
      for (const std::string op : kComparisons) {
        const Lanes a = lanes([&](std::size_t) { return pick() | (packed ? pick() << 16 : 0); });
        const Lanes b = lanes([&](std::size_t l) { return l % 4 == 0 ? a[l] : pick() | (packed ? pick() << 16 : 0); });
        const Lanes c = lanes([&](std::size_t) { return random() & 1; });
        const auto got =
            run_lines("setp." + op + "." + suffix + " %d0|%d1, %a0, %a1;\nsetp." + op + ".and." + suffix + " %d2|%d3, %a0, %a1, !%a2;",
                      {"pred", "pred", "pred", "pred"}, {{type, a}, {type, b}, {"pred", c}});
        for (std::size_t l = 0; l < 32; ++l) {
          const bool low = holds(op, value_of(f, a[l] & 0xFFFF), value_of(f, b[l] & 0xFFFF));
          const bool high = packed ? holds(op, value_of(f, (a[l] >> 16) & 0xFFFF), value_of(f, (b[l] >> 16) & 0xFFFF)) : !low;
          CAPTURE(op);
          CAPTURE(suffix);
          CHECK((got[0][l] == 1) == low);
          CHECK((got[1][l] == 1) == high);
          CHECK((got[2][l] == 1) == (low && c[l] == 0));
          CHECK((got[3][l] == 1) == (high && c[l] == 0));
        }
      }
    }
  }
}

TEST_CASE("half: set") {
  std::mt19937 random(kSeed);
  struct Form {
    const char *result, *source, *register_type;
    HalfFormat format;
    std::uint32_t truth;
  };
  const Form forms[] = {
      {"u16", "f16", "b16", kF16, 0xFFFF},        {"s16", "f16", "b16", kF16, 0xFFFF},       {"u32", "f16", "b32", kF16, 0xFFFFFFFF},
      {"s32", "f16", "b32", kF16, 0xFFFFFFFF},    {"f16", "f16", "b16", kF16, 0x3C00},       {"f16x2", "f16x2", "b32", kF16, 0x3C003C00},
      {"u32", "f16x2", "b32", kF16, 0xFFFFFFFF},  {"s32", "f16x2", "b32", kF16, 0xFFFFFFFF}, {"u16", "bf16", "b16", kBF16, 0xFFFF},
      {"u32", "bf16", "b32", kBF16, 0xFFFFFFFF},  {"bf16", "bf16", "b16", kBF16, 0x3F80},    {"bf16x2", "bf16x2", "b32", kBF16, 0x3F803F80},
      {"u32", "bf16x2", "b32", kBF16, 0xFFFFFFFF}};
  for (const Form& form : forms) {
    const bool packed = std::string(form.source).find("x2") != std::string::npos;
    const std::vector<std::uint32_t> special = interesting(form.format);
    const auto pick = [&] { return special[random() % special.size()]; };
    const std::string type = packed ? "b32" : "b16";
    for (const std::string op : kComparisons) {
      const Lanes a = lanes([&](std::size_t) { return pick() | (packed ? pick() << 16 : 0); });
      const Lanes b = lanes([&](std::size_t l) { return l % 4 == 0 ? a[l] : pick() | (packed ? pick() << 16 : 0); });
      const Lanes got = run_lines("set." + op + "." + form.result + "." + form.source + " %d0, %a0, %a1;", {form.register_type},
                                  {{type, a}, {type, b}})[0];
      for (std::size_t l = 0; l < 32; ++l) {
        const bool low = holds(op, value_of(form.format, a[l] & 0xFFFF), value_of(form.format, b[l] & 0xFFFF));
        const bool high =
            packed ? holds(op, value_of(form.format, (a[l] >> 16) & 0xFFFF), value_of(form.format, (b[l] >> 16) & 0xFFFF)) : low;
        CAPTURE(op);
        CAPTURE(form.result);
        CHECK(got[l] == (form.truth & ((low ? 0xFFFFu : 0u) | (high ? 0xFFFF0000u : 0u))));
      }
    }
  }
}

}  // namespace
