// Copies and fills between host and device memory, as operations.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include <gradus/kernels/emulator/runtime/scheduler.h>

namespace gradus::emulator::runtime {

/// What an address is to CUDA.
enum class Where : std::uint8_t { pageable, pinned, managed, device };
Where where_is(const void* address);

/// A box of bytes: `width` bytes in `height` rows in `depth` slices.
struct Box {
  std::size_t width = 0, height = 1, depth = 1;
  std::size_t bytes() const { return width * height * depth; }
};
struct Side {
  std::uint64_t address = 0;
  std::size_t pitch = 0, slice = 0;  // bytes from row to row, from slice to slice
};
struct CopyRequest {
  const char* call = "";  // the entry point
  Side to, from;
  Box box;
  cudaMemcpyKind kind = cudaMemcpyDefault;
  Stream* stream = nullptr;
  bool async = false;
};
/// Checks kind and ranges, queues the copy, and waits for it where CUDA does.
cudaError_t copy(const CopyRequest& request);
/// The operation alone (for graph nodes); `error` as above.
Operation copy_operation(const CopyRequest& request, cudaError_t* error);

struct FillRequest {
  const char* call = "";
  Side to;
  Box box;
  int value = 0;
  unsigned element = 1;  // bytes of the value that are repeated
};
cudaError_t fill(const FillRequest& request, Stream* stream, bool async);
Operation fill_operation(const FillRequest& request, cudaError_t* error);

}  // namespace gradus::emulator::runtime
