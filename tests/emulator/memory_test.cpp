// DeviceMemory, and the counters of memory traffic against readings of a profiler.
#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <gradus/kernels/emulator/count/counters.h>

#include "ptx_kernel.h"

using namespace emulator_test;
using namespace gradus::emulator;

namespace {

DeviceMemory& memory() { return DeviceMemory::instance(); }

/// Silences and clears the report for a test; `kinds` lists what was found.
class Findings {
 public:
  Findings() {
    Report::instance().clear();
    Report::instance().set_sink([this](const Finding& finding) { kinds.push_back(finding.kind); });
  }
  ~Findings() {
    Report::instance().set_sink({});
    Report::instance().clear();
  }
  std::vector<Kind> kinds;
};

}  // namespace

TEST_CASE("device memory: aligned, apart, found, freed") {
  const std::uint64_t a = memory().allocate(100, AllocationKind::device, "a"), b = memory().allocate(4, AllocationKind::device, "b");
  CHECK(a % 256 == 0);
  CHECK(b % 256 == 0);
  CHECK((b > a ? b - a : a - b) >= 100 + 256);
  REQUIRE(memory().find(a + 99) != nullptr);
  CHECK(memory().find(a + 99)->label == "a");
  CHECK(memory().find(a + 100) == nullptr);
  CHECK(memory().find(a - 1) == nullptr);
  CHECK(memory().describe(a + 103).find("3 bytes past the end of a (100 bytes)") != std::string::npos);
  CHECK(memory().describe(b - 2).find("2 bytes before b") != std::string::npos);
  const std::uint64_t used = memory().used();
  CHECK(memory().free(a) == DeviceMemory::FreeResult::ok);
  CHECK(memory().used() == used - 100);
  CHECK(memory().free(a) == DeviceMemory::FreeResult::already_freed);
  CHECK(memory().free(b + 1) == DeviceMemory::FreeResult::not_an_allocation);
  REQUIRE(memory().find(a) != nullptr);
  CHECK(memory().find(a)->freed);
  CHECK(memory().free(b) == DeviceMemory::FreeResult::ok);
}

TEST_CASE("device memory: bytes behind addresses, host-visible kinds") {
  const std::uint64_t device = memory().allocate(64, AllocationKind::device, ""),
                      managed = memory().allocate(64, AllocationKind::managed, "");
  CHECK(memory().is_device_page(device));
  CHECK_FALSE(memory().is_device_page(managed));
  std::memset(memory().at(device), 7, 64);
  CHECK(memory().at(device)[63] == std::byte{7});
  // Managed memory is the host's too.
  *reinterpret_cast<int*>(managed) = 42;
  CHECK(*reinterpret_cast<int*>(memory().at(managed)) == 42);
  memory().free(device);
  memory().free(managed);
}

TEST_CASE("device memory: limits") {
  CHECK(memory().total() == 80ull << 30);
  CHECK(memory().allocate(0, AllocationKind::device, "") == 0);
  CHECK(memory().allocate(17ull << 30, AllocationKind::device, "") == 0);
  const std::uint64_t large = memory().allocate(12ull << 30, AllocationKind::device, "lazy");
  CHECK(large != 0);
  CHECK(memory().allocate(8ull << 30, AllocationKind::device, "") == 0);
  memory().free(large);
  // Many times the address space: blocks that left the quarantine are used again.
  for (int i = 0; i < 40; ++i) {
    const std::uint64_t again = memory().allocate(4ull << 30, AllocationKind::device, "again");
    REQUIRE(again != 0);
    memory().at(again)[i] = std::byte{1};
    memory().free(again);
  }
}

TEST_CASE("definedness: set, cleared, copied at any bit") {
  const std::uint64_t a = memory().allocate(1 << 20, AllocationKind::device, "a"),
                      b = memory().allocate(1 << 20, AllocationKind::device, "b");
  CHECK(memory().first_undefined(a, 1 << 20) == 0);
  memory().define(a + 3, 1000);
  CHECK(memory().first_undefined(a + 3, 1000) == 1000);
  CHECK(memory().first_undefined(a + 3, 1001) == 1000);
  CHECK(memory().first_undefined(a + 2, 8) == 0);
  memory().undefine(a + 500, 1);
  CHECK(memory().first_undefined(a + 3, 1000) == 497);
  memory().copy_definedness(b + 11, a + 3, 1100);
  CHECK(memory().first_undefined(b + 11, 1000) == 497);
  CHECK(memory().first_undefined(b + 11 + 498, 600) == 502);
  memory().define(a, 1 << 20);
  CHECK(memory().first_undefined(a, 1 << 20) == 1 << 20);
  memory().undefine(a, 1 << 20);
  CHECK(memory().first_undefined(a + (1 << 20) - 1, 1) == 0);
  int host = 0;
  memory().copy_definedness(b, reinterpret_cast<std::uint64_t>(&host), 4);
  CHECK(memory().first_undefined(b, 4) == 4);
  memory().free(a);
  memory().free(b);
}

TEST_CASE("copies of the runtime: ranges are checked") {
  const std::uint64_t a = memory().allocate(100, AllocationKind::device, "a");
  int host = 0;
  CHECK_FALSE(memory().fault_of_range(a, 100, "cudaMemcpy"));
  CHECK_FALSE(memory().fault_of_range(reinterpret_cast<std::uint64_t>(&host), 4, "cudaMemcpy"));
  const auto beyond = memory().fault_of_range(a + 1, 100, "cudaMemcpy");
  REQUIRE(beyond);
  CHECK(beyond->kind == Kind::out_of_bounds);
  CHECK(beyond->text.find("cudaMemcpy of 100 bytes") == 0);
  CHECK(beyond->text.find("1 bytes too many") != std::string::npos);
  memory().free(a);
  const auto after = memory().fault_of_range(a, 4, "cudaMemcpy");
  REQUIRE(after);
  CHECK(after->kind == Kind::freed);
}

TEST_CASE("registered host memory is reached by kernels") {
  std::vector<std::uint32_t> host(64, 5);
  const auto address = reinterpret_cast<std::uint64_t>(host.data());
  memory().register_host(address, 256, "a vector");
  Findings findings;
  run_lines("ld.global.u32 %d0, [%a0];\nadd.u32 %d0, %d0, %lane;\nst.global.u32 [%a0], %d0;", {"b32"},
            {{"b64", lanes([&](std::size_t l) { return address + 4 * l; })}});
  CHECK(findings.kinds.empty());
  CHECK(host[31] == 36);
  CHECK(memory().free(address) == DeviceMemory::FreeResult::ok);
  CHECK_THROWS_AS(run_lines("st.global.u32 [%a0], %lane;", {}, {{"b64", lanes([&](std::size_t) { return address; })}}),
                  const std::runtime_error&);
  CHECK(findings.kinds.size() == 1);
}

namespace {

constexpr std::uint64_t kBase = 8192;

/// Counters of one load or store instruction with lane l at base + offset(l). The loads of the harness itself are taken off.
Counters counters_of(const std::string& line, const std::function<std::uint64_t(std::size_t)>& offset) {
  const DeviceBuffer buffer(1 << 16);
  buffer.define();
  const Input at{"b64", lanes([&](std::size_t l) { return buffer.address() + kBase + offset(l); })};
  const auto count = [&](const std::string& text) {
    counters_by_kernel().clear();
    run_lines(text, {}, {at}, ".reg .b32 %r, %s, %t, %u; .reg .b64 %q, %v; .reg .pred %p;");
    return counters_by_kernel().at("test");
  };
  Counters all = count(line), harness = count("");
  all.load_requests -= harness.load_requests;
  all.load_sectors -= harness.load_sectors;
  all.bytes_requested -= harness.bytes_requested;
  all.bytes_touched -= harness.bytes_touched;
  all.bytes_compulsory -= harness.bytes_compulsory;
  return all;
}

}  // namespace

TEST_CASE("sectors per request: a profiler's readings") {
  options().count = true;
  const std::string load = "ld.global.f32 %r, [%a0];", load4 = "ld.global.v4.f32 {%r, %s, %t, %u}, [%a0];";
  const auto sectors = [](const std::string& line, const std::function<std::uint64_t(std::size_t)>& offset) {
    const Counters c = counters_of(line, offset);
    CHECK(c.load_requests == 1);
    CHECK(c.bytes_touched == 32 * c.load_sectors);
    return c.load_sectors;
  };
  CHECK(sectors(load, [](std::size_t l) { return 4 * l; }) == 4);
  CHECK(sectors(load, [](std::size_t l) { return 32 * l; }) == 32);
  CHECK(sectors(load4, [](std::size_t l) { return 16 * l; }) == 16);
  CHECK(sectors(load, [](std::size_t l) { return 16 + 4 * l; }) == 5);
  CHECK(sectors(load4, [](std::size_t l) { return 16 + l / 4 * 128 + l % 4 * 16; }) == 24);  // rows of 64 bytes, 16 bytes off
  CHECK(sectors(load, [](std::size_t) { return 0; }) == 1);
  CHECK(sectors(load, [](std::size_t l) { return 4 * (31 - l); }) == 4);
  CHECK(sectors(load, [](std::size_t l) { return (l * 7919 % 32) * 64; }) == 32);
  CHECK(sectors("ld.global.f64 %q, [%a0];", [](std::size_t l) { return 8 * l; }) == 8);
  CHECK(sectors("ld.global.u8 %r, [%a0];", [](std::size_t l) { return l; }) == 1);
}

TEST_CASE("bytes: requested, touched, compulsory") {
  options().count = true;
  const Counters twice =
      counters_of("ld.global.f32 %r, [%a0];\nld.global.f32 %s, [%a0];\nst.global.f32 [%a0], %r;", [](std::size_t l) { return 8 * l; });
  CHECK(twice.load_requests == 2);
  CHECK(twice.store_requests == 1);
  CHECK(twice.store_sectors == 8);
  CHECK(twice.bytes_requested == 3 * 128);
  CHECK(twice.bytes_touched == 3 * 8 * 32);
  CHECK(twice.bytes_compulsory == 8 * 32);
  const Counters atomics = counters_of("red.global.add.u32 [%a0], 1;", [](std::size_t) { return 0; });
  CHECK(atomics.atomic_requests == 1);
  CHECK(atomics.bytes_requested == 0);
  const Counters half = counters_of("setp.lt.u32 %p, %lane, 16;\n@%p ld.global.f32 %r, [%a0];", [](std::size_t l) { return 4 * l; });
  CHECK(half.load_requests == 1);
  CHECK(half.load_sectors == 2);
  CHECK(half.bytes_requested == 64);
}

TEST_CASE("shared memory: wavefronts") {
  options().count = true;
  const auto wavefronts = [](const std::string& line, const std::function<std::uint64_t(std::size_t)>& offset) {
    counters_by_kernel().clear();
    Findings findings;  // what is read was never written
    run_lines("cvt.u32.u64 %at, %a0;\n" + line, {}, {{"b64", lanes(offset)}},
              ".reg .b32 %at, %r, %s, %t, %u; .reg .b64 %q, %v; .shared .align 16 .b8 memory[16384];");
    return counters_by_kernel().at("test");
  };
  const std::string load = "ld.shared.f32 %r, [%at];", load2 = "ld.shared.v2.f32 {%r, %s}, [%at];",
                    load4 = "ld.shared.v4.f32 {%r, %s, %t, %u}, [%at];";
  CHECK(wavefronts(load, [](std::size_t l) { return 4 * l; }).shared_wavefronts == 1);
  CHECK(wavefronts(load, [](std::size_t) { return 64; }).shared_wavefronts == 1);
  CHECK(wavefronts(load, [](std::size_t l) { return 8 * l; }).shared_wavefronts == 2);
  CHECK(wavefronts(load, [](std::size_t l) { return 128 * l; }).shared_wavefronts == 32);
  CHECK(wavefronts(load, [](std::size_t l) { return 132 * l; }).shared_wavefronts == 1);
  CHECK(wavefronts(load, [](std::size_t l) { return 128 * (l / 2) + 4 * (l % 2); }).shared_wavefronts == 16);
  CHECK(wavefronts(load, [](std::size_t l) { return 68 * 4 * (l / 8) % 4096 + 4 * (l % 8); }).shared_wavefronts == 2);
  CHECK(wavefronts(load2, [](std::size_t l) { return 8 * l; }).shared_wavefronts == 2);
  CHECK(wavefronts(load2, [](std::size_t l) { return 8 * (31 - l); }).shared_wavefronts == 2);
  CHECK(wavefronts(load4, [](std::size_t l) { return 16 * l; }).shared_wavefronts == 4);
  CHECK(wavefronts(load4, [](std::size_t l) { return 16 * (l / 8); }).shared_wavefronts == 4);
  const Counters conflict = wavefronts(load4, [](std::size_t l) { return 128 * l; });
  CHECK(conflict.shared_requests == 1);
  CHECK(conflict.shared_wavefronts == 32);
  CHECK(conflict.shared_ideal_wavefronts == 4);
}

TEST_CASE("counters: JSON with stable keys and demangled names") {
  counters_by_kernel().clear();
  counters_by_kernel()["f(int*)"].flops = 3;
  const std::string json = counters_json();
  CHECK(json.find("\"f(int*)\": {\"launches\": 0, ") != std::string::npos);
  CHECK(json.find("\"flops\": 3") != std::string::npos);
  CHECK(json.find("\"local_requests\": 0}") != std::string::npos);
}
