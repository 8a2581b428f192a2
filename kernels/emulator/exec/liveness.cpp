// Backward dataflow over basic blocks. Lanes diverge, but each by itself follows a path of the graph: what holds for a thread's registers
// on every path holds for the lanes of a frame.
#include <gradus/kernels/emulator/exec/liveness.h>

#include <algorithm>
#include <string>

#include <gradus/kernels/emulator/exec/decoder.h>

namespace gradus::emulator {
namespace {

using ptx::Instruction;
using ptx::Operand;

/// f(register) for each register that an operand names.
template <class F> void for_registers(const Operand& operand, F f) {
  if ((operand.kind == Operand::Kind::reg || operand.kind == Operand::Kind::memory) && operand.index >= 0)
    f(static_cast<std::uint32_t>(operand.index));
  for (const Operand& element : operand.elements) for_registers(element, f);
}

bool is_one_of(const std::string& mnemonic, std::initializer_list<const char*> names) {
  return std::any_of(names.begin(), names.end(), [&](const char* name) { return mnemonic == name; });
}

/// Whether the first operand is a result that is written as a whole by every lane that runs the instruction. Returns of a call arrive
/// later: they count as read and written.
bool has_result(const Instruction& i) {
  if (i.operands.empty()) return false;
  const Operand::Kind kind = i.operands[0].kind;
  if (kind != Operand::Kind::reg && kind != Operand::Kind::vector && kind != Operand::Kind::pair) return false;
  if (is_one_of(i.mnemonic, {"bar", "barrier"})) return i.has("red");
  return !is_one_of(i.mnemonic, {"st", "red", "bra", "brx", "call", "ret", "exit", "nanosleep", "pmevent", "setmaxnreg"});
}

constexpr std::size_t kMostWords = std::size_t{1} << 26;  // of one set of registers a block; three are kept: 1.5 GiB

class Liveness {
 public:
  explicit Liveness(const ptx::Function& function)
      : function_(function), words_((function.registers.size() + 63) / 64), ranges_(function.registers.size()) {}

  std::vector<LiveRange> run() {
    if (function_.body.empty()) return ranges_;
    find_blocks();
    for (Block& block : blocks_) summarise(block);
    propagate();
    for (const Block& block : blocks_) {
      for_set(block.in, [&](std::uint32_t r) { extend(r, block.begin); });
      for_set(block.out, [&](std::uint32_t r) { extend(r, block.end - 1); });
    }
    return ranges_;
  }

 private:
  using Set = std::vector<std::uint64_t>;
  struct Block {
    std::uint32_t begin = 0, end = 0;
    std::vector<std::uint32_t> next;  // blocks
    Set in, out, kills;
  };

  template <class F> static void for_set(const Set& set, F f) {
    for (std::size_t w = 0; w < set.size(); ++w) {
      for (std::uint64_t left = set[w]; left != 0; left &= left - 1)
        f(static_cast<std::uint32_t>(w * 64) + static_cast<std::uint32_t>(__builtin_ctzll(left)));
    }
  }
  static bool has(const Set& set, std::uint32_t r) { return (set[r / 64] >> (r % 64) & 1) != 0; }
  static void add(Set& set, std::uint32_t r) { set[r / 64] |= std::uint64_t{1} << (r % 64); }
  void extend(std::uint32_t r, std::uint32_t pc) {
    ranges_[r].first = std::min(ranges_[r].first, pc);
    ranges_[r].last = std::max(ranges_[r].last, pc);
  }

  std::vector<std::uint32_t> targets(const Instruction& i) const {
    if (i.mnemonic == "bra") return {static_cast<std::uint32_t>(i.operands.at(0).index)};
    if (i.mnemonic == "brx") return function_.branch_tables.at(static_cast<std::size_t>(i.operands.at(1).index));
    return {};
  }
  static bool ends_path(const Instruction& i) { return i.guard < 0 && is_one_of(i.mnemonic, {"bra", "brx", "ret", "exit"}); }
  static bool ends_block(const Instruction& i) { return is_one_of(i.mnemonic, {"bra", "brx", "ret", "exit"}); }

  void find_blocks() {
    const auto& body = function_.body;
    std::vector<char> leads(body.size() + 1, 0);
    leads[0] = 1;
    for (std::size_t pc = 0; pc < body.size(); ++pc) {
      for (const std::uint32_t target : targets(body[pc])) leads[std::min<std::size_t>(target, body.size())] = 1;
      if (ends_block(body[pc])) leads[pc + 1] = 1;
    }
    const auto blocks = static_cast<std::size_t>(std::count(leads.begin(), leads.end(), 1));
    if (blocks * words_ > kMostWords)
      throw Unsupported("function `" + function_.name + "` is too large: " + std::to_string(function_.registers.size()) + " registers in " +
                        std::to_string(blocks) + " blocks");
    std::vector<std::uint32_t> block_at(body.size() + 1, ~0u);
    for (std::uint32_t pc = 0; pc < body.size(); ++pc) {
      if (leads[pc] != 0) {
        blocks_.emplace_back().begin = pc;
        blocks_.back().in.assign(words_, 0);
        blocks_.back().out = blocks_.back().kills = blocks_.back().in;
      }
      block_at[pc] = static_cast<std::uint32_t>(blocks_.size() - 1);
      blocks_.back().end = pc + 1;
    }
    const auto link = [&](Block& from, std::size_t pc) {
      if (pc < body.size()) from.next.push_back(block_at[pc]);  // else the function ends there
    };
    for (Block& block : blocks_) {
      const Instruction& last = body[block.end - 1];
      for (const std::uint32_t target : targets(last)) link(block, target);
      if (!ends_path(last)) link(block, block.end);
    }
  }

  /// What the block reads before it writes it, and what it certainly writes.
  void summarise(Block& block) {
    for (std::uint32_t pc = block.begin; pc < block.end; ++pc) {
      const Instruction& i = function_.body[pc];
      const auto read = [&](std::uint32_t r) {
        extend(r, pc);
        if (!has(block.kills, r)) add(block.in, r);
      };
      const bool result = has_result(i);
      if (i.guard >= 0) read(static_cast<std::uint32_t>(i.guard));
      for (std::size_t o = result ? 1 : 0; o < i.operands.size(); ++o) for_registers(i.operands[o], read);
      if (!result) continue;
      for_registers(i.operands[0], [&](std::uint32_t r) {
        extend(r, pc);
        if (i.guard < 0) add(block.kills, r);  // else lanes may keep the old value
      });
    }
  }

  void propagate() {
    for (bool changed = true; changed;) {
      changed = false;
      for (auto block = blocks_.rbegin(); block != blocks_.rend(); ++block) {
        for (const std::uint32_t next : block->next) {
          for (std::size_t w = 0; w < words_; ++w) block->out[w] |= blocks_[next].in[w];
        }
        for (std::size_t w = 0; w < words_; ++w) {
          const std::uint64_t in = block->in[w] | (block->out[w] & ~block->kills[w]);
          changed = changed || in != block->in[w];
          block->in[w] = in;
        }
      }
    }
  }

  const ptx::Function& function_;
  std::size_t words_;
  std::vector<LiveRange> ranges_;
  std::vector<Block> blocks_;
};

}  // namespace

std::vector<bool> merely_selected(const ptx::Function& function) {
  std::vector<bool> selected(function.registers.size()), needed(function.registers.size());
  for (const Instruction& i : function.body) {
    if (i.guard >= 0) needed[static_cast<std::size_t>(i.guard)] = true;
    for (std::size_t o = has_result(i) ? 1 : 0; o < i.operands.size(); ++o) {
      std::vector<bool>& reads = i.mnemonic == "selp" && o < 3 ? selected : needed;
      for_registers(i.operands[o], [&](std::uint32_t r) { reads[r] = true; });
    }
  }
  for (std::size_t r = 0; r < selected.size(); ++r) selected[r] = selected[r] && !needed[r];
  return selected;
}

std::vector<LiveRange> live_ranges(const ptx::Function& function) { return Liveness(function).run(); }

}  // namespace gradus::emulator
