#include <gradus/engine/ops/reduce.h>

#include <gradus/engine/ops/shape.h>
#include <gradus/engine/record.h>
#include <gradus/kernels/reduce.h>
#include <gradus/kernels/shape.h>

namespace gradus::inline v0 {

// ---- sum_to, broadcast_to: adjoints of each other

namespace {

Grads sum_to_rule(const Entry& e, const Tensor& dy) { return {broadcast_to(dy, e.input_shape(0))}; }
constexpr Op kSumTo{"sum_to", sum_to_rule};

Grads broadcast_to_rule(const Entry&, const Tensor& dy) { return {dy}; }  // the engine sums it down
constexpr Op kBroadcastTo{"broadcast_to", broadcast_to_rule};

/// Bits of the axes along which `small` was repeated to make `large`.
unsigned repeated_axes(const Shape& large, const Shape& small) {
  const int extra = large.rank() - small.rank();
  unsigned axes = (1u << extra) - 1;
  for (int i = extra; i < large.rank(); ++i)
    if (small[i - extra] == 1 && large[i] != 1) axes |= 1u << i;
  return axes;
}

void require_broadcast(const char* op, const Tensor& x, const Shape& large, const Shape& small) {
  bool fits = small.rank() <= large.rank();
  for (int i = 0; fits && i < small.rank(); ++i) fits = small[i] == 1 || small[i] == large[i + large.rank() - small.rank()];
  if (!fits) raise_shape(std::string("[") + op + "] " + describe("x", x) + ": " + to_string(small) + " does not broadcast to " + to_string(large));
}

}  // namespace

Tensor sum_to(const Tensor& x, const Shape& shape) {
  require_floating("sum_to", "x", x);
  if (x.shape() == shape) return x;
  require_broadcast("sum_to", x, x.shape(), shape);
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  GRADUS_RUN(x.device(), sum, fresh(y), x.array(), repeated_axes(x.shape(), shape));
  return record(kSumTo, std::move(y), {x});
}

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  require_defined("broadcast_to", "x", x);
  if (x.shape() == shape) return x;
  require_broadcast("broadcast_to", x, shape, x.shape());
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  GRADUS_RUN(x.device(), broadcast_to, fresh(y), x.array());
  return record(kBroadcastTo, std::move(y), {x});
}

}  // namespace gradus::inline v0
