// Where shared variables lie. ptxas gives a kernel only what the kernel uses; so does this, as far as one address per variable allows:
//   [0, module.shared_bytes)  variables that device functions name: several kernels may reach them, at one place for all;
//   then the kernel's own, among them those of module scope that only kernels name (a function that was inlined leaves its variables
//   there). A kernel that reaches none of the common ones starts at 0.
// Extern (dynamic) shared memory begins after a kernel's static part. If a device function uses it, it has to begin at the same place
// in every kernel that reaches such a function: after the largest static part of them.
#include <algorithm>
#include <set>

#include <gradus/kernels/emulator/ptx/parser_state.h>

namespace gradus::emulator::ptx {
namespace {

struct Use {
  bool common = false;         // a shared variable of module scope or of a device function
  bool dynamic = false;        // extern shared memory
  bool dynamic_below = false;  // ... in a device function
  bool reserved = false;       // what the system keeps for cooperative groups: %reserved_smem_offset_1
};

class SharedLayout {
 public:
  explicit SharedLayout(Module& module) : module_(module) {}
  void run() {
    std::uint64_t common = 0;
    for (const auto& f : module_.functions) {
      if (f->is_entry) continue;
      for (const std::int32_t index : named_by(*f)) below_functions_.insert(index);
    }
    for (std::size_t i = 0; i < module_.variables.size(); ++i) {
      Variable& v = module_.variables[i];
      if (is_static(v) && below_functions_.count(static_cast<std::int32_t>(i))) place(v, common, module_.shared_align);
      if (v.space == Space::shared && v.is_extern) dynamic_align_ = std::max(dynamic_align_, v.align);
    }
    for (auto& f : module_.functions) {
      if (!f->is_entry) place_own(*f, common, module_.shared_align);
    }
    module_.shared_bytes = common;
    for (auto& f : module_.functions) {
      if (f->is_entry) lay_out_entry(*f);
    }
    place_dynamic();
  }

 private:
  static void place(Variable& v, std::uint64_t& bytes, std::uint32_t& align) {
    v.offset = align_up(bytes, v.align);
    bytes = v.offset + v.bytes;
    align = std::max(align, v.align);
  }
  static bool is_static(const Variable& v) { return v.space == Space::shared && !v.is_extern; }
  static void name_variables(const Operand& o, std::set<std::int32_t>& named) {
    for (const Operand& e : o.elements) name_variables(e, named);
    if (o.symbol == Operand::Symbol::module_variable) named.insert(o.symbol_index);
  }
  /// The module's variables that a function's own code names.
  static std::set<std::int32_t> named_by(const Function& f) {
    std::set<std::int32_t> named;
    for (const Instruction& i : f.body)
      for (const Operand& o : i.operands) name_variables(o, named);
    return named;
  }
  static void place_own(Function& f, std::uint64_t& bytes, std::uint32_t& align) {
    for (Variable& v : f.variables) {
      if (v.space == Space::shared) place(v, bytes, align);
    }
  }
  void lay_out_entry(Function& f) {
    const Use use = use_of(f);
    std::uint64_t bytes = use.common ? module_.shared_bytes : 0;
    f.shared_align = use.common ? module_.shared_align : 1;
    f.uses_reserved_shared = use.reserved;
    place_own(f, bytes, f.shared_align);
    for (const std::int32_t index : named_by(f)) {
      const Variable& v = module_.variables[static_cast<std::size_t>(index)];
      if (!is_static(v) || below_functions_.count(index)) continue;
      f.shared_places[index] = align_up(bytes, v.align);
      bytes = f.shared_places[index] + v.bytes;
      f.shared_align = std::max(f.shared_align, v.align);
    }
    f.shared_bytes = bytes;
    f.dynamic_shared_offset = bytes;
    if (!use.dynamic) return;
    f.dynamic_shared_offset = align_up(bytes, dynamic_align_);
    f.shared_align = std::max(f.shared_align, dynamic_align_);
    if (!use.dynamic_below) return;
    below_.push_back(&f);
    common_dynamic_ = std::max(common_dynamic_, f.dynamic_shared_offset);
  }
  void place_dynamic() {
    for (Function* f : below_) f->dynamic_shared_offset = common_dynamic_;
    for (auto& f : module_.functions) {
      if (!f->is_entry) f->dynamic_shared_offset = common_dynamic_;
    }
  }

  /// What an entry reaches. A call through a pointer reaches every function whose address is taken: here, every device function.
  Use use_of(const Function& entry) const {
    Use use;
    std::set<const Function*> seen{&entry};
    std::vector<const Function*> open{&entry};
    while (!open.empty()) {
      const Function& f = *open.back();
      open.pop_back();
      bool indirect = false;
      for (const Instruction& i : f.body) {
        for (const Operand& o : i.operands) visit(f, o, use, open, seen);
        indirect = indirect || (i.mnemonic == "call" && i.operands.size() > 1 && i.operands[1].kind == Operand::Kind::reg);
      }
      for (const auto& g : module_.functions) {
        if (indirect && !g->is_entry && seen.insert(g.get()).second) open.push_back(g.get());
      }
    }
    return use;
  }
  void visit(const Function& f, const Operand& o, Use& use, std::vector<const Function*>& open, std::set<const Function*>& seen) const {
    for (const Operand& e : o.elements) visit(f, e, use, open, seen);
    use.reserved = use.reserved || (o.kind == Operand::Kind::special && o.name.rfind("%reserved_smem_offset_", 0) == 0);
    const auto index = static_cast<std::size_t>(o.symbol_index);
    if (o.symbol == Operand::Symbol::function) {
      const Function* g = module_.functions[index].get();
      if (seen.insert(g).second) open.push_back(g);
    } else if (o.symbol == Operand::Symbol::function_variable) {
      use.common = use.common || (!f.is_entry && f.variables[index].space == Space::shared);
    } else if (o.symbol == Operand::Symbol::module_variable && module_.variables[index].space == Space::shared) {
      const bool is_extern = module_.variables[index].is_extern;
      use.common = use.common || (!is_extern && below_functions_.count(o.symbol_index) != 0);
      use.dynamic = use.dynamic || is_extern;
      use.dynamic_below = use.dynamic_below || (is_extern && !f.is_entry);
    }
  }

  Module& module_;
  std::set<std::int32_t> below_functions_;  // module variables that device functions name
  std::uint32_t dynamic_align_ = 1;
  std::uint64_t common_dynamic_ = 0;
  std::vector<Function*> below_;
};

}  // namespace

void lay_out_shared(Module& module) { SharedLayout(module).run(); }

}  // namespace gradus::emulator::ptx
