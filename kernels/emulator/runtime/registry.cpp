#include <gradus/kernels/emulator/runtime/registry.h>

#include <cuda_runtime_api.h>
#include <cxxabi.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <unordered_map>

#include <gradus/kernels/emulator/exec/decoder.h>
#include <gradus/kernels/emulator/exec/memory.h>
#include <gradus/kernels/emulator/ptx/parser.h>
#include <gradus/kernels/emulator/runtime/api.h>
#include <gradus/kernels/emulator/runtime/exit_report.h>
#include <gradus/kernels/emulator/runtime/host_access.h>
#include <gradus/kernels/emulator/runtime/ptx_source.h>

namespace gradus::emulator::runtime {
namespace {

/// Host functions and variables may be registered from several threads' dlopen; all under the lock.
std::unordered_map<const void*, Entry*>& entries_by_function() {
  static auto* map = new std::unordered_map<const void*, Entry*>;
  return *map;
}

std::unordered_map<const void*, Symbol*>& symbols_by_variable() {
  static auto* map = new std::unordered_map<const void*, Symbol*>;
  return *map;
}

std::string demangled(const char* name) {
  int status = 0;
  char* text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string out = status == 0 && text != nullptr ? text : name;
  std::free(text);
  return out;
}

/// The newest PTX that the options allow.
const ptx::PtxImage* choose(const std::vector<ptx::PtxImage>& images) {
  const int most = options().architecture != 0 ? options().architecture : kNewestArchitecture;
  const ptx::PtxImage* best = nullptr;
  for (const auto& image : images) {
    if (image.architecture <= most && (best == nullptr || image.architecture > best->architecture)) best = &image;
  }
  return best;
}

int failed(FatBinary& binary, int error, const std::string& text) {
  std::fprintf(stderr, "%s\n", text.c_str());
  DeviceState::instance().module_failed = true;
  return binary.error = error;
}

void fill_managed_pointers(FatBinary& binary) {
  for (auto& symbol : binary.symbols) {
    if (symbol->managed_pointer == nullptr) continue;
    const std::uint64_t address = address_of_variable(*binary.module, symbol->name);
    *symbol->managed_pointer = reinterpret_cast<void*>(address);
  }
}

FatBinary& binary_of(void** handle) { return *reinterpret_cast<FatBinary*>(handle); }

Symbol& add_symbol(void** handle, const void* variable, const char* name, std::size_t bytes) {
  auto symbol = std::make_unique<Symbol>();
  symbol->owner = &binary_of(handle);
  symbol->host_variable = variable;
  symbol->name = name;
  symbol->registered_bytes = bytes;
  symbols_by_variable()[variable] = symbol.get();
  binary_of(handle).symbols.push_back(std::move(symbol));
  return *binary_of(handle).symbols.back();
}

}  // namespace

std::vector<std::unique_ptr<FatBinary>>& fat_binaries() {
  static auto* list = new std::vector<std::unique_ptr<FatBinary>>;
  return *list;
}

int load_module(FatBinary& binary) {
  if (binary.tried) return binary.error;
  binary.tried = true;
  std::string_view text;
  try {
    const auto images = ptx::images_of(binary.wrapper);
    const ptx::PtxImage* image = choose(images);
    if (image == nullptr) {
      return failed(binary, cudaErrorNoKernelImageForDevice,
                    images.empty()
                        ? "gradus emulator: error: the program holds no PTX: compile with -gencode arch=compute_80,code=compute_80"
                        : "gradus emulator: error: the program's PTX is for a newer device than the emulator knows (sm_90): add -gencode "
                          "arch=compute_80,code=compute_80");
    }
    text = image->text;
    binary.module = load(text);
    fill_managed_pointers(binary);
    return 0;
  } catch (const ptx::ParseError& e) {
    return failed(binary, cudaErrorInvalidPtx, with_source(text, e.what()));
  } catch (const Unsupported& e) { return failed(binary, cudaErrorInvalidPtx, with_source(text, e.what())); }
}

void unload_modules() {
  for (auto& binary : fat_binaries()) {
    if (binary->error != 0) continue;
    binary->tried = false;
    binary->module.reset();
    for (auto& entry : binary->entries) {
      entry->resolved = false;
      entry->kernel = {};
    }
  }
}

Entry* find_entry(const void* function) {
  const auto found = entries_by_function().find(function);
  if (found != entries_by_function().end()) return found->second;
  for (const auto& binary : fat_binaries()) {
    for (const auto& entry : binary->entries) {
      if (entry.get() == function) return entry.get();
    }
  }
  return nullptr;
}

int resolve_entry(Entry& entry) {
  if (const int error = load_module(*entry.owner)) return error;
  if (entry.resolved) return 0;
  const ptx::Function* function = program_of(*entry.owner->module).find_function(entry.name);
  if (function == nullptr || !function->has_body) return cudaErrorInvalidDeviceFunction;
  entry.kernel.module = entry.owner->module.get();
  entry.kernel.function = function;
  const Resources resources = resources_of(entry.name);
  entry.kernel.registers = resources.registers;
  entry.spill_bytes = resources.spill_bytes;
  entry.resolved = true;
  return 0;
}

int find_symbol(const void* host_variable, std::uint64_t* address, std::uint64_t* bytes) {
  const auto found = symbols_by_variable().find(host_variable);
  if (found == symbols_by_variable().end()) return cudaErrorInvalidSymbol;
  if (const int error = load_module(*found->second->owner)) return error;
  *address = address_of_variable(*found->second->owner->module, found->second->name, bytes);
  return *address == 0 ? cudaErrorInvalidSymbol : 0;
}

Resources resources_of(const std::string& kernel) {
  static const auto* table = [] {
    auto* map = new std::map<std::string, Resources>;
    const char* file = std::getenv("GRADUS_EMULATOR_RESOURCES");
    std::ifstream in(file == nullptr ? "" : file);
    for (std::string line, name; std::getline(in, line);) {
      std::istringstream words(line);
      Resources r;
      if (words >> name >> r.registers >> r.spill_bytes >> r.stack_bytes) (*map)[name] = r;
    }
    return map;
  }();
  const auto found = table->find(kernel);
  return found == table->end() ? Resources{} : found->second;
}

}  // namespace gradus::emulator::runtime

// ---- what nvcc's generated code calls

using namespace gradus::emulator::runtime;

extern "C" {

void** __cudaRegisterFatBinary(void* wrapper) {
  const std::lock_guard held(lock());
  report_at_exit();
  catch_host_access();
  auto binary = std::make_unique<FatBinary>();
  binary->wrapper = wrapper;
  fat_binaries().push_back(std::move(binary));
  return reinterpret_cast<void**>(fat_binaries().back().get());
}

void __cudaRegisterFatBinaryEnd(void**) {}
// Nothing is taken down: work may still be queued, and exit_report runs after this.
void __cudaUnregisterFatBinary(void**) {}

void __cudaRegisterFunction(void** handle, const char* host_function, char*, const char* name, int, uint3*, uint3*, dim3*, dim3*, int*) {
  const std::lock_guard held(lock());
  auto entry = std::make_unique<Entry>();
  entry->owner = &binary_of(handle);
  entry->host_function = host_function;
  entry->name = name;
  entry->pretty = demangled(name);
  entries_by_function()[host_function] = entry.get();
  binary_of(handle).entries.push_back(std::move(entry));
}

void __cudaRegisterVar(void** handle, char* host_variable, char*, const char* name, int, size_t bytes, int, int) {
  const std::lock_guard held(lock());
  add_symbol(handle, host_variable, name, bytes);
}

void __cudaRegisterManagedVar(void** handle, void** pointer, char*, const char* name, int, size_t bytes, int, int) {
  const std::lock_guard held(lock());
  add_symbol(handle, pointer, name, bytes).managed_pointer = pointer;
}

void __cudaRegisterHostVar(void**, const char*, char*, size_t) {}

char __cudaInitModule(void** handle) {
  const std::lock_guard held(lock());
  return load_module(binary_of(handle)) == 0 ? 1 : 0;
}

}  // extern "C"
