// Which instructions mutate_kernels takes for bound checks, and what it does to them.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include <gradus/kernels/emulator/ptx/parser.h>
#include <gradus/tests/emulator/mutation/mutant.h>

using namespace gradus::emulator;
using mutation::Kind;

namespace {

/// A kernel (pointer, n) whose %r1 is the thread, %r2 is n, %rd2 the address of the thread's element.
ptx::Module kernel(const std::string& body) {
  return ptx::parse(R"(.version 8.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 k_p, .param .u32 k_n)
{
  .reg .pred %p<9>;
  .reg .b32 %r<9>;
  .reg .b64 %rd<9>;
  ld.param.u64 %rd1, [k_p];
  ld.param.u32 %r2, [k_n];
  mov.u32 %r1, %tid.x;
  mul.wide.u32 %rd3, %r1, 4;
  add.s64 %rd2, %rd1, %rd3;
)" + body + "}\n");
}

std::vector<std::string> checks(const ptx::Module& module) {
  std::vector<std::string> texts;
  for (const auto& m : mutation::mutants_of(module)) {
    if (m.kind == Kind::check) texts.push_back(module.functions[m.function]->body[m.pc].text);
  }
  return texts;
}

}  // namespace

TEST_CASE("mutants: a branch around an access that an index decides is a bound check") {
  ptx::Module module = kernel(R"(
  setp.ge.s32 %p1, %r1, %r2;
  @%p1 bra DONE;
  st.global.u32 [%rd2], %r1;
DONE:
  ret;
)");
  REQUIRE(checks(module) == std::vector<std::string>{"@%p1 bra DONE"});
  const auto all = mutation::mutants_of(module);
  const auto check = std::find_if(all.begin(), all.end(), [](const auto& m) { return m.kind == Kind::check; });
  mutation::apply(module, *check);
  const auto& branch = module.functions[0]->body[check->pc];
  CHECK(branch.guard == -1);
  CHECK(branch.operands[0].index == static_cast<std::int32_t>(check->pc + 1));  // on to the access, always
}

TEST_CASE("mutants: a branch to the access, a guarded access, a combined predicate") {
  ptx::Module to_access = kernel(R"(
  setp.lt.s32 %p1, %r1, %r2;
  @%p1 bra INSIDE;
  bra.uni DONE;
INSIDE:
  st.global.u32 [%rd2], %r1;
DONE:
  ret;
)");
  REQUIRE(checks(to_access).size() == 1);
  for (const auto& m : mutation::mutants_of(to_access)) {
    if (m.kind != Kind::check) continue;
    const auto inside = static_cast<std::int32_t>(to_access.functions[0]->labels.at("INSIDE"));
    mutation::apply(to_access, m);
    CHECK(to_access.functions[0]->body[m.pc].operands[0].index == inside);
  }
  CHECK(checks(kernel(R"(
  setp.lt.s32 %p1, %r1, %r2;
  setp.ne.s32 %p2, %r2, 7;
  and.pred %p3, %p1, %p2;
  @%p3 ld.global.u32 %r3, [%rd2];
  ret;
)")) == std::vector<std::string>{"@%p3 ld.global.u32 %r3, [%rd2]"});
}

TEST_CASE("mutants: what chooses a way, counts rounds, tests a parameter or a lane, or touches no memory is none") {
  const char* const none[] = {R"(
  setp.lt.s32 %p1, %r1, %r2;
  @%p1 bra FAST;
  ld.global.u32 %r3, [%rd2];
  bra.uni DONE;
FAST:
  ld.global.u32 %r3, [%rd2+4];
DONE:
  ret;
)",
                              R"(
  sub.s32 %r4, %r2, %r1;
  setp.lt.s32 %p1, %r4, 3;
  @%p1 bra DONE;
  st.global.u32 [%rd2], %r1;
DONE:
  ret;
)",
                              R"(
  setp.lt.s32 %p1, %r2, 1;
  @%p1 bra DONE;
  st.global.u32 [%rd2], %r1;
DONE:
  ret;
)",
                              R"(
  setp.ne.s32 %p1, %r1, 0;
  @%p1 bra DONE;
  st.global.u32 [%rd2], %r1;
DONE:
  ret;
)",
                              R"(
  setp.ge.s32 %p1, %r1, %r2;
  @%p1 bra DONE;
  add.s32 %r3, %r1, %r2;
DONE:
  ret;
)",
                              R"(
  setp.ge.s32 %p1, %r1, %r2;
  @%p1 bra DONE;
  st.global.u32 [%rd1], %r2;
DONE:
  ret;
)"};
  for (const char* body : none) {
    INFO(body);
    CHECK(checks(kernel(body)).empty());
  }
}
