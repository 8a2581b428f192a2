// The hand-written matrix products, version by version: for tests, and for `gradus kernels`. cuda::gemm (kernels/matmul.h) picks among
// them, or asks cuBLAS (vendor.h).
//
// Every version gives the same bits. An output is one chain of fma over k, in order, cut into chunks of gemm_chunk(k) whose sums are added
// in order: nothing of it depends on m, n, the batch, the transposes, the tiling or on whether the chunks ran one after another. So the
// choice of a version is a matter of speed alone, and a row does not depend on the rows beside it. (A CPU with FMA computes the same with
// chunks of kGemmDepth, so its last bits differ where k > kGemmDepth.)
#pragma once

#include <cstddef>

#include <gradus/kernels/matmul.h>

namespace gradus::inline v0::cuda {

inline constexpr int kGemmVersions = 4;

/// Depth of a chain: 1024, since each further chunk reads and writes c once more and that is then an eighth of the traffic of v4; more
/// above k = 65536, so that there are never more than 64 chunks.
std::int64_t gemm_chunk(std::int64_t k);

/// One version: 1 naive, 2 shared tiles, 3 register tiles, 4 asynchronous copies of 16 bytes. Version 4 may use the workspace to compute
/// the chunks of a thin product side by side; with a smaller one it does without.
void gemm_version(int version, DType dtype, const Gemm& g, void* c, const void* a, const void* b, const void* bias, Workspace workspace);
/// What version 4 would like to have.
std::size_t gemm_version_workspace_bytes(DType dtype, const Gemm& g);

/// Bytes that a version asks of global memory by its tiling (the formulas of gemm_ladder.cu and gemm.cu), and multiply-adds times two.
double gemm_version_bytes(int version, DType dtype, const Gemm& g);
double gemm_flops(const Gemm& g);

}  // namespace gradus::inline v0::cuda
