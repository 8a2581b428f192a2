#include <gradus/nn/gradients.h>

#include <cmath>
#include <string>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/record.h>
#include <gradus/kernels/optimizer.h>

namespace gradus::inline v0 {

double global_norm(const Gradients& gradients) {
  double sum = 0;
  for (const Device device : {Device::cpu, Device::cuda}) {
    Vec<ConstArray> arrays;
    for (const Tensor& g : gradients.values)
      if (g && g.device() == device) arrays.push_back(g.array());
    if (!arrays.empty()) sum += GRADUS_RUN(device, squared_norm_many, arrays.data(), static_cast<int>(arrays.size()));
  }
  return std::sqrt(sum);
}

double clip_by_norm(Gradients& gradients, double max_norm) {
  if (!(max_norm > 0)) raise_value("[clip_by_norm] max_norm is " + std::to_string(max_norm) + "; expected more than 0");
  const double norm = global_norm(gradients);
  if (!(norm > max_norm) || !std::isfinite(norm)) return norm;
  const double factor = max_norm / norm;
  for (Tensor& g : gradients.values) {
    if (!g) continue;
    if (TensorAccess::unique(g)) GRADUS_RUN(g.device(), scale, fresh(g), factor);
    else g = affine(g, factor, 0);  // somebody else holds it too: a gradient that arrived alone is the tensor that its rule returned
  }
  return norm;
}

}  // namespace gradus::inline v0
