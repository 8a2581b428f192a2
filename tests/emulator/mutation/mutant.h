// Faults to plant in a parsed kernel, one instruction each.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include <gradus/kernels/emulator/ptx/program.h>

namespace mutation {

enum class Kind {
  barrier,  // bar.sync, bar.warp.sync: dropped
  fence,    // membar, fence, cp.async.wait: dropped
  bound,    // < for <=, <= for <, > for >=, >= for > in a comparison of integers
  check,    // a branch around code, taken by a comparison of sizes: never taken; a guarded access: unguarded
  mask,     // a lane less in the mask of a shuffle, vote, match or warp barrier; another distance of a shuffle
  index     // ld, st, atom, red, cp.async in global or shared memory: one element further
};
inline constexpr std::array<Kind, 6> kKinds = {Kind::barrier, Kind::fence, Kind::bound, Kind::check, Kind::mask, Kind::index};
const char* name_of(Kind kind);

struct Mutant {
  Kind kind = Kind::barrier;
  std::size_t function = 0, pc = 0;  // into Module::functions, Function::body
  std::size_t operand = 0;           // which one changes, where several could
};

/// Every mutant of the module, in order of the text.
std::vector<Mutant> mutants_of(const gradus::emulator::ptx::Module& module);
void apply(gradus::emulator::ptx::Module& module, const Mutant& mutant);
/// The instruction traps instead: tells whether anything runs it.
void apply_trap(gradus::emulator::ptx::Module& module, const Mutant& mutant);
/// "softmax_lines.cuh:41", the innermost line that is the project's own.
std::string place_of(const gradus::emulator::ptx::Module& module, const Mutant& mutant);

}  // namespace mutation
