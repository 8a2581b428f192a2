// Records of neighbouring words, looked at all together: loops without branches over the bits of their touches, for the compiler to
// vectorise. A question about one word is a number whose sign bit is the answer.
#pragma once

#include <cstdint>

#include <gradus/kernels/emulator/exec/shadow.h>

namespace gradus::emulator {
namespace {

using Sign = std::uint64_t;
constexpr Sign kYes = std::uint64_t{1} << 63;
constexpr std::uint64_t kIntervalBits = ~std::uint64_t{0} << 32, kLaneBits = 31u << 10, kMaskBits = 15u << 6, kShareBits = 3u << 4,
                        kStrengthBits = 3u << 2, kSecondBits = 3;

/// a == b in the bits of `where`.
inline Sign agrees(std::uint64_t a, std::uint64_t b, std::uint64_t where) {
  const std::uint64_t differs = (a ^ b) & where;
  return ((differs | differs >> 1) & ~kYes) - 1;
}

/// What is known of the touches that a stretch of words may carry.
struct Expected {
  std::uint32_t first;         // interval of the launch: earlier ones do not count
  std::uint32_t before_write;  // an interval that is ordered before, of writes
  std::uint32_t before_read;   // and of reads
  std::uint64_t mine;          // the touch that lane 0 would leave; lane l's is l << 10 more

  Sign is_old(std::uint64_t bits) const { return (bits >> 1) - (std::uint64_t{first} << 31); }
  Sign is_before(std::uint64_t bits, std::uint32_t interval) const { return ((bits >> 32) ^ interval) - 1; }
};

/// Whether no write of the stretch can be at odds with an access of each lane to its own words: old, ordered, or the lane's own.
template <std::uint32_t each> bool writes_are_harmless(const WordRecord* records, const Expected& e) {
  constexpr std::uint64_t kOwn = kIntervalBits | kLaneBits | kShareBits;
  Sign all = kYes;
  for (std::uint32_t i = 0; i < each * kLanes; ++i) {
    const std::uint64_t w = records[i].write.bits, own = e.mine + (std::uint64_t{i / each} << 10);
    all &= e.is_old(w) | e.is_before(w, e.before_write) | agrees(w, own, kOwn);
  }
  return (all & kYes) != 0;
}

/// The same of the reads, for a write.
template <std::uint32_t each> bool reads_are_harmless(const WordRecord* records, const Expected& e) {
  constexpr std::uint64_t kOwn = kIntervalBits | kLaneBits | kShareBits | kSecondBits;
  Sign all = kYes;
  for (std::uint32_t i = 0; i < each * kLanes; ++i) {
    const std::uint64_t r = records[i].read.bits, own = (e.mine + (std::uint64_t{i / each} << 10)) & ~kSecondBits;
    all &= e.is_old(r) | agrees(r, std::uint64_t{e.before_read} << 32, kIntervalBits | kSecondBits) | agrees(r, own, kOwn);
  }
  return (all & kYes) != 0;
}

/// Whether every word may simply remember the new reader instead of its last.
template <std::uint32_t each> bool reads_are_over(const WordRecord* records, const Expected& e) {
  Sign all = kYes;
  for (std::uint32_t i = 0; i < each * kLanes; ++i) {
    const std::uint64_t r = records[i].read.bits;
    all &= e.is_old(r) | e.is_before(r, e.before_read);
  }
  return (all & kYes) != 0;
}

/// Whether the same lanes have read the same words in this interval already.
template <std::uint32_t each> bool reads_are_known(const WordRecord* records, const Expected& e) {
  constexpr std::uint64_t kSame = kIntervalBits | kLaneBits | kMaskBits | kStrengthBits;
  Sign all = kYes;
  for (std::uint32_t i = 0; i < each * kLanes; ++i) all &= agrees(records[i].read.bits, e.mine + (std::uint64_t{i / each} << 10), kSame);
  return (all & kYes) != 0;
}

/// Whether all words have the reader of the first, and as many others.
template <std::uint32_t each> bool have_one_reader(const WordRecord* records) {
  Sign all = kYes;
  for (std::uint32_t i = 0; i < each * kLanes; ++i) all &= agrees(records[i].read.bits, records[0].read.bits, kIntervalBits | kSecondBits);
  return (all & kYes) != 0;
}

template <std::uint32_t each> bool are_known_seconds(const Touch* seconds, const Expected& e) {
  constexpr std::uint64_t kSame = kIntervalBits | kLaneBits | kMaskBits | kStrengthBits;
  Sign all = kYes;
  for (std::uint32_t i = 0; i < each * kLanes; ++i) all &= agrees(seconds[i].bits, e.mine + (std::uint64_t{i / each} << 10), kSame);
  return (all & kYes) != 0;
}

template <std::uint32_t each> bool are_of_interval(const Touch* seconds, std::uint32_t interval) {
  Sign all = kYes;
  for (std::uint32_t i = 0; i < each * kLanes; ++i) all &= agrees(seconds[i].bits, std::uint64_t{interval} << 32, kIntervalBits);
  return (all & kYes) != 0;
}

template <std::uint32_t each> bool are_others(const Touch* seconds, const Expected& e) {
  Sign any = 0;
  for (std::uint32_t i = 0; i < each * kLanes; ++i) any |= e.is_before(seconds[i].bits, static_cast<std::uint32_t>(e.mine >> 32));
  return (any & kYes) == 0;
}

template <std::uint32_t each> void set_seconds(WordRecord* records, Touch* seconds, const Expected& e, std::uint64_t which) {
  for (std::uint32_t i = 0; i < each * kLanes; ++i) {
    seconds[i].bits = e.mine + (std::uint64_t{i / each} << 10);
    records[i].read.set_second(which);
  }
}

template <std::uint32_t each> void set_reads(WordRecord* records, const Expected& e) {
  for (std::uint32_t i = 0; i < each * kLanes; ++i) records[i].read.bits = e.mine + (std::uint64_t{i / each} << 10);
}

template <std::uint32_t each> void set_writes(WordRecord* records, const Expected& e) {
  for (std::uint32_t i = 0; i < each * kLanes; ++i) {
    records[i].write.bits = e.mine + (std::uint64_t{i / each} << 10);
    records[i].read.bits = 0;
  }
}

}  // namespace
}  // namespace gradus::emulator
