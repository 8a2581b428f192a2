// Convolutions by cuDNN's legacy calls. In the build with GRADUS_CUDNN only; the one place that knows the library.
//
// (The library's newer graph interface would take ten times the code for these three products; the legacy calls are marked deprecated in
// cuDNN 9 but complete.) Deterministic algorithms only, FMA arithmetic only: no atomics, no TF32.
#pragma once

#include <gradus/kernels/convolution.h>

namespace gradus::inline v0::cuda {

enum class CudnnOp { forward, input_grad, weight_grad };

/// Whether the library computes this one: nothing in it is empty, every array has fewer than 2^31 elements, and it says so.
bool cudnn_takes(CudnnOp op, DType dtype, const Conv2dShape& conv);

// What follows needs cudnn_takes(). On this thread's stream; CudaError with the op and the library's words.

std::size_t cudnn_workspace_bytes(CudnnOp op, DType dtype, const Conv2dShape& conv);
/// y = conv(x, w); without a bias.
void cudnn_convolve(DType dtype, const Conv2dShape& conv, void* y, const void* x, const void* w, Workspace workspace);
void cudnn_input_grad(DType dtype, const Conv2dShape& conv, void* dx, const void* dy, const void* w, Workspace workspace);
void cudnn_weight_grad(DType dtype, const Conv2dShape& conv, void* dw, const void* x, const void* dy, Workspace workspace);

}  // namespace gradus::inline v0::cuda
