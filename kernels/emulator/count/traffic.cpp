// Sectors of global memory, banks of shared memory: what the profiler would count for one warp instruction.
#include <algorithm>
#include <unordered_set>

#include <gradus/kernels/emulator/exec/access.h>

namespace gradus::emulator {
namespace {

constexpr std::uint64_t kSector = 32, kLine = 128;  // bytes; four sectors share an entry of the table
constexpr std::uint32_t kStampMask = (1u << 28) - 1;

/// Per 128-byte line: the launch that touched it last (28 bits) and which of its sectors.
std::uint32_t* lines() {
  static auto* table = reinterpret_cast<std::uint32_t*>(reserve_zero_pages((kDeviceSpace + kHostSpace) / kLine * sizeof(std::uint32_t)));
  return table;
}

class Sectors {
 public:
  explicit Sectors(Counters& counters) : counters_(counters), stamp_(launch_state().stamp & kStampMask), base_(Heap::instance().base) {}

  /// Sectors first..last of consecutive addresses, as numbers.
  void add_run(std::uint64_t first, std::uint64_t last) {
    count_ += last - first + 1;
    for (std::uint64_t sector = first; sector <= last; ++sector) mark(sector);
  }
  void add_known(std::uint64_t first, const Pattern& pattern) {
    count_ += pattern.sectors;
    for (std::uint32_t s = 0; s < pattern.sectors; ++s) mark(first + static_cast<std::uint64_t>(std::int64_t{pattern.sector[s]}));
  }
  void add(std::uint64_t sector) {
    if (used_ != 0 && sector <= highest_ && is_known(sector)) return;
    highest_ = used_ == 0 ? sector : std::max(highest_, sector);
    known_[used_++] = sector;
    ++count_;
    mark(sector);
  }
  std::uint64_t count() const { return count_; }

 private:
  bool is_known(std::uint64_t sector) const { return std::find(known_, known_ + used_, sector) != known_ + used_; }

  void mark(std::uint64_t sector) {
    const std::uint64_t offset = sector * kSector - base_;
    if (offset >= kDeviceSpace + kHostSpace) return;  // registered host memory does not count as the device's
    std::uint32_t& line = lines()[offset / kLine];
    if (line >> 4 != stamp_) line = stamp_ << 4;
    const std::uint32_t bit = 1u << (offset / kSector & 3);
    if ((line & bit) != 0) return;
    line |= bit;
    counters_.bytes_compulsory += kSector;
  }

  Counters& counters_;
  std::uint32_t stamp_;
  std::uint64_t base_, count_ = 0, highest_ = 0;
  std::uint64_t known_[4 * kLanes];  // 64-byte accesses that are misaligned touch three
  std::uint32_t used_ = 0;
};

/// Bank conflicts of 32 words at most: the most distinct words in one bank.
std::uint32_t wavefronts_of(const std::uint32_t* words, std::uint32_t count) {
  std::uint32_t in_bank[32][32], used[32] = {}, most = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t bank = words[i] & 31;
    const std::uint32_t* end = in_bank[bank] + used[bank];
    if (std::find(static_cast<const std::uint32_t*>(in_bank[bank]), end, words[i]) != end) continue;
    in_bank[bank][used[bank]++] = words[i];
    most = std::max(most, used[bank]);
  }
  return most;
}

/// The common case, decided in one pass: every bank is asked for one word only.
bool is_free_of_conflicts(const std::uint32_t* words, std::uint32_t count) {
  std::uint32_t word_of[32], seen = 0, differs = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t bank = words[i] & 31, bit = 1u << bank;
    if ((seen & bit) == 0) word_of[bank] = words[i];
    seen |= bit;
    differs |= word_of[bank] ^ words[i];
  }
  return differs == 0;
}

}  // namespace

void count_global(Counters& counters, const Access& access, const Lanes& lanes) {
  if (access.role == Role::atomic) {
    ++counters.atomic_requests;
    return;
  }
  Sectors sectors(counters);
  const std::uint64_t bytes = access.bytes;
  if (lanes.contiguous) {
    sectors.add_run(lanes.at[0] / kSector, (lanes.at[kLanes - 1] + bytes - 1) / kSector);
  } else if (lanes.pattern != nullptr) {
    Pattern& pattern = access.patterns.pattern;
    if (pattern.sector_phase != lanes.at[0] % kSector) pattern.find_sectors(lanes.at[0], access.bytes);
    sectors.add_known(lanes.at[0] / kSector, pattern);
  } else {
    std::uint64_t previous = ~std::uint64_t{0};
    for (Mask left = lanes.active; left != 0; left &= left - 1) {
      const std::uint64_t at = lanes.at[__builtin_ctz(left)], last = (at + bytes - 1) / kSector;
      for (std::uint64_t sector = at / kSector; sector <= last; ++sector) {
        if (sector != previous) sectors.add(sector);
        previous = sector;
      }
    }
  }
  const bool load = access.role == Role::load;
  ++(load ? counters.load_requests : counters.store_requests);
  (load ? counters.load_sectors : counters.store_sectors) += sectors.count();
  counters.bytes_requested += bytes * static_cast<std::uint64_t>(__builtin_popcount(lanes.active));
  counters.bytes_touched += sectors.count() * kSector;
}

namespace {

struct Wavefronts {
  std::uint32_t needed = 0, ideal = 0;
};

Wavefronts count_wavefronts(const Access& access, const Lanes& lanes) {
  Wavefronts sum;
  const std::uint32_t words_each = std::max(access.bytes / 4, 1u);
  // 128 bytes at a time: whole warps of 4-byte lanes, half warps of 8, quarter warps of 16, eighths of 32.
  const std::uint32_t group = kLanes / words_each;
  if (lanes.contiguous && (lanes.at[0] & 3) == 0) return {words_each, words_each};
  if (words_each == 1 && lanes.active == kAll) {
    std::uint32_t words[kLanes];
    for (int l = 0; l < kLanes; ++l) words[l] = static_cast<std::uint32_t>(lanes.at[l] >> 2);
    return {is_free_of_conflicts(words, kLanes) ? 1 : wavefronts_of(words, kLanes), 1};
  }
  for (std::uint32_t first = 0; first < kLanes; first += group) {
    const Mask mask = (group == kLanes ? kAll : ((Mask{1} << group) - 1) << first) & lanes.active;
    if (mask == 0) continue;
    std::uint32_t words[kLanes], count = 0;
    for (Mask left = mask; left != 0; left &= left - 1) {
      const auto word = static_cast<std::uint32_t>(lanes.at[__builtin_ctz(left)] >> 2);
      for (std::uint32_t i = 0; i < words_each; ++i) words[count++] = word + i;
    }
    sum.needed += is_free_of_conflicts(words, count) ? 1 : wavefronts_of(words, count);
    ++sum.ideal;
  }
  return sum;
}

}  // namespace

void count_shared(Counters& counters, const Access& access, const Lanes& lanes) {
  ++counters.shared_requests;
  // A pattern's banks are the same for every base of whole words.
  const bool repeats = lanes.pattern != nullptr && ((lanes.at[0] | lanes.pattern->any) & 3) == 0;
  Pattern& pattern = access.patterns.pattern;
  Wavefronts sum;
  if (repeats && pattern.wavefronts != 0) sum = {pattern.wavefronts, pattern.ideal_wavefronts};
  else sum = count_wavefronts(access, lanes);
  if (repeats) pattern.wavefronts = sum.needed, pattern.ideal_wavefronts = sum.ideal;
  counters.shared_wavefronts += sum.needed;
  counters.shared_ideal_wavefronts += sum.ideal;
}

}  // namespace gradus::emulator
