#include <gradus/kernels/emulator/exec/pattern.h>

#include <algorithm>
#include <limits>

namespace gradus::emulator {
namespace {

constexpr std::int64_t kFarthest = std::int64_t{1} << 32;  // bytes between lanes of one pattern
constexpr std::uint64_t kSector = 32;
constexpr std::uint32_t kMostPatience = 10;

}  // namespace

bool Pattern::build(const std::uint64_t* at, std::uint32_t bytes) {
  known = false;
  if (bytes > kMostBytes) return false;
  std::int64_t lowest = 0, highest = 0;
  any = 0;
  for (int l = 0; l < kLanes; ++l) {
    step[l] = at[l] - at[0];
    const auto signed_step = static_cast<std::int64_t>(step[l]);
    lowest = std::min(lowest, signed_step);
    highest = std::max(highest, signed_step);
    any |= step[l];
  }
  if (lowest < -kFarthest || highest > kFarthest) return false;
  low = static_cast<std::uint64_t>(lowest);
  high = static_cast<std::uint64_t>(highest);
  wavefronts = 0;
  sector_phase = ~0u;
  find_runs(bytes);
  find_words(bytes);
  return known = true;
}

void Pattern::find_runs(std::uint32_t bytes) {
  runs = 0;
  for (int l = 0; l < kLanes; ++l) {
    const auto offset = static_cast<std::int64_t>(step[l]);
    if (runs != 0 && offset == run[runs - 1].offset + run[runs - 1].bytes) run[runs - 1].bytes += bytes;
    else run[runs++] = {offset, bytes};
  }
  std::int64_t sorted[kLanes];
  for (int l = 0; l < kLanes; ++l) sorted[l] = static_cast<std::int64_t>(step[l]);
  std::sort(sorted, sorted + kLanes);
  distinct = true;
  for (int l = 1; l < kLanes; ++l) distinct = distinct && sorted[l] - sorted[l - 1] >= bytes;
}

void Pattern::find_words(std::uint32_t bytes) {
  words = 0;
  if (((any | bytes) & 3) != 0) return;
  for (int l = 0; l < kLanes; ++l) {
    for (std::uint32_t i = 0; i < bytes / 4; ++i) {
      const auto offset = static_cast<std::int32_t>(static_cast<std::int64_t>(step[l]) / 4 + i);
      std::uint32_t w = distinct ? words : 0;
      while (w < words && word[w].offset != offset) ++w;
      if (w == words) word[words++] = {offset, 0};
      word[w].lanes |= Mask{1} << l;
    }
  }
}

void Pattern::find_sectors(std::uint64_t first, std::uint32_t bytes) {
  const std::uint64_t phase = first % kSector;
  sector_phase = static_cast<std::uint32_t>(phase);
  sectors = 0;
  for (int l = 0; l < kLanes; ++l) {
    const auto begin = static_cast<std::int64_t>(phase + step[l]), end = begin + bytes - 1;
    for (std::int64_t s = begin >> 5; s <= end >> 5; ++s) {
      const auto number = static_cast<std::int32_t>(s);
      if (std::find(sector, sector + sectors, number) == sector + sectors) sector[sectors++] = number;
    }
  }
}

const Pattern* PatternMemory::learn(const std::uint64_t* at, std::uint32_t bytes) {
  if (wait != 0) {
    --wait;
    return nullptr;
  }
  misses = std::min(misses + 1, kMostPatience);
  wait = (1u << misses) - 2;  // the second shape is looked at at once, later ones more and more seldom
  return pattern.build(at, bytes) ? &pattern : nullptr;
}

}  // namespace gradus::emulator
