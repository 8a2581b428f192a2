// mma, wmma, ldmatrix, stmatrix, movmatrix, against plain loops. Layouts of mma are written out here as the PTX manual words them. Values
// are small whole numbers, so that sums are exact in any order.
#include <functional>
#include <random>
#include <string>

#include <doctest/doctest.h>

#include "half_reference.h"
#include "ptx_kernel.h"

namespace {

using namespace emulator_test;

using Place = std::function<int(int group, int in_group, int i)>;

/// How elements are stored in registers.
struct Element {
  const char* type;
  const char* register_type;
  int bits, register_bits;
  int low, high;  // range of test values
  std::uint64_t (*encode)(int);
};
std::uint64_t encode_f16(int v) { return rounded(kF16, Exact{false, false, v < 0, std::abs(v), 0}); }
std::uint64_t encode_bf16(int v) { return rounded(kBF16, Exact{false, false, v < 0, std::abs(v), 0}); }
std::uint64_t encode_f32(int v) { return bits_of(static_cast<float>(v)); }
std::uint64_t encode_tf32(int v) { return bits_of(static_cast<float>(v)) | 0x1FFF; }  // the low bits are ignored
std::uint64_t encode_f64(int v) { return bits_of(static_cast<double>(v)); }
std::uint64_t encode_integer(int v) { return static_cast<std::uint64_t>(static_cast<std::int64_t>(v)); }

const Element kHalf{"f16", "b32", 16, 32, -4, 4, encode_f16}, kBfloat{"bf16", "b32", 16, 32, -4, 4, encode_bf16},
    kTf32{"tf32", "b32", 32, 32, -4, 4, encode_tf32}, kFloat{"f32", "f32", 32, 32, -9, 9, encode_f32},
    kDouble{"f64", "f64", 64, 64, -9, 9, encode_f64}, kS8{"s8", "b32", 8, 32, -128, 127, encode_integer},
    kU8{"u8", "b32", 8, 32, 0, 255, encode_integer}, kS4{"s4", "b32", 4, 32, -8, 7, encode_integer},
    kU4{"u4", "b32", 4, 32, 0, 15, encode_integer}, kB1{"b1", "b32", 1, 32, 0, 1, encode_integer},
    kS32{"s32", "b32", 32, 32, -1000, 1000, encode_integer};

using Dense = std::vector<int>;
Dense random_matrix(std::mt19937& random, int count, const Element& e) {
  Dense m(static_cast<std::size_t>(count));
  for (int& v : m) v = e.low + static_cast<int>(random() % static_cast<unsigned>(e.high - e.low + 1));
  return m;
}

struct Layout {
  int elements;  // per lane
  Place row, column;
};

std::uint64_t mask_of(int bits) { return bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1; }

/// The matrix in registers: one Input per register.
std::vector<Input> spread(const Dense& m, int columns, const Layout& layout, const Element& e) {
  const int per = e.register_bits / e.bits;
  std::vector<Input> registers;
  for (int r = 0; r < layout.elements / per; ++r) {
    registers.push_back({e.register_type, lanes([&](std::size_t l) {
                           std::uint64_t word = 0;
                           for (int part = 0; part < per; ++part) {
                             const int i = r * per + part, g = static_cast<int>(l) / 4, t = static_cast<int>(l) % 4;
                             const int at = layout.row(g, t, i) * columns + layout.column(g, t, i);
                             word |= (e.encode(m[static_cast<std::size_t>(at)]) & mask_of(e.bits)) << (e.bits * part);
                           }
                           return word;
                         })});
  }
  return registers;
}

std::string list(const char* prefix, std::size_t first, std::size_t count) {
  std::string s = "{";
  for (std::size_t i = 0; i < count; ++i) s += (i == 0 ? "" : ", ") + std::string(prefix) + std::to_string(first + i);
  return s + "}";
}

struct Form {
  std::string opcode;
  int m, n, k;
  Element a, b, c, d;
  Layout a_layout, b_layout;
};

Layout accumulators(int m) {
  if (m == 8) return {2, [](int g, int, int) { return g; }, [](int, int t, int i) { return t * 2 + i; }};
  return {4, [](int g, int, int i) { return i < 2 ? g : g + 8; }, [](int, int t, int i) { return t * 2 + (i & 1); }};
}

int expected(const Form& f, const Dense& a, const Dense& b, const Dense& c, int row, int column) {
  int sum = c[static_cast<std::size_t>(row * f.n + column)];
  for (int p = 0; p < f.k; ++p) {
    const int x = a[static_cast<std::size_t>(row * f.k + p)], y = b[static_cast<std::size_t>(p * f.n + column)];
    if (f.a.bits == 1) sum += f.opcode.find("and") != std::string::npos ? x & y : x ^ y;
    else sum += x * y;
  }
  return sum;
}

void check(const Form& f) {
  std::mt19937 random(7);
  const Dense a = random_matrix(random, f.m * f.k, f.a), b = random_matrix(random, f.k * f.n, f.b),
              c = random_matrix(random, f.m * f.n, f.c);
  const Layout sum_layout = accumulators(f.m);
  std::vector<Input> inputs = spread(a, f.k, f.a_layout, f.a);
  const std::size_t a_count = inputs.size();
  for (const Input& i : spread(b, f.n, f.b_layout, f.b)) inputs.push_back(i);
  const std::size_t b_count = inputs.size() - a_count;
  for (const Input& i : spread(c, f.n, sum_layout, f.c)) inputs.push_back(i);
  const std::size_t c_count = inputs.size() - a_count - b_count;
  const std::vector<Input> want = [&] {
    Dense d(static_cast<std::size_t>(f.m * f.n));
    for (int i = 0; i < f.m * f.n; ++i) d[static_cast<std::size_t>(i)] = expected(f, a, b, c, i / f.n, i % f.n);
    return spread(d, f.n, sum_layout, f.d);
  }();
  const std::vector<std::string> results(want.size(), f.d.register_type);
  const std::string line = f.opcode + " " + list("%d", 0, want.size()) + ", " + list("%a", 0, a_count) + ", " +
                           list("%a", a_count, b_count) + ", " + list("%a", a_count + b_count, c_count) + ";";
  CAPTURE(line);
  const std::vector<Lanes> got = run_lines(line, results, inputs);
  for (std::size_t r = 0; r < want.size(); ++r) CHECK(got[r] == want[r].values);
}

// Layouts in the manual's words. g: groupID, t: threadID_in_group.
const Layout kA16x8Half{4, [](int g, int, int i) { return i < 2 ? g : g + 8; }, [](int, int t, int i) { return t * 2 + (i & 1); }};
const Layout kB8Half{2, [](int, int t, int i) { return t * 2 + i; }, [](int g, int, int) { return g; }};
const Layout kA16x16Half{8, [](int g, int, int i) { return i < 2 || (i >= 4 && i < 6) ? g : g + 8; },
                         [](int, int t, int i) { return t * 2 + (i & 1) + (i < 4 ? 0 : 8); }};
const Layout kB16Half{4, [](int, int t, int i) { return t * 2 + (i & 1) + (i < 2 ? 0 : 8); }, [](int g, int, int) { return g; }};
const Layout kA16x4Word{2, [](int g, int, int i) { return i == 0 ? g : g + 8; }, [](int, int t, int) { return t; }};
const Layout kA16x8Word{4, [](int g, int, int i) { return i == 0 || i == 2 ? g : g + 8; },
                        [](int, int t, int i) { return i < 2 ? t : t + 4; }};
const Layout kA16x16Word{8, [](int g, int, int i) { return i % 2 == 0 ? g : g + 8; },
                         [](int, int t, int i) { return i % 2 == 0 ? i * 2 + t : i * 2 - 2 + t; }};
const Layout kA8x4Word{1, [](int g, int, int) { return g; }, [](int, int t, int) { return t; }};
const Layout kB4Word{1, [](int, int t, int) { return t; }, [](int g, int, int) { return g; }};
const Layout kB8Word{2, [](int, int t, int i) { return i == 0 ? t : t + 4; }, [](int g, int, int) { return g; }};
const Layout kB16Word{4, [](int, int t, int i) { return t + i * 4; }, [](int g, int, int) { return g; }};
const Layout kA8x16Byte{4, [](int g, int, int) { return g; }, [](int, int t, int i) { return t * 4 + i; }};
const Layout kB16Byte{4, [](int, int t, int i) { return t * 4 + i; }, [](int g, int, int) { return g; }};
const Layout kA16x16Byte{8, [](int g, int, int i) { return i < 4 ? g : g + 8; }, [](int, int t, int i) { return t * 4 + (i & 3); }};
const Layout kA16x32Byte{16, [](int g, int, int i) { return i < 4 || (i >= 8 && i < 12) ? g : g + 8; },
                         [](int, int t, int i) { return t * 4 + (i & 3) + (i < 8 ? 0 : 16); }};
const Layout kB32Byte{8, [](int, int t, int i) { return t * 4 + (i & 3) + (i < 4 ? 0 : 16); }, [](int g, int, int) { return g; }};
const Layout kA8x32Nibble{8, [](int g, int, int) { return g; }, [](int, int t, int i) { return t * 8 + i; }};
const Layout kB32Nibble{8, [](int, int t, int i) { return t * 8 + i; }, [](int g, int, int) { return g; }};
const Layout kA16x32Nibble{16, [](int g, int, int i) { return i < 8 ? g : g + 8; }, [](int, int t, int i) { return t * 8 + (i & 7); }};
const Layout kA16x64Nibble{32, [](int g, int, int i) { return i < 8 || (i >= 16 && i < 24) ? g : g + 8; },
                           [](int, int t, int i) { return t * 8 + (i & 7) + (i < 16 ? 0 : 32); }};
const Layout kB64Nibble{16, [](int, int t, int i) { return t * 8 + (i & 7) + (i < 8 ? 0 : 32); }, [](int g, int, int) { return g; }};
const Layout kA8x128Bit{32, [](int g, int, int) { return g; }, [](int, int t, int i) { return t * 32 + i; }};
const Layout kB128Bit{32, [](int, int t, int i) { return t * 32 + i; }, [](int g, int, int) { return g; }};
const Layout kA16x128Bit{64, [](int g, int, int i) { return i < 32 ? g : g + 8; }, [](int, int t, int i) { return t * 32 + (i & 31); }};
const Layout kA16x256Bit{128, [](int g, int, int i) { return i < 32 || (i >= 64 && i < 96) ? g : g + 8; },
                         [](int, int t, int i) { return t * 32 + (i & 31) + (i < 64 ? 0 : 128); }};
const Layout kB256Bit{64, [](int, int t, int i) { return t * 32 + (i & 31) + (i < 32 ? 0 : 128); }, [](int g, int, int) { return g; }};

TEST_CASE("mma: floating types") {
  const std::string mma = "mma.sync.aligned.";
  for (const Element& sum : {kFloat, kHalf}) {
    const std::string s = sum.type;
    check({mma + "m16n8k8.row.col." + s + ".f16.f16." + s, 16, 8, 8, kHalf, kHalf, sum, sum, kA16x8Half, kB8Half});
    check({mma + "m16n8k16.row.col." + s + ".f16.f16." + s, 16, 8, 16, kHalf, kHalf, sum, sum, kA16x16Half, kB16Half});
  }
  check({mma + "m16n8k8.row.col.f32.bf16.bf16.f32", 16, 8, 8, kBfloat, kBfloat, kFloat, kFloat, kA16x8Half, kB8Half});
  check({mma + "m16n8k16.row.col.f32.bf16.bf16.f32", 16, 8, 16, kBfloat, kBfloat, kFloat, kFloat, kA16x16Half, kB16Half});
  check({mma + "m16n8k4.row.col.f32.tf32.tf32.f32", 16, 8, 4, kTf32, kTf32, kFloat, kFloat, kA16x4Word, kB4Word});
  check({mma + "m16n8k8.row.col.f32.tf32.tf32.f32", 16, 8, 8, kTf32, kTf32, kFloat, kFloat, kA16x8Word, kB8Word});
  check({mma + "m8n8k4.row.col.f64.f64.f64.f64", 8, 8, 4, kDouble, kDouble, kDouble, kDouble, kA8x4Word, kB4Word});
  check({mma + "m16n8k4.row.col.f64.f64.f64.f64", 16, 8, 4, kDouble, kDouble, kDouble, kDouble, kA16x4Word, kB4Word});
  check({mma + "m16n8k8.row.col.f64.f64.f64.f64", 16, 8, 8, kDouble, kDouble, kDouble, kDouble, kA16x8Word, kB8Word});
  check({mma + "m16n8k16.row.col.f64.f64.f64.f64", 16, 8, 16, kDouble, kDouble, kDouble, kDouble, kA16x16Word, kB16Word});
}

TEST_CASE("mma: integers and bits") {
  const std::string mma = "mma.sync.aligned.";
  for (const Element& a : {kS8, kU8}) {
    for (const Element& b : {kS8, kU8}) {
      const std::string types = ".row.col.s32." + std::string(a.type) + "." + b.type + ".s32";
      check({mma + "m8n8k16" + types, 8, 8, 16, a, b, kS32, kS32, kA8x16Byte, kB16Byte});
      check({mma + "m16n8k16" + types, 16, 8, 16, a, b, kS32, kS32, kA16x16Byte, kB16Byte});
      check({mma + "m16n8k32" + types, 16, 8, 32, a, b, kS32, kS32, kA16x32Byte, kB32Byte});
    }
  }
  for (const Element& a : {kS4, kU4}) {
    const std::string types = ".row.col.s32." + std::string(a.type) + ".s4.s32";
    check({mma + "m8n8k32" + types, 8, 8, 32, a, kS4, kS32, kS32, kA8x32Nibble, kB32Nibble});
    check({mma + "m16n8k32" + types, 16, 8, 32, a, kS4, kS32, kS32, kA16x32Nibble, kB32Nibble});
    check({mma + "m16n8k64" + types, 16, 8, 64, a, kS4, kS32, kS32, kA16x64Nibble, kB64Nibble});
  }
  for (const std::string op : {".xor.popc", ".and.popc"}) {
    const std::string types = ".row.col.s32.b1.b1.s32" + op;
    check({mma + "m8n8k128" + types, 8, 8, 128, kB1, kB1, kS32, kS32, kA8x128Bit, kB128Bit});
    check({mma + "m16n8k128" + types, 16, 8, 128, kB1, kB1, kS32, kS32, kA16x128Bit, kB128Bit});
    check({mma + "m16n8k256" + types, 16, 8, 256, kB1, kB1, kS32, kS32, kA16x256Bit, kB256Bit});
  }
}

TEST_CASE("mma: satfinite clamps, without it sums wrap") {
  const Lanes big = lanes([](std::size_t) { return 0x7F7F7F7Fu; }), sum = lanes([](std::size_t) { return 0x7FFFFFFFu; });
  for (const bool saturate : {false, true}) {
    const std::string line = std::string("mma.sync.aligned.m8n8k16.row.col.") + (saturate ? "satfinite." : "") +
                             "s32.s8.s8.s32 {%d0,%d1}, {%a0}, {%a0}, {%a1,%a1};";
    const Lanes got = run_lines(line, {"b32", "b32"}, {{"b32", big}, {"b32", sum}})[0];
    CHECK(got[5] == (saturate ? 0x7FFFFFFFu : 0x7FFFFFFFu + 16u * 127u * 127u));
  }
}

// wmma: through memory, because the layout in registers is nobody's business.

struct WmmaForm {
  std::string shape;
  int m, n, k;
  Element a, b, c;
  std::size_t a_registers, b_registers, c_registers;
  bool names_inputs;  // the opcode names all four types
};

void put(std::byte* at, const Dense& m, int rows, int columns, bool row_major, int stride, const Element& e) {
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < columns; ++c) {
      const std::size_t bit = static_cast<std::size_t>(row_major ? r * stride + c : c * stride + r) * static_cast<std::size_t>(e.bits);
      const std::uint64_t v = e.encode(m[static_cast<std::size_t>(r * columns + c)]) & mask_of(e.bits);
      if (e.bits >= 8) std::memcpy(at + bit / 8, &v, static_cast<std::size_t>(e.bits) / 8);
      else at[bit / 8] |= static_cast<std::byte>(v << bit % 8);
    }
  }
}

void check_wmma(const WmmaForm& f, bool a_row, bool b_row, bool c_row) {
  std::mt19937 random(11);
  const Element& e = f.a;
  const Dense a = random_matrix(random, f.m * f.k, f.a), b = random_matrix(random, f.k * f.n, f.b),
              c = random_matrix(random, f.m * f.n, f.c);
  const int pad = e.bits < 8 ? 128 / e.bits : 16;  // strides beyond the width
  const int lda = (a_row ? f.k : f.m) + pad, ldb = (b_row ? f.n : f.k) + pad, ldc = (c_row ? f.n : f.m) + 8;
  const DeviceBuffer da(32768), db(32768), dc(32768), dd(32768);
  for (const DeviceBuffer* p : {&da, &db, &dc, &dd}) std::memset(p->bytes(), 0, 32768), p->define();
  put(da.bytes(), a, f.m, f.k, a_row, lda, f.a);
  put(db.bytes(), b, f.k, f.n, b_row, ldb, f.b);
  put(dc.bytes(), c, f.m, f.n, c_row, ldc, f.c);
  const auto layout = [](bool row) { return std::string(row ? ".row" : ".col"); };
  const auto declare = [](const char* name, std::size_t count, const Element& x) {
    return ".reg ." + std::string(x.register_type) + " " + name + "<" + std::to_string(count) + ">;\n";
  };
  const std::string s = "sync.aligned", t = f.c.type;
  const std::string types = f.names_inputs ? "." + t + "." + f.a.type + "." + f.b.type + "." + t : "." + t + "." + t;
  const std::string op = f.a.bits == 1 ? ".xor.popc" : "";
  const std::string text =
      ".version 9.0\n.target sm_90\n.address_size 64\n.visible .entry test(.param .u64 p0, .param .u64 p1, .param .u64 p2, .param .u64 p3) "
      "{\n"
      ".reg .b64 %p<4>;\n" +
      declare("%x", f.a_registers, f.a) + declare("%y", f.b_registers, f.b) + declare("%z", f.c_registers, f.c) +
      "ld.param.u64 %p0, [p0];\nld.param.u64 %p1, [p1];\nld.param.u64 %p2, [p2];\nld.param.u64 %p3, [p3];\n" + "wmma.load.a." + s +
      layout(a_row) + "." + f.shape + ".global." + f.a.type + " " + list("%x", 0, f.a_registers) + ", [%p0], " + std::to_string(lda) +
      ";\n" + "wmma.load.b." + s + layout(b_row) + "." + f.shape + "." + f.b.type + " " + list("%y", 0, f.b_registers) + ", [%p1], " +
      std::to_string(ldb) + ";\n" + "wmma.load.c." + s + layout(c_row) + "." + f.shape + ".global." + t + " " +
      list("%z", 0, f.c_registers) + ", [%p2], " + std::to_string(ldc) + ";\n" + "wmma.mma" + op + "." + s + layout(a_row) + layout(b_row) +
      "." + f.shape + types + " " + list("%z", 0, f.c_registers) + ", " + list("%x", 0, f.a_registers) + ", " +
      list("%y", 0, f.b_registers) + ", " + list("%z", 0, f.c_registers) + ";\n" + "wmma.store.d." + s + layout(c_row) + "." + f.shape +
      ".global." + t + " [%p3], " + list("%z", 0, f.c_registers) + ", " + std::to_string(ldc) + ";\nret;\n}\n";
  CAPTURE(text);
  gradus::emulator::LaunchConfig config;
  config.block[0] = 32;
  run_text(text, "test", config, {da.address(), db.address(), dc.address(), dd.address()});
  Dense d(static_cast<std::size_t>(f.m * f.n));
  const Form plain{op, f.m, f.n, f.k, f.a, f.b, f.c, f.c, {}, {}};
  for (int i = 0; i < f.m * f.n; ++i) d[static_cast<std::size_t>(i)] = expected(plain, a, b, c, i / f.n, i % f.n);
  const DeviceBuffer want(32768);
  std::memset(want.bytes(), 0, 32768);
  put(want.bytes(), d, f.m, f.n, c_row, ldc, f.c);
  CHECK(std::memcmp(want.bytes(), dd.bytes(), 32768) == 0);
}

TEST_CASE("wmma: load, mma, store in all shapes") {
  const WmmaForm any_layout[] = {{"m16n16k16", 16, 16, 16, kHalf, kHalf, kFloat, 8, 8, 8, false},
                                 {"m16n16k16", 16, 16, 16, kHalf, kHalf, kHalf, 8, 8, 4, false},
                                 {"m32n8k16", 32, 8, 16, kHalf, kHalf, kFloat, 8, 8, 8, false},
                                 {"m8n32k16", 8, 32, 16, kHalf, kHalf, kFloat, 8, 8, 8, false},
                                 {"m16n16k16", 16, 16, 16, kBfloat, kBfloat, kFloat, 4, 4, 8, true},
                                 {"m32n8k16", 32, 8, 16, kBfloat, kBfloat, kFloat, 8, 2, 8, true},
                                 {"m8n32k16", 8, 32, 16, kBfloat, kBfloat, kFloat, 2, 8, 8, true},
                                 {"m16n16k8", 16, 16, 8, kTf32, kTf32, kFloat, 4, 4, 8, true},
                                 {"m8n8k4", 8, 8, 4, kDouble, kDouble, kDouble, 1, 1, 2, true},
                                 {"m16n16k16", 16, 16, 16, kS8, kS8, kS32, 2, 2, 8, true},
                                 {"m16n16k16", 16, 16, 16, kU8, kU8, kS32, 2, 2, 8, true},
                                 {"m32n8k16", 32, 8, 16, kS8, kS8, kS32, 4, 1, 8, true},
                                 {"m8n32k16", 8, 32, 16, kU8, kU8, kS32, 1, 4, 8, true}};
  for (const WmmaForm& f : any_layout) {
    for (int layouts = 0; layouts < 8; ++layouts) check_wmma(f, (layouts & 1) != 0, (layouts & 2) != 0, (layouts & 4) != 0);
  }
  const WmmaForm row_column[] = {{"m8n8k32", 8, 8, 32, kS4, kS4, kS32, 1, 1, 2, true},
                                 {"m8n8k32", 8, 8, 32, kU4, kU4, kS32, 1, 1, 2, true},
                                 {"m8n8k128", 8, 8, 128, kB1, kB1, kS32, 1, 1, 2, true}};
  for (const WmmaForm& f : row_column) {
    for (const bool c_row : {false, true}) check_wmma(f, true, false, c_row);
  }
}

// ldmatrix and stmatrix: shared memory holds rows of eight; lane l names row l.

std::uint32_t element(int matrix, int row, int column) { return static_cast<std::uint32_t>(matrix * 1000 + row * 10 + column); }

TEST_CASE("ldmatrix and stmatrix move rows to lanes and back") {
  const Lanes words[4] = {lanes([](std::size_t l) { return element(0, l / 4, 2 * (l % 4)) | element(0, l / 4, 2 * (l % 4) + 1) << 16; }),
                          lanes([](std::size_t l) { return element(1, l / 4, 2 * (l % 4)) | element(1, l / 4, 2 * (l % 4) + 1) << 16; }),
                          lanes([](std::size_t l) { return element(2, l / 4, 2 * (l % 4)) | element(2, l / 4, 2 * (l % 4) + 1) << 16; }),
                          lanes([](std::size_t l) { return element(3, l / 4, 2 * (l % 4)) | element(3, l / 4, 2 * (l % 4) + 1) << 16; })};
  const std::string shared = ".shared .align 16 .b8 tile[512];\n.reg .b32 %at, %base;\n";
  const std::string head = "mov.u32 %base, tile;\nshl.b32 %at, %lane, 4;\nadd.u32 %at, %at, %base;\n";
  for (const int count : {1, 2, 4}) {
    for (const bool trans : {false, true}) {
      std::vector<Input> in;
      std::vector<std::string> out;
      for (int i = 0; i < count; ++i) in.push_back({"b32", words[i]}), out.push_back("b32");
      const std::string x = ".x" + std::to_string(count), n = ".sync.aligned.m8n8" + x, t = trans ? ".trans" : "";
      const auto n_registers = static_cast<std::size_t>(count);
      const std::vector<Lanes> back =
          run_lines(head + "stmatrix" + n + t + ".shared.b16 [%at], " + list("%a", 0, n_registers) + ";\nbar.sync 0;\nldmatrix" + n +
                        ".shared.b16 " + list("%d", 0, n_registers) + ", [%at];",
                    out, in, shared);
      const std::vector<Lanes> turned =
          run_lines(head + "stmatrix" + n + ".shared.b16 [%at], " + list("%a", 0, n_registers) + ";\nbar.sync 0;\nldmatrix" + n + t +
                        ".shared.b16 " + list("%d", 0, n_registers) + ", [%at];",
                    out, in, shared);
      for (int i = 0; i < count; ++i) {
        const Lanes want =
            trans ? lanes([&](std::size_t l) { return element(i, 2 * (l % 4), l / 4) | element(i, 2 * (l % 4) + 1, l / 4) << 16; })
                  : words[i];
        CHECK(back[static_cast<std::size_t>(i)] == want);
        CHECK(turned[static_cast<std::size_t>(i)] == want);
      }
    }
  }
  const std::vector<Input> all = {{"b32", words[0]}, {"b32", words[1]}, {"b32", words[2]}, {"b32", words[3]}};
  const Lanes third =
      run_lines(head + "stmatrix.sync.aligned.m8n8.x4.shared.b16 [%at], {%a0,%a1,%a2,%a3};\nbar.sync 0;\nld.shared.u16 %d0, [%at+6];",
                {"b32"}, all, shared)[0];
  for (std::size_t l = 0; l < 32; ++l) CHECK(third[l] == element(static_cast<int>(l) / 8, static_cast<int>(l) % 8, 3));
}

TEST_CASE("movmatrix transposes") {
  const Lanes in = lanes([](std::size_t l) { return element(0, l / 4, 2 * (l % 4)) | element(0, l / 4, 2 * (l % 4) + 1) << 16; });
  const Lanes want = lanes([](std::size_t l) { return element(0, 2 * (l % 4), l / 4) | element(0, 2 * (l % 4) + 1, l / 4) << 16; });
  CHECK(run_lines("movmatrix.sync.aligned.m8n8.trans.b16 %d0, %a0;", {"b32"}, {{"b32", in}})[0] == want);
}

TEST_CASE("mma with lanes missing is found") {
  using gradus::emulator::Report;
  std::vector<gradus::emulator::Finding> found;
  Report::instance().clear();
  Report::instance().set_sink([&](const gradus::emulator::Finding& f) { found.push_back(f); });
  const Lanes zero = lanes([](std::size_t) { return 0; }), on = lanes([](std::size_t l) { return l < 16; });
  run_lines("@%a1 movmatrix.sync.aligned.m8n8.trans.b16 %d0, %a0;\n@!%a1 mov.b32 %d0, 0;", {"b32"}, {{"b32", zero}, {"pred", on}});
  Report::instance().set_sink({});
  Report::instance().clear();
  REQUIRE(found.size() == 1);
  CHECK(found[0].kind == gradus::emulator::Kind::shuffle_mask);
}

}  // namespace
