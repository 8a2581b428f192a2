// What nvcc's host code registers before main: fat binaries, kernels, variables. Modules are parsed and decoded at first use.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <gradus/kernels/emulator/exec/machine.h>

namespace gradus::emulator::runtime {

struct FatBinary;

/// A kernel as the host knows it.
struct Entry {
  FatBinary* owner = nullptr;
  const void* host_function = nullptr;
  std::string name;    // mangled, as in the PTX
  std::string pretty;  // demangled
  bool resolved = false;
  Kernel kernel;
  int preferred_carveout = -1, cache_preference = 0;
  int spill_bytes = 0;
};

struct Symbol {
  FatBinary* owner = nullptr;
  const void* host_variable = nullptr;  // key of cudaGetSymbolAddress
  void** managed_pointer = nullptr;     // of a __managed__ variable: filled in when the module loads
  std::string name;
  std::uint64_t registered_bytes = 0;
};

struct FatBinary {
  const void* wrapper = nullptr;
  bool tried = false;
  int error = 0;  // cudaErrorInvalidPtx, cudaErrorNoKernelImageForDevice
  std::shared_ptr<LoadedModule> module;
  std::vector<std::unique_ptr<Entry>> entries;
  std::vector<std::unique_ptr<Symbol>> symbols;
};

/// Loads the module if that has not happened yet. Returns a CUDA error; a failure has been printed.
int load_module(FatBinary& binary);
/// Drops every module (cudaDeviceReset): the next use loads it anew, its variables with their first values.
void unload_modules();
/// The kernel of a host function, or of a cudaKernel_t; null if there is none.
Entry* find_entry(const void* function);
/// Loads its module and finds its code: a CUDA error.
int resolve_entry(Entry& entry);
/// Device address and size of a registered variable: a CUDA error.
int find_symbol(const void* host_variable, std::uint64_t* address, std::uint64_t* bytes);
std::vector<std::unique_ptr<FatBinary>>& fat_binaries();

/// Registers of a kernel and its spills, from the file that `emulate` had ptxas write (GRADUS_EMULATOR_RESOURCES); 0 if unknown.
struct Resources {
  int registers = 0, spill_bytes = 0, stack_bytes = 0;
};
Resources resources_of(const std::string& kernel);

}  // namespace gradus::emulator::runtime
