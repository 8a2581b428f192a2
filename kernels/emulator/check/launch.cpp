// Launches and blocks begin and end: shadows are made ready, intervals numbered.
#include <cxxabi.h>

#include <cstdlib>
#include <memory>

#include <gradus/kernels/emulator/exec/machine.h>
#include <gradus/kernels/emulator/exec/shadow.h>

namespace gradus::emulator {
namespace {

// Interval numbers end at 2^32; all records are forgotten well before (a launch makes at most one per memory instruction of a warp).
constexpr std::uint32_t kLastFirstInterval = 0x8000'0000u;
constexpr std::uint32_t kLastInterval = 0xFFFF'FFF0u;
constexpr std::uint64_t kWordSpace = (kDeviceSpace + kHostSpace) / 4;

std::string demangle(const char* name) {
  int status = 0;
  char* plain = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string text = status == 0 && plain != nullptr ? plain : name;
  std::free(plain);
  return text;
}

/// Shadows of finished blocks, to be used again.
std::vector<std::unique_ptr<BlockShadow>>& idle_shadows() {
  static auto& idle = *new std::vector<std::unique_ptr<BlockShadow>>();
  return idle;
}

void forget_records() {
  drop_pages(global_words().words, kWordSpace * sizeof(WordRecord));
  drop_pages(global_words().second, kWordSpace * sizeof(Touch));
  idle_shadows().clear();
}

void prepare_bits(std::vector<std::uint64_t>& words, BitShadow& bits, std::uint64_t bytes) {
  words.assign(bytes / 64 + 2, 0);
  bits.attach(0, words.data());
}

/// Tells what was held back, less what stands at a line of `better`.
void tell_held_back(const ptx::Module& module, std::vector<Finding>& held, const std::unordered_set<std::uint64_t>& better) {
  for (Finding& finding : held) {
    bool explained = false;
    for (std::uint32_t file = 0; file < module.files.size() && finding.line != 0; ++file) {
      explained |= module.files[file] == finding.file && better.count(std::uint64_t{file} << 32 | finding.line) != 0;
    }
    if (!explained) Report::instance().add(std::move(finding));
  }
  held.clear();
}

}  // namespace

LaunchState& launch_state() {
  static LaunchState& state = *new LaunchState();
  return state;
}

WordTable& global_words() {
  static WordTable table = {reinterpret_cast<WordRecord*>(reserve_zero_pages(kWordSpace * sizeof(WordRecord) + 4096)),
                            reinterpret_cast<Touch*>(reserve_zero_pages(kWordSpace * sizeof(Touch) + 4096)), Heap::instance().base};
  return table;
}

Counters& launch_counters() { return launch_state().counters; }
int launch_error() { return launch_state().error; }

void begin_launch(void*, const ptx::Module& module, const char* kernel) {
  LaunchState& state = launch_state();
  state.module = &module;
  state.kernel = demangle(kernel);
  state.check_all = options().checks == Checks::all;
  state.check_fast = options().checks != Checks::none;
  state.count = options().count;
  state.error = 0;
  ++state.stamp;
  state.counters = Counters();
  state.counters.launches = 1;
  state.told.clear();
  state.uninitialised.clear();
  state.unsynced.clear();
  state.raced.clear();
  state.raced_in_block.clear();
  state.logs.clear();
  state.intervals.clear();
  if (state.next_interval > kLastFirstInterval) {
    forget_records();
    state.next_interval = 1;
  }
  state.first_interval = state.next_interval;
  // What an unwatched kernel writes is not marked as defined.
  if (!state.check_all) Heap::instance().forget_definedness();
}

void end_launch(void*) {
  LaunchState& state = launch_state();
  tell_held_back(*state.module, state.unsynced, state.raced_in_block);
  tell_held_back(*state.module, state.uninitialised, state.raced);
  if (state.count) counters_by_kernel()[state.kernel].add(state.counters);
  state.logs.clear();
  std::vector<Interval>().swap(state.intervals);
  state.module = nullptr;
}

void begin_block(Block& block, std::uint64_t shared_bytes, std::uint64_t reserved) {
  const LaunchState& state = launch_state();
  auto& idle = idle_shadows();
  std::unique_ptr<BlockShadow> shadow;
  if (idle.empty()) {
    shadow = std::make_unique<BlockShadow>();
  } else {
    shadow = std::move(idle.back());
    idle.pop_back();
  }
  shadow->shared_bytes = shared_bytes;
  shadow->first_interval = state.next_interval;
  shadow->warps.assign(block.warps, WarpShadow());
  if (state.check_all) {
    const std::size_t words = shadow->shared_bytes / 4 + 4;
    if (shadow->words.size() < words) {
      shadow->words.resize(words);
      shadow->second.resize(words);
    }
    prepare_bits(shadow->shared_bits, shadow->shared_defined, shadow->shared_bytes);
    if (reserved != 0) shadow->shared_defined.set(shared_bytes - reserved, reserved);
    prepare_bits(shadow->local_bits, shadow->local_defined, block.local_stride * block.warps * kLanes);
  }
  // Clocks start at 1: what happened at clock c is before a warp whose own view of that clock is c or more, and views start at 0.
  for (std::uint32_t w = 0; w < block.warps; ++w) {
    block.warp[w].clock.fill(0);
    block.warp[w].clock[w] = 1;
  }
  block.shadow = shadow.release();
}

void end_block(Block& block) {
  idle_shadows().emplace_back(static_cast<BlockShadow*>(block.shadow));
  block.shadow = nullptr;
}

std::uint32_t interval_of(Warp& warp) {
  WarpShadow& shadow = shadow_of(warp);
  const std::uint32_t clock = warp.clock[warp.index];
  if (shadow.interval != 0 && shadow.clock == clock && shadow.epoch == warp.epoch) return shadow.interval;
  LaunchState& state = launch_state();
  // Out of numbers within one launch (days of work): the last interval is shared, which hides races but invents none within it.
  if (state.next_interval < kLastInterval) {
    state.intervals.push_back({warp.block->linear, clock, warp.epoch, warp.index});
    ++state.next_interval;
  }
  shadow.interval = state.next_interval - 1;
  shadow.clock = clock;
  shadow.epoch = warp.epoch;
  return shadow.interval;
}

}  // namespace gradus::emulator
