// What the checks remember while a grid runs: who touched which word last, what is defined, which releases a warp has seen.
//
// Time within a launch is cut into intervals: (block, warp, value of the warp's own clock, warp epoch). A record of a word names an
// interval, a lane and a source line in 64 bits. Intervals are numbered through all launches, so that records of earlier launches (or of
// blocks that used the same shared memory) are recognised by their number and nothing is ever cleared.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <gradus/kernels/emulator/exec/allocator.h>
#include <gradus/kernels/emulator/exec/memory.h>

namespace gradus::emulator {

struct Interval {
  std::uint32_t block = 0, clock = 0, epoch = 0, warp = 0;
};

/// How an access is ordered by itself.
enum class Strength : std::uint8_t { plain, strong, atomic };

/// One access as a word remembers it, in 64 bits.
struct Touch {
  std::uint64_t bits = 0;

  enum Share : std::uint32_t {
    one_lane,
    bytes_of_lanes,   // consecutive lanes, a byte each, from lane() on
    halves_of_lanes,  // consecutive lanes, two bytes each
    several_lanes     // at least two lanes, each all of mask()
  };
  static Touch make(std::uint32_t interval, std::uint32_t location, std::uint32_t lane, std::uint32_t mask, Strength strength) {
    const std::uint64_t where = location < (1u << 17) ? location : 0;
    return {std::uint64_t{interval} << 32 | where << 15 | std::uint64_t{lane} << 10 | mask << 6 |
            static_cast<std::uint64_t>(strength) << 2};
  }
  std::uint32_t interval() const { return static_cast<std::uint32_t>(bits >> 32); }
  std::uint32_t location() const { return static_cast<std::uint32_t>(bits >> 15) & 0x1FFFF; }
  std::uint32_t lane() const { return static_cast<std::uint32_t>(bits >> 10) & 31; }
  std::uint32_t mask() const { return static_cast<std::uint32_t>(bits >> 6) & 15; }
  Share share() const { return static_cast<Share>(bits >> 4 & 3); }
  Strength strength() const { return static_cast<Strength>(bits >> 2 & 3); }
  /// Of a read: there is another reader that this one is not ordered with (1: of the same block, 2: of another).
  std::uint32_t second() const { return static_cast<std::uint32_t>(bits & 3); }
  void set_share(Share share) { bits = (bits & ~std::uint64_t{0x30}) | static_cast<std::uint64_t>(share) << 4; }
  void add_mask(std::uint32_t mask) { bits |= std::uint64_t{mask} << 6; }
  void set_second(std::uint64_t which) { bits = (bits & ~std::uint64_t{3}) | which; }
};

/// Last write and first unordered read of a 4-byte word.
struct WordRecord {
  Touch write, read;
};

/// The records of a stretch of memory.
struct WordTable {
  WordRecord* words = nullptr;
  Touch* second = nullptr;  // the other reader, where WordRecord::read says that there is one
  std::uint64_t base = 0;   // address of words[0]
};

using Clock = std::array<std::uint32_t, kMaxWarps>;

struct SyncLog;
/// What a warp has seen of synchronising words: the first `length` releases of each.
struct Acquired {
  std::vector<std::pair<const SyncLog*, std::uint32_t>> logs;  // sorted
};
/// What a release publishes.
struct Snapshot {
  Clock device{}, block{};  // ordered before the last device-wide, block-wide fence
  std::uint32_t warp = 0;
  std::shared_ptr<const Acquired> acquired;
};
/// The releases that a word has carried, in order.
struct SyncLog {
  std::uint32_t length = 0;
  const Snapshot* last = nullptr;
  std::unordered_map<std::uint32_t, std::vector<std::pair<std::uint32_t, std::shared_ptr<const Snapshot>>>> by_block;
};

/// A cp.async on its way: the bytes were read when it was issued and arrive when it is waited for.
struct PendingCopy {
  Mask lanes = 0;
  std::uint32_t bytes = 0;
  const void* instruction = nullptr;  // Decoded
  std::array<std::uint32_t, kLanes> to{}, group{};
  std::array<std::array<std::byte, 16>, kLanes> data{};
  std::array<std::uint16_t, kLanes> defined{};
};

struct WarpShadow {
  std::uint32_t interval = 0, clock = 0, epoch = 0;  // the interval's clock and epoch
  bool fenced = false;
  Clock released_device{}, released_block{};
  std::shared_ptr<const Snapshot> snapshot;  // of the above; null: to be made
  std::shared_ptr<const Acquired> acquired;
  // Answers of acquired_covers: a yes is for ever, a no until more is acquired.
  struct Verdict {
    std::uint32_t interval = 0;
    bool directly = false, covered = false;
    std::uint32_t acquisitions = 0;
  };
  std::uint32_t acquisitions = 0;  // how often `acquired` has grown
  std::array<Verdict, 16> verdicts{};
  /// Of the intervals that the warp met last. What is before it stays so; what is unordered may not, when more is acquired.
  struct KnownOrder {
    std::uint32_t write_before = 0, read_before = 0, second_before = 0;  // ordered before: of writes, reads, second reads
    std::uint32_t unordered = 0, unordered_second = 0;                   // a reader that is not; what Touch::second says of it
    std::uint32_t interval = 0, acquisitions = 0;                        // when that was so
  };
  KnownOrder known_order;
  std::vector<PendingCopy> copies;
  std::array<std::uint32_t, kLanes> committed{};  // cp.async groups per lane
};

struct BlockShadow {
  std::vector<WordRecord> words;
  std::vector<Touch> second;
  std::vector<std::uint64_t> shared_bits, local_bits;
  BitShadow shared_defined, local_defined;
  std::uint64_t shared_bytes = 0;
  std::uint32_t first_interval = 0;  // of the block: earlier ones in `words` are of blocks that used the memory before
  std::vector<WarpShadow> warps;
};

/// The running launch.
struct LaunchState {
  const ptx::Module* module = nullptr;
  std::string kernel;  // demangled
  bool check_all = false, check_fast = false, count = false;
  int error = 0;
  std::uint32_t first_interval = 1, next_interval = 1;
  std::vector<Interval> intervals;  // [i]: of number first_interval + i
  std::uint32_t stamp = 0;          // of the sector table
  Counters counters;
  std::unordered_set<std::uint64_t> told;            // (kind, location, other location) that need no second text
  std::vector<Finding> uninitialised;                // held back until the end: at a line that also races, the race is the cause
  std::unordered_set<std::uint64_t> raced;           // (file, line) of both parties of races
  std::vector<Finding> unsynced;                     // missing-syncwarp, held back: where warps race too, a barrier is what is missing
  std::unordered_set<std::uint64_t> raced_in_block;  // (file, line) of both parties of races between warps
  std::unordered_map<std::uint64_t, SyncLog> logs;   // by sync_key

  const Interval& interval(std::uint32_t number) const { return intervals[number - first_interval]; }
};
LaunchState& launch_state();

inline BlockShadow& shadow_of(const Block& block) { return *static_cast<BlockShadow*>(block.shadow); }
inline WarpShadow& shadow_of(const Warp& warp) { return shadow_of(*warp.block).warps[warp.index]; }
/// The number of the interval that the warp is in.
std::uint32_t interval_of(Warp& warp);
/// The records of global memory (the reserved addresses).
WordTable& global_words();

/// False if this kind has been reported for this instruction's line in this launch (beside that other line): saves the making of a text.
bool worth_telling(Kind kind, const Decoded& d, std::uint32_t other_location = 0);
/// The line that the user wrote (the innermost one outside the toolkit's headers).
struct SourcePlace {
  std::uint32_t file = 0, line = 0;  // file: index into Module::files
};
SourcePlace place_of_location(const ptx::Module& module, std::uint32_t location);
/// "softmax.cu:41" of a location, "an unknown line".
std::string line_text(const ptx::Module& module, std::uint32_t location);
/// Whether the instruction belongs to CUB or thrust themselves (the innermost line, not the caller's).
bool is_of_primitives(const ptx::Module& module, std::uint32_t location);
/// A finding of the running launch at a location.
Finding finding_at(Kind kind, std::uint32_t location, const std::string& text);
/// "block (1,0,0) thread (33,0,0)" of any block.
std::string thread_name_of(const Warp& any, std::uint32_t block, std::uint32_t warp, std::uint32_t lane);

}  // namespace gradus::emulator
