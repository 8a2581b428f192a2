#include <gradus/kernels/cpu/matmul_table.h>

namespace gradus::inline v0::cpu {

std::size_t gemm_workspace_bytes(DType dtype, const Gemm& g) { return matmul_table().gemm_workspace_bytes(dtype, g); }
void gemm(DType dtype, const Gemm& g, void* c, const void* a, const void* b, const void* bias, Workspace workspace) {
  matmul_table().gemm(dtype, g, c, a, b, bias, workspace);
}

}  // namespace gradus::inline v0::cpu
