// How the 32 addresses of a memory instruction lie to each other. Most instructions repeat one shape with another base: what follows from
// the shape alone (banks, distinct words, alignment, bounds) is worked out once and kept with the instruction.
#pragma once

#include <cstdint>

#include <gradus/kernels/emulator/exec/warp.h>

namespace gradus::emulator {

struct Pattern {
  static constexpr std::uint32_t kMostBytes = 16, kMostWords = kMostBytes / 4 * kLanes;
  /// One 4-byte word, in words from lane 0's, and the lanes that touch it.
  struct Word {
    std::int32_t offset;
    Mask lanes;
  };
  /// Neighbouring lanes whose bytes are neighbours too; in bytes from lane 0's address.
  struct Run {
    std::int64_t offset;
    std::uint32_t bytes;
  };

  alignas(32) std::uint64_t step[kLanes] = {};  // from lane 0's address
  std::uint64_t low = 0, high = 0, any = 0;     // smallest (as a signed number, <= 0) and largest step; all of them ORed
  bool known = false;
  bool distinct = false;  // no byte belongs to two lanes
  std::uint32_t words = 0, runs = 0;
  Word word[kMostWords];  // of lanes of whole words, in ascending order of their first lane
  Run run[kLanes];
  std::uint32_t wavefronts = 0, ideal_wavefronts = 0;  // of shared memory; 0: not worked out
  // Sectors of global memory from lane 0's, for lane 0 at this place in its sector.
  std::uint32_t sector_phase = ~0u, sectors = 0;
  std::int32_t sector[2 * kLanes];

  /// The shape of these addresses, all 32 of `bytes` bytes; false: not one to remember (they lie too far apart, are too wide).
  bool build(const std::uint64_t* at, std::uint32_t bytes);
  bool matches(const std::uint64_t* at) const {
    std::uint64_t differs = 0;
    for (int l = 0; l < kLanes; ++l) differs |= at[l] - at[0] - step[l];
    return differs == 0;
  }
  void find_sectors(std::uint64_t first, std::uint32_t bytes);

 private:
  void find_words(std::uint32_t bytes);
  void find_runs(std::uint32_t bytes);
};

/// The pattern of an instruction, with the patience to look for one again after shapes that did not come back.
struct PatternMemory {
  Pattern pattern;
  std::uint32_t misses = 0, wait = 0;

  const Pattern* recall(const std::uint64_t* at) {
    if (!pattern.known || !pattern.matches(at)) return nullptr;
    misses = wait = 0;
    return &pattern;
  }
  /// After recall() found nothing.
  const Pattern* learn(const std::uint64_t* at, std::uint32_t bytes);
};

}  // namespace gradus::emulator
