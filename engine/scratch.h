// Scratch memory for one kernel call, from the allocator, so that nothing is allocated inside a kernel.
#pragma once

#include <gradus/engine/memory.h>
#include <gradus/kernels/array.h>

namespace gradus::inline v0 {

/// `bytes` of uninitialised memory for as long as it lives; nothing for 0.
class Scratch {
 public:
  explicit Scratch(std::size_t bytes) : workspace_{bytes ? allocate(bytes) : nullptr, bytes} {}
  ~Scratch() { deallocate(workspace_.data, workspace_.bytes); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  Workspace workspace() const { return workspace_; }

 private:
  Workspace workspace_;
};

}  // namespace gradus::inline v0
