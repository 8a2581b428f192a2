// How fast the emulator runs: lane instructions a second of three kernels and the cost of a launch, for each level of checks. Not a test.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>

#include <gradus/kernels/emulator/count/counters.h>
#include <gradus/kernels/emulator/exec/machine.h>
#include <gradus/kernels/emulator/exec/memory.h>

namespace {

using namespace gradus::emulator;

constexpr std::uint64_t kFloats = 1 << 20;
constexpr int kRepeats = 5, kTinyLaunches = 2000;
/// Parameters of up to three pointers and a number, as the kernels of speed.cu take them.
struct Parameters {
  std::byte block[32] = {};
  Parameters(std::initializer_list<std::uint64_t> pointers, int n) {
    std::byte* at = block;
    for (const std::uint64_t p : pointers) std::memcpy(at, &p, sizeof p), at += sizeof p;
    std::memcpy(at, &n, sizeof n);
  }
};

/// Seconds of one launch, the best of some.
double launch(const Kernel& kernel, std::uint32_t grid, std::uint32_t block, const Parameters& parameters, int launches = 1) {
  LaunchConfig config;
  config.grid[0] = grid;
  config.block[0] = block;
  double best = 1e9;
  for (int r = 0; r < kRepeats; ++r) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < launches; ++i) {
      std::string error;
      if (run(kernel, config, parameters.block, &error) != 0) std::printf("%s\n", error.c_str()), std::exit(1);
    }
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / launches);
  }
  return best;
}

struct Figures {
  double arithmetic, memory, gemm, tiny;  // G lane instructions/s; us a launch
};

Figures measure(const LoadedModule& module, Checks checks) {
  options().checks = checks;
  DeviceMemory& memory = DeviceMemory::instance();
  std::uint64_t at[3];  // buffers of this level alone: a launch without checks ends the tracking of what is defined
  for (std::uint64_t& buffer : at) {
    buffer = memory.allocate(kFloats * sizeof(float), AllocationKind::device, "speed");
    std::memset(memory.at(buffer), 0, kFloats * sizeof(float));
    memory.define(buffer, kFloats * sizeof(float));
  }
  Kernel kernel;
  kernel.module = &module;
  const auto speed = [&](const char* name, std::uint32_t grid, const Parameters& parameters) {
    kernel.function = program_of(module).find_function(name);
    counters_by_kernel().clear();
    const double seconds = launch(kernel, grid, 256, parameters);
    const Counters& counters = counters_by_kernel()[name];
    return static_cast<double>(counters.lane_instructions / counters.launches) / seconds * 1e-9;
  };
  Figures figures;
  figures.arithmetic = speed("arithmetic", 256, Parameters({at[2]}, 64));
  figures.memory = speed("memory", 512, Parameters({at[0], at[1], at[2]}, kFloats));
  figures.gemm = speed("gemm", 64, Parameters({at[0], at[1], at[2]}, 128));
  kernel.function = program_of(module).find_function("tiny");
  figures.tiny = launch(kernel, 1, 32, Parameters({at[2]}, 0), kTinyLaunches) * 1e6;
  for (const std::uint64_t buffer : at) memory.free(buffer);
  return figures;
}

}  // namespace

int main() {
  std::ifstream file(GRADUS_SPEED_PTX);
  std::stringstream text;
  text << file.rdbuf();
  const auto module = load(text.str());
  options().count = true;
  const Figures none = measure(*module, Checks::none), fast = measure(*module, Checks::fast), all = measure(*module, Checks::all);
  std::printf("%-40s%8s%8s%8s\n", "checks (counters are on)", "none", "fast", "all");
  const auto row = [&](const char* name, double Figures::*figure) {
    std::printf("%-40s%8.2f%8.2f%8.2f\n", name, none.*figure, fast.*figure, all.*figure);
  };
  row("arithmetic, G lane instructions/s", &Figures::arithmetic);
  row("memory (vector add)", &Figures::memory);
  row("gemm 16 x 16 in shared memory", &Figures::gemm);
  row("launch of one warp, us", &Figures::tiny);
}
