// The comparison behind `gradus kernels --check`: what counts as worse, and what another nvcc may change. In a build for the emulator.
#if defined(GRADUS_CUDA_EMULATED)
#include <doctest/doctest.h>

#include <gradus/benchmarks/kernels/baseline.h>

using namespace gradus;
using namespace gradus::costs;
using experiments::Json;

namespace {

std::vector<EntryCost> one_cost() {
  KernelCost kernel{"k", {}, 256, 1024, Resources{"k", 32, 0, 64}, Resources{"k", 40, 0, 64}, 48};
  kernel.counters.warp_instructions = 100;
  return {{entries().front().name, {}, 0, kernel.counters, {kernel}}};
}

bool one_about(const std::vector<std::string>& worse, const std::string& figure) {
  return worse.size() == 1 && worse[0].find(figure) != std::string::npos;
}

}  // namespace

TEST_CASE("cuda kernels: nothing is worse than itself, and each figure of ptxas can be") {
  const auto costs = one_cost();
  const Json baseline = updated(Json::object(), costs);
  CHECK(worse_than(baseline, costs).empty());
  CHECK(left_out(baseline).empty());
  auto worse = costs;
  worse[0].kernels[0].sm80->registers = 34;
  CHECK(one_about(worse_than(baseline, worse), "registers_sm80 34, baseline 32"));
  worse = costs;
  worse[0].kernels[0].sm90->spill_bytes = 8;
  CHECK(one_about(worse_than(baseline, worse), "spill_bytes_sm90 8, baseline 0"));
  worse = costs;
  worse[0].kernels[0].dynamic_shared = 2048;
  CHECK(one_about(worse_than(baseline, worse), "shared_bytes"));
  worse = costs;
  worse[0].kernels[0].warps = 40;
  CHECK(one_about(worse_than(baseline, worse), "warps_without_room 24, baseline 16"));
}

TEST_CASE("cuda kernels: with another nvcc spills are compared, registers and instructions are not") {
  auto costs = one_cost();
  Json baseline = updated(Json::object(), costs);
  baseline["nvcc"] = "12.0.0";
  CHECK(left_out(baseline).find("12.0.0") != std::string::npos);
  KernelCost& kernel = costs[0].kernels[0];
  kernel.sm80->registers = 64, kernel.warps = 16, kernel.counters.warp_instructions = 200;
  CHECK(worse_than(baseline, costs).empty());
  kernel.sm80->spill_bytes = 4;
  CHECK(one_about(worse_than(baseline, costs), "spill_bytes_sm80"));
  CHECK(updated(baseline, {})["entries"].empty());  // another nvcc's figures are not passed on as this one's
}

TEST_CASE("cuda kernels: a figure that only one side knows is reported") {
  const auto costs = one_cost();
  const Json baseline = updated(Json::object(), costs);
  auto unknown = costs;
  unknown[0].kernels[0].sm80.reset();
  const auto lost = worse_than(baseline, unknown);
  REQUIRE(lost.size() == 2);  // registers and spills
  CHECK(lost[0].find("unknown now") != std::string::npos);
  const auto gained = worse_than(updated(Json::object(), unknown), costs);
  REQUIRE(gained.size() == 2);
  CHECK(gained[0].find("not in the baseline") != std::string::npos);
}
#endif
