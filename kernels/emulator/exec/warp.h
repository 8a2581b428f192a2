// A warp in flight: registers as arrays of 32 lanes, fragments of lanes that share a program counter, and the decoded instruction that a
// handler sees. Handlers (alu_*.cpp, memory_*.cpp, ...) and the machine that calls them meet here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include <gradus/kernels/emulator/ptx/program.h>

namespace gradus::emulator {

inline constexpr int kLanes = 32;
inline constexpr int kMaxWarps = 32;  // of a block
using Mask = std::uint32_t;           // bit l: lane l
inline constexpr Mask kAll = 0xFFFFFFFFu;

struct Warp;
struct Block;
struct Decoded;
struct Code;

/// What the machine does after a handler.
enum class Flow : std::uint8_t {
  next,     // the fragment goes on at pc + 1
  jumped,   // the handler has set pcs (and split fragments) itself
  blocked,  // the fragment waits (barrier, shuffle partners, mbarrier): run again later; the pc is the handler's business
  yields,   // the fragment goes on at pc + 1, after the others of its warp and the other warps had their turn (it polls or sleeps)
  retry,    // nothing happened yet (a lane of the mask has not arrived, try_wait): the same pc again, after the others have run
  left      // lanes exited, returned or trapped: the fragment list has changed
};
using Handler = Flow (*)(Warp& warp, const Decoded& d, Mask active);

/// Where an operand's 32 lanes lie. A value of w bytes is 32 consecutive elements of w bytes (1, 2, 4, 8, 16); a predicate is one Mask.
struct Ref {
  enum Base : std::uint32_t { registers, constants, specials };  // the frame's; the function's broadcast immediates; the warp's %tid ...
  std::uint32_t offset = 0;
  Base base = registers;
};

/// One instruction made ready: operands resolved, the handler chosen for exactly its types.
struct Decoded {
  Handler run = nullptr;
  Ref d, a, b, c;           // destination and sources; what more there is lies in `extra`
  std::int32_t guard = -1;  // byte offset of the predicate in the frame, -1: none
  bool guard_negated = false;
  std::uint8_t instruction_class = 0;    // count::Class
  std::uint16_t flops = 0, special = 0;  // per active lane (mma: per warp / 32)
  std::uint32_t location = 0;            // index into Module::locations
  std::int64_t immediate = 0;            // memory: byte offset; bra: target pc; shapes and sizes as the handler likes
  std::uint32_t options = 0;             // handler's own
  const void* extra = nullptr;           // handler's own, owned by Code
  const ptx::Instruction* source = nullptr;
};

/// A decoded function.
struct Code {
  const ptx::Function* function = nullptr;
  std::vector<Decoded> instructions;
  std::vector<std::byte> constants;  // broadcast immediates, 64-byte aligned by the allocator in use
  std::uint32_t register_bytes = 0;  // of a frame, with the variables of its call sequences
  // .param space. An entry's parameters are one block for all lanes. A device function has a block per lane, parameter_stride apart:
  // parameters, then return values at returns_at. The variables of call sequences lie in the frame's register memory, lane l's at
  // registers + call_parameters_at + l * call_parameter_stride. See Decoder::parameter_place.
  std::uint32_t returns_at = 0, parameter_stride = 0, call_parameters_at = 0, call_parameter_stride = 0;
  std::vector<std::pair<void*, void (*)(void*)>> owned;  // what Decoded::extra points to
  Code() = default;
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  ~Code() {
    for (const auto& [p, destroy] : owned) destroy(p);
  }
};

/// One activation of a function by some lanes of a warp: its registers, its parameters, where to return.
struct Frame {
  const Code* code = nullptr;
  std::byte* registers = nullptr;   // 64-byte aligned, register_bytes
  std::byte* parameters = nullptr;  // .param space of a device function: lane l's block at l * parameter_stride; entry: one block for all
  std::uint32_t parameter_stride = 0;
  Frame* caller = nullptr;
  std::uint32_t return_pc = 0;
  Mask lanes = 0;  // lanes that have not returned
  std::uint32_t depth = 0;
  std::uint64_t local_base = 0;  // of this frame in each lane's local memory
};

/// Lanes at one place.
struct Fragment {
  Mask lanes = 0;
  std::uint32_t pc = 0;
  Frame* frame = nullptr;
  enum class Wait : std::uint8_t { none, barrier, warp_sync, other } wait = Wait::none;
  std::uint32_t wait_id = 0;        // barrier number
  Mask missed = 0;                  // lanes that it waited for at a shuffle while they were elsewhere
  bool spinning = false;            // its whole state came back without a change of memory: not worth running until something changes
  std::uint64_t spin_progress = 0;  // the launch's progress at that time
  std::uint32_t spin_pc = 0;        // the branch that it spins through
  bool parked = false;              // ran long without progress: the others first
};

struct Warp {
  Block* block = nullptr;
  std::uint32_t index = 0;  // in the block
  Mask lanes = 0;           // that exist (the last warp may be partial)
  Mask exited = 0;
  Fragment* current = nullptr;  // the one that is running
  std::vector<Fragment> fragments;
  alignas(64) std::byte* specials = nullptr;  // %tid.x ... for this warp
  std::uint32_t epoch = 1;                    // grows at bar.warp.sync, shuffles, votes, block barriers: for the missing-syncwarp check
  std::array<std::uint32_t, kMaxWarps>
      clock{};     // vector clock over the block's warps: clock[index] is its own, grows at each barrier/release
  Mask carry = 0;  // CC.CF of each lane: add.cc, addc, ...
  std::uint64_t instructions = 0;
  std::uint64_t progress = 0;  // Block::progress when this warp last moved the world

  std::byte* bases[3] = {};  // of Ref::Base for the running fragment, set by the machine when the frame changes

  /// The 32 lanes of an operand.
  template <class T> T* lanes_of(Ref ref) const { return reinterpret_cast<T*>(bases[ref.base] + ref.offset); }
  Mask& predicate(Ref ref) const { return *lanes_of<Mask>(ref); }
};

/// A thread block in flight.
struct Block {
  std::uint32_t id[3] = {}, linear = 0;
  std::uint32_t threads = 0, warps = 0;
  std::vector<Warp> warp;
  std::vector<std::byte> shared;  // static and dynamic
  std::vector<std::byte> local;   // lane-major: thread t's local memory at t * local_stride
  std::uint64_t local_stride = 0;
  void* launch = nullptr;      // the machine's Launch
  void* shadow = nullptr;      // the checks' state of this block's shared memory
  std::uint64_t progress = 0;  // grows when memory changes, a barrier completes, a thread exits
};

/// For error texts and findings: "block (1,0,0) thread (33,0,0)".
std::string thread_name(const Warp& warp, int lane);

/// Raised by handlers for what stops the launch (trap, assertion of the device, an address that nothing can serve).
struct DeviceException {
  int cuda_error;  // cudaErrorIllegalAddress, cudaErrorMisalignedAddress, cudaErrorLaunchFailure, cudaErrorAssert, ...
  std::string text;
};

}  // namespace gradus::emulator
