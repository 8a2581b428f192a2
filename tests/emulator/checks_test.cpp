// Planted bugs: every one is found at its line, whatever the order of warps and blocks; the clean twins are silent.
#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include <gradus/kernels/emulator/check/finding.h>
#include <gradus/kernels/emulator/exec/machine.h>
#include <gradus/kernels/emulator/exec/memory.h>

#include "planted.h"

using namespace gradus::emulator;

namespace {

constexpr std::uint64_t kInts = 4096, kBytes = kInts * sizeof(int);

/// The three arguments of every planted kernel.
class Arguments {
 public:
  Arguments() {
    DeviceMemory& memory = DeviceMemory::instance();
    for (std::uint64_t& pointer : pointers_) pointer = memory.allocate(kBytes, AllocationKind::device, "a planted array");
    int values[kInts];
    for (std::uint64_t i = 0; i < kInts; ++i) values[i] = static_cast<int>(i);
    std::memcpy(memory.at(pointers_[0]), values, kBytes);
    memory.define(pointers_[0], kBytes);
    memory.free(pointers_[2]);
  }
  ~Arguments() {
    DeviceMemory::instance().free(pointers_[0]);
    DeviceMemory::instance().free(pointers_[1]);
  }
  const std::byte* block() const { return reinterpret_cast<const std::byte*>(pointers_); }

 private:
  std::uint64_t pointers_[3] = {};
};

planted::Lines found_lines(std::string& texts) {
  planted::Lines lines;
  for (const Finding& finding : Report::instance().findings()) {
    lines.emplace(name_of(finding.kind), finding.line);
    texts += to_string(finding) + "\n";
  }
  return lines;
}

void check_kernel(const LoadedModule& module, const planted::Kernel& planted) {
  Kernel kernel;
  kernel.module = &module;
  kernel.function = program_of(module).find_function(planted.name);
  REQUIRE(kernel.function != nullptr);
  LaunchConfig config;
  config.grid[0] = planted.blocks;
  config.block[0] = planted.threads;
  config.cooperative = planted.cooperative;
  Report::instance().clear();
  const Arguments arguments;
  std::string error;
  run(kernel, config, arguments.block(), &error);
  std::string texts;
  const planted::Lines found = found_lines(texts);
  INFO(planted.name << ", seed " << options().seed << ", found:\n" << texts << error);
  for (const auto& [kind, line] : planted.expected) {
    INFO("expected: " << kind << " in line " << line);
    CHECK(found.count({kind, line}) == 1);
  }
  for (const auto& [kind, line] : found) {
    INFO("not expected: " << kind << " in line " << line);
    CHECK(planted.expected.count({kind, line}) + planted.allowed.count({kind, line}) == 1);
  }
}

void check_file(const std::string& name) {
  Report::instance().set_sink([](const Finding&) {});
  const std::vector<planted::Kernel> kernels = planted::kernels_of(GRADUS_PLANTED_SOURCES "/" + name + ".cu");
  REQUIRE(!kernels.empty());
  const std::string text = planted::read_file(GRADUS_PLANTED_PTX "/" + name + ".ptx");
  const Options before = options();
  options().checks = Checks::all;
  options().livelock_steps = 200'000;
  for (const std::uint64_t seed : {0u, 1u, 7u, 4242u}) {
    options().seed = seed;
    const auto module = load(text);  // anew: its variables start from their initial values
    for (const planted::Kernel& kernel : kernels) check_kernel(*module, kernel);
  }
  options() = before;
  Report::instance().clear();
  Report::instance().set_sink({});
}

}  // namespace

TEST_CASE("planted: out of bounds") { check_file("out_of_bounds"); }
TEST_CASE("planted: decided cases") { check_file("textbook"); }
TEST_CASE("planted: misaligned") { check_file("misaligned"); }
TEST_CASE("planted: freed memory") { check_file("freed"); }
TEST_CASE("planted: uninitialised") { check_file("uninitialised"); }
TEST_CASE("planted: races in a block") { check_file("race_in_block"); }
TEST_CASE("planted: missing syncwarp") { check_file("missing_syncwarp"); }
TEST_CASE("planted: races between blocks") { check_file("race_between_blocks"); }
TEST_CASE("planted: barriers, shuffles, livelocks") { check_file("barriers"); }
TEST_CASE("planted: the toolkit's own headers") { check_file("toolkit"); }
