#include <gradus/kernels/cpu/softmax_table.h>

namespace gradus::inline v0::cpu {

void softmax(Array y, ConstArray x, int axis) { softmax_table().softmax(y, x, axis); }
void softmax_backward(Array dx, ConstArray dy, ConstArray y, int axis) { softmax_table().softmax_backward(dx, dy, y, axis); }
void log_softmax(Array y, ConstArray x, int axis) { softmax_table().log_softmax(y, x, axis); }
void log_softmax_backward(Array dx, ConstArray dy, ConstArray y, int axis) { softmax_table().log_softmax_backward(dx, dy, y, axis); }

void cross_entropy(Array loss, Array lse, ConstArray logits, ConstArray targets, ConstArray class_weights) {
  cross_entropy_table().cross_entropy(loss, lse, logits, targets, class_weights);
}
void cross_entropy_backward(Array dlogits, ConstArray dloss, ConstArray logits, ConstArray lse, ConstArray targets,
                            ConstArray class_weights) {
  cross_entropy_table().cross_entropy_backward(dlogits, dloss, logits, lse, targets, class_weights);
}

}  // namespace gradus::inline v0::cpu
