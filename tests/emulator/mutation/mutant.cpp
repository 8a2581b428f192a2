#include "mutant.h"

#include <fstream>
#include <optional>

#include "flow.h"

namespace mutation {
namespace {

using namespace gradus::emulator;

bool starts_with(const Instruction& i, const char* mnemonic, const char* modifier) {
  return i.mnemonic == mnemonic && !i.modifiers.empty() && i.modifiers[0].rfind(modifier, 0) == 0;
}

bool is_barrier(const Instruction& i) { return (i.mnemonic == "bar" || i.mnemonic == "barrier") && i.has("sync"); }
bool is_fence(const Instruction& i) {
  return i.mnemonic == "membar" || i.mnemonic == "fence" || (i.mnemonic == "cp" && (i.has("wait_all") || i.has("wait_group")));
}

/// The last instruction before pc that writes the register.
const Instruction* definition(const Function& f, std::size_t pc, std::int32_t reg) {
  while (pc-- > 0) {
    const auto& operands = f.body[pc].operands;
    if (!operands.empty() && operands[0].kind == Operand::Kind::reg && operands[0].index == reg) return &f.body[pc];
  }
  return nullptr;
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

/// The instruction only goes on to `target`.
void jump(Instruction& i, std::size_t target) {
  Operand next;
  next.kind = Operand::Kind::label;
  next.index = static_cast<std::int32_t>(target);
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

void add_mutants(const Function& f, const Guards& guards, std::size_t function, std::size_t pc, std::vector<Mutant>& all) {
  const Instruction& i = f.body[pc];
  const auto add = [&](Kind kind, std::size_t operand = 0) { all.push_back({kind, function, pc, operand}); };
  if (is_barrier(i)) add(Kind::barrier);
  if (is_fence(i)) add(Kind::fence);
  if (guards.is_bound_check(pc)) add(Kind::check);
  if (const auto mask = mask_operand(i)) add(Kind::mask, *mask);
  if (i.mnemonic == "shfl") add(Kind::mask, 2);
  if (!is_access(i)) return;
  for (std::size_t k = 0; k < i.operands.size(); ++k) {
    if (i.operands[k].kind == Operand::Kind::memory) add(Kind::index, k);
  }
}

}  // namespace

const char* name_of(Kind kind) {
  constexpr const char* kNames[] = {"barrier", "fence", "check", "mask", "index"};
  return kNames[static_cast<int>(kind)];
}

std::vector<Mutant> mutants_of(const ptx::Module& module) {
  std::vector<Mutant> all;
  for (std::size_t f = 0; f < module.functions.size(); ++f) {
    const Function& function = *module.functions[f];
    const Guards guards(function);
    for (std::size_t pc = 0; pc < function.body.size(); ++pc) add_mutants(function, guards, f, pc, all);
  }
  return all;
}

void apply(ptx::Module& module, const Mutant& m) {
  Function& f = *module.functions[m.function];
  Instruction& i = instruction_of(module, m);
  switch (m.kind) {
    case Kind::barrier:
    case Kind::fence: return jump(i, m.pc + 1);
    case Kind::check:
      if (std::size_t to_access = 0; i.mnemonic == "bra" && Guards(f).is_bound_check(m.pc, &to_access)) jump(i, to_access);
      else i.guard = -1;
      return;
    case Kind::mask:
      if (i.mnemonic == "shfl" && m.operand == 2) change_distance(f, m.pc, i.operands[2]);
      else i.operands[m.operand] = immediate(0x7FFFFFFF);
      return;
    case Kind::index: i.operands[m.operand].offset += bytes_of_access(i); return;
  }
}

std::string Place::brief() const { return file.empty() ? "?" : file.substr(file.rfind('/') + 1) + ":" + std::to_string(line); }

Place place_of(const ptx::Module& module, const Mutant& m) {
  Place place;
  const Instruction& i = module.functions[m.function]->body[m.pc];
  for (std::int64_t at = i.location; at >= 0 && at < static_cast<std::int64_t>(module.locations.size());) {
    const ptx::Location& location = module.locations[static_cast<std::size_t>(at)];
    const std::string file = location.file < module.files.size() ? module.files[location.file] : "";
    at = location.inlined_at;
    if (file.find("kernels/") == std::string::npos || location.line == 0) continue;
    place.file = file;
    place.line = location.line;
    std::ifstream in(file);
    for (std::uint32_t line = 0; line < location.line; ++line) std::getline(in, place.text);
    place.text.erase(0, place.text.find_first_not_of(' '));
    break;
  }
  return place;
}

}  // namespace mutation
