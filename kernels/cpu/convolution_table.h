// The functions of convolution.cpp, once per instruction set.
#pragma once

#include <gradus/kernels/convolution.h>
#include <gradus/kernels/cpu/isa.h>

namespace gradus::inline v0::cpu {

struct ConvolutionTable {
  std::size_t (*conv2d_workspace_bytes)(DType dtype, const Conv2dShape& conv);
  void (*conv2d)(Array y, ConstArray x, ConstArray w, ConstArray bias, const Conv2dShape& conv, Workspace workspace);
  std::size_t (*conv2d_input_grad_workspace_bytes)(DType dtype, const Conv2dShape& conv);
  void (*conv2d_input_grad)(Array dx, ConstArray dy, ConstArray w, const Conv2dShape& conv, Workspace workspace);
  std::size_t (*conv2d_weight_grad_workspace_bytes)(DType dtype, const Conv2dShape& conv);
  void (*conv2d_weight_grad)(Array dw, ConstArray x, ConstArray dy, const Conv2dShape& conv, Workspace workspace);
};
GRADUS_TABLE(ConvolutionTable, convolution_table)

}  // namespace gradus::inline v0::cpu
