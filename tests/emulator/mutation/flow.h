// What a mutant needs to know of a function: which instructions a branch decides about, and where a register's value comes from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include <gradus/kernels/emulator/ptx/program.h>

namespace mutation {

using gradus::emulator::ptx::Function;
using gradus::emulator::ptx::Instruction;
using gradus::emulator::ptx::Operand;

/// ld, st, atom, red, cp.async in global or shared memory.
bool is_access(const Instruction& i);

/// Control flow. The exit is the pc behind the last instruction.
class Flow {
 public:
  explicit Flow(const Function& f);
  /// Where both ways from a branch meet again: its immediate postdominator.
  std::size_t join_of(std::size_t branch) const;
  /// The instructions that may run from `start` on before `join`.
  std::vector<std::size_t> region(std::size_t start, std::size_t join) const;

 private:
  std::vector<std::vector<std::size_t>> next_;  // by pc
  std::vector<std::size_t> join_;               // immediate postdominators
};

/// Data flow: what goes into a value. What varies between threads or rounds is a special register (%tid.x), a loop's variable (a register
/// with several definitions) or a value loaded from global or shared memory; a kernel's parameters, constants and the grid's extents do
/// not.
struct Origin {
  std::set<std::string> varying;
  bool parameter = false;
};
class Origins {
 public:
  explicit Origins(const Function& f);
  Origin of(const Operand& operand) const;
  /// All definitions of a register: pcs.
  const std::vector<std::size_t>& definitions(std::int32_t reg) const { return definitions_[static_cast<std::size_t>(reg)]; }

 private:
  void collect(const Operand& operand, std::set<std::int32_t>& seen, Origin& origin) const;
  const Function& f_;
  std::vector<std::vector<std::size_t>> definitions_;  // by register
};

/// Which guards are bound checks, as mutant.h defines them.
class Guards {
 public:
  explicit Guards(const Function& f) : f_(f), flow_(f), origins_(f) {}
  /// Of a guarded access: it is one. Of a branch: exactly one of its ways leads to accesses, and `to_access` is its first pc.
  bool is_bound_check(std::size_t pc, std::size_t* to_access = nullptr) const;

 private:
  /// What varies in the index that the predicate compares with a size; empty: it does no such thing.
  std::set<std::string> compared(std::int32_t predicate, std::set<std::int32_t>& seen) const;
  bool has_access(const std::vector<std::size_t>& region) const;
  bool is_addressed_by(std::size_t access, const std::set<std::string>& index) const;
  const Function& f_;
  Flow flow_;
  Origins origins_;
};

}  // namespace mutation
