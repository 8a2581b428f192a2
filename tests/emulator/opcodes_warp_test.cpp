// What lanes and warps do together: shfl, vote, match, bar.red.
#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "ptx_kernel.h"

using namespace emulator_test;

namespace {

constexpr std::uint32_t kAll = 0xFFFFFFFF;

Lanes scattered() {
  return lanes([](std::size_t l) { return (0x9E3779B9u * (l + 1)) & kAll; });
}

/// The lane that is read, or -1: outside of the lane's part of the warp.
int partner(const std::string& mode, int lane, int distance, int width, int last) {
  const int begin = lane / width * width;
  if (mode == "up") return lane - distance >= begin ? lane - distance : -1;
  const int from = mode == "down" ? lane + distance : mode == "bfly" ? lane ^ distance : begin + distance % width;
  return from <= begin + last ? from : -1;
}

void check_shuffle(const std::string& mode, int width, int last) {
  const Lanes values = scattered();
  const auto c = static_cast<unsigned>((32 - width) << 8 | (mode == "up" ? 0 : last));
  for (int distance = 0; distance < 32; ++distance) {
    const std::string operands = ", %a0, " + std::to_string(distance) + ", " + std::to_string(c) + ", -1;";
    const auto d = run_lines("shfl.sync." + mode + ".b32 %d0|%d1" + operands + "\nshfl.sync." + mode + ".b32 %d2" + operands,
                             {"b32", "pred", "b32"}, {{"b32", values}});
    for (int l = 0; l < 32; ++l) {
      const int from = partner(mode, l, distance, width, last);
      const auto lane = static_cast<std::size_t>(l);
      INFO(mode << " by " << distance << " in parts of " << width << ", last " << last << ", lane " << l);
      CHECK(d[0][lane] == values[from < 0 ? lane : static_cast<std::size_t>(from)]);
      CHECK(d[1][lane] == (from >= 0 ? 1 : 0));
      CHECK(d[2][lane] == d[0][lane]);
    }
  }
}

const std::vector<Lanes>& predicates() {
  static const std::vector<Lanes> all = {
      lanes([](std::size_t) { return 0; }), lanes([](std::size_t) { return 1; }), lanes([](std::size_t l) { return l == 31 ? 1 : 0; }),
      lanes([](std::size_t l) { return l == 0 ? 0 : 1; }), lanes([](std::size_t l) { return l * 7 % 3 == 1 ? 1 : 0; })};
  return all;
}

std::uint32_t ballot_of(const Lanes& p) {
  std::uint32_t b = 0;
  for (std::size_t l = 0; l < 32; ++l) b |= static_cast<std::uint32_t>(p[l]) << l;
  return b;
}

}  // namespace

TEST_CASE("opcodes: shfl in every mode, width and distance") {
  for (const char* mode : {"up", "down", "bfly", "idx"}) {
    for (const int width : {32, 16, 8, 2}) check_shuffle(mode, width, width - 1);
  }
  for (const char* mode : {"down", "bfly", "idx"}) check_shuffle(mode, 32, 20);  // a clamp inside
}

TEST_CASE("opcodes: shfl and vote among some lanes") {
  const Lanes values = scattered();
  constexpr std::uint32_t kOdd = 0xAAAAAAAA;
  const auto d = run_lines(
      "and.b32 %b, %lane, 1;\nsetp.eq.u32 %odd, %b, 1;\nmov.u32 %d0, 5;\nmov.u32 %d1, 6;\n"
      "@%odd shfl.sync.bfly.b32 %d0, %a0, 2, 31, 0xAAAAAAAA;\n@%odd vote.sync.ballot.b32 %d1, %a1, 0xAAAAAAAA;",
      {"b32", "b32"}, {{"b32", values}, {"pred", predicates()[4]}}, ".reg .b32 %b; .reg .pred %odd;");
  for (std::size_t l = 0; l < 32; ++l) {
    CHECK(d[0][l] == (l % 2 ? values[l ^ 2] : 5));
    CHECK(d[1][l] == (l % 2 ? ballot_of(predicates()[4]) & kOdd : 6));
  }
}

TEST_CASE("opcodes: vote") {
  for (const Lanes& p : predicates()) {
    for (const bool negated : {false, true}) {
      const std::string source = negated ? ", !%a0, -1;\n" : ", %a0, -1;\n";
      const auto d = run_lines("vote.sync.any.pred %d0" + source + "vote.sync.all.pred %d1" + source + "vote.sync.uni.pred %d2" + source +
                                   "vote.sync.ballot.b32 %d3" + source,
                               {"pred", "pred", "pred", "b32"}, {{"pred", p}});
      const std::uint32_t ballot = negated ? ~ballot_of(p) : ballot_of(p);
      for (std::size_t l = 0; l < 32; ++l) {
        CHECK(d[0][l] == (ballot != 0 ? 1 : 0));
        CHECK(d[1][l] == (ballot == kAll ? 1 : 0));
        CHECK(d[2][l] == (ballot == kAll || ballot == 0 ? 1 : 0));
        CHECK(d[3][l] == ballot);
      }
    }
  }
}

TEST_CASE("opcodes: match") {
  for (const std::string type : {"b32", "b64"}) {
    const std::uint64_t high = type == "b64" ? 0x8000000100000000u : 0;
    for (const std::size_t kinds : {1u, 2u, 5u, 32u}) {
      // Equal in the low word, apart in the high one, where the type has it.
      const Lanes values = lanes([=](std::size_t l) { return (l % kinds) + (l % kinds % 2 ? high : 0); });
      const auto d = run_lines("match.any.sync." + type + " %d0, %a0, -1;\nmatch.all.sync." + type + " %d1|%d2, %a0, -1;",
                               {"b32", "b32", "pred"}, {{type, values}});
      for (std::size_t l = 0; l < 32; ++l) {
        std::uint32_t equal = 0;
        for (std::size_t k = 0; k < 32; ++k) equal |= values[k] == values[l] ? 1u << k : 0;
        CHECK(d[0][l] == equal);
        CHECK(d[1][l] == (kinds == 1 ? kAll : 0));
        CHECK(d[2][l] == (kinds == 1 ? 1 : 0));
      }
    }
  }
}

TEST_CASE("opcodes: bar.red over the block") {
  constexpr std::uint32_t kThreads = 96;
  const std::string text = R"(.version 9.0
.target sm_90
.address_size 64
.visible .entry test(.param .u64 out, .param .u64 limit, .param .u64 other) {
  .reg .b32 %t, %n, %v; .reg .b64 %o, %at, %l, %m; .reg .pred %p, %q, %r;
  ld.param.u64 %o, [out];
  ld.param.u64 %l, [limit];
  ld.param.u64 %m, [other];
  mov.u32 %t, %tid.x;
  mul.wide.u32 %at, %t, 16;
  add.u64 %o, %o, %at;
  cvt.u64.u32 %at, %t;
  setp.lt.u64 %p, %at, %l;
  setp.eq.u64 %q, %at, %m;
  or.pred %p, %p, %q;
  bar.red.or.pred %r, 0, %p;
  selp.u32 %v, 1, 0, %r;
  st.global.u32 [%o], %v;
  bar.red.and.pred %r, 0, %p;
  selp.u32 %v, 1, 0, %r;
  st.global.u32 [%o+4], %v;
  bar.red.popc.u32 %n, 0, %p;
  st.global.u32 [%o+8], %n;
  bar.red.and.pred %r, 0, !%p;
  selp.u32 %v, 1, 0, %r;
  st.global.u32 [%o+12], %v;
  ret;
})";
  for (const std::uint64_t limit : {0u, 1u, 40u, 95u, 96u}) {
    for (const std::uint64_t other : {77u, 1000u}) {
      const DeviceBuffer out(kThreads * 16);
      gradus::emulator::LaunchConfig config;
      config.block[0] = kThreads;
      run_text(text, "test", config, {out.address(), limit, other});
      const auto yes = static_cast<std::uint32_t>(limit + (other >= limit && other < kThreads ? 1 : 0));
      const std::uint32_t wanted[4] = {yes > 0 ? 1u : 0u, yes == kThreads ? 1u : 0u, yes, yes == 0 ? 1u : 0u};
      for (std::uint32_t t = 0; t < kThreads; ++t) {
        INFO(limit << ", " << other << ", thread " << t);
        CHECK(std::memcmp(out.bytes() + 16 * t, wanted, sizeof wanted) == 0);
      }
    }
  }
}
