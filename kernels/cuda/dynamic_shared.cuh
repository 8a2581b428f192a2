// The shared memory whose size a launch gives.
#pragma once

#include <cuda_runtime.h>

namespace gradus::inline v0::cuda {

/// Its first byte, aligned for 16-byte access.
__device__ inline unsigned char* dynamic_shared() {
  extern __shared__ uint4 gradus_dynamic_shared[];
  return reinterpret_cast<unsigned char*>(gradus_dynamic_shared);
}

}  // namespace gradus::inline v0::cuda
