// Running a grid: which blocks are resident, which warp goes next, and what happens when nothing moves.
#include <algorithm>
#include <cstring>

#include <gradus/kernels/emulator/count/counters.h>
#include <gradus/kernels/emulator/exec/launch.h>
#include <gradus/kernels/emulator/exec/loaded_module.h>
#include <gradus/kernels/emulator/exec/memory.h>
#include <gradus/kernels/emulator/exec/order.h>

namespace gradus::emulator {
namespace {

constexpr int kInvalidConfiguration = 9, kLaunchOutOfResources = 701, kLaunchTimeout = 702, kLaunchFailure = 719,
              kCooperativeTooLarge = 720;
constexpr std::uint64_t kGridWorkspaceBytes = 64;                   // cooperative_groups' grid_workspace {size, barrier}, with room
constexpr std::uint64_t kReservedBytes = 288, kReservedAlign = 16;  // cooperative_groups' barriers and messages between warps
constexpr std::uint64_t kPatienceOfSleepers = 10;                   // nanoseconds that count as a warp instruction where nothing moves
constexpr int kIdleRounds = 16;                                     // of a block whose warps only poll, before other blocks get their turn
constexpr std::uint64_t kRecursionLocalBytes = 16 * 1024;

enum class Progress : std::uint8_t { finished, stuck, working };

std::uint64_t volume(const std::uint32_t (&v)[3]) { return std::uint64_t{v[0]} * v[1] * v[2]; }

/// Blocks that the device could hold at once.
std::uint64_t capacity_of(const Launch& launch) {
  const DeviceLimits& device = limits();
  const std::uint64_t threads = (volume(launch.config.block) + kLanes - 1) / kLanes * kLanes;
  std::uint64_t per_sm = std::min<std::uint64_t>(device.max_blocks_per_sm, device.max_threads_per_sm / threads);
  const std::uint64_t shared = launch.static_shared + launch.config.dynamic_shared + device.reserved_shared;
  per_sm = std::min(per_sm, device.shared_per_sm / shared);
  if (launch.kernel->registers > 0)
    per_sm = std::min<std::uint64_t>(per_sm, device.registers_per_sm / (launch.kernel->registers * threads));
  return std::max<std::uint64_t>(per_sm, 1) * device.multiprocessors;
}

/// Local memory that a thread may come to need: the deepest chain of calls; recursion and indirect calls get a fixed amount on top.
std::uint64_t local_bytes_of(const Launch& launch) {
  std::uint64_t sum = 0;
  bool calls = false;
  for (const auto& function : launch.module->program().functions) {
    if (!function->has_body || (function->is_entry && function.get() != launch.kernel->function)) continue;
    sum += (function->local_bytes + 15) / 16 * 16;
    calls = calls || !function->is_entry;
  }
  const std::uint64_t own = (launch.kernel->function->local_bytes + 15) / 16 * 16;
  return calls && sum > own ? sum + kRecursionLocalBytes : own;
}

void start_warp(Launch& launch, BlockRun& block, Warp& warp, const Code* code) {
  FrameRun* frame = launch.acquire(code);
  frame->parameters = launch.parameters.data();
  frame->caller = nullptr;
  frame->return_pc = 0;
  frame->lanes = warp.lanes;
  frame->depth = 0;
  frame->local_base = 0;
  warp.exited = 0;
  warp.fragments.clear();
  warp.fragments.reserve(2 * kLanes);  // one per lane and some that are empty: none may move while it runs
  Fragment& all = warp.fragments.emplace_back();
  all.lanes = warp.lanes;
  all.frame = frame;
  warp.epoch = 1;
  warp.clock = {};
  warp.instructions = 0;
  block.runs[warp.index].spin = Spin{};
  block.runs[warp.index].forced = false;
  block.runs[warp.index].yields = false;
}

/// What stays the same for every block that this object will be.
void build_block(Launch& launch, BlockRun& block) {
  block.launch = &launch;
  block.threads = static_cast<std::uint32_t>(volume(launch.config.block));
  block.warps = (block.threads + kLanes - 1) / kLanes;
  block.warp.resize(block.warps);
  block.runs.resize(block.warps);
  block.shared.resize(launch.reserved_shared_at + launch.reserved_shared);
  block.local_stride = launch.local_bytes;
  block.local.resize(std::size_t{block.threads} * block.local_stride);
  for (std::uint32_t w = 0; w < block.warps; ++w) {
    Warp& warp = block.warp[w];
    warp.block = &block;
    warp.index = w;
    const std::uint32_t lanes = std::min<std::uint32_t>(kLanes, block.threads - w * kLanes);
    warp.lanes = lanes == kLanes ? kAll : (Mask{1} << lanes) - 1;
    block.runs[w].specials = std::make_unique<Specials>();
    warp.specials = reinterpret_cast<std::byte*>(block.runs[w].specials.get());
    fill_specials(*block.runs[w].specials, launch, warp);
  }
}

void start_block(Launch& launch, std::uint64_t linear) {
  BlockRun* block;
  if (launch.idle.empty()) {
    block = &launch.storage.emplace_back();
    build_block(launch, *block);
  } else {
    block = launch.idle.back();
    launch.idle.pop_back();
    std::fill(block->shared.begin(), block->shared.end(), std::byte{0});
  }
  block->linear = static_cast<std::uint32_t>(linear);
  const auto& grid = launch.config.grid;
  block->id[0] = static_cast<std::uint32_t>(linear % grid[0]);
  block->id[1] = static_cast<std::uint32_t>(linear / grid[0] % grid[1]);
  block->id[2] = static_cast<std::uint32_t>(linear / grid[0] / grid[1]);
  block->exited = 0;
  block->progress = block->settled = 0;
  for (Barrier& barrier : block->barriers) barrier = Barrier{};
  block->order = permutation(block->warps, mix(options().seed, linear + 1));
  const Code* code = launch.module->code_of(launch.kernel->function);
  for (Warp& warp : block->warp) {
    fill_block_specials(*block->runs[warp.index].specials, *block);
    start_warp(launch, *block, warp, code);
  }
  begin_block(*block, launch.reserved_shared_at + launch.reserved_shared, launch.reserved_shared);
  launch.resident.push_back(block);
}

void settle(Launch& launch, BlockRun& block) {
  launch.settled += block.progress - block.settled;
  block.settled = block.progress;
}

Progress run_block(Launch& launch, BlockRun& block) {
  launch.running = &block;
  Progress result = Progress::working;
  const std::uint64_t patience = launch.steps + (std::uint64_t{1} << 22);
  int idle = 0;
  while (result == Progress::working && launch.steps < patience && idle < kIdleRounds) {
    bool alive = false, moved = false;
    const std::uint64_t progress = block.progress, slept = launch.slept;
    for (const std::uint32_t w : block.order) {
      Warp& warp = block.warp[w];
      if (warp.fragments.empty()) continue;
      if (can_move(warp)) {
        moved = true;
        if (run_warp(warp) == Pause::finished) continue;
      }
      alive = true;
    }
    if (!alive) result = Progress::finished;
    else if (!moved) result = Progress::stuck;
    idle = block.progress == progress && launch.slept != slept ? idle + 1 : 0;
  }
  settle(launch, block);
  launch.running = nullptr;
  return result;
}

/// The grid of one launch in its seeded order.
class Grid {
 public:
  explicit Grid(Launch& launch) : launch_(launch), order_(volume(launch.config.grid), options().seed), capacity_(capacity_of(launch)) {}

  void run() {
    while (next_ < order_.size() || !launch_.resident.empty()) {
      if (launch_.resident.empty()) admit(1);
      const std::uint64_t progress = launch_.progress();
      bool finished = false, working = false;
      for (std::size_t i = 0; i < launch_.resident.size();) {
        const Progress result = run_block(launch_, *launch_.resident[i]);
        working = working || result == Progress::working;
        if (result == Progress::finished) retire(i), finished = true;
        else ++i;
      }
      note_progress();
      if (finished) continue;
      // Nobody came to an end: those that wait may wait for a block that has not begun.
      if (admit(launch_.resident.size())) continue;
      if (!working && launch_.progress() == progress) resolve();
    }
  }

 private:
  bool admit(std::uint64_t n) {
    const std::uint64_t room = capacity_ > launch_.resident.size() ? capacity_ - launch_.resident.size() : 0;
    n = std::min({n, room, order_.size() - next_});
    for (std::uint64_t i = 0; i < n; ++i) start_block(launch_, order_.at(next_++));
    return n > 0;
  }
  void retire(std::size_t i) {
    BlockRun* block = launch_.resident[i];
    end_block(*block);
    launch_.idle.push_back(block);
    launch_.resident.erase(launch_.resident.begin() + static_cast<std::ptrdiff_t>(i));
  }
  void note_progress() {
    if (launch_.progress() != launch_.last_progress) {
      launch_.last_progress = launch_.progress();
      launch_.last_progress_steps = launch_.steps;
      launch_.last_progress_slept = launch_.slept;
      return;
    }
    const std::uint64_t steps = launch_.steps - launch_.last_progress_steps, slept = launch_.slept - launch_.last_progress_slept;
    if (steps > options().livelock_steps || slept / kPatienceOfSleepers > options().livelock_steps)
      livelock("no memory changed, no barrier opened and no thread ended for " + std::to_string(steps) + " warp instructions");
  }
  /// Nothing moves. Lanes that wait for lanes go on without them; then a loop that waits for ever is the end; then barriers open.
  void resolve() {
    for (BlockRun* block : launch_.resident)
      for (Warp& warp : block->warp)
        if (force_one(warp)) return;
    for (BlockRun* block : launch_.resident)
      for (Warp& warp : block->warp)
        for (const Fragment& f : warp.fragments)
          if (f.lanes && f.spinning) livelock("every thread that is left waits or repeats the same state, and no memory changes");
    bool opened = false;
    for (BlockRun* block : launch_.resident) {
      launch_.running = block;
      opened = break_barriers(*block) || opened;
      settle(launch_, *block);
    }
    launch_.running = nullptr;
    if (!opened) throw DeviceException{kLaunchFailure, "the machine stands still (an error of the emulator)"};
  }
  [[noreturn]] void livelock(const std::string& why) {
    Warp* warp = nullptr;
    const Fragment* at = nullptr;
    for (BlockRun* block : launch_.resident)
      for (Warp& w : block->warp)
        for (Fragment& f : w.fragments)
          if (f.lanes && (!at || (f.spinning && !at->spinning))) warp = &w, at = &f;
    if (warp) {
      enter(*warp, *const_cast<Fragment*>(at));
      const auto& code = at->frame->code->instructions;
      const Decoded& d = code[std::min<std::size_t>(at->spinning ? at->spin_pc : at->pc, code.size() - 1)];
      report(Kind::livelock, *warp, d, first_lane(at->lanes), why + "; this loop is run by " + whereabouts(*warp, at->lanes));
    }
    throw DeviceException{kLaunchTimeout, "livelock: " + why};
  }

  Launch& launch_;
  Permutation order_;
  std::uint64_t capacity_, next_ = 0;
};

void count(const Launch& launch) {
  Counters& sum = launch_counters();
  sum.blocks += volume(launch.config.grid);
  sum.threads += volume(launch.config.grid) * volume(launch.config.block);
  sum.barriers += launch.barriers;
  sum.shuffles += launch.shuffles;
  std::uint64_t* const classes[] = {&sum.class_integer, &sum.class_float, &sum.class_memory, &sum.class_control, &sum.class_other};
  for (const auto& [code, run] : launch.codes) {
    for (std::size_t i = 0; i < run.tally.size(); ++i) {
      const Decoded& d = code->instructions[i];
      const Tally& t = run.tally[i];
      sum.warp_instructions += t.steps;
      sum.lane_instructions += t.lanes;
      *classes[d.instruction_class] += t.steps;
      sum.flops += t.lanes * d.flops;
      sum.special += t.lanes * d.special;
    }
  }
}

void tell_steps(const Launch& launch) {
  for (const auto& [code, run] : launch.codes) {
    std::vector<std::uint64_t> steps;
    for (const Tally& t : run.tally) steps.push_back(t.steps);
    steps_observer()(*code->function, steps);
  }
}

int check_limits(const Launch& launch, std::string* text) {
  const auto& [grid, block, dynamic_shared, cooperative] = launch.config;
  const auto fail = [&](int error, const char* why) {
    if (text) *text = why;
    return error;
  };
  for (int i = 0; i < 3; ++i) {
    if (grid[i] == 0 || grid[i] > limits().max_grid[i]) return fail(kInvalidConfiguration, "a grid dimension is 0 or too large");
    if (block[i] == 0 || block[i] > limits().max_block[i]) return fail(kInvalidConfiguration, "a block dimension is 0 or too large");
  }
  if (volume(block) > static_cast<std::uint64_t>(limits().max_threads_per_block))
    return fail(kInvalidConfiguration, "more than 1024 threads in a block");
  if (launch.static_shared + dynamic_shared > static_cast<std::uint64_t>(limits().max_shared_per_block_optin))
    return fail(kLaunchOutOfResources, "more shared memory than a block can have");
  if (cooperative && volume(grid) > capacity_of(launch))
    return fail(kCooperativeTooLarge, "a cooperative grid must fit the device at once");
  return 0;
}

/// Blocks of an aborted launch still hold the checks' state.
void drop_blocks(Launch& launch) {
  for (BlockRun* block : launch.resident) end_block(*block);
  launch.resident.clear();
}

}  // namespace

StepsObserver& steps_observer() {
  static StepsObserver observer;
  return observer;
}

int run(const Kernel& kernel, const LaunchConfig& config, const std::byte* parameters, std::string* error_text) {
  Launch launch;
  launch.kernel = &kernel;
  launch.module = kernel.module;
  launch.config = config;
  launch.parameters.assign(parameters, parameters + kernel.function->parameter_bytes);
  launch.static_shared = kernel.module->static_shared_of(kernel.function);
  if (const int error = check_limits(launch, error_text)) return error;
  launch.reserved_shared_at = launch.static_shared + config.dynamic_shared;
  if (kernel.function->uses_reserved_shared) {
    launch.reserved_shared_at = (launch.reserved_shared_at + kReservedAlign - 1) / kReservedAlign * kReservedAlign;
    launch.reserved_shared = kReservedBytes;
  }
  launch.local_bytes = local_bytes_of(launch);
  DeviceMemory& memory = DeviceMemory::instance();
  if (config.cooperative) {
    launch.grid_workspace = memory.allocate(kGridWorkspaceBytes, AllocationKind::device, "the grid's workspace");
    std::memset(memory.at(launch.grid_workspace), 0, kGridWorkspaceBytes);
    memory.define(launch.grid_workspace, kGridWorkspaceBytes);
  }
  begin_launch(&launch, kernel.module->program(), kernel.function->name.c_str());
  int error = 0;
  try {
    Grid(launch).run();
  } catch (const DeviceException& e) {
    error = e.cuda_error;
    if (error_text) *error_text = e.text;
  }
  drop_blocks(launch);
  if (options().count) count(launch);
  if (steps_observer()) tell_steps(launch);
  end_launch(&launch);
  if (error == 0) error = launch_error();
  if (launch.grid_workspace) memory.free(launch.grid_workspace);
  return error;
}

}  // namespace gradus::emulator
