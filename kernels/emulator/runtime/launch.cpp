#include <gradus/kernels/emulator/runtime/launch.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include <gradus/kernels/emulator/exec/loaded_module.h>
#include <gradus/kernels/emulator/exec/memory.h>
#include <gradus/kernels/emulator/runtime/api.h>
#include <gradus/kernels/emulator/runtime/graph.h>
#include <gradus/kernels/emulator/runtime/order.h>
#include <gradus/kernels/emulator/runtime/pinned_guard.h>

namespace gradus::emulator::runtime {
namespace {

/// The kernel's own line: its first instruction that has one.
SourceLine line_of(const Entry& entry) {
  const ptx::Module& module = program_of(*entry.owner->module);
  for (const auto& instruction : entry.kernel.function->body) {
    const ptx::Location& location = module.locations[instruction.location];
    if (location.line != 0 && location.inlined_at < 0) return {module.files[location.file], location.line, {}};
  }
  return {};
}

/// A launch that a device refuses: the finding and the error.
cudaError_t refuse(const LaunchRequest& request, cudaError_t error, const std::string& text) {
  if (options().checks == Checks::none) return error;
  const SourceLine where = line_of(*request.entry);
  Finding finding;
  finding.kind = Kind::launch_limit;
  finding.file = where.file;
  finding.line = where.line;
  finding.kernel = request.entry->pretty;
  finding.text = "launch of `" + request.entry->pretty + "` from " + to_string(resolve(request.site)) + ": " + text;
  Report::instance().add(finding);
  return error;
}

std::string triple(const std::uint32_t (&v)[3]) {
  return "(" + std::to_string(v[0]) + "," + std::to_string(v[1]) + "," + std::to_string(v[2]) + ")";
}

std::uint64_t threads_of(const LaunchRequest& request) {
  return std::uint64_t{request.config.block[0]} * request.config.block[1] * request.config.block[2];
}

cudaError_t check_shape(const LaunchRequest& request) {
  const auto& config = request.config;
  const auto& limit = limits();
  for (int i = 0; i < 3; ++i) {
    if (config.block[i] == 0 || config.block[i] > limit.max_block[i]) {
      return refuse(request, cudaErrorInvalidConfiguration, "block " + triple(config.block) + ", at most " + triple(limit.max_block));
    }
    if (config.grid[i] == 0 || config.grid[i] > limit.max_grid[i]) {
      return refuse(request, cudaErrorInvalidConfiguration,
                    "grid " + triple(config.grid) + ", from 1 to at most " + triple(limit.max_grid));
    }
  }
  const std::uint64_t threads = threads_of(request);
  if (threads > static_cast<std::uint64_t>(limit.max_threads_per_block)) {
    return refuse(
        request, cudaErrorInvalidConfiguration,
        std::to_string(threads) + " threads a block " + triple(config.block) + ", at most " + std::to_string(limit.max_threads_per_block));
  }
  return cudaSuccess;
}

/// __launch_bounds__ and .reqntid are promises to ptxas: more threads have no registers.
cudaError_t check_bounds(const LaunchRequest& request) {
  const ptx::Function& function = *request.entry->kernel.function;
  const std::uint64_t threads = threads_of(request);
  if (function.max_threads != 0 && threads > function.max_threads) {
    return refuse(request, cudaErrorInvalidValue,
                  std::to_string(threads) + " threads a block, its __launch_bounds__ allow " + std::to_string(function.max_threads));
  }
  const auto& required = function.required_threads;
  if (required[0] != 0) {
    const std::uint32_t want[3] = {required[0], required[1] == 0 ? 1 : required[1], required[2] == 0 ? 1 : required[2]};
    if (std::memcmp(want, request.config.block, sizeof want) != 0) {
      return refuse(request, cudaErrorInvalidValue, "block " + triple(request.config.block) + ", it requires " + triple(want));
    }
  }
  return cudaSuccess;
}

/// Registers are given to warps in units of 256 (sm_90).
std::uint64_t registers_of_block(int registers_per_thread, std::uint64_t threads) {
  const std::uint64_t warps = (threads + 31) / 32, per_warp = (static_cast<std::uint64_t>(registers_per_thread) * 32 + 255) / 256 * 256;
  return warps * per_warp;
}

cudaError_t check_resources(const LaunchRequest& request) {
  const Kernel& kernel = request.entry->kernel;
  const std::uint64_t fixed = kernel.module->static_shared_of(kernel.function);
  const std::uint64_t dynamic = request.config.dynamic_shared;
  if (dynamic > static_cast<std::uint64_t>(kernel.max_dynamic_shared) ||
      fixed + dynamic > static_cast<std::uint64_t>(limits().max_shared_per_block_optin) ||
      (kernel.max_dynamic_shared <= limits().max_shared_per_block &&
       fixed + dynamic > static_cast<std::uint64_t>(limits().max_shared_per_block))) {
    return refuse(request, cudaErrorInvalidValue,
                  std::to_string(dynamic) + " bytes of dynamic shared memory beside " + std::to_string(fixed) + " static; allowed are " +
                      std::to_string(std::max<std::int64_t>(kernel.max_dynamic_shared, 0)) +
                      " dynamic (cudaFuncSetAttribute opts in to more) and " + std::to_string(limits().max_shared_per_block_optin) +
                      " in all");
  }
  if (kernel.registers > 0 &&
      registers_of_block(kernel.registers, threads_of(request)) > static_cast<std::uint64_t>(limits().registers_per_block)) {
    return refuse(request, cudaErrorLaunchOutOfResources,
                  std::to_string(threads_of(request)) + " threads of " + std::to_string(kernel.registers) + " registers; a block has " +
                      std::to_string(limits().registers_per_block));
  }
  if (kernel.function->parameter_bytes > limits().parameter_bytes) {
    return refuse(
        request, cudaErrorInvalidValue,
        std::to_string(kernel.function->parameter_bytes) + " bytes of parameters, at most " + std::to_string(limits().parameter_bytes));
  }
  return cudaSuccess;
}

cudaError_t check_cooperative(const LaunchRequest& request) {
  if (!request.config.cooperative) return cudaSuccess;
  const std::uint64_t blocks = std::uint64_t{request.config.grid[0]} * request.config.grid[1] * request.config.grid[2];
  const std::uint64_t room =
      static_cast<std::uint64_t>(limits().multiprocessors) *
      static_cast<std::uint64_t>(resident_blocks(*request.entry, static_cast<int>(threads_of(request)), request.config.dynamic_shared));
  if (blocks <= room) return cudaSuccess;
  return refuse(request, cudaErrorCooperativeLaunchTooLarge,
                "cooperative grid of " + std::to_string(blocks) + " blocks, at most " + std::to_string(room) + " are resident at once");
}

int run_kernel(const LaunchRequest& request, Operation& operation) {
  std::string text;
  watch_touched_bytes(operation);
  const int error = run(request.entry->kernel, request.config, request.parameters.data(), &text);
  report_met_bytes(operation);
  check_order_of_launch(operation);
  if (error != 0) {
    std::fprintf(stderr, "gradus emulator: kernel `%s` ended with %s: %s\n", request.entry->pretty.c_str(),
                 cudaGetErrorName(static_cast<cudaError_t>(error)), text.c_str());
  }
  return error;
}

}  // namespace

std::vector<std::byte> pack_parameters(const ptx::Function& function, void** arguments) {
  std::vector<std::byte> block(function.parameter_bytes);
  for (std::size_t i = 0; i < function.parameters.size(); ++i) {
    const auto& parameter = function.parameters[i];
    std::memcpy(block.data() + parameter.offset, arguments[i], parameter.bytes);
  }
  return block;
}

cudaError_t check_launch(const LaunchRequest& request) {
  for (const auto check : {check_shape, check_bounds, check_resources, check_cooperative}) {
    if (const cudaError_t error = check(request)) return error;
  }
  return cudaSuccess;
}

Operation launch_operation(LaunchRequest request) {
  Operation operation;
  const SourceLine where = line_of(*request.entry);
  operation.name = "kernel `" + request.entry->pretty + "`";
  operation.kernel = request.entry->pretty;
  operation.file = where.file;
  operation.line = where.line;
  operation.site = request.site;
  operation.work = [request = std::move(request)](Operation& self) { return run_kernel(request, self); };
  return operation;
}

cudaError_t prepare_launch(const void* function, dim3 grid, dim3 block, void** arguments, std::size_t shared, bool cooperative,
                           LaunchRequest* out) {
  Entry* entry = find_entry(function);
  if (entry == nullptr) return cudaErrorInvalidDeviceFunction;
  if (const int error = resolve_entry(*entry)) return static_cast<cudaError_t>(error);
  out->entry = entry;
  out->config.grid[0] = grid.x, out->config.grid[1] = grid.y, out->config.grid[2] = grid.z;
  out->config.block[0] = block.x, out->config.block[1] = block.y, out->config.block[2] = block.z;
  out->config.dynamic_shared = shared;
  out->config.cooperative = cooperative;
  out->site = launch_site().count != 0 ? std::exchange(launch_site(), CallSite{}) : CallSite::here();
  if (const cudaError_t error = check_launch(*out)) return error;
  out->parameters = pack_parameters(*entry->kernel.function, arguments);
  return cudaSuccess;
}

Operation host_operation(const char* name, std::function<void()> call) {
  Operation operation;
  operation.name = name;
  operation.site = CallSite::here();
  operation.calls_host = true;
  operation.work = [call = std::move(call)](Operation&) {
    inside_host_function() = true;
    call();
    inside_host_function() = false;
    return 0;
  };
  watch_for_waiting_hosts();
  return operation;
}

cudaError_t launch(const void* function, dim3 grid, dim3 block, void** arguments, std::size_t shared, cudaStream_t handle,
                   bool cooperative) {
  Stream* stream = stream_of(handle);
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  LaunchRequest request;
  if (const cudaError_t error = prepare_launch(function, grid, block, arguments, shared, cooperative, &request)) return error;
  return enqueue(*stream, launch_operation(std::move(request)));
}

int resident_blocks(const Entry& entry, int block_threads, std::size_t dynamic_shared) {
  const auto& limit = limits();
  if (block_threads <= 0 || block_threads > limit.max_threads_per_block) return 0;
  const int warps = (block_threads + 31) / 32;
  int blocks = std::min(limit.max_blocks_per_sm, limit.max_threads_per_sm / 32 / warps);
  // Registers: four partitions of a quarter each; warps of a block are spread over them.
  const int registers = entry.kernel.registers > 0 ? entry.kernel.registers : 32;
  const int per_warp = (registers * 32 + 255) / 256 * 256, warps_of_partition = limit.registers_per_sm / 4 / per_warp;
  blocks = std::min(blocks, warps_of_partition * 4 / warps);
  const std::uint64_t fixed = entry.kernel.module->static_shared_of(entry.kernel.function);
  const std::uint64_t shared = (fixed + dynamic_shared + limit.reserved_shared + 127) / 128 * 128;
  if (fixed + dynamic_shared > static_cast<std::uint64_t>(limit.max_shared_per_block_optin)) return 0;
  return std::min<int>(blocks, static_cast<int>(static_cast<std::uint64_t>(limit.shared_per_sm) / shared));
}

CallSite& launch_site() {
  thread_local CallSite site;
  return site;
}

}  // namespace gradus::emulator::runtime
