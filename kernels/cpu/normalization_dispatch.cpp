#include <gradus/kernels/cpu/normalization_table.h>

namespace gradus::inline v0::cpu {

void batch_norm_statistics(Array mean, Array var, ConstArray x) { normalization_table().batch_norm_statistics(mean, var, x); }
void batch_norm(Array y, ConstArray x, ConstArray mean, ConstArray rstd, ConstArray gamma, ConstArray beta) {
  normalization_table().batch_norm(y, x, mean, rstd, gamma, beta);
}
void batch_norm_train(Array y, Array mean, Array var, Array rstd, ConstArray x, ConstArray gamma, ConstArray beta, double epsilon) {
  normalization_table().batch_norm_train(y, mean, var, rstd, x, gamma, beta, epsilon);
}
void batch_norm_backward(Array dx, Array dgamma, Array dbeta, ConstArray dy, ConstArray x, ConstArray mean, ConstArray rstd,
                         ConstArray gamma) {
  normalization_table().batch_norm_backward(dx, dgamma, dbeta, dy, x, mean, rstd, gamma);
}

}  // namespace gradus::inline v0::cpu
