// cudaMemcpy3DParms, as calls and graph nodes bring it, in the runtime's own terms.
#pragma once

#include <gradus/kernels/emulator/runtime/copy.h>

namespace gradus::emulator::runtime {

cudaError_t request_of(const cudaMemcpy3DParms* parameters, const char* call, CopyRequest* out);

}  // namespace gradus::emulator::runtime
