#include "mutant.h"

#include <algorithm>
#include <optional>

namespace mutation {
namespace {

using namespace gradus::emulator;
using ptx::Function;
using ptx::Instruction;
using ptx::Operand;

bool starts_with(const Instruction& i, const char* mnemonic, const char* modifier) {
  return i.mnemonic == mnemonic && !i.modifiers.empty() && i.modifiers[0].rfind(modifier, 0) == 0;
}

bool is_barrier(const Instruction& i) { return (i.mnemonic == "bar" || i.mnemonic == "barrier") && i.has("sync"); }
bool is_fence(const Instruction& i) {
  return i.mnemonic == "membar" || i.mnemonic == "fence" || (i.mnemonic == "cp" && (i.has("wait_all") || i.has("wait_group")));
}

/// lt <-> le, gt <-> ge; "" where it has no such neighbour.
std::string neighbour(const std::string& relation) {
  const std::pair<const char*, const char*> pairs[] = {{"lt", "le"}, {"gt", "ge"}, {"lo", "ls"}, {"hi", "hs"}};
  for (const auto& [a, b] : pairs) {
    if (relation == a) return b;
    if (relation == b) return a;
  }
  return "";
}
bool compares_sizes(const Instruction& i) {
  const ptx::Type type = i.mnemonic == "setp" ? i.type() : ptx::Type::none;
  const bool whole = type == ptx::Type::s32 || type == ptx::Type::u32 || type == ptx::Type::s64 || type == ptx::Type::u64;
  return whole && !neighbour(i.modifiers[0]).empty();
}

bool same(const Operand& a, const Operand& b) {
  return a.kind == b.kind && a.index == b.index && a.bits == b.bits && (a.kind == Operand::Kind::reg || a.kind == Operand::Kind::immediate);
}

/// A minimum or maximum, `setp.lt p, a, b; selp d, a, b, p`: of equals it takes either, and no mutant differs.
bool is_extremum(const Function& f, std::size_t pc) {
  const Instruction& setp = f.body[pc];
  if (setp.operands.size() != 3 || setp.operands[0].kind != Operand::Kind::reg) return false;
  std::size_t uses = 0, harmless = 0;
  for (const Instruction& i : f.body) {
    if (&i == &setp) continue;
    bool used = i.guard == setp.operands[0].index;
    for (const Operand& o : i.operands) used |= same(o, setp.operands[0]);
    uses += used;
    if (!used || i.mnemonic != "selp") continue;
    const auto is_pair = [&](std::size_t a, std::size_t b) {
      return same(i.operands[1], setp.operands[a]) && same(i.operands[2], setp.operands[b]);
    };
    harmless += is_pair(1, 2) || is_pair(2, 1);
  }
  return uses > 0 && uses == harmless;
}

/// The last instruction before pc that writes the register.
const Instruction* definition(const Function& f, std::size_t pc, std::int32_t reg) {
  while (pc-- > 0) {
    const auto& operands = f.body[pc].operands;
    if (!operands.empty() && operands[0].kind == Operand::Kind::reg && operands[0].index == reg) return &f.body[pc];
  }
  return nullptr;
}

bool is_access(const Instruction& i) {
  const bool memory =
      i.mnemonic == "ld" || i.mnemonic == "st" || i.mnemonic == "atom" || i.mnemonic == "red" || starts_with(i, "cp", "async");
  return memory && !i.has("param") && !i.has("const") && !i.has("local") && !is_fence(i);
}

bool is_check(const Function& f, std::size_t pc) {
  const Instruction& i = f.body[pc];
  if (i.guard < 0) return false;
  if (is_access(i)) return true;
  if (i.mnemonic != "bra" || i.operands[0].index <= static_cast<std::int32_t>(pc)) return false;  // backwards: a loop
  const Instruction* setp = definition(f, pc, i.guard);
  return setp != nullptr && compares_sizes(*setp);
}

/// Where the mask of the lanes stands, if the instruction has one.
std::optional<std::size_t> mask_operand(const Instruction& i) {
  if (i.mnemonic == "shfl" && i.has("sync")) return 4;
  if ((i.mnemonic == "vote" || i.mnemonic == "match" || i.mnemonic == "redux") && i.has("sync")) return 2;
  if (starts_with(i, "bar", "warp")) return 0;
  return std::nullopt;
}

std::int64_t bytes_of_access(const Instruction& i) {
  if (i.mnemonic == "cp") return static_cast<std::int64_t>(i.operands[2].bits);
  const int vector = i.has("v4") ? 4 : i.has("v2") ? 2 : 1;
  return ptx::bytes_of(i.type()) * vector;
}

Operand immediate(std::uint64_t bits) {
  Operand o;
  o.kind = Operand::Kind::immediate;
  o.bits = bits;
  return o;
}

void drop(Instruction& i, std::size_t pc) {
  Operand next;
  next.kind = Operand::Kind::label;
  next.index = static_cast<std::int32_t>(pc + 1);
  i.mnemonic = "bra";
  i.modifiers = {"uni"};
  i.guard = -1;
  i.operands = {next};
}

void change_distance(const Function& f, std::size_t pc, Operand& distance) {
  const Instruction* from = distance.kind == Operand::Kind::reg ? definition(f, pc, distance.index) : nullptr;
  const Operand* known = distance.kind == Operand::Kind::immediate ? &distance : nullptr;
  if (from != nullptr && from->mnemonic == "mov" && from->operands[1].kind == Operand::Kind::immediate) known = &from->operands[1];
  const std::uint64_t value = known != nullptr ? known->bits & 31 : 0;
  distance = immediate(known == nullptr ? 3 : value > 1 ? value / 2 : value == 1 ? 2 : 1);
}

Instruction& instruction_of(ptx::Module& module, const Mutant& m) { return module.functions[m.function]->body[m.pc]; }

void add_mutants(const Function& f, std::size_t function, std::size_t pc, std::vector<Mutant>& all) {
  const Instruction& i = f.body[pc];
  const auto add = [&](Kind kind, std::size_t operand = 0) { all.push_back({kind, function, pc, operand}); };
  if (is_barrier(i)) add(Kind::barrier);
  if (is_fence(i)) add(Kind::fence);
  if (compares_sizes(i) && !is_extremum(f, pc)) add(Kind::bound);
  if (is_check(f, pc)) add(Kind::check);
  if (const auto mask = mask_operand(i)) add(Kind::mask, *mask);
  if (i.mnemonic == "shfl") add(Kind::mask, 2);
  if (!is_access(i)) return;
  for (std::size_t k = 0; k < i.operands.size(); ++k) {
    if (i.operands[k].kind == Operand::Kind::memory) add(Kind::index, k);
  }
}

}  // namespace

const char* name_of(Kind kind) {
  constexpr const char* kNames[] = {"barrier", "fence", "bound", "check", "mask", "index"};
  return kNames[static_cast<int>(kind)];
}

std::vector<Mutant> mutants_of(const ptx::Module& module) {
  std::vector<Mutant> all;
  for (std::size_t f = 0; f < module.functions.size(); ++f) {
    for (std::size_t pc = 0; pc < module.functions[f]->body.size(); ++pc) add_mutants(*module.functions[f], f, pc, all);
  }
  return all;
}

void apply(ptx::Module& module, const Mutant& m) {
  Function& f = *module.functions[m.function];
  Instruction& i = instruction_of(module, m);
  switch (m.kind) {
    case Kind::barrier:
    case Kind::fence: return drop(i, m.pc);
    case Kind::bound: i.modifiers[0] = neighbour(i.modifiers[0]); return;
    case Kind::check:
      if (i.mnemonic == "bra") drop(i, m.pc);
      else i.guard = -1;
      return;
    case Kind::mask:
      if (i.mnemonic == "shfl" && m.operand == 2) change_distance(f, m.pc, i.operands[2]);
      else i.operands[m.operand] = immediate(0x7FFFFFFF);
      return;
    case Kind::index: i.operands[m.operand].offset += bytes_of_access(i); return;
  }
}

void apply_trap(ptx::Module& module, const Mutant& m) {
  Instruction& i = instruction_of(module, m);
  i.mnemonic = "trap";
  i.modifiers.clear();
  i.operands.clear();
  if (m.kind == Kind::check) i.guard = -1;
}

std::string place_of(const ptx::Module& module, const Mutant& m) {
  const Instruction& i = module.functions[m.function]->body[m.pc];
  for (std::int64_t at = i.location; at >= 0 && at < static_cast<std::int64_t>(module.locations.size());) {
    const ptx::Location& location = module.locations[static_cast<std::size_t>(at)];
    const std::string file = location.file < module.files.size() ? module.files[location.file] : "";
    if (file.find("kernels/") != std::string::npos) return file.substr(file.rfind('/') + 1) + ":" + std::to_string(location.line);
    at = location.inlined_at;
  }
  return "line " + std::to_string(i.text_line) + " of the PTX";
}

}  // namespace mutation
