// A module ready to run: the program, one Code per function, and where its variables and functions live in the address space.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

#include <gradus/kernels/emulator/exec/machine.h>
#include <gradus/kernels/emulator/exec/warp.h>

namespace gradus::emulator {

/// Function pointers: this window of the generic address space, above those of exec/memory.h; 16 bytes per function of the process.
inline constexpr std::uint64_t kFunctionWindow = 0x0400'0000'0000'0000;

/// What a function pointer leads to.
struct Callee {
  const LoadedModule* module = nullptr;
  const ptx::Function* function = nullptr;
  const Code* code = nullptr;
};
/// The function behind a pointer (of any module of the process); null members if there is none.
Callee callee_of(std::uint64_t handle);

class LoadedModule {
 public:
  /// Places the variables, then decodes every function. Throws Unsupported.
  explicit LoadedModule(ptx::Module program);
  ~LoadedModule();
  LoadedModule(const LoadedModule&) = delete;
  LoadedModule& operator=(const LoadedModule&) = delete;

  const ptx::Module& program() const { return program_; }
  /// The code of a function of this module, at the same address as long as the module lives. A function without a body (vprintf, malloc)
  /// has a Code without instructions.
  const Code* code_of(const ptx::Function* function) const { return code_.at(function).get(); }
  std::uint64_t handle_of(const ptx::Function* function) const { return handles_.at(function); }
  /// Global and const variables: the device address. Shared ones: the offset in the block's shared memory.
  std::uint64_t address_of(std::size_t variable) const { return addresses_[variable]; }
  /// Static shared memory of a block that runs this kernel; dynamic shared memory (extern variables) begins behind it.
  std::uint64_t static_shared_of(const ptx::Function* kernel) const;

 private:
  friend class ModuleLoader;
  ptx::Module program_;
  std::map<const ptx::Function*, std::unique_ptr<Code>> code_;
  std::map<const ptx::Function*, std::uint64_t> handles_;
  std::vector<std::uint64_t> addresses_;  // by index into Module::variables
};

}  // namespace gradus::emulator
