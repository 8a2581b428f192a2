#include <gradus/nn/linear.h>

#include <gradus/engine/ops/matmul.h>
#include <gradus/nn/initializers.h>

namespace gradus::inline v0 {

Linear::Linear(std::int64_t in, std::int64_t out, Generator& rng, const LinearOptions& options) {
  if (in < 0 || out < 0) raise_value("[Linear] sizes are " + std::to_string(in) + " -> " + std::to_string(out) + "; expected none below 0");
  const Key key = rng.next_key();
  weight = Parameter(fan_in_uniform(fold(key, 0), {out, in}, in, options.dtype));
  if (options.bias) bias = Parameter(fan_in_uniform(fold(key, 1), {out}, in, options.dtype), Role::bias);
}

Tensor Linear::operator()(const Tensor& x) const { return linear(x, weight, bias); }

void Linear::visit(Visitor& v) {
  v("weight", weight);
  if (bias.tensor()) v("bias", bias);
}

}  // namespace gradus::inline v0
