// The parser: what nvcc and inline PTX write is understood; everything else is an error that names the line, never a crash.
#include <cstring>
#include <random>
#include <string>

#include <doctest/doctest.h>

#include <gradus/kernels/emulator/ptx/parser.h>

namespace {

using namespace gradus::emulator::ptx;

const std::string kHead = ".version 8.5\n.target sm_90a, debug\n.address_size 64\n";

/// A bit of everything.
const std::string kText = kHead + R"(
.extern .func  (.param .b32 func_retval0) vprintf (.param .b64 vprintf_param_0, .param .b64 vprintf_param_1) ;
.global .align 4 .u32 counter;
.visible .global .align 8 .u64 table[3] = {counter, generic(counter)+4, 7};
.const .align 4 .f32 weights[2][2] = {{0f3F800000, 2.5}, {-1.5}};
.global .align 1 .b8 text[6] = {104, 101, 0x6C, 0154, 0b1101111, 0};
.global .attribute(.managed) .align 4 .s32 managed_one = -5;
.extern .shared .align 16 .b8 dynamic[];
.shared .align 8 .b8 common[24];
.func (.param .b32 result) helper(.param .align 8 .b8 input[12]) {
  .reg .f32 %f<2>;
  .shared .align 4 .b8 own[8];
  ld.param.f32 %f1, [input+8];
  st.shared.f32 [own+4], %f1;
  st.param.f32 [result+0], %f1;
  ret;
}
.visible .entry kernel(.param .u64 .ptr .global .align 4 p0, .param .align 8 .b8 p1[12], .param .u32 n)
.maxntid 128, 2, 1
.minnctapersm 2
{
  .local .align 16 .b8 __local_depot0[40];
  .reg .pred %p<4>; .reg .b16 %rs<3>; .reg .b32 %r<12>; .reg .f32 %f<3>; .reg .b64 %rd<9>, %SP, %SPL;
  .shared .align 4 .b8 mine[100];
  .loc 1 10 3
  mov.u64 %SPL, __local_depot0; // a comment
  cvta.local.u64 %SP, %SPL; /* another
  one */
  mov.u32 %r1, %tid.x;
  .loc 2 20 1, function_name $L__info_string0, inlined_at 1 10 3
  setp.lt.s32 %p1|%p2, %r1, WARP_SZ;
  .loc 3 30 1, function_name $L__info_string0+4, inlined_at 2 20 1
  @!%p1 bra $L__BB0_2;
  ld.global.v4.u32 {%r2, %r3, _, %r4}, [%rd1+-16];
  shfl.sync.bfly.b32 %r5|%p3, %r2, 16, 31, -1;
  mov.f32 %f1, 0f3F800000;
  { .reg .pred p; .reg .b32 t<2>; WAIT: mov.b32 t1, 0x10; @p bra WAIT; }
  { .reg .pred p; WAIT: @p bra WAIT; bra.uni OUT; }
OUT:
  { // callseq 0, 0
  .reg .b32 temp_param_reg;
  .param .align 8 .b8 param0[12];
  .param .b32 retval0;
  st.param.f32 [param0+8], %f1;
  call.uni (retval0), helper, (param0);
  ld.param.f32 %f2, [retval0+0];
  }
  prototype_0 : .callprototype (.param .b32 _) _ (.param .align 8 .b8 _[12]) ;
  { .param .align 8 .b8 param0[12]; .param .b32 retval0;
  call (retval0), %rd2, (param0), prototype_0; }
  ts: .branchtargets $L__BB0_2, OUT;
  brx.idx %r1, ts;
$L__BB0_2:
  st.shared.u32 [mine+(1+2)*4], %r1;
  atom.global.add.u32 %r6, [counter], 1;
  ld.shared.u8 %rs1, [dynamic+3];
  fma.rn.f32 %f1, %f1, 0d4000000000000000, -1.5;
  bar.sync 0;
  ret;
}
.file 1 "a.cu"
.file 2 "b.h", 123, 456
.section .debug_str { $L__info_string0: .b8 95,90
 .b8 0 }
)";

std::string error_of(const std::string& text) {
  try {
    parse(text);
  } catch (const ParseError& e) { return e.what(); }
  return "";
}
/// An instruction or declaration inside a kernel.
std::string in_kernel(const std::string& line) {
  return kHead + ".entry k(.param .u64 p) {\n.reg .b32 %r<4>; .reg .pred %p<2>; .reg .b64 %rd<3>; .reg .f32 %f<2>;\n" + line +
         "\nret;\n}\n";
}
const Instruction& first_of(const Module& m) { return m.find_function("k")->body.at(0); }

TEST_CASE("parser: a module with a bit of everything") {
  const Module m = parse(kText);
  CHECK(m.version_major == 8);
  CHECK(m.version_minor == 5);
  CHECK(m.architecture == 90);
  CHECK(m.files[2] == "b.h");
  const Variable& table = *m.find_variable("table");
  CHECK(table.bytes == 24);
  REQUIRE(table.addresses.size() == 2);
  CHECK(table.addresses[1].at == 8);
  CHECK(table.addresses[1].addend == 4);
  CHECK(table.initial[16] == 7);
  const Variable& weights = *m.find_variable("weights");
  float w[3];
  std::memcpy(w, weights.initial.data(), sizeof w);
  CHECK(weights.bytes == 16);
  CHECK(w[1] == 2.5f);
  CHECK(w[2] == -1.5f);
  CHECK(std::string(reinterpret_cast<const char*>(m.find_variable("text")->initial.data())) == "hello");
  CHECK(m.find_variable("managed_one")->is_managed);
  CHECK(m.find_variable("dynamic")->is_extern);

  const Function& k = *m.find_function("kernel");
  CHECK(k.is_entry);
  CHECK(k.max_threads == 256);
  CHECK(k.min_blocks == 2);
  CHECK(k.parameters[1].offset == 8);
  CHECK(k.parameters[2].offset == 20);
  CHECK(k.parameter_bytes == 24);
  CHECK(k.local_bytes == 40);
  CHECK(k.call_parameter_bytes == 16);
  CHECK(k.shared_bytes == 108);  // 8 of the helper, 100 of its own; the 24 of the module are named by nobody
  CHECK(k.dynamic_shared_offset == 112);
  CHECK(k.labels.at("WAIT") != k.labels.at("OUT"));
  REQUIRE(k.branch_tables.size() == 1);
  CHECK(k.branch_tables[0][0] == k.labels.at("$L__BB0_2"));
  CHECK_FALSE(m.find_function("vprintf")->has_body);
}

TEST_CASE("parser: locations keep the chain of inlining") {
  const Module m = parse(kText);
  const Function& k = *m.find_function("kernel");
  const Instruction* branch = nullptr;
  for (const Instruction& i : k.body) {
    if (i.mnemonic == "bra" && branch == nullptr) branch = &i;
  }
  REQUIRE(branch != nullptr);
  const Location& inner = m.locations[branch->location];
  CHECK(inner.line == 30);
  const Location& middle = m.locations[static_cast<std::size_t>(inner.inlined_at)];
  CHECK(middle.line == 20);
  const Location& outer = m.locations[static_cast<std::size_t>(middle.inlined_at)];
  CHECK(outer.line == 10);
  CHECK(outer.inlined_at == -1);
  CHECK(branch->guard_negated);
}

TEST_CASE("parser: numbers") {
  const auto bits = [](const std::string& number) {
    return first_of(parse(in_kernel("mov.b64 %rd1, " + number + ";"))).operands.at(1).bits;
  };
  CHECK(bits("0xFFU") == 255);
  CHECK(bits("017") == 15);
  CHECK(bits("0b101U") == 5);
  CHECK(bits("0") == 0);
  CHECK(bits("-(3+4)*2") == static_cast<std::uint64_t>(-14));
  CHECK(bits("1<<40") == std::uint64_t{1} << 40);
  CHECK(bits("18446744073709551615") == ~std::uint64_t{0});
  CHECK(bits("-9223372036854775808/-1") == std::uint64_t{1} << 63);
  CHECK(bits("-0f3F800000") == 0xBF800000u);
  CHECK(bits("0d3FF0000000000000") == 0x3FF0000000000000u);
  CHECK(bits("1.0e0") == 0x3FF0000000000000u);
}

TEST_CASE("parser: what is wrong is said with its line") {
  const std::pair<const char*, const char*> bad[] = {{"mov.b32 %r9, 0;", "unknown name `%r9`"},
                                                     {"mov.b32 %r1, %nonsense;", "unknown name `%nonsense`"},
                                                     {"bra nowhere;", "unknown label `nowhere`"},
                                                     {"@%r1 mov.b32 %r1, 0;", "not a predicate"},
                                                     {"mov.b32 %r1, 0", "expected `;`"},
                                                     {"mov.b32 %r1, 0x;", "without digits"},
                                                     {"mov.b32 %r1, 99999999999999999999;", "64 bits"},
                                                     {"mov.b32 %r1, 1/0;", "division by zero"},
                                                     {"call.uni missing, ();", "unknown name `missing`"},
                                                     {".reg .b32 %r<2>;", "declared twice"},
                                                     {".reg .b32 %q<9999999>;", "above"},
                                                     {".reg .v4 .f32 v;", "vector registers"},
                                                     {".local .align 3 .b8 x[4];", "power of two"},
                                                     {".local .b8 x[4294967296];", "out of range"},
                                                     {".bogus 3;", "unknown directive `.bogus`"},
                                                     {"L: mov.b32 %r1, 0; L: mov.b32 %r1, 0;", "declared twice"},
                                                     {"mov.b32 %r1, `;", "unexpected character"},
                                                     {"{ mov.b32 %r1, 0;", "without end"},
                                                     {"/* open", "comment without end"},
                                                     {"brx.idx %r1, missing;", "list of branch targets"}};
  for (const auto& [line, what] : bad) {
    const std::string error = error_of(in_kernel(line));
    CAPTURE(line);
    CAPTURE(error);
    CHECK(error.find(what) != std::string::npos);
    CHECK(error.rfind("ptx line ", 0) == 0);
  }
  CHECK(error_of(in_kernel("mov.b32 %r1, %oops;")).find("ptx line 6: unknown name `%oops`: `mov.b32 %r1, %oops;`") == 0);
  CHECK(error_of("").find("no .version") != std::string::npos);
  CHECK(error_of(".version 8.0\n").find("no .target") != std::string::npos);
  CHECK(error_of(kHead + ".address_size 32\n").find("64-bit") != std::string::npos);
  CHECK(error_of(kHead + ".global .texref t;\n").find("textures") != std::string::npos);
  CHECK(error_of(kHead + ".global .u32 a[2] = {1,2,3};\n").find("more values") != std::string::npos);
  CHECK(error_of(kHead + ".global .u32 a; .global .u32 a;\n").find("twice") != std::string::npos);
}

TEST_CASE("parser: nesting is bounded") {
  CHECK(error_of(in_kernel(std::string(100000, '{'))).find("too deeply") != std::string::npos);
  CHECK(error_of(in_kernel("mov.b32 %r1, " + std::string(100000, '(') + "1;")).find("too deeply") != std::string::npos);
  CHECK(error_of(in_kernel("mov.b32 %r1, " + std::string(100000, '-') + "1;")).find("too deeply") != std::string::npos);
  CHECK(error_of(kHead + ".global .u32 a[4] = " + std::string(100000, '{') + ";").find("too deeply") != std::string::npos);
}

TEST_CASE("parser: cut off anywhere, an error and no crash") {
  const std::size_t last = kText.find(".file 1");  // after the kernel a prefix may be complete
  for (std::size_t n = 0; n < last; ++n) {
    try {
      parse(std::string_view(kText).substr(0, n));
    } catch (const ParseError&) {}
  }
  CHECK_THROWS_AS(parse(kText.substr(0, kText.find("bar.sync"))), ParseError);
}

TEST_CASE("parser: mutations, an error and no crash") {
  constexpr std::uint32_t kSeed = 5;
  std::mt19937 random(kSeed);
  int accepted = 0;
  for (int round = 0; round < 4000; ++round) {
    std::string text = kText;
    for (std::uint32_t edits = 1 + random() % 4; edits > 0; --edits) {
      const std::size_t at = random() % text.size(), from = random() % text.size(), length = random() % 24;
      switch (random() % 4) {
        case 0: text[at] = static_cast<char>(random()); break;
        case 1: text.erase(at, length); break;
        case 2: text.insert(at, text.substr(from, length)); break;
        default: text[at] = " ;,.{}[]()%@!<>-+0x9"[random() % 20];
      }
      if (text.empty()) text = " ";
    }
    try {
      parse(text);
      ++accepted;
    } catch (const ParseError&) {}
  }
  CHECK(accepted > 0);
  CHECK(accepted < 4000);
}

TEST_CASE("parser: opcodes_of lists each variant once") {
  const auto opcodes = opcodes_of(parse(in_kernel("add.u32 %r1, %r1, 1; add.u32 %r1, %r2, 1; neg.s32 %r1, %r1;")));
  CHECK(opcodes == std::vector<std::string>{"add.u32", "neg.s32", "ret"});
}

TEST_CASE("fat binaries: only what is well formed") {
  CHECK_THROWS_AS(images_of(nullptr), ParseError);
  const std::uint32_t zeros[16] = {};
  CHECK_THROWS_AS(images_of(zeros), ParseError);
}

}  // namespace
