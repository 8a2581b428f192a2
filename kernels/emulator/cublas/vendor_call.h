// What the stand-ins of cuBLAS and cuDNN share: live handles, complaints about arguments, spans of matrices.
#pragma once

#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include <gradus/kernels/emulator/runtime/stream_work.h>

namespace gradus::emulator::vendor {

/// Says on stderr which argument of which call is wrong; the call then returns its library's status.
void complain(const char* call, const char* argument, const std::string& why);

/// Objects that a library handed out: using one that is gone, or never was, is told apart from using one that is there.
template <class T> class Live {
 public:
  static Live& instance() {
    static auto* live = new Live;  // used by destructors of thread-local objects, after static ones may be gone
    return *live;
  }
  T* create() {
    const std::lock_guard<std::mutex> held(lock_);
    return *objects_.insert(new T).first;
  }
  bool destroy(T* object) {
    const std::lock_guard<std::mutex> held(lock_);
    if (objects_.erase(object) == 0) return false;
    delete object;
    return true;
  }
  bool has(T* object) {
    const std::lock_guard<std::mutex> held(lock_);
    return objects_.count(object) > 0;
  }

 private:
  std::mutex lock_;
  std::set<T*> objects_;
};

/// `columns` runs of `rows` elements, `ld` apart, `batch` times `stride` apart: the exact bytes, without the gaps between columns.
struct Matrices {
  const void* data;
  const char* name;
  std::int64_t element, rows, columns, ld, batch, stride;

  std::uint64_t bytes() const;  // of distinct elements
  std::uint64_t span() const;   // from the first to past the last
  void add_to(std::vector<Range>& ranges) const;
};
/// Whether the memory of two operands meets; gaps between columns may hold each other's elements.
bool overlap(const Matrices& a, const Matrices& b);
/// Whether some of an operand's columns do.
bool overlaps_itself(const Matrices& a);

/// Counters of a call that reads and writes so many bytes, each once.
Counters counts_of(std::uint64_t flops, std::uint64_t bytes);

}  // namespace gradus::emulator::vendor
