// The functions of matmul.cpp, once per instruction set.
#pragma once

#include <gradus/kernels/matmul.h>
#include <gradus/kernels/cpu/isa.h>

namespace gradus::inline v0::cpu {

struct MatmulTable {
  std::size_t (*gemm_workspace_bytes)(DType dtype, const Gemm& g);
  void (*gemm)(DType dtype, const Gemm& g, void* c, const void* a, const void* b, const void* bias, const Workspace& workspace);
};
GRADUS_TABLE(MatmulTable, matmul_table)

}  // namespace gradus::inline v0::cpu
