// Loading modules and running grids.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gradus/kernels/emulator/check/finding.h>
#include <gradus/kernels/emulator/ptx/program.h>

namespace gradus::emulator {

/// What a process asks of the emulator; read from GRADUS_EMULATOR_SEED, _CHECKS (none|fast|all), _COUNT (a JSON file, written at exit),
/// _HASH, _ARCH (80, 90: which PTX of a fat binary) at first use, and writable by tests.
struct Options {
  std::uint64_t seed = 0;  // of the order of warps, blocks and streams
  Checks checks = Checks::all;
  bool count = true;
  std::string count_file;
  std::string hash_file;  // runtime/copy_hash
  int architecture = 0;   // 0: the newest PTX that is not above kNewestArchitecture
  // Warp instructions of a launch without any progress. A state that comes back is recognised at once; this is for loops that count, and
  // has to be more than what a block may compute before it stores anything.
  std::uint64_t livelock_steps = 250'000'000;
};
Options& options();
inline constexpr int kNewestArchitecture = 90;

/// The device that is imitated (an H100 SXM): limits for launches, attributes, occupancy.
struct DeviceLimits {
  int multiprocessors = 132, warp = 32, max_threads_per_block = 1024, max_threads_per_sm = 2048, max_blocks_per_sm = 32;
  int max_shared_per_block = 48 * 1024, max_shared_per_block_optin = 227 * 1024, shared_per_sm = 228 * 1024, reserved_shared = 1024;
  int registers_per_block = 65536, registers_per_sm = 65536;
  std::uint32_t max_grid[3] = {2147483647u, 65535u, 65535u}, max_block[3] = {1024, 1024, 64};
  std::uint64_t constant_bytes = 65536, parameter_bytes = 32764;
};
const DeviceLimits& limits();

/// A module ready to run: every instruction decoded, variables placed in device memory.
class LoadedModule;
struct Kernel {
  const LoadedModule* module = nullptr;
  const ptx::Function* function = nullptr;
  int max_dynamic_shared = 48 * 1024;  // cudaFuncSetAttribute
  int registers = 0;                   // from ptxas when known (0: not)
};
/// Parses and decodes. Throws ptx::ParseError or Unsupported.
std::shared_ptr<LoadedModule> load(std::string_view ptx);
const ptx::Module& program_of(const LoadedModule& module);
/// Device address and size of a module variable; 0 if there is none of that name.
std::uint64_t address_of_variable(const LoadedModule& module, std::string_view name, std::uint64_t* bytes = nullptr);

struct LaunchConfig {
  std::uint32_t grid[3] = {1, 1, 1}, block[3] = {1, 1, 1};
  std::uint64_t dynamic_shared = 0;
  bool cooperative = false;
};
/// Runs the grid to its end. `parameters`: the kernel's parameter block, laid out by Function::parameters. Returns the CUDA error (0:
/// none); findings go to Report. A finding does not stop the launch unless nothing sensible can follow (an address outside everything).
int run(const Kernel& kernel, const LaunchConfig& config, const std::byte* parameters, std::string* error_text);

/// Called after each launch for each function that ran, with the number of warps that executed each instruction. Empty: nobody asks.
using StepsObserver = std::function<void(const ptx::Function& function, const std::vector<std::uint64_t>& steps)>;
StepsObserver& steps_observer();

}  // namespace gradus::emulator
