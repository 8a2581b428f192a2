// A reference count that costs plain moves until the program starts a second thread.
#pragma once

#include <atomic>
#include <cstdint>

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#endif

namespace gradus::inline v0::detail {

inline bool single_threaded() {
#if __has_include(<sys/single_threaded.h>)
  return __libc_single_threaded;  // glibc: false from the first thread on
#else
  return false;
#endif
}

class RefCount {
 public:
  void add() noexcept {
    if (single_threaded()) count_.store(count_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    else count_.fetch_add(1, std::memory_order_relaxed);
  }
  /// True when this was the last reference.
  bool drop() noexcept {
    if (count_.load(std::memory_order_acquire) == 1) return true;  // nobody else can be adding one
    if (single_threaded()) {
      count_.store(count_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
      return false;
    }
    return count_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }
  bool is_one() const noexcept { return count_.load(std::memory_order_acquire) == 1; }

 private:
  std::atomic<std::uint32_t> count_{1};
};

}  // namespace gradus::inline v0::detail
