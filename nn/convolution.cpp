#include <gradus/nn/convolution.h>

#include <gradus/nn/initializers.h>

namespace gradus::inline v0 {

Conv2d::Conv2d(std::int64_t in, std::int64_t out, Pair2d kernel, Generator& rng, const Conv2dOptions& config)
    : options{config.stride, config.padding, config.groups} {
  const std::int64_t groups = config.groups;
  if (in < 1 || out < 1 || kernel.h < 1 || kernel.w < 1 || groups < 1 || in % groups != 0 || out % groups != 0)
    raise_value("[Conv2d] " + std::to_string(in) + " -> " + std::to_string(out) + " channels, kernel " + std::to_string(kernel.h) + "x" +
                std::to_string(kernel.w) + ", groups " + std::to_string(groups) +
                "; expected sizes of at least 1 and groups that divide both channel counts");
  const Key key = rng.next_key();
  const std::int64_t fan_in = in / groups * kernel.h * kernel.w;
  weight = Parameter(fan_in_uniform(fold(key, 0), {out, in / groups, kernel.h, kernel.w}, fan_in, config.dtype));
  if (config.bias) bias = Parameter(fan_in_uniform(fold(key, 1), {out}, fan_in, config.dtype), Role::bias);
}

void Conv2d::visit(Visitor& v) {
  v("weight", weight);
  if (bias.tensor()) v("bias", bias);
}

}  // namespace gradus::inline v0
