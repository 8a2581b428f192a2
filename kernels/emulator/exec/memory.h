// Device memory: allocations with red zones and quarantine, the bytes behind device addresses, and what the checks remember of them.
//
// A device address is never readable by the host program: its pages are mapped without access, and the emulator reaches the bytes through
// a second mapping. Managed and pinned memory the host may touch, unless a queued copy is at it (runtime/pinned_guard). Shared, local and
// parameter memory have windows of their own in the generic address space, above every host address.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <gradus/kernels/emulator/check/finding.h>
#include <gradus/kernels/emulator/count/counters.h>
#include <gradus/kernels/emulator/exec/warp.h>

namespace gradus::emulator {

// Generic windows: the top byte tells the space; the low bits are the offset within the block's shared, the thread's local or the launch's
// parameter memory.
inline constexpr std::uint64_t kSharedWindow = 0x0100'0000'0000'0000, kLocalWindow = 0x0200'0000'0000'0000,
                               kParameterWindow = 0x0300'0000'0000'0000, kWindowMask = 0xFF00'0000'0000'0000;

enum class AllocationKind : std::uint8_t { device, managed, pinned, variable, constant };

struct Allocation {
  std::uint64_t base = 0, bytes = 0;
  std::uint64_t serial = 0;
  AllocationKind kind = AllocationKind::device;
  bool freed = false;
  std::string label;  // "cudaMalloc #3", "variable counts"
  // For the stream-order check: who wrote last and who read since, kept by runtime/order.
  void* order = nullptr;
};

class DeviceMemory {
 public:
  static DeviceMemory& instance();

  /// 256-byte aligned, undefined content, red zones around it; 0 if the limit (cudaMemGetInfo's total) is exceeded.
  std::uint64_t allocate(std::uint64_t bytes, AllocationKind kind, std::string label);
  enum class FreeResult : std::uint8_t { ok, not_an_allocation, already_freed };
  FreeResult free(std::uint64_t base);
  /// Of a module that goes: free() refuses variables.
  FreeResult free_variable(std::uint64_t base);
  /// The live allocation that holds the address, or the freed one in quarantine, or null.
  const Allocation* find(std::uint64_t address) const;
  /// The nearest allocation below, for texts: "4 bytes past the end of cudaMalloc #3 (400 bytes)".
  std::string describe(std::uint64_t address) const;
  /// The bytes behind a global address (no check).
  std::byte* at(std::uint64_t address) const;

  std::uint64_t total() const, used() const;

  // Definedness, a bit per byte, of global memory.
  void define(std::uint64_t address, std::uint64_t bytes);
  void undefine(std::uint64_t address, std::uint64_t bytes);
  void copy_definedness(std::uint64_t to, std::uint64_t from, std::uint64_t bytes);
  /// Offset of the first undefined byte, or `bytes`.
  std::uint64_t first_undefined(std::uint64_t address, std::uint64_t bytes) const;

  /// What is wrong with a range that the runtime is asked to touch, as a finding without a place; nothing if it lies within one live
  /// allocation or is the host's own memory.
  std::optional<Finding> fault_of_range(std::uint64_t address, std::uint64_t bytes, const char* operation) const;
  /// Frees everything and forgets (cudaDeviceReset).
  void reset();

  /// Host memory that kernels may reach too (cudaHostRegister): `at` is the identity, no definedness, no races. free() forgets it.
  void register_host(std::uint64_t base, std::uint64_t bytes, std::string label);
  /// Grows when an allocation comes or goes: what handlers remember of allocations is void then.
  std::uint64_t generation() const;

  /// Within the pages that device addresses come from, allocated or not.
  bool is_device_page(std::uint64_t address) const;
  /// Likewise of managed and pinned memory.
  bool is_host_page(std::uint64_t address) const;

 private:
  FreeResult release(std::uint64_t base, bool variables_too);
};

// For the stream-order check (runtime/order): the global memory that a launch reads and writes, exact to a word (or a byte), neighbours
// merged. Collected only while the flag is set, which the runtime does once a program has a second stream.
struct TouchedRange {
  std::uint64_t address, bytes;
  bool write;  // false: only read
};
extern bool track_touched;
/// A byte of global memory on which an eye is kept while a launch runs: `met` if it wrote there without an atomic or volatile access (read,
/// if `reads_count`).
struct WatchedByte {
  std::uint64_t address = 0;
  bool reads_count = false, met = false;
};
extern std::vector<WatchedByte>* watched_bytes;  // null: none
/// Of the launch that has just ended; empties the list.
std::vector<TouchedRange> take_touched();

/// Of the running launch; end_launch adds them to counters_by_kernel() under the kernel's name. The memory handlers count theirs; the
/// machine adds instructions, classes, FLOPs, barriers, shuffles, blocks, threads.
Counters& launch_counters();
/// 0, or the CUDA error (700) of an access that nothing can serve (null page, host pointer): the launch goes on, run() returns it at its
/// end.
int launch_error();

/// What the checks need at the beginning and end of things; implemented by check/.
void begin_launch(void* launch, const ptx::Module& module, const char* kernel);
void end_launch(void* launch);
/// The last `reserved` of the block's bytes of shared memory are the system's: zero at first, not undefined.
void begin_block(Block& block, std::uint64_t shared_bytes, std::uint64_t reserved);
void end_block(Block& block);

/// Synchronisation events, told by the handlers of barriers, shuffles, fences and atomics.
void on_barrier(Block& block, const std::vector<std::uint32_t>& warps);  // these warps have met: their vector clocks join, epochs grow
void on_warp_sync(Warp& warp, Mask lanes);                               // bar.warp.sync, shuffles, votes: lanes have met
void on_fence(Warp& warp, Mask lanes, bool gpu_scope);
/// An mbarrier (or another word of shared memory that synchronises): what the warp did so far is before whoever acquires it later.
void on_release(Warp& warp, Mask lanes, std::uint64_t shared_offset);
void on_acquire(Warp& warp, std::uint64_t shared_offset);

/// Reports a finding for lane `lane` of the running instruction: location resolved (the innermost line outside the toolkit's headers).
void report(Kind kind, Warp& warp, const Decoded& d, int lane, const std::string& text);

}  // namespace gradus::emulator
