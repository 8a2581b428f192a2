// The address space behind DeviceMemory: reserved ranges, free blocks, and shadows that lie at a constant ratio to the addresses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>

#include <gradus/kernels/emulator/exec/memory.h>

namespace gradus::emulator {

inline constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
inline constexpr std::uint64_t kDeviceSpace = 64 * kGiB, kHostSpace = 32 * kGiB;  // addresses, not memory
inline constexpr std::uint64_t kQuarantineBytes = std::uint64_t{256} << 20;
inline constexpr std::uint64_t kDeviceAlignment = 256;  // as cudaMalloc's
inline constexpr std::uint64_t kPage = 4096;

/// Zero pages, taken when touched. Throws std::runtime_error if the address space has no room.
std::byte* reserve_zero_pages(std::uint64_t bytes);
/// Gives the whole pages of a range back; they read as zero again.
void drop_pages(void* from, std::uint64_t bytes);
/// Makes a range zero; of a long one, the pages go back instead of being written.
void zero_bytes(void* from, std::uint64_t bytes);

/// A bit per byte of the reserved addresses.
class BitShadow {
 public:
  void attach(std::uint64_t base, std::uint64_t* words) {
    base_ = base;
    words_ = words;
  }
  void set(std::uint64_t address, std::uint64_t bytes);
  void clear(std::uint64_t address, std::uint64_t bytes);
  /// Offset of the first clear bit, or `otherwise`.
  std::uint64_t first_clear(std::uint64_t address, std::uint64_t bytes, std::uint64_t otherwise) const;
  void copy(std::uint64_t to, std::uint64_t from, std::uint64_t bytes);
  /// The bits of up to 32 bytes.
  std::uint32_t get(std::uint64_t address, std::uint32_t bytes) const {
    const std::uint64_t first = address - base_, word = first >> 6, shift = first & 63;
    std::uint64_t bits = words_[word] >> shift;
    if (shift + bytes > 64) bits |= words_[word + 1] << (64 - shift);
    return static_cast<std::uint32_t>(bits & ((std::uint64_t{1} << bytes) - 1));
  }
  /// first_clear() finds none.
  bool all_set(std::uint64_t address, std::uint64_t bytes) const {
    if (bytes > 32) return first_clear(address, bytes, bytes) == bytes;
    return get(address, static_cast<std::uint32_t>(bytes)) == static_cast<std::uint32_t>((std::uint64_t{1} << bytes) - 1);
  }
  /// set() for up to 32 bytes.
  void set_few(std::uint64_t address, std::uint32_t bytes) {
    const std::uint64_t first = address - base_, word = first >> 6, shift = first & 63, ones = (std::uint64_t{1} << bytes) - 1;
    words_[word] |= ones << shift;
    if (shift + bytes > 64) words_[word + 1] |= ones >> (64 - shift);
  }

 private:
  std::uint64_t base_ = 0;
  std::uint64_t* words_ = nullptr;
};

/// One reserved range, handed out from the front round and round: an address comes back as late as possible.
class Region {
 public:
  void attach(std::uint64_t base, std::uint64_t bytes, std::uint64_t alignment);
  /// Aligned, with a red zone of at least the alignment on both sides; 0 if there is no room.
  std::uint64_t take(std::uint64_t bytes);
  void give(std::uint64_t base, std::uint64_t bytes);
  bool holds(std::uint64_t address) const { return address - base_ < bytes_; }

 private:
  std::uint64_t footprint(std::uint64_t bytes) const;

  std::uint64_t base_ = 0, bytes_ = 0, alignment_ = 0, cursor_ = 0;
  std::map<std::uint64_t, std::uint64_t> free_;  // base -> bytes
};

struct HeapEntry : Allocation {
  bool tracked = false;  // definedness is kept
};

/// Everything, in one place of the process.
class Heap {
 public:
  static Heap& instance();

  std::uint64_t base = 0;   // of the reserved addresses: device, then host-visible
  std::uint64_t alias = 0;  // distance from an address to the emulator's own mapping of its bytes, which is always accessible
  Region device, host;      // host: managed and pinned memory, in pages of its own (runtime/pinned_guard)
  BitShadow defined;
  std::map<std::uint64_t, HeapEntry> entries;  // by base, freed ones in quarantine too
  std::deque<std::uint64_t> quarantine;
  std::uint64_t quarantined = 0, used = 0, serial = 0, generation = 1;

  bool holds(std::uint64_t address) const { return address - base < kDeviceSpace + kHostSpace; }
  /// Registered host memory lies outside the reserved addresses.
  std::byte* at(std::uint64_t address) const { return reinterpret_cast<std::byte*>(holds(address) ? address + alias : address); }
  const HeapEntry* entry_at(std::uint64_t address) const;
  HeapEntry* entry_at(std::uint64_t address) { return const_cast<HeapEntry*>(static_cast<const Heap*>(this)->entry_at(address)); }
  /// Lets the oldest freed blocks go until at most `keep` bytes are held back.
  void shrink_quarantine(std::uint64_t keep);
  /// From now on everything that is live counts as defined (a launch ran unwatched).
  void forget_definedness();

 private:
  Heap();
};

}  // namespace gradus::emulator
