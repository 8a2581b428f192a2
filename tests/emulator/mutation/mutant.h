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
  check,    // a bound check: dropped, as if its index were always inside. See below
  mask,     // a lane less in the mask of a shuffle, vote, match or warp barrier; another distance of a shuffle
  index     // ld, st, atom, red, cp.async in global or shared memory: one element further
};
// A bound check is a guarded access, or a branch forwards with accesses on one of its two ways until they meet and none on the other, so
// that it decides whether to access and not how. Its predicate must come from an ordering comparison (<, <=, >, >=) of whole numbers, of an
// index with a size: of a value that varies between threads or rounds (made from thread, block or lane number, a loop's variable or a
// loaded number) with one that does not (made from parameters and constants only). And an access that it decides about must be addressed by
// what the index is made from. Comparisons of a number made from both an index and a parameter with a constant other than 0 are none: that
// is how the compiler chooses, by the number of rounds left, between single rounds and several at once. Neither are tests of parameters
// alone, minimum and maximum, and `if (lane == 0)`.
inline constexpr std::array<Kind, 5> kKinds = {Kind::barrier, Kind::fence, Kind::check, Kind::mask, Kind::index};
const char* name_of(Kind kind);

struct Mutant {
  Kind kind = Kind::barrier;
  std::size_t function = 0, pc = 0;  // into Module::functions, Function::body
  std::size_t operand = 0;           // which one changes, where several could
};

/// Every mutant of the module, in order of the text.
std::vector<Mutant> mutants_of(const gradus::emulator::ptx::Module& module);
void apply(gradus::emulator::ptx::Module& module, const Mutant& mutant);

/// The innermost line that is the project's own; of no file if there is none.
struct Place {
  std::string file;  // as the PTX names it
  std::uint32_t line = 0;
  std::string text;           // of the source line, without indentation
  std::string brief() const;  // "softmax_lines.cuh:41"
};
Place place_of(const gradus::emulator::ptx::Module& module, const Mutant& mutant);

}  // namespace mutation
