// Races: each word remembers its last write and its first unordered reader (and one more); an access that is not ordered after them by
// barriers, fences with a synchronising word, or the program order of its lane, is a finding.
#include <gradus/kernels/emulator/check/race_judge.h>
#include <gradus/kernels/emulator/check/stretch.h>
#include <gradus/kernels/emulator/exec/handler.h>

namespace gradus::emulator {
namespace {

constexpr std::uint32_t kWholeWord = 15;
constexpr std::uint64_t kLaneAndShare = std::uint64_t{31} << 10 | std::uint64_t{3} << 4;

class RaceCheck : private RaceJudge {
 public:
  RaceCheck(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space)
      : RaceJudge(warp, d, lanes, space),
        mine_bits_(Touch::make(mine_, d.location, 0, 0, access_.strength).bits),
        known_(shadow_of(warp).known_order) {
    const std::uint32_t acquisitions = shadow_of(warp).acquisitions;
    if (known_.interval != mine_ || known_.acquisitions != acquisitions) {
      known_.interval = mine_;
      known_.acquisitions = acquisitions;
      known_.unordered = 0;
    }
    if (space == ptx::Space::shared) table_ = {shadow_of(*warp.block).words.data(), shadow_of(*warp.block).second.data(), 0};
    else table_ = global_words();
  }

  void reads();
  void writes();

 private:
  using Word = TouchedWord;

  /// The words of lanes that follow each other, all at once. False: they must be looked at one by one.
  template <std::uint32_t each> bool read_stretch(WordRecord* records);
  template <std::uint32_t each> bool read_beside(WordRecord* records, const Expected& expected);
  template <std::uint32_t each> bool write_stretch(WordRecord* records);
  bool try_stretch(bool write);
  /// The distinct words of a pattern, however many lanes read each.
  void read_pattern(const Pattern& pattern);
  bool read_shared_word(std::size_t index, Mask lanes);

  /// f(Word) for every word that a lane touches.
  template <class F> void for_words(F f) const;
  template <class F> void words_of_lane(int lane, F f) const;

  void read_word(Word w);
  void read_again(Touch& into, Word w) const;
  void read_slowly(Word w);
  void check_write(Word w);
  void check_write_slowly(Word w);
  void record_write(Word w);
  Touch touch_of(Word w) const { return {mine_bits_ | static_cast<std::uint64_t>(w.lane) << 10 | std::uint64_t{w.mask} << 6}; }
  /// Nothing to look at: an old launch's, this lane's own of this interval, or known to be ordered.
  bool is_harmless(Touch t, std::uint64_t own_lane, std::uint32_t known_before) const {
    const std::uint32_t interval = t.interval();
    return interval < first_ || interval == known_before || (interval == mine_ && (t.bits & kLaneAndShare) == own_lane);
  }

  bool is_past(std::uint32_t interval, std::uint32_t known_before) const { return interval < first_ || interval == known_before; }
  /// Makes the touch's interval the one that is known to be before, if it is.
  void learn(Touch t, std::uint32_t& before) {
    const std::uint32_t interval = t.interval();
    if (!is_past(interval, before) && interval != mine_ && order_of(interval) == Order::before) before = interval;
  }
  void set_unordered(std::uint32_t reader, Order order) {
    known_.unordered = reader;
    known_.unordered_second = order == Order::grid ? 2 : 1;
  }
  Order order_of_reader(std::uint32_t interval);
  void merge(Touch& into, Word w) const;

  std::uint64_t mine_bits_;
  WordTable table_;
  WarpShadow::KnownOrder& known_;
};

template <class F> inline void RaceCheck::words_of_lane(int lane, F f) const {
  const std::uint64_t offset = lanes_.at[lane] - table_.base, end = offset + access_.bytes;
  for (std::uint64_t word = offset >> 2; word << 2 < end; ++word) {
    const std::uint64_t start = word << 2;
    std::uint32_t mask = kWholeWord;
    if (start < offset) mask &= kWholeWord << (offset - start);
    if (start + 4 > end) mask &= kWholeWord >> (start + 4 - end);
    f(Word{word, mask & kWholeWord, lane});
  }
}

template <class F> inline void RaceCheck::for_words(F f) const {
  if (lanes_.contiguous && (access_.bytes & 3) == 0 && (lanes_.at[0] & 3) == 0) {
    std::size_t word = (lanes_.at[0] - table_.base) >> 2;
    const std::uint32_t each = access_.bytes >> 2;
    for (int l = 0; l < kLanes; ++l) {
      for (std::uint32_t i = 0; i < each; ++i) f(Word{word++, kWholeWord, l});
    }
    return;
  }
  if (access_.bytes == 4 && lanes_.aligned) {
    for (Mask left = lanes_.active; left != 0; left &= left - 1) {
      const int lane = __builtin_ctz(left);
      f(Word{(lanes_.at[lane] - table_.base) >> 2, kWholeWord, lane});
    }
    return;
  }
  for (Mask left = lanes_.active; left != 0; left &= left - 1) words_of_lane(__builtin_ctz(left), f);
}

void RaceCheck::reads() {
  if (try_stretch(false)) return;
  if (lanes_.pattern != nullptr && lanes_.pattern->words != 0 && (lanes_.at[0] & 3) == 0) return read_pattern(*lanes_.pattern);
  for_words([this](Word w) { read_word(w); });
}

void RaceCheck::writes() {
  if (try_stretch(true)) return;
  // First all lanes are checked, then all recorded: lanes of one instruction are compared by observe_after_store.
  for_words([this](Word w) { check_write(w); });
  for_words([this](Word w) { record_write(w); });
}

bool RaceCheck::try_stretch(bool write) {
  if (!lanes_.contiguous || (lanes_.at[0] & 3) != 0) return false;
  WordRecord* records = table_.words + ((lanes_.at[0] - table_.base) >> 2);
  switch (access_.bytes) {
    case 4: return write ? write_stretch<1>(records) : read_stretch<1>(records);
    case 8: return write ? write_stretch<2>(records) : read_stretch<2>(records);
    case 16: return write ? write_stretch<4>(records) : read_stretch<4>(records);
    default: return false;
  }
}

template <std::uint32_t each> bool RaceCheck::read_stretch(WordRecord* records) {
  learn(records->write, known_.write_before);
  const std::uint32_t reader = records->read.interval();
  if (!is_past(reader, known_.read_before) && reader != mine_ && reader != known_.unordered) {
    const Order order = order_of_reader(reader);
    if (order == Order::block || order == Order::grid) set_unordered(reader, order);
  }
  const Expected expected{first_, known_.write_before, known_.read_before, mine_bits_ | kMaskBits};
  if (!writes_are_harmless<each>(records, expected)) return false;
  if (reader == mine_) return reads_are_known<each>(records, expected);
  if (!is_past(reader, known_.read_before)) return reader == known_.unordered && read_beside<each>(records, expected);
  if (!reads_are_over<each>(records, expected)) return false;
  set_reads<each>(records, expected);
  return true;
}

/// Reads beside a reader that is not ordered with them: see read_slowly.
template <std::uint32_t each> bool RaceCheck::read_beside(WordRecord* records, const Expected& expected) {
  if (!have_one_reader<each>(records)) return false;
  const std::uint32_t second = records->read.second();
  if (second == 2 && known_.unordered_second == 2) return true;
  Touch* seconds = table_.second + (records - table_.words);
  if (second != 0 && seconds->interval() == mine_) return are_known_seconds<each>(seconds, expected);
  if (second != 0 && !are_others<each>(seconds, expected)) return false;
  set_seconds<each>(records, seconds, expected, known_.unordered_second);
  return true;
}

template <std::uint32_t each> bool RaceCheck::write_stretch(WordRecord* records) {
  learn(records->write, known_.write_before);
  learn(records->read, known_.read_before);
  const Expected expected{first_, known_.write_before, known_.read_before, mine_bits_ | kMaskBits};
  if (!writes_are_harmless<each>(records, expected)) return false;
  if (records->read.second() == 0) {
    if (!reads_are_harmless<each>(records, expected)) return false;
  } else {
    const Touch* seconds = table_.second + (records - table_.words);
    learn(*seconds, known_.second_before);
    if (!is_past(seconds->interval(), known_.second_before) || !reads_are_over<each>(records, expected) ||
        !are_of_interval<each>(seconds, seconds->interval()))
      return false;
  }
  set_writes<each>(records, expected);
  return true;
}

void RaceCheck::read_pattern(const Pattern& pattern) {
  const std::size_t first = (lanes_.at[0] - table_.base) >> 2;
  for (std::uint32_t i = 0; i < pattern.words; ++i) {
    const Pattern::Word& word = pattern.word[i];
    const std::size_t index = first + static_cast<std::size_t>(std::ptrdiff_t{word.offset});
    if (read_shared_word(index, word.lanes)) continue;
    for (Mask left = word.lanes; left != 0; left &= left - 1) read_word({index, kWholeWord, __builtin_ctz(left)});
  }
}

/// read_word for all lanes that read this word in one go. False: lane by lane, please.
inline bool RaceCheck::read_shared_word(std::size_t index, Mask lanes) {
  WordRecord& record = table_.words[index];
  const std::uint32_t writer = record.write.interval(), reader = record.read.interval();
  const int lane = __builtin_ctz(lanes);
  const bool several = (lanes & (lanes - 1)) != 0;
  if (writer >= first_ && writer != known_.write_before) {
    learn(record.write, known_.write_before);
    if (writer != known_.write_before &&
        (several || !is_harmless(record.write, static_cast<std::uint64_t>(lane) << 10, known_.write_before)))
      return false;
  }
  Touch fresh = touch_of({index, kWholeWord, lane});
  if (several) fresh.set_share(Touch::several_lanes);
  if (reader < first_ || reader == known_.read_before) {
    record.read = fresh;
    return true;
  }
  const auto again = [&](Touch& into) {
    if (into.mask() != kWholeWord || into.strength() > access_.strength) return false;
    if (several || into.lane() != static_cast<std::uint32_t>(lane)) into.set_share(Touch::several_lanes);
    return true;
  };
  if (reader == mine_) return again(record.read);
  if (reader != known_.unordered) return false;
  if (record.read.second() == 2 && known_.unordered_second == 2) return true;
  Touch& second = table_.second[index];
  if (record.read.second() != 0 && second.interval() == mine_) return again(second);
  second = fresh;
  record.read.set_second(known_.unordered_second);
  return true;
}

inline void RaceCheck::read_word(Word w) {
  WordRecord& record = table_.words[w.index];
  const std::uint64_t own = static_cast<std::uint64_t>(w.lane) << 10;
  if (w.mask != kWholeWord || !is_harmless(record.write, own, known_.write_before)) return read_slowly(w);
  const std::uint32_t interval = record.read.interval();
  if (interval < first_ || interval == known_.read_before) {
    record.read = touch_of(w);
  } else if (interval == mine_) {
    read_again(record.read, w);
  } else if (interval == known_.unordered && record.read.second() == 2 && known_.unordered_second == 2) {
    // Two readers of other blocks are known: see read_slowly.
  } else if (interval == known_.unordered) {
    Touch& second = table_.second[w.index];
    if (record.read.second() != 0 && second.interval() == mine_) read_again(second, w);
    else second = touch_of(w);
    record.read.set_second(known_.unordered_second);
  } else {
    read_slowly(w);
  }
}

/// A whole word once more in the same interval: the first touch stays, unless it was stronger or of less than the word.
inline void RaceCheck::read_again(Touch& into, Word w) const {
  if (into.mask() != kWholeWord || into.strength() > access_.strength) return merge(into, w);
  if (into.lane() != static_cast<std::uint32_t>(w.lane)) into.set_share(Touch::several_lanes);
}

void RaceCheck::read_slowly(Word w) {
  WordRecord& record = table_.words[w.index];
  learn(record.write, known_.write_before);
  if (record.write.interval() >= first_ && conflicts(record.write, w, false)) {
    tell(record.write, w, order_of(record.write.interval()), true);
  }
  const std::uint32_t interval = record.read.interval();
  if (interval < first_) {
    record.read = touch_of(w);
  } else if (interval == mine_) {
    merge(record.read, w);
  } else {
    const Order order = order_of_reader(interval);
    if (order == Order::before || order == Order::same_epoch) {
      record.read = touch_of(w);
    } else if (order == Order::grid && record.read.second() == 2) {
      set_unordered(interval, order);
      // Readers of two other blocks are known already: whoever writes later meets at least one of them.
    } else {
      Touch& second = table_.second[w.index];
      if (record.read.second() != 0 && second.interval() == mine_) merge(second, w);
      else second = touch_of(w);
      record.read.set_second(order == Order::grid ? 2 : 1);
      set_unordered(interval, order);
    }
  }
}

inline void RaceCheck::check_write(Word w) {
  const WordRecord& record = table_.words[w.index];
  const std::uint64_t own = static_cast<std::uint64_t>(w.lane) << 10;
  if (is_harmless(record.write, own, known_.write_before) && is_harmless(record.read, own, known_.read_before) &&
      (record.read.second() == 0 || is_past(table_.second[w.index].interval(), known_.second_before)))
    return;
  check_write_slowly(w);
}

void RaceCheck::check_write_slowly(Word w) {
  const WordRecord& record = table_.words[w.index];
  learn(record.write, known_.write_before);
  learn(record.read, known_.read_before);
  if (record.write.interval() >= first_ && conflicts(record.write, w, true)) {
    return tell(record.write, w, order_of(record.write.interval()), true);
  }
  if (record.read.interval() < first_) return;
  if (conflicts(record.read, w, false)) return tell(record.read, w, order_of(record.read.interval()), false);
  if (record.read.second() == 0) return;
  const Touch second = table_.second[w.index];
  learn(second, known_.second_before);
  if (conflicts(second, w, false)) tell(second, w, order_of(second.interval()), false);
}

inline void RaceCheck::record_write(Word w) {
  WordRecord& record = table_.words[w.index];
  // An atomic does not make a plain store of the same interval harmless (a counter that is cleared and counted in without a barrier).
  const bool was_plainer =
      record.write.interval() == mine_ && record.write.strength() < access_.strength && (w.mask & ~record.write.mask()) == 0;
  if (was_plainer) {
    // The plain store stays.
  } else if (record.write.interval() == mine_ && w.mask != kWholeWord) merge(record.write, w);
  else record.write = touch_of(w);
  if ((record.read.mask() & ~w.mask) == 0) record.read = Touch();
}

/// Adds a touch of this interval to one that is there.
void RaceCheck::merge(Touch& into, Word w) const {
  const std::uint32_t lane = static_cast<std::uint32_t>(w.lane);
  const Touch fresh = touch_of(w);
  if (into.strength() != fresh.strength() || into.location() != fresh.location()) {
    // The plainer one decides; otherwise the later.
    if (into.strength() >= fresh.strength() || into.lane() == lane) into = fresh;
    return;
  }
  if (into.share() == Touch::one_lane && into.lane() == lane) return into.add_mask(w.mask);
  if (into.mask() == w.mask) return into.set_share(Touch::several_lanes);
  const int width = __builtin_popcount(w.mask), gap = __builtin_ctz(w.mask) - __builtin_ctz(into.mask());
  const auto step = static_cast<int>(lane) - static_cast<int>(into.lane());
  const bool fits = into.share() == Touch::one_lane ? __builtin_popcount(into.mask()) == width
                                                    : into.share() == (width == 1 ? Touch::bytes_of_lanes : Touch::halves_of_lanes);
  if (fits && width <= 2 && gap > 0 && gap == step * width) {
    into.add_mask(w.mask);
    into.set_share(width == 1 ? Touch::bytes_of_lanes : Touch::halves_of_lanes);
    return;
  }
  into = fresh;
}

/// For a reader before another reader: nothing is at stake but which of them is remembered, so the costly answer is not asked for.
Order RaceCheck::order_of_reader(std::uint32_t interval) {
  const Order order = find_order(interval, true);
  if (order == Order::before) known_.read_before = interval;
  return order;
}

}  // namespace

void GRADUS_EMULATOR_FAMILY(check_races)(Warp& warp, const Decoded& d, const Lanes& lanes, ptx::Space space) {
  if (space == ptx::Space::global && !Heap::instance().holds(lanes.at[__builtin_ctz(lanes.active)])) return;  // registered host memory
  RaceCheck check(warp, d, lanes, space);
  if (access_of(d).role == Role::load) check.reads();
  else check.writes();
}

}  // namespace gradus::emulator
