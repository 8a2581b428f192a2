// Scratch memory for one kernel call, from the allocator, so that nothing is allocated inside a kernel.
#pragma once

#include <gradus/engine/memory.h>
#include <gradus/kernels/array.h>

namespace gradus::inline v0 {

/// `bytes` of uninitialised memory of `device` for as long as it lives; nothing for 0.
class Scratch {
 public:
  Scratch(std::size_t bytes, Device device) : workspace_{bytes ? allocate(bytes, device) : nullptr, bytes}, device_(device) {}
  ~Scratch() {
    if (workspace_.data) deallocate(workspace_.data, workspace_.bytes, device_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  Workspace workspace() const { return workspace_; }

 private:
  Workspace workspace_;
  Device device_;
};

}  // namespace gradus::inline v0
