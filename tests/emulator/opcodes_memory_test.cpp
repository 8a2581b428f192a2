// Every typed form of ld, st, atom, red, cp.async and the cache hints against plain C++.
#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <gradus/kernels/emulator/exec/decoder.h>
#include <gradus/kernels/emulator/exec/half_bits.h>

#include "ptx_kernel.h"

using namespace emulator_test;
namespace emulator = gradus::emulator;

namespace {

/// A defined buffer of `bytes` bytes 3, 10, 17 ...; `pointers(stride)`: a lane's address in it.
class Pattern {
 public:
  explicit Pattern(std::uint64_t bytes = 4096) : buffer_(bytes), bytes_(bytes) {
    for (std::uint64_t i = 0; i < bytes; ++i) buffer_.bytes()[i] = static_cast<std::byte>(7 * i + 3 + (i >> 8));
    buffer_.define();
  }
  Input pointers(std::uint64_t stride) const {
    return {"b64", lanes([&](std::size_t l) { return buffer_.address() + l * stride; })};
  }
  std::uint64_t value(std::uint64_t offset, std::uint64_t bytes) const {
    std::uint64_t v = 0;
    std::memcpy(&v, buffer_.bytes() + offset, bytes);
    return v;
  }
  std::byte* bytes() const { return buffer_.bytes(); }
  std::uint64_t address() const { return buffer_.address(); }

 private:
  DeviceBuffer buffer_;
  std::uint64_t bytes_;
};

struct MemoryType {
  const char* name;
  std::uint64_t bytes;
  bool is_signed;
  std::vector<std::string> registers;
};
const std::vector<MemoryType>& memory_types() {
  static const std::vector<MemoryType> types = {{"u8", 1, false, {"b16", "u16", "b32", "b64"}},
                                                {"s8", 1, true, {"b16", "s16", "b32", "b64"}},
                                                {"b8", 1, false, {"b16", "b32", "b64"}},
                                                {"u16", 2, false, {"b16", "b32", "b64"}},
                                                {"s16", 2, true, {"b16", "b32", "b64"}},
                                                {"b16", 2, false, {"b16", "b32", "b64"}},
                                                {"u32", 4, false, {"b32", "u32", "b64"}},
                                                {"s32", 4, true, {"b32", "b64"}},
                                                {"b32", 4, false, {"b32", "f32", "b64"}},
                                                {"f32", 4, false, {"f32", "b32"}},
                                                {"u64", 8, false, {"b64"}},
                                                {"s64", 8, true, {"b64"}},
                                                {"b64", 8, false, {"b64", "f64"}},
                                                {"f64", 8, false, {"f64", "b64"}}};
  return types;
}
std::uint64_t width_of(const std::string& reg) { return std::stoul(reg.substr(1)) / 8; }

std::uint64_t extended(std::uint64_t value, const MemoryType& type, std::uint64_t width) {
  const std::uint64_t sign = std::uint64_t{1} << (8 * type.bytes - 1);
  if (type.is_signed && (value & sign) != 0) value |= ~(sign | (sign - 1));
  return width == 8 ? value : value & ((std::uint64_t{1} << (8 * width)) - 1);
}

void expect_lanes(const Lanes& got, const std::function<std::uint64_t(std::size_t)>& wanted, const std::string& what) {
  for (std::size_t l = 0; l < 32; ++l) {
    INFO(what << ", lane " << l);
    CHECK(got[l] == wanted(l));
  }
}

}  // namespace

TEST_CASE("ld: every type into every register that may hold it") {
  const Pattern memory;
  for (const MemoryType& type : memory_types()) {
    for (const std::string& reg : type.registers) {
      for (const std::uint64_t stride : {type.bytes, 3 * type.bytes, std::uint64_t{0}}) {
        const std::string op = "ld.global." + std::string(type.name);
        const auto d = run_lines(op + " %d0, [%a0+8];", {reg}, {memory.pointers(stride)});
        expect_lanes(
            d[0], [&](std::size_t l) { return extended(memory.value(8 + l * stride, type.bytes), type, width_of(reg)); }, op + " " + reg);
      }
    }
  }
}

TEST_CASE("st: every type out of every register, the low bytes") {
  for (const MemoryType& type : memory_types()) {
    for (const std::string& reg : type.registers) {
      const Pattern memory;
      const Input values{reg, lanes([](std::size_t l) { return 0x1122334455667788u * (l + 1); })};
      const std::string op = "st.global." + std::string(type.name);
      run_lines(op + " [%a0], %a1;", {}, {memory.pointers(type.bytes), values});
      for (std::size_t l = 0; l < 32; ++l) {
        INFO(op << " " << reg);
        CHECK(memory.value(l * type.bytes, type.bytes) == extended(values.values[l], {"", type.bytes, false, {}}, type.bytes));
      }
    }
  }
}

TEST_CASE("ld and st: scopes, orders, hints") {
  const Pattern memory;
  for (const char* m :
       {"volatile", "relaxed.cta", "relaxed.gpu", "relaxed.sys", "relaxed.cluster", "acquire.cta", "acquire.gpu", "acquire.sys", "weak",
        "ca", "cg", "cs", "lu", "cv", "L1::evict_first", "L1::no_allocate", "L2::128B", "nc", "mmio.relaxed.sys"}) {
    std::string text = m;
    const bool mmio = text.rfind("mmio", 0) == 0, nc = text == "nc";
    const std::string op = nc ? "ld.global.nc.u32" : "ld." + text + (text[0] == 'L' || text.size() == 2 ? "" : "") + ".global.u32";
    const bool order_first = mmio || text[0] == 'v' || text[0] == 'r' || text[0] == 'a' || text[0] == 'w';
    const std::string spelled = order_first || nc ? op : "ld.global." + text + ".u32";
    const auto d = run_lines(spelled + " %d0, [%a0];", {"b32"}, {memory.pointers(4)});
    expect_lanes(
        d[0], [&](std::size_t l) { return memory.value(4 * l, 4); }, spelled);
  }
  for (const char* m : {"st.volatile.global.u32", "st.relaxed.gpu.global.u32", "st.release.cta.global.u32", "st.release.sys.global.u32",
                        "st.weak.global.u32", "st.global.wb.u32", "st.global.cg.u32", "st.global.cs.u32", "st.global.wt.u32",
                        "st.global.L1::no_allocate.u32"}) {
    const Pattern target;
    run_lines(std::string(m) + " [%a0], %a1;", {}, {target.pointers(4), {"b32", lanes([](std::size_t l) { return l * 77; })}});
    for (std::size_t l = 0; l < 32; ++l) CHECK(target.value(4 * l, 4) == l * 77);
  }
  const auto d = run_lines(
      "createpolicy.fractional.L2::evict_first.b64 %pol, 1.0;\nprefetch.global.L2 [%a0];\nld.global.L2::cache_hint.u32 %d0, [%a0], %pol;",
      {"b32"}, {memory.pointers(4)}, ".reg .b64 %pol;");
  expect_lanes(
      d[0], [&](std::size_t l) { return memory.value(4 * l, 4); }, "cache policy");
}

TEST_CASE("ld and st: vectors") {
  struct Form {
    const char* type;
    std::uint64_t bytes;
    int elements;
    const char* reg;
  };
  for (const Form& f :
       {Form{"u8", 1, 2, "b16"}, Form{"u8", 1, 4, "b16"}, Form{"s8", 1, 4, "b32"}, Form{"u16", 2, 2, "b16"}, Form{"b16", 2, 4, "b16"},
        Form{"u32", 4, 2, "b32"}, Form{"f32", 4, 2, "f32"}, Form{"f32", 4, 4, "f32"}, Form{"s32", 4, 4, "b32"}, Form{"b64", 8, 2, "b64"},
        Form{"f64", 8, 2, "f64"}, Form{"b32", 4, 8, "b32"}, Form{"b64", 8, 4, "b64"}}) {
    const Pattern from, to;
    std::string vector = "{", declared = ".reg ." + std::string(f.reg) + " %v<8>;";
    for (int e = 0; e < f.elements; ++e) vector += (e != 0 ? ", %v" : "%v") + std::to_string(e);
    vector += "}";
    const std::string suffix = ".v" + std::to_string(f.elements) + "." + f.type, all = ".global" + suffix;
    const std::uint64_t bytes = f.bytes * static_cast<std::uint64_t>(f.elements);
    run_lines("ld" + all + " " + vector + ", [%a0];\nst" + all + " [%a1], " + vector + ";", {}, {from.pointers(bytes), to.pointers(bytes)},
              declared);
    INFO(all);
    // Signed bytes in wide registers come back as the same bytes.
    CHECK(std::memcmp(from.bytes(), to.bytes(), 32 * bytes) == 0);
  }
  const Pattern memory;
  const auto d = run_lines("ld.global.v4.u32 {%d0, _, _, %d1}, [%a0];", {"b32", "b32"}, {memory.pointers(16)});
  expect_lanes(
      d[0], [&](std::size_t l) { return memory.value(16 * l, 4); }, "first of four");
  expect_lanes(
      d[1], [&](std::size_t l) { return memory.value(16 * l + 12, 4); }, "last of four");
}

TEST_CASE("ld and st: 128 bits") {
  const Pattern from, to;
  run_lines("ld.global.b128 %q, [%a0];\nst.global.b128 [%a1], %q;", {}, {from.pointers(16), to.pointers(16)}, ".reg .b128 %q;");
  CHECK(std::memcmp(from.bytes(), to.bytes(), 512) == 0);
}

TEST_CASE("ld and st: every space, by its own and by generic addresses") {
  const Input value{"b32", lanes([](std::size_t l) { return l * l + 5; })};
  const auto square = [](std::size_t l) { return l * l + 5; };
  const std::string own = "shl.b32 %o, %lane, 2;\nmov.u32 %s, memory;\nadd.u32 %s, %s, %o;\n";
  const std::string regs = ".reg .b32 %o, %s; .reg .b64 %g; ";
  auto d = run_lines(own + "st.shared.u32 [%s], %a0;\nld.shared.u32 %d0, [%s];\nld.shared::cta.u32 %d1, [%s+0];", {"b32", "b32"}, {value},
                     regs + ".shared .align 16 .b8 memory[128];");
  expect_lanes(d[0], square, "shared");
  expect_lanes(d[1], square, "shared::cta");
  d = run_lines(own + "cvt.u64.u32 %g, %s;\ncvta.shared.u64 %g, %g;\nst.u32 [%g], %a0;\nld.shared.u32 %d0, [%s];\nld.u32 %d1, [%g];",
                {"b32", "b32"}, {value}, regs + ".shared .align 16 .b8 memory[128];");
  expect_lanes(d[0], square, "generic to shared");
  expect_lanes(d[1], square, "generic from shared");
  d = run_lines(
      "st.local.u32 [memory+4], %a0;\nld.local.u32 %d0, [memory+4];\nmov.u64 %g, memory;\nld.local.u32 %d1, [%g+4];\ncvta.local.u64 %g, "
      "%g;\nld.u32 %d2, [%g+4];",
      {"b32", "b32", "b32"}, {value}, regs + ".local .align 8 .b8 memory[16];");
  for (int i = 0; i < 3; ++i) expect_lanes(d[static_cast<std::size_t>(i)], square, "local");
}

TEST_CASE("ld: constants, global variables, parameters") {
  const std::string text = R"(.version 9.0
.target sm_90
.address_size 64
.const .align 4 .u32 table[4] = {11, 22, 33, 44};
.global .align 4 .u32 counts[4] = {5, 6, 7, 8};
.visible .entry test(.param .u64 out, .param .align 8 .b8 given[16]) {
  .reg .b32 %r<8>; .reg .b64 %rd<8>;
  ld.param.u64 %rd0, [out];
  ld.const.u32 %r0, [table+8];
  mov.u64 %rd1, table;
  ld.const.u32 %r1, [%rd1+4];
  ld.global.u32 %r2, [counts+12];
  mov.u64 %rd2, counts;
  cvta.global.u64 %rd2, %rd2;
  ld.u32 %r3, [%rd2];
  ld.param.v2.u32 {%r4, %r5}, [given+8];
  mov.b64 %rd3, given;
  ld.param.u32 %r6, [%rd3+4];
  st.global.v4.u32 [%rd0], {%r0, %r1, %r2, %r3};
  st.global.v2.u32 [%rd0+16], {%r4, %r5};
  st.global.u32 [%rd0+24], %r6;
  ret;
})";
  const DeviceBuffer out(64);
  emulator::LaunchConfig config;
  run_text(text, "test", config, {out.address(), 0x0000000200000001u, 0x0000000400000003u});
  const std::uint32_t wanted[7] = {33, 22, 8, 5, 3, 4, 2};
  CHECK(std::memcmp(out.bytes(), wanted, sizeof wanted) == 0);
}

namespace {

using Word = std::uint64_t;
struct AtomicForm {
  const char* op;
  const char* type;
  const char* reg;
  std::uint64_t bytes;
  Word start;
  std::function<Word(std::size_t)> operand;
  std::function<Word(Word, Word)> apply;
};

float as_float(Word w) { return std::bit_cast<float>(static_cast<std::uint32_t>(w)); }
double as_double(Word w) { return std::bit_cast<double>(w); }
std::int32_t s32(Word w) { return static_cast<std::int32_t>(w); }
std::int64_t s64(Word w) { return static_cast<std::int64_t>(w); }
Word u32(std::int64_t v) { return static_cast<std::uint32_t>(v); }
Word half_add(Word a, Word b) {
  return emulator::half_of_float(emulator::float_of_half(static_cast<std::uint16_t>(a)) +
                                 emulator::float_of_half(static_cast<std::uint16_t>(b)));
}
Word bfloat_add(Word a, Word b) {
  return emulator::bfloat_of_float(emulator::float_of_bfloat(static_cast<std::uint16_t>(a)) +
                                   emulator::float_of_bfloat(static_cast<std::uint16_t>(b)));
}

const std::vector<AtomicForm>& atomic_forms() {
  const auto mixed = [](std::size_t l) -> Word { return (l * 2654435761u) ^ 0x80000000u; };
  const auto wide = [](std::size_t l) -> Word { return (l + 1) * 0x9E3779B97F4A7C15u; };
  const auto narrow = [=](std::size_t l) { return mixed(l) & 0xFFFFFFFFu; };
  const auto small = [](std::size_t l) -> Word { return l % 7; };
  static const std::vector<AtomicForm> forms = {
      {"add", "u32", "b32", 4, 0xFFFFFFF0u, narrow, [](Word a, Word b) { return u32(s64(a + b)); }},
      {"add", "s32", "b32", 4, 5, narrow, [](Word a, Word b) { return u32(s64(a + b)); }},
      {"add", "u64", "b64", 8, 1, wide, [](Word a, Word b) { return a + b; }},
      {"add", "f32", "f32", 4, bits_of(0.5f), [](std::size_t l) { return bits_of(0.1f * static_cast<float>(l)); },
       [](Word a, Word b) { return bits_of(as_float(a) + as_float(b)); }},
      {"add", "f64", "f64", 8, bits_of(0.5), [](std::size_t l) { return bits_of(0.1 * static_cast<double>(l)); },
       [](Word a, Word b) { return bits_of(as_double(a) + as_double(b)); }},
      {"add.noftz", "f16", "b16", 2, 0x3C00, [](std::size_t l) -> Word { return 0x2E66 + l; }, half_add},
      {"add.noftz", "bf16", "b16", 2, 0x3F80, [](std::size_t l) -> Word { return 0x3DCD + l; }, bfloat_add},
      {"add.noftz", "f16x2", "b32", 4, 0x3C004000, [](std::size_t l) -> Word { return 0x2E663266 + l; },
       [](Word a, Word b) { return half_add(a & 0xFFFF, b & 0xFFFF) | half_add(a >> 16, b >> 16) << 16; }},
      {"add.noftz", "bf16x2", "b32", 4, 0x3F804000, [](std::size_t l) -> Word { return 0x3DCD3F00 + l; },
       [](Word a, Word b) { return bfloat_add(a & 0xFFFF, b & 0xFFFF) | bfloat_add(a >> 16, b >> 16) << 16; }},
      {"min", "u32", "b32", 4, 0xFFFFFFFFu, narrow, [](Word a, Word b) { return std::min(a, b); }},
      {"max", "u32", "b32", 4, 0, narrow, [](Word a, Word b) { return std::max(a, b); }},
      {"min", "s32", "b32", 4, 7, narrow, [](Word a, Word b) { return s32(a) < s32(b) ? a : b; }},
      {"max", "s32", "b32", 4, 0x80000000u, narrow, [](Word a, Word b) { return s32(a) > s32(b) ? a : b; }},
      {"min", "u64", "b64", 8, ~Word{0}, wide, [](Word a, Word b) { return std::min(a, b); }},
      {"max", "u64", "b64", 8, 0, wide, [](Word a, Word b) { return std::max(a, b); }},
      {"min", "s64", "b64", 8, 7, wide, [](Word a, Word b) { return s64(a) < s64(b) ? a : b; }},
      {"max", "s64", "b64", 8, Word{1} << 63, wide, [](Word a, Word b) { return s64(a) > s64(b) ? a : b; }},
      {"exch", "b32", "b32", 4, 9, narrow, [](Word, Word b) { return b; }},
      {"exch", "b64", "b64", 8, 9, wide, [](Word, Word b) { return b; }},
      {"and", "b32", "b32", 4, 0xFFFFFFFFu, narrow, [](Word a, Word b) { return a & b; }},
      {"or", "b32", "b32", 4, 0, narrow, [](Word a, Word b) { return a | b; }},
      {"xor", "b32", "b32", 4, 1, narrow, [](Word a, Word b) { return a ^ b; }},
      {"and", "b64", "b64", 8, ~Word{0}, wide, [](Word a, Word b) { return a & b; }},
      {"or", "b64", "b64", 8, 0, wide, [](Word a, Word b) { return a | b; }},
      {"xor", "b64", "b64", 8, 1, wide, [](Word a, Word b) { return a ^ b; }},
      {"inc", "u32", "b32", 4, 3, small, [](Word a, Word b) { return a >= b ? 0 : a + 1; }},
      {"dec", "u32", "b32", 4, 3, small, [](Word a, Word b) { return a == 0 || a > b ? b : a - 1; }}};
  return forms;
}

void check_atomic(const AtomicForm& form, const std::string& prefix, bool returns) {
  const Pattern memory;
  const std::string name = (returns ? "atom" : "red") + prefix + "." + form.op + "." + form.type;
  std::memcpy(memory.bytes(), &form.start, form.bytes);
  const Input operand{form.reg, lanes(form.operand)};
  const auto d = returns ? run_lines(name + " %d0, [%a0], %a1;", {form.reg}, {memory.pointers(0), operand})
                         : run_lines(name + " [%a0], %a1;", {}, {memory.pointers(0), operand});
  Word value = form.start;
  INFO(name);
  for (std::size_t l = 0; l < 32; ++l) {
    if (returns) CHECK(d[0][l] == value);
    const Word mask = form.bytes == 8 ? ~Word{0} : (Word{1} << (8 * form.bytes)) - 1;
    value = form.apply(value, operand.values[l] & mask) & mask;
  }
  CHECK(memory.value(0, form.bytes) == value);
}

}  // namespace

TEST_CASE("atom and red: every operation and type") {
  for (const AtomicForm& form : atomic_forms()) {
    check_atomic(form, ".global", true);
    if (std::string(form.op) != "exch") check_atomic(form, ".global", false);
    check_atomic(form, "", true);
    for (const char* order : {".relaxed.gpu.global", ".acquire.gpu.global", ".release.sys.global", ".acq_rel.cta.global"})
      check_atomic(form, order, true);
  }
}

TEST_CASE("atom.cas: b16, b32, b64, b128; atom.exch.b128") {
  for (const char* type : {"b16", "b32", "b64"}) {
    const std::uint64_t bytes = width_of(type);
    const Pattern memory;
    std::memset(memory.bytes(), 0, 8);
    // Lane l turns l into l + 1: all succeed one after another.
    const Input expected{type, lanes([](std::size_t l) { return l; })}, fresh{type, lanes([](std::size_t l) { return l + 1; })};
    const auto d =
        run_lines(std::string("atom.global.cas.") + type + " %d0, [%a0], %a1, %a2;", {type}, {memory.pointers(0), expected, fresh});
    expect_lanes(
        d[0], [](std::size_t l) { return l; }, type);
    CHECK(memory.value(0, bytes) == 32);
  }
  const Pattern a, b;
  run_lines(
      "ld.global.b128 %q, [%a1];\nsetp.eq.u32 %one, %lane, 3;\n@%one atom.global.exch.b128 %o, [%a0], %q;\n@%one st.global.b128 [%a1], %o;",
      {}, {a.pointers(0), b.pointers(16)}, ".reg .b128 %q, %o; .reg .pred %one;");
  CHECK(a.value(0, 8) == Pattern().value(48, 8));
  CHECK(b.value(48, 8) == Pattern().value(0, 8));
}

TEST_CASE("atom: vectors of sm_90, shared memory, seeds") {
  const Pattern memory;
  const float start[2] = {1, 2};
  std::memcpy(memory.bytes(), start, sizeof start);
  const Input x{"f32", lanes([](std::size_t l) { return bits_of(static_cast<float>(l)); })};
  run_lines("atom.global.v2.f32.add {%x, %y}, [%a0], {%a1, %a1};\nred.global.v2.f32.add [%a0], {%a1, %a1};", {}, {memory.pointers(0), x},
            ".reg .f32 %x, %y;");
  float end[2];
  std::memcpy(end, memory.bytes(), sizeof end);
  CHECK(end[0] == 1 + 2 * 496);
  CHECK(end[1] == 2 + 2 * 496);
  for (const std::uint64_t seed : {0u, 3u, 11u}) {
    emulator::options().seed = seed;
    const auto d = run_lines(
        "st.shared.u32 [word], 0;\nbar.warp.sync 0xffffffff;\natom.shared.add.u32 %d0, [word], 1;\nbar.warp.sync "
        "0xffffffff;\nld.shared.u32 %d1, [word];",
        {"b32", "b32"}, {}, ".shared .align 4 .u32 word;");
    Word seen = 0;
    for (const Word w : d[0]) seen |= Word{1} << w;
    CHECK(seen == 0xFFFFFFFFu);
    CHECK((d[0] == lanes([](std::size_t l) { return l; })) == (seed == 0));
    expect_lanes(
        d[1], [](std::size_t) { return 32; }, "sum in shared");
  }
  emulator::options().seed = 0;
}

TEST_CASE("cp.async: sizes, groups, zero fill") {
  const Pattern memory;
  const std::string at = "shl.b32 %s, %lane, 4;\nmov.u32 %o, memory;\nadd.u32 %s, %s, %o;\n";
  const std::string declared = ".reg .b32 %s, %o, %n; .reg .pred %skip; .shared .align 16 .b8 memory[512];";
  for (const char* form : {"cp.async.ca.shared.global [%s], [%a0], 4;", "cp.async.ca.shared.global [%s], [%a0], 8;",
                           "cp.async.cg.shared.global [%s], [%a0], 16;", "cp.async.cg.shared.global.L2::128B [%s], [%a0], 16;",
                           "cp.async.ca.shared::cta.global [%s], [%a0], 16;"}) {
    for (const char* wait : {"cp.async.commit_group;\ncp.async.wait_group 0;", "cp.async.wait_all;"}) {
      const auto d = run_lines(at + form + "\n" + wait + "\nld.shared.u32 %d0, [%s];", {"b32"}, {memory.pointers(16)}, declared);
      expect_lanes(
          d[0], [&](std::size_t l) { return memory.value(16 * l, 4); }, form);
    }
  }
  auto d = run_lines(at + "mov.u32 %n, 4;\ncp.async.ca.shared.global [%s], [%a0], 8, %n;\ncp.async.wait_all;\nld.shared.u64 %d0, [%s];",
                     {"b64"}, {memory.pointers(16)}, declared);
  expect_lanes(
      d[0], [&](std::size_t l) { return memory.value(16 * l, 4); }, "source of four bytes");
  d = run_lines(at + "mov.u32 %n, 0;\ncp.async.cg.shared.global [%s], [%a0], 16, %n;\ncp.async.wait_all;\nld.shared.u64 %d0, [%s+8];",
                {"b64"}, {memory.pointers(16)}, declared);
  expect_lanes(
      d[0], [](std::size_t) { return 0; }, "source of no bytes");
  // Two groups: waiting for all but the newest brings the first only.
  d = run_lines(
      at + "st.shared.u32 [%s+4], 1234;\ncp.async.ca.shared.global [%s], [%a0], 4;\ncp.async.commit_group;\ncp.async.ca.shared.global "
           "[%s+4], [%a0+4], 4;\n"
           "cp.async.commit_group;\ncp.async.wait_group 1;\nld.shared.u32 %d0, [%s];\ncp.async.wait_group 0;\nld.shared.u32 %d1, [%s+4];",
      {"b32", "b32"}, {memory.pointers(16)}, declared);
  expect_lanes(
      d[0], [&](std::size_t l) { return memory.value(16 * l, 4); }, "first group");
  expect_lanes(
      d[1], [&](std::size_t l) { return memory.value(16 * l + 4, 4); }, "second group");
}

TEST_CASE("cp.async: through an mbarrier") {
  const Pattern memory;
  for (const char* arrive : {"cp.async.mbarrier.arrive.noinc.shared.b64 [bar];",
                             "cp.async.mbarrier.arrive.shared.b64 [bar];\nmbarrier.arrive.shared.b64 %t, [bar];"}) {
    const auto d = run_lines(
        std::string("setp.eq.u32 %first, %lane, 0;\n@%first mbarrier.init.shared.b64 [bar], 32;\nbar.sync 0;\nshl.b32 %s, %lane, 2;\n"
                    "mov.u32 %o, memory;\nadd.u32 %s, %s, %o;\ncp.async.ca.shared.global [%s], [%a0], 4;\n") +
            arrive +
            "\nL: mbarrier.test_wait.parity.shared.b64 %done, [bar], 0;\n@!%done bra L;\nxor.b32 %o, %lane, 1;\nshl.b32 %o, %o, 2;\n"
            "mov.u32 %s, memory;\nadd.u32 %s, %s, %o;\nld.shared.u32 %d0, [%s];",
        {"b32"}, {memory.pointers(4)},
        ".reg .b32 %s, %o; .reg .b64 %t; .reg .pred %first, %done; .shared .align 8 .b64 bar; .shared .align 16 .b8 memory[128];");
    expect_lanes(
        d[0], [&](std::size_t l) { return memory.value(4 * (l ^ 1), 4); }, arrive);
  }
}

TEST_CASE("memory: what is outside is an error at load") {
  for (const char* line : {"cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%a0], [%a0], 16, [%a0];",
                           "ld.global.v3.u32 {%d0, %d0, %d0}, [%a0];", "ld.texture.u32 %d0, [%a0];", "atom.global.mul.u32 %d0, [%a0], 1;",
                           "atom.global.add.b32 %d0, [%a0], 1;", "ld.global.f64 %d0, [%a0];"}) {
    INFO(line);
    CHECK_THROWS_AS(emulator::load(kernel_of(line, {"b32"}, {{"b64", Lanes{}}}, "")), const std::runtime_error&);
  }
}
