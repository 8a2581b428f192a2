#include "flow.h"

#include <algorithm>

namespace mutation {
namespace {

using gradus::emulator::ptx::Type;

bool is_ordering(const Instruction& i) {
  const Type type = i.mnemonic == "setp" ? i.type() : Type::none;
  const bool whole =
      type == Type::s16 || type == Type::u16 || type == Type::s32 || type == Type::u32 || type == Type::s64 || type == Type::u64;
  return whole && !i.has("eq") && !i.has("ne");
}

bool ends_thread(const Instruction& i) { return i.mnemonic == "ret" || i.mnemonic == "exit" || i.mnemonic == "trap"; }

/// Operand 0 is what it writes.
bool has_result(const Instruction& i) {
  for (const char* name : {"st", "red", "bra", "brx", "bar", "barrier", "membar", "fence", "ret", "exit", "trap", "cp", "prefetch"}) {
    if (i.mnemonic == name) return false;
  }
  return !i.operands.empty();
}

std::vector<std::size_t> successors(const Function& f, std::size_t pc) {
  const Instruction& i = f.body[pc];
  std::vector<std::size_t> next;
  if (i.mnemonic == "bra") {
    next.push_back(static_cast<std::size_t>(i.operands[0].index));
  } else if (i.mnemonic == "brx") {
    const auto& table = f.branch_tables[static_cast<std::size_t>(i.operands[1].index)];
    next.assign(table.begin(), table.end());
  } else if (ends_thread(i)) {
    next.push_back(f.body.size());
  }
  if (next.empty() || i.guard >= 0) next.push_back(pc + 1);
  return next;
}

/// The first common element of two chains of postdominators; `order` grows along them.
std::size_t meet(const std::vector<std::size_t>& join, const std::vector<std::size_t>& order, std::size_t a, std::size_t b) {
  while (a != b) {
    while (order[a] > order[b]) a = join[a];
    while (order[b] > order[a]) b = join[b];
  }
  return a;
}

}  // namespace

bool is_access(const Instruction& i) {
  const bool copies = i.mnemonic == "cp" && i.has("async") && !i.operands.empty() && i.operands[0].kind == Operand::Kind::memory;
  const bool memory = i.mnemonic == "ld" || i.mnemonic == "st" || i.mnemonic == "atom" || i.mnemonic == "red" || copies;
  return memory && !i.has("param") && !i.has("const") && !i.has("local");
}

// Postdominators by the algorithm of Cooper, Harvey and Kennedy ("A Simple, Fast Dominance Algorithm"), on the reversed graph.
Flow::Flow(const Function& f) : next_(f.body.size() + 1), join_(f.body.size() + 1) {
  const std::size_t exit = f.body.size(), none = exit + 1;
  std::vector<std::vector<std::size_t>> before(exit + 1);
  for (std::size_t pc = 0; pc < exit; ++pc) {
    next_[pc] = successors(f, pc);
    for (const std::size_t n : next_[pc]) before[n].push_back(pc);
  }
  // Reverse postorder from the exit against the arrows.
  std::vector<std::size_t> postorder, order(exit + 1, none);
  std::vector<std::pair<std::size_t, std::size_t>> path = {{exit, 0}};
  std::vector<bool> seen(exit + 1);
  seen[exit] = true;
  while (!path.empty()) {
    auto& [at, k] = path.back();
    if (k == before[at].size()) {
      postorder.push_back(at);
      path.pop_back();
    } else if (const std::size_t n = before[at][k++]; !seen[n]) {
      seen[n] = true;
      path.push_back({n, 0});
    }
  }
  std::reverse(postorder.begin(), postorder.end());
  for (std::size_t k = 0; k < postorder.size(); ++k) order[postorder[k]] = k;
  std::fill(join_.begin(), join_.end(), none);
  join_[exit] = exit;
  for (bool changed = true; changed;) {
    changed = false;
    for (const std::size_t at : postorder) {
      std::size_t common = none;
      for (const std::size_t n : next_[at]) {
        if (join_[n] == none) continue;
        common = common == none ? n : meet(join_, order, common, n);
      }
      if (at == exit || common == none || join_[at] == common) continue;
      join_[at] = common;
      changed = true;
    }
  }
  for (std::size_t& j : join_) j = std::min(j, exit);  // a loop without an end: nothing meets before the exit
}

std::size_t Flow::join_of(std::size_t branch) const { return join_[branch]; }

std::vector<std::size_t> Flow::region(std::size_t start, std::size_t join) const {
  std::vector<std::size_t> found, open = {start};
  std::set<std::size_t> seen = {join, next_.size() - 1};
  while (!open.empty()) {
    const std::size_t at = open.back();
    open.pop_back();
    if (!seen.insert(at).second) continue;
    found.push_back(at);
    open.insert(open.end(), next_[at].begin(), next_[at].end());
  }
  return found;
}

Origins::Origins(const Function& f) : f_(f), definitions_(f.registers.size()) {
  for (std::size_t pc = 0; pc < f.body.size(); ++pc) {
    if (!has_result(f.body[pc])) continue;
    const auto define = [&](const Operand& o) {
      if (o.kind == Operand::Kind::reg) definitions_[static_cast<std::size_t>(o.index)].push_back(pc);
    };
    define(f.body[pc].operands[0]);
    for (const Operand& o : f.body[pc].operands[0].elements) define(o);
  }
}

Origin Origins::of(const Operand& operand) const {
  std::set<std::int32_t> seen;
  Origin origin;
  collect(operand, seen, origin);
  return origin;
}

void Origins::collect(const Operand& operand, std::set<std::int32_t>& seen, Origin& origin) const {
  for (const Operand& o : operand.elements) collect(o, seen, origin);
  if (operand.kind == Operand::Kind::special) {
    for (const char* name : {"%tid", "%ctaid", "%laneid", "%warpid"}) {
      if (operand.name.rfind(name, 0) == 0) origin.varying.insert(operand.name);
    }
  }
  origin.parameter |= operand.symbol == Operand::Symbol::parameter;
  const bool names_register =
      operand.kind == Operand::Kind::reg || (operand.kind == Operand::Kind::memory && operand.symbol == Operand::Symbol::none);
  if (!names_register || operand.index < 0 || !seen.insert(operand.index).second) return;
  const std::string& name = f_.registers[static_cast<std::size_t>(operand.index)].name;
  const auto& made = definitions(operand.index);
  if (made.size() > 1) origin.varying.insert(name);
  for (const std::size_t pc : made) {
    const Instruction& i = f_.body[pc];
    if (is_access(i)) {
      origin.varying.insert(name);
      continue;
    }
    for (std::size_t k = 1; k < i.operands.size(); ++k) collect(i.operands[k], seen, origin);
  }
}

std::set<std::string> Guards::compared(std::int32_t predicate, std::set<std::int32_t>& seen) const {
  std::set<std::string> found;
  if (predicate < 0 || !seen.insert(predicate).second) return found;
  for (const std::size_t pc : origins_.definitions(predicate)) {
    const Instruction& i = f_.body[pc];
    if (is_ordering(i)) {
      for (const auto& [index, size] : {std::pair(1, 2), std::pair(2, 1)}) {
        const Operand& bound = i.operands[static_cast<std::size_t>(size)];
        const Origin a = origins_.of(i.operands[static_cast<std::size_t>(index)]);
        if (!origins_.of(bound).varying.empty()) continue;
        const bool counts_rounds = a.parameter && bound.kind == Operand::Kind::immediate && bound.bits != 0;
        if (!counts_rounds) found.insert(a.varying.begin(), a.varying.end());
      }
    }
    for (std::size_t k = 1; k < i.operands.size(); ++k) {
      const Operand& o = i.operands[k];
      if (o.kind != Operand::Kind::reg || f_.registers[static_cast<std::size_t>(o.index)].type != Type::pred) continue;
      const auto further = compared(o.index, seen);
      found.insert(further.begin(), further.end());
    }
  }
  return found;
}

bool Guards::has_access(const std::vector<std::size_t>& region) const {
  return std::any_of(region.begin(), region.end(), [&](std::size_t pc) { return is_access(f_.body[pc]); });
}

bool Guards::is_addressed_by(std::size_t access, const std::set<std::string>& index) const {
  for (const Operand& o : f_.body[access].operands) {
    if (o.kind != Operand::Kind::memory) continue;
    const auto varying = origins_.of(o).varying;
    if (std::any_of(varying.begin(), varying.end(), [&](const std::string& s) { return index.contains(s); })) return true;
  }
  return false;
}

bool Guards::is_bound_check(std::size_t pc, std::size_t* to_access) const {
  const Instruction& i = f_.body[pc];
  if (i.guard < 0) return false;
  std::set<std::int32_t> seen;
  const auto index = compared(i.guard, seen);
  if (index.empty()) return false;
  if (is_access(i)) return is_addressed_by(pc, index);
  if (i.mnemonic != "bra" || i.operands[0].index <= static_cast<std::int32_t>(pc)) return false;  // backwards: a loop
  const std::size_t join = flow_.join_of(pc), ways[2] = {pc + 1, static_cast<std::size_t>(i.operands[0].index)};
  const std::vector<std::size_t> regions[2] = {flow_.region(ways[0], join), flow_.region(ways[1], join)};
  const bool first = has_access(regions[0]);
  if (first == has_access(regions[1])) return false;  // a choice between two ways to work, or none
  if (to_access) *to_access = ways[first ? 0 : 1];
  const auto& region = regions[first ? 0 : 1];
  return std::any_of(region.begin(), region.end(), [&](std::size_t at) { return is_access(f_.body[at]) && is_addressed_by(at, index); });
}

}  // namespace mutation
