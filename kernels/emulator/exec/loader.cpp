// Loading: variables get their place and their first values, functions their handles and code.
#include <gradus/kernels/emulator/exec/loaded_module.h>

#include <cstring>
#include <mutex>

#include <gradus/kernels/emulator/exec/allocator.h>
#include <gradus/kernels/emulator/exec/decoder.h>
#include <gradus/kernels/emulator/exec/memory.h>
#include <gradus/kernels/emulator/ptx/parser.h>

namespace gradus::emulator {
namespace {

constexpr std::uint64_t kHandleStep = 16;

/// Every function of the process, by handle.
struct HandleTable {
  std::mutex mutex;
  std::vector<Callee> callees;
};
HandleTable& handles() {
  static auto& table = *new HandleTable;  // work left in a stream runs during exit
  return table;
}

bool is_placed_in_memory(const ptx::Variable& v) { return v.space == ptx::Space::global || v.space == ptx::Space::constant; }

}  // namespace

Callee callee_of(std::uint64_t handle) {
  HandleTable& table = handles();
  const std::lock_guard lock(table.mutex);
  const std::uint64_t index = (handle - kFunctionWindow) / kHandleStep;
  if (handle < kFunctionWindow || handle % kHandleStep != 0 || index >= table.callees.size()) return {};
  return table.callees[static_cast<std::size_t>(index)];
}

class ModuleLoader {
 public:
  explicit ModuleLoader(LoadedModule& loaded) : loaded_(loaded) {}

  void run() {
    make_codes();
    for (const ptx::Variable& v : loaded_.program_.variables) place(v);
    for (std::size_t i = 0; i < loaded_.addresses_.size(); ++i) initialise(loaded_.program_.variables[i], loaded_.addresses_[i]);
    for (const auto& f : loaded_.program_.functions) decode(loaded_, *f, *loaded_.code_.at(f.get()));
  }
  void undo() {
    HandleTable& table = handles();
    const std::lock_guard lock(table.mutex);
    for (const auto& [function, handle] : loaded_.handles_)
      table.callees[static_cast<std::size_t>((handle - kFunctionWindow) / kHandleStep)] = {};
    for (std::size_t i = 0; i < loaded_.addresses_.size(); ++i) {
      if (is_placed_in_memory(loaded_.program_.variables[i])) DeviceMemory::instance().free_variable(loaded_.addresses_[i]);
    }
  }

 private:
  void make_codes() {
    HandleTable& table = handles();
    const std::lock_guard lock(table.mutex);
    for (const auto& f : loaded_.program_.functions) {
      auto code = std::make_unique<Code>();
      loaded_.handles_[f.get()] = kFunctionWindow + table.callees.size() * kHandleStep;
      table.callees.push_back({&loaded_, f.get(), code.get()});
      loaded_.code_[f.get()] = std::move(code);
    }
  }

  void place(const ptx::Variable& v) {
    if (!is_placed_in_memory(v)) {
      loaded_.addresses_.push_back(v.offset);
      return;
    }
    if (v.is_extern)
      throw Unsupported("extern variable `" + v.name + "`: linking device code of several files (-rdc=true) is outside this emulator");
    const AllocationKind kind = v.is_managed                      ? AllocationKind::managed
                                : v.space == ptx::Space::constant ? AllocationKind::constant
                                                                  : AllocationKind::variable;
    const std::uint64_t address = DeviceMemory::instance().allocate(v.bytes == 0 ? 1 : v.bytes, kind, "variable " + v.name);
    if (address == 0) throw Unsupported("no device memory for variable `" + v.name + "` of " + std::to_string(v.bytes) + " bytes");
    loaded_.addresses_.push_back(address);
  }

  void initialise(const ptx::Variable& v, std::uint64_t address) {
    if (!is_placed_in_memory(v)) return;
    DeviceMemory& memory = DeviceMemory::instance();
    std::byte* bytes = memory.at(address);
    zero_bytes(bytes, v.bytes);
    if (!v.initial.empty()) std::memcpy(bytes, v.initial.data(), v.initial.size());
    for (const ptx::Variable::Address& a : v.addresses) {
      const std::uint64_t value = (address_of_symbol(a.symbol, v.name) + static_cast<std::uint64_t>(a.addend)) >> a.shift;
      std::memcpy(bytes + a.at, &value, a.bytes);
    }
    memory.define(address, v.bytes);
  }

  std::uint64_t address_of_symbol(const std::string& symbol, const std::string& user) const {
    const ptx::Module& program = loaded_.program_;
    for (std::size_t i = 0; i < program.variables.size(); ++i) {
      if (program.variables[i].name == symbol) return loaded_.addresses_[i];
    }
    const ptx::Function* f = program.find_function(symbol);
    if (f == nullptr) throw Unsupported("the initialiser of `" + user + "` names `" + symbol + "`, which is not declared");
    return loaded_.handles_.at(f);
  }

  LoadedModule& loaded_;
};

LoadedModule::LoadedModule(ptx::Module program) : program_(std::move(program)) {
  ModuleLoader loader(*this);
  try {
    loader.run();
  } catch (...) {
    loader.undo();
    throw;
  }
}

LoadedModule::~LoadedModule() { ModuleLoader(*this).undo(); }

std::uint64_t LoadedModule::static_shared_of(const ptx::Function* kernel) const { return kernel->dynamic_shared_offset; }

std::shared_ptr<LoadedModule> load(std::string_view ptx) { return std::make_shared<LoadedModule>(ptx::parse(ptx)); }

const ptx::Module& program_of(const LoadedModule& module) { return module.program(); }

std::uint64_t address_of_variable(const LoadedModule& module, std::string_view name, std::uint64_t* bytes) {
  const std::vector<ptx::Variable>& variables = module.program().variables;
  for (std::size_t i = 0; i < variables.size(); ++i) {
    if (variables[i].name != name || !is_placed_in_memory(variables[i])) continue;
    if (bytes != nullptr) *bytes = variables[i].bytes;
    return module.address_of(i);
  }
  return 0;
}

}  // namespace gradus::emulator
