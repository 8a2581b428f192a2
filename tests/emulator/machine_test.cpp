// The machine: divergence, calls, barriers, spin loops between lanes, warps and blocks; every result under several seeds.
#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <gradus/kernels/emulator/check/finding.h>
#include <gradus/kernels/emulator/count/counters.h>
#include <gradus/kernels/emulator/exec/machine.h>
#include <gradus/kernels/emulator/exec/memory.h>
#include <gradus/kernels/emulator/exec/order.h>

#include "planted.h"
#include "ptx_kernel.h"

using namespace gradus::emulator;
using emulator_test::DeviceBuffer;

namespace {

constexpr std::uint64_t kInts = 4096, kBytes = kInts * sizeof(int);

struct Result {
  int error = 0;
  std::string text;
  std::vector<int> data, out;
  std::vector<Finding> findings;
};

class Module {
 public:
  Module()
      : module_(load(planted::read_file(GRADUS_PLANTED_PTX "/machine.ptx"))),
        kernels_(planted::kernels_of(GRADUS_PLANTED_SOURCES "/machine.cu")) {}

  /// data[0] is `first`, the others their index.
  Result run(const std::string& name, int first = 0) const {
    Kernel kernel;
    kernel.module = module_.get();
    kernel.function = program_of(*module_).find_function(name);
    REQUIRE(kernel.function != nullptr);
    LaunchConfig config;
    for (const planted::Kernel& k : kernels_) {
      if (k.name != name) continue;
      config.grid[0] = k.blocks;
      config.block[0] = k.threads;
      config.cooperative = k.cooperative;
    }
    const DeviceBuffer data(kBytes), out(kBytes);
    for (std::uint64_t i = 0; i < kInts; ++i) reinterpret_cast<int*>(data.bytes())[i] = static_cast<int>(i);
    *reinterpret_cast<int*>(data.bytes()) = first;
    std::memset(out.bytes(), 0xFF, kBytes);
    data.define();
    out.define();
    const std::uint64_t parameters[] = {data.address(), out.address(), 0};
    Report::instance().set_sink([](const Finding&) {});
    Report::instance().clear();
    Result result;
    result.error = gradus::emulator::run(kernel, config, reinterpret_cast<const std::byte*>(parameters), &result.text);
    result.findings = Report::instance().findings();
    Report::instance().clear();
    Report::instance().set_sink({});
    const auto read = [](const DeviceBuffer& b) {
      return std::vector<int>(reinterpret_cast<int*>(b.bytes()), reinterpret_cast<int*>(b.bytes()) + kInts);
    };
    result.data = read(data);
    result.out = read(out);
    return result;
  }
  const planted::Kernel& planted_kernel(const std::string& name) const {
    for (const planted::Kernel& k : kernels_)
      if (k.name == name) return k;
    throw std::runtime_error("no kernel " + name);
  }

 private:
  std::shared_ptr<LoadedModule> module_;
  std::vector<planted::Kernel> kernels_;
};

/// Runs the kernel under several seeds in fresh modules; no error and no finding.
void expect_values(const std::string& name, int n, const std::function<int(int)>& expected) {
  for (const std::uint64_t seed : {0u, 3u, 99u}) {
    options().seed = seed;
    const Result r = Module().run(name);
    INFO(name << ", seed " << seed << ": " << r.text);
    CHECK(r.error == 0);
    for (const Finding& f : r.findings) FAIL_CHECK(to_string(f));
    for (int i = 0; i < n; ++i) {
      INFO("at " << i);
      CHECK(r.out[static_cast<std::size_t>(i)] == expected(i));
    }
  }
  options().seed = 0;
}

/// Finds exactly the kinds and lines that the source says (or one of them).
void expect_findings(const std::string& name) {
  for (const std::uint64_t seed : {0u, 3u, 99u}) {
    options().seed = seed;
    const Module module;
    const Result r = module.run(name);
    const planted::Lines expected = module.planted_kernel(name).expected;
    INFO(name << ", seed " << seed);
    CHECK(r.findings.empty() == expected.empty());
    for (const Finding& f : r.findings) {
      INFO(to_string(f));
      CHECK(expected.count({name_of(f.kind), f.line}) == 1);
    }
  }
  options().seed = 0;
}

int collatz_steps(int x) {
  int n = 0;
  for (; x > 1; ++n) x = x % 2 ? 3 * x + 1 : x / 2;
  return n;
}
int collatz_expected(int i) {
  const int thread = i % 64, first = thread / 32 * 32;
  int many = 0;
  for (int t = first; t < first + 32; ++t) many += collatz_steps(t) > 5 ? 1 : 0;
  return collatz_steps(thread) + 1000 * many;
}
int nested_expected(int thread) {
  int sum = 0;
  for (int i = 0; i < thread % 7; ++i)
    for (int k = 0; k < i && i + k <= 8; ++k) {
      if (k == 3) continue;
      const int choice = (i * k + thread) % 4;
      sum += choice == 0 ? 1 : choice == 1 ? 10 : choice == 2 ? 1100 : 1000;
    }
  return sum;
}
int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

}  // namespace

TEST_CASE("machine: lanes part in loops and meet again") {
  expect_values("collatz", 128, collatz_expected);
  expect_values("nested", 64, nested_expected);
}
TEST_CASE("machine: recursion and calls through pointers") {
  expect_values("recursion", 64, [](int i) { return fibonacci(i % 12); });
  expect_values("indirect", 64, [](int i) { return i % 3 == 0 ? i + 1 : i % 3 == 1 ? 2 * i : i - 7; });
}
TEST_CASE("machine: a lock between lanes, warps and blocks") {
  const Result r = Module().run("lock_between_lanes");
  CHECK(r.error == 0);
  CHECK(r.data[0] == 256);
}
TEST_CASE("machine: blocks and warps that wait for each other") {
  expect_values("chain_of_blocks", 32, [](int i) { return i; });
  expect_values("ping_pong", 64, [](int) { return 40; });
}
TEST_CASE("machine: grid sync") {
  expect_values("grid_sync", 4096, [](int i) { return 4095 - i; });
}
TEST_CASE("machine: named barriers, reductions, warps synchronised in two places") {
  expect_values("named_barriers", 128, [](int i) { return i < 32 ? (31 - i) * 3 : 32 + 1000; });
  expect_values("syncwarp_in_two_places", 32, [](int i) { return i < 16 ? 31 - i : 2 * (31 - i); });
}
TEST_CASE("machine: barriers and masks that cannot be met") {
  expect_findings("early_return");
  expect_findings("early_return_after_a_store");
  expect_findings("warps_at_different_barriers");
  expect_findings("reads_a_lane_that_is_not_there");
  expect_findings("returns_before_a_full_mask");
  expect_findings("reads_a_lane_that_has_returned");
  expect_findings("reads_lanes_that_are_left");
  expect_values("ballot_of_the_lanes_that_are_left", 16, [](int) { return 0xffff; });
}
TEST_CASE("machine: a thread may end with the slice of instructions that its warp had") {
  constexpr std::uint64_t kSlice = 1u << 20;
  options().count = true;
  const Module module;
  const auto steps = [&](int rounds) {
    counters_by_kernel().clear();
    const Result r = module.run("ends_with_its_slice", rounds);
    INFO(rounds << " rounds: " << r.text);
    CHECK(r.error == 0);
    return counters_by_kernel().at("ends_with_its_slice").warp_instructions;
  };
  const std::uint64_t one = steps(1), each = steps(2) - one;
  const auto rounds = static_cast<int>((kSlice - one) / each);
  for (int i = -1; i < 5; ++i) steps(rounds + i);
  CHECK(steps(rounds + 5) > kSlice);
}
TEST_CASE("machine: to compute for long is no livelock") {
  const Result r = Module().run("ends_with_its_slice", 7'000'000);
  INFO(r.text);
  CHECK(r.error == 0);
  CHECK(r.findings.empty());
}
TEST_CASE("machine: who polls or sleeps lets the others run, and time passes") {
  options().count = true;
  counters_by_kernel().clear();
  expect_values("polls_a_barrier", 512, [](int i) { return i / 256 * 256 + 255 - i % 256 + 19; });
  const Counters& c = counters_by_kernel().at("polls_a_barrier");
  CHECK(c.warp_instructions / c.launches < 100'000);
  expect_values("waits_for_the_clock", 64, [](int) { return 1; });
  counters_by_kernel().clear();
  const std::uint64_t patience = std::exchange(options().livelock_steps, 200'000);
  expect_findings("polls_for_ever");
  options().livelock_steps = patience;
  const Counters& hopeless = counters_by_kernel().at("polls_for_ever");
  CHECK(hopeless.warp_instructions / hopeless.launches < 4'000'000);
}
TEST_CASE("machine: seeded orders are permutations") {
  for (const std::uint64_t size : {1u, 2u, 7u, 64u, 1000u}) {
    for (const std::uint64_t seed : {0u, 1u, 12345u}) {
      const Permutation order(size, seed);
      std::vector<bool> seen(size);
      for (std::uint64_t i = 0; i < size; ++i) {
        const std::uint64_t at = order.at(i);
        REQUIRE(at < size);
        CHECK_FALSE(seen[at]);
        seen[at] = true;
      }
    }
  }
  CHECK(Permutation(100, 0).at(37) == 37);
}
