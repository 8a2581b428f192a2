#include <gradus/kernels/emulator/exec/allocator.h>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace gradus::emulator {
namespace {

std::uint64_t round_up(std::uint64_t value, std::uint64_t to) { return (value + to - 1) / to * to; }

std::byte* map(std::uint64_t bytes, int protection, int flags, int file) {
  void* p = mmap(nullptr, bytes, protection, flags | MAP_NORESERVE, file, 0);
  if (p == MAP_FAILED)
    throw std::runtime_error("emulator: cannot reserve " + std::to_string(bytes >> 30) + " GiB of addresses (ulimit -v?)");
  return static_cast<std::byte*>(p);
}

std::uint64_t ones(std::uint64_t first, std::uint64_t count) {  // `count` bits from bit `first` on; first + count <= 64
  return (count == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1) << first;
}

}  // namespace

std::byte* reserve_zero_pages(std::uint64_t bytes) {
  std::byte* pages = map(bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  madvise(pages, bytes,
          MADV_HUGEPAGE);  // shadows are as large as what they shadow and more: the processor's page tables are what they wait for
  return pages;
}

void drop_pages(void* from, std::uint64_t bytes) {
  const auto begin = round_up(reinterpret_cast<std::uint64_t>(from), kPage);
  const auto end = (reinterpret_cast<std::uint64_t>(from) + bytes) / kPage * kPage;
  if (begin >= end) return;
  void* pages = reinterpret_cast<void*>(begin);
  // The bytes of the memory are a shared file: its pages go by REMOVE only, which private pages refuse.
  if (madvise(pages, end - begin, MADV_REMOVE) != 0) madvise(pages, end - begin, MADV_DONTNEED);
}

void zero_bytes(void* from, std::uint64_t bytes) {
  constexpr std::uint64_t kLong = 16 * kPage;
  auto* const begin = static_cast<std::byte*>(from);
  if (bytes < kLong) {
    std::memset(begin, 0, bytes);
    return;
  }
  drop_pages(begin, bytes);
  const auto address = reinterpret_cast<std::uint64_t>(begin);
  std::memset(begin, 0, round_up(address, kPage) - address);
  const std::uint64_t tail = (address + bytes) % kPage;
  std::memset(begin + bytes - tail, 0, tail);
}

void BitShadow::set(std::uint64_t address, std::uint64_t bytes) {
  std::uint64_t at = address - base_;
  const std::uint64_t end = at + bytes;
  while (at < end && (at & 63) != 0) {
    const std::uint64_t n = std::min(end - at, 64 - (at & 63));
    words_[at >> 6] |= ones(at & 63, n);
    at += n;
  }
  if (end - at >= 64) {
    std::memset(words_ + (at >> 6), 0xFF, (end - at) / 64 * 8);
    at += (end - at) / 64 * 64;
  }
  if (at < end) words_[at >> 6] |= ones(0, end - at);
}

void BitShadow::clear(std::uint64_t address, std::uint64_t bytes) {
  std::uint64_t at = address - base_;
  const std::uint64_t end = at + bytes;
  while (at < end && (at & 63) != 0) {
    const std::uint64_t n = std::min(end - at, 64 - (at & 63));
    words_[at >> 6] &= ~ones(at & 63, n);
    at += n;
  }
  if (end - at >= 64) {
    const std::uint64_t words = (end - at) / 64;
    zero_bytes(words_ + (at >> 6), words * 8);
    at += words * 64;
  }
  if (at < end) words_[at >> 6] &= ~ones(0, end - at);
}

std::uint64_t BitShadow::first_clear(std::uint64_t address, std::uint64_t bytes, std::uint64_t otherwise) const {
  std::uint64_t at = address - base_;
  const std::uint64_t start = at, end = at + bytes;
  while (at < end) {
    const std::uint64_t n = std::min(end - at, 64 - (at & 63));
    const std::uint64_t missing = ~words_[at >> 6] & ones(at & 63, n);
    if (missing != 0) return (at & ~std::uint64_t{63}) + static_cast<std::uint64_t>(__builtin_ctzll(missing)) - start;
    at += n;
  }
  return otherwise;
}

void BitShadow::copy(std::uint64_t to, std::uint64_t from, std::uint64_t bytes) {
  std::uint64_t done = 0;
  while (done < bytes) {
    const auto n = static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes - done, 32));
    const std::uint32_t bits = get(from + done, n);
    if (bits == (n == 32 ? ~std::uint32_t{0} : (std::uint32_t{1} << n) - 1)) {
      set_few(to + done, n);
    } else {
      for (std::uint32_t i = 0; i < n; ++i) ((bits >> i) & 1) != 0 ? set(to + done + i, 1) : clear(to + done + i, 1);
    }
    done += n;
  }
}

void Region::attach(std::uint64_t base, std::uint64_t bytes, std::uint64_t alignment) {
  base_ = base;
  alignment_ = alignment;
  bytes_ = bytes;
  cursor_ = base;
  free_.clear();
  free_.emplace(base, bytes);
}

std::uint64_t Region::footprint(std::uint64_t bytes) const { return alignment_ + round_up(bytes, alignment_) + alignment_; }

std::uint64_t Region::take(std::uint64_t bytes) {
  const std::uint64_t need = footprint(bytes);
  const auto fits = [&](std::uint64_t from, std::uint64_t to) {
    for (auto block = free_.lower_bound(from); block != free_.end() && block->first < to; ++block) {
      if (block->second >= need) return block;
    }
    return free_.end();
  };
  auto block = fits(cursor_, base_ + bytes_);
  if (block == free_.end()) block = fits(base_, cursor_);
  if (block == free_.end()) return 0;
  const auto [start, size] = *block;
  free_.erase(block);
  if (size > need) free_.emplace(start + need, size - need);
  cursor_ = start + need;
  return start + alignment_;
}

void Region::give(std::uint64_t base, std::uint64_t bytes) {
  std::uint64_t start = base - alignment_, size = footprint(bytes);
  auto next = free_.lower_bound(start);
  if (next != free_.begin()) {
    const auto previous = std::prev(next);
    if (previous->first + previous->second == start) {
      start = previous->first;
      size += previous->second;
      free_.erase(previous);
    }
  }
  if (next != free_.end() && start + size == next->first) {
    size += next->second;
    free_.erase(next);
  }
  // A block that swallows the cursor must be found from it on.
  if (cursor_ > start && cursor_ < start + size) cursor_ = start;
  free_.emplace(start, size);
}

Heap& Heap::instance() {
  static Heap& heap = *new Heap();  // never destroyed: the program's own static objects may free device memory at exit
  return heap;
}

Heap::Heap() {
  const int file = memfd_create("gradus-device-memory", MFD_CLOEXEC);
  if (file < 0 || ftruncate(file, static_cast<off_t>(kDeviceSpace + kHostSpace)) != 0)
    throw std::runtime_error("emulator: cannot create device memory (memfd_create)");
  std::byte* bytes = map(kDeviceSpace + kHostSpace, PROT_READ | PROT_WRITE, MAP_SHARED, file);
  std::byte* addresses = map(kDeviceSpace + kHostSpace, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  void* const host_part = mmap(addresses + kDeviceSpace, kHostSpace, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, file,
                               static_cast<off_t>(kDeviceSpace));
  close(file);
  if (host_part == MAP_FAILED) throw std::runtime_error("emulator: cannot map managed memory");
  base = reinterpret_cast<std::uint64_t>(addresses);
  alias = reinterpret_cast<std::uint64_t>(bytes) - base;
  device.attach(base, kDeviceSpace, kDeviceAlignment);
  host.attach(base + kDeviceSpace, kHostSpace, kPage);
  defined.attach(base, reinterpret_cast<std::uint64_t*>(reserve_zero_pages((kDeviceSpace + kHostSpace) / 8 + kPage)));
}

const HeapEntry* Heap::entry_at(std::uint64_t address) const {
  auto above = entries.upper_bound(address);
  if (above == entries.begin()) return nullptr;
  --above;
  return address - above->first < above->second.bytes ? &above->second : nullptr;
}

void Heap::shrink_quarantine(std::uint64_t keep) {
  while (quarantined > keep && !quarantine.empty()) {
    const auto oldest = entries.find(quarantine.front());
    quarantine.pop_front();
    const HeapEntry& entry = oldest->second;
    quarantined -= entry.bytes;
    if (entry.bytes >= kPage) drop_pages(at(entry.base), entry.bytes);
    (device.holds(entry.base) ? device : host).give(entry.base, entry.bytes);
    entries.erase(oldest);
    ++generation;
  }
}

void Heap::forget_definedness() {
  for (auto& [start, entry] : entries) entry.tracked = false;
  ++generation;
}

}  // namespace gradus::emulator
