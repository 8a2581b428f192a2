#include <gradus/kernels/cpu/convolution_table.h>

namespace gradus::inline v0::cpu {

std::size_t conv2d_workspace_bytes(DType dtype, const Conv2dShape& conv) { return convolution_table().conv2d_workspace_bytes(dtype, conv); }
void conv2d(Array y, ConstArray x, ConstArray w, ConstArray bias, const Conv2dShape& conv, Workspace workspace) {
  convolution_table().conv2d(y, x, w, bias, conv, workspace);
}
std::size_t conv2d_input_grad_workspace_bytes(DType dtype, const Conv2dShape& conv) {
  return convolution_table().conv2d_input_grad_workspace_bytes(dtype, conv);
}
void conv2d_input_grad(Array dx, ConstArray dy, ConstArray w, const Conv2dShape& conv, Workspace workspace) {
  convolution_table().conv2d_input_grad(dx, dy, w, conv, workspace);
}
std::size_t conv2d_weight_grad_workspace_bytes(DType dtype, const Conv2dShape& conv) {
  return convolution_table().conv2d_weight_grad_workspace_bytes(dtype, conv);
}
void conv2d_weight_grad(Array dw, ConstArray x, ConstArray dy, const Conv2dShape& conv, Workspace workspace) {
  convolution_table().conv2d_weight_grad(dw, x, dy, conv, workspace);
}

}  // namespace gradus::inline v0::cpu
