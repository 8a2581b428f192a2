#include <gradus/nn/sequential.h>

#include <gradus/engine/tape.h>

namespace gradus::inline v0 {

Tensor Sequential::operator()(const Tensor& x) const {
  Tensor y = x;
  int index = 0;
  for (const Module& layer : layers) {
    const NameScope scope("layers", index++);
    y = layer(y);
  }
  return y;
}

}  // namespace gradus::inline v0
