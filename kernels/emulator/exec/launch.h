// The machine's insides: one launch with its resident blocks, frames, fragments and barriers. For the machine and the handlers that move
// lanes (control, warp_ops, barrier); everybody else sees warp.h only.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <gradus/kernels/emulator/exec/machine.h>
#include <gradus/kernels/emulator/exec/specials.h>
#include <gradus/kernels/emulator/exec/warp.h>

namespace gradus::emulator {

/// How often an instruction ran; folded into Counters at the end of the launch.
struct Tally {
  std::uint64_t steps = 0, lanes = 0;
};

struct CodeRun;
/// A pooled activation.
struct FrameRun : Frame {
  CodeRun* run = nullptr;
  std::vector<std::byte> storage;
};

/// What a launch keeps per function.
struct CodeRun {
  const Code* code = nullptr;
  std::vector<Tally> tally;
  std::vector<FrameRun*> free;
  std::deque<FrameRun> frames;
};

/// Somebody at a barrier: released when it completes.
struct Arrival {
  Warp* warp = nullptr;
  Frame* frame = nullptr;
  Mask lanes = 0;
  const Decoded* instruction = nullptr;
  bool waits = true;  // false: bar.arrive
};

struct Barrier {
  std::uint32_t arrived = 0;   // threads, whole warps as the hardware counts them
  std::uint32_t expected = 0;  // 0: every live thread of the block
  bool aligned = true;
  bool divergence_told = false;
  std::vector<Arrival> arrivals;
  bool all = true, any = false;  // bar.red
  std::uint32_t count = 0;
};
inline constexpr int kBarriers = 16;

/// Looks for a state of a warp's running fragment that comes back: probes at growing distances, each one hash that the states at the next
/// backward branches are compared with.
struct Spin {
  std::uint64_t progress = 0;    // of the launch when the window began
  std::uint64_t began = 0;       // the clock then
  std::uint64_t next_probe = 0;  // clock
  std::uint64_t hash = 0;
  std::uint32_t compares_left = 0, compares = 0;
  bool span = false;  // it did in this window
};

struct WarpRun {
  Spin spin;
  bool forced = false;  // the running instruction must go on with the lanes that it has
  bool yields = false;  // its slice is over: see Flow::yields
  std::unique_ptr<Specials> specials;
};

/// What polling costs: reading the clock, asking for a phase that is not over.
inline constexpr std::uint64_t kPollNanoseconds = 1000;

struct Launch;
struct BlockRun : Block {
  std::vector<WarpRun> runs;  // by Warp::index
  std::vector<std::uint32_t> order;
  Barrier barriers[kBarriers];
  std::uint32_t exited = 0;   // threads
  bool started = false;       // warps have frames
  std::uint64_t settled = 0;  // progress that the launch knows of
};

struct Launch {
  const Kernel* kernel = nullptr;
  const LoadedModule* module = nullptr;
  LaunchConfig config;
  std::vector<std::byte> parameters;
  std::uint64_t static_shared = 0;
  std::uint64_t reserved_shared_at = 0, reserved_shared = 0;  // behind the dynamic part, if the kernel uses it
  std::uint64_t local_bytes = 0;                              // of a thread
  std::uint64_t grid_workspace = 0;                           // device address; cooperative launches only
  std::uint64_t steps = 0;                                    // warp instructions so far
  std::uint64_t slept = 0;                                    // nanoseconds of nanosleep, and what reading the clock costs
  std::uint64_t last_progress = 0, last_progress_steps = 0, last_progress_slept = 0;
  std::uint64_t settled = 0;  // progress of all blocks up to their last slice
  std::uint64_t barriers = 0, shuffles = 0;
  BlockRun* running = nullptr;
  std::unordered_map<const Code*, CodeRun> codes;
  std::deque<BlockRun> storage;
  std::vector<BlockRun*> idle, resident;

  std::uint64_t clock() const { return steps + slept; }
  std::uint64_t progress() const { return settled + (running ? running->progress - running->settled : 0); }
  FrameRun* acquire(const Code* code);
  void release(FrameRun* frame);
};

inline Launch& launch_of(const Warp& warp) { return *static_cast<Launch*>(warp.block->launch); }
inline BlockRun& block_of(const Warp& warp) { return *static_cast<BlockRun*>(warp.block); }
inline WarpRun& run_of(const Warp& warp) { return block_of(warp).runs[warp.index]; }
inline Mask live_lanes(const Warp& warp) { return warp.lanes & ~warp.exited; }
inline int first_lane(Mask lanes) { return __builtin_ctz(lanes); }
inline int count_lanes(Mask lanes) { return __builtin_popcount(lanes); }

// Fragments (fragments.cpp). Those of a warp never move in memory while one runs: there is room for one per lane.
/// Takes `lanes` out of the running fragment and sets them going at `pc` of `frame`; the list of fragments changes only if some stay
/// behind.
void divert(Warp& warp, Mask lanes, Frame* frame, std::uint32_t pc);
/// If only some lanes of the running fragment are active, lets the others go on behind this instruction and leaves the active ones here
/// (true: the handler returns Flow::left).
bool leave_inactive_behind(Warp& warp, Mask active);
/// Lanes of the running fragment end.
void exit_lanes(Warp& warp, Mask lanes);
/// They return from their frame (end, if it is the kernel's).
void return_lanes(Warp& warp, Mask lanes);
/// Return values, from the frame's own .param space to the variables of the call that made it (control.cpp).
void copy_returns(const Frame& frame, Mask lanes);
/// Makes `fragment` the one that runs.
void enter(Warp& warp, Fragment& fragment);
/// Joins fragments that have met and drops empty ones.
void regroup(Warp& warp);
/// "lanes 0x0000ffff at softmax.cu:12, lanes 0x000f0000 exited": where those lanes are that are not in `here`.
std::string whereabouts(const Warp& warp, Mask missing);
/// "softmax.cu:12" of an instruction, "ptx line 40" without line information.
std::string place_of(const Warp& warp, const Decoded& d);
/// A file with that text in its path wrote the instruction, or brought it in by inlining.
bool is_from(const Warp& warp, const Decoded& d, const char* directory);

// Warps (warp_run.cpp).
enum class Pause : std::uint8_t { finished, stuck, slice };
/// Runs a warp until it ends, nothing in it can move, or its slice is over.
Pause run_warp(Warp& warp);

/// Something in the warp could run now.
bool can_move(const Warp& warp);
/// Lets the first fragment that waits for lanes go on without them. False if there is none.
bool force_one(Warp& warp);

// Barriers (barrier.cpp).
/// After threads ended: barriers that waited for them only.
void recheck_barriers(BlockRun& block);
/// Nothing moves any more: reports and opens the barriers of the block that have arrivals. False if there are none.
bool break_barriers(BlockRun& block);

// Special registers (specials.cpp).
void fill_specials(Specials& specials, const Launch& launch, const Warp& warp);
void fill_block_specials(Specials& specials, const Block& block);

}  // namespace gradus::emulator
