#include <gradus/nn/dropout.h>

#include <gradus/engine/ops/random.h>
#include <gradus/engine/pass.h>

namespace gradus::inline v0 {

Dropout::Dropout(double probability) : p(probability) {
  if (!(p >= 0 && p <= 1)) raise_value("[Dropout] p is " + std::to_string(p) + "; expected 0 <= p <= 1");
}

Tensor Dropout::operator()(const Tensor& x) const { return in_training() ? dropout(x, p, next_pass_key()) : x; }

}  // namespace gradus::inline v0
