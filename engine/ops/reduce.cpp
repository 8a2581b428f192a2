#include <gradus/engine/ops/reduce.h>

#include <limits>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/record.h>
#include <gradus/kernels/elementwise.h>
#include <gradus/kernels/reduce.h>
#include <gradus/kernels/shape.h>

namespace gradus::inline v0 {

// ---- shapes

namespace {

constexpr unsigned kAllAxes = (1u << Shape::kMaxRank) - 1;

/// The axes as bits.
unsigned axis_bits(const char* op, const Tensor& x, const Axes& axes) {
  require_floating(op, "x", x);
  unsigned bits = 0;
  for (const int axis : axes.list()) {
    const unsigned bit = 1u << require_axis(op, "x", x, axis);
    if (bits & bit) raise_shape(std::string("[") + op + "] " + describe("x", x) + ": axis " + std::to_string(axis) + " is named twice");
    bits |= bit;
  }
  return bits;
}

/// x's shape with the reduced axes left in as 1.
Shape with_ones(const Shape& x, unsigned axes) {
  Shape y;
  for (int i = 0; i < x.rank(); ++i) y.push_back(axes >> i & 1 ? 1 : x[i]);
  return y;
}

/// x's shape without the reduced axes.
Shape without(const Shape& x, unsigned axes) {
  Shape y;
  for (int i = 0; i < x.rank(); ++i)
    if (!(axes >> i & 1)) y.push_back(x[i]);
  return y;
}

/// Elements of x that make one of y.
std::int64_t count_of(const Shape& x, unsigned axes) {
  std::int64_t n = 1;
  for (int i = 0; i < x.rank(); ++i)
    if (axes >> i & 1) n *= x[i];
  return n;
}

void require_some(const char* op, const Tensor& x, unsigned axes) {
  if (count_of(x.shape(), axes) == 0)
    raise_shape(std::string("[") + op + "] " + describe("x", x) + ": there is nothing to take the " + op + " of along these axes");
}

/// What the rules know: which axes went away.
struct Reduced {
  unsigned axes;
};

/// dy or y of a reduction in a shape that broadcasts against its x.
Tensor beside_input(const Entry& e, const Tensor& t) { return reshape(t, with_ones(e.input_shape(0), e.attrs<Reduced>().axes)); }

}  // namespace

// ---- sum, mean

namespace {

Grads sum_rule(const Entry& e, const Tensor& dy) { return {broadcast_to(beside_input(e, dy), e.input_shape(0))}; }
constexpr Op kSum{"sum", sum_rule};

Grads mean_rule(const Entry& e, const Tensor& dy) {
  const double share = 1 / static_cast<double>(count_of(e.input_shape(0), e.attrs<Reduced>().axes));
  return {broadcast_to(beside_input(e, dy * share), e.input_shape(0))};
}
constexpr Op kMean{"mean", mean_rule};

Tensor sum_into(const Shape& shape, const Tensor& x, unsigned axes) {
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  GRADUS_RUN(x.device(), sum, fresh(y), x.array(), axes);
  return record(kSum, std::move(y), {x}, {}, Reduced{axes});
}

Tensor mean_into(const Shape& shape, const Tensor& x, unsigned axes) {
  require_some("mean", x, axes);
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  GRADUS_RUN(x.device(), sum, fresh(y), x.array(), axes);
  GRADUS_RUN(x.device(), affine, fresh(y), y.array(), 1 / static_cast<double>(count_of(x.shape(), axes)), 0);
  return record(kMean, std::move(y), {x}, {}, Reduced{axes});
}

}  // namespace

// ---- max, min: the gradient goes to the elements that are equal to the result, in equal shares

namespace {

Grads extremum_rule(const Entry& e, const Tensor& dy) {
  const Tensor chosen = cast(e.saved(0) == beside_input(e, e.saved(1).detach()), dy.dtype());
  const Tensor ties = beside_input(e, sum_to(chosen, with_ones(e.input_shape(0), e.attrs<Reduced>().axes)));
  return {chosen * (beside_input(e, dy) / ties)};
}
constexpr Op kMax{"max", extremum_rule}, kMin{"min", extremum_rule};

Tensor max_into(const Shape& shape, const Tensor& x, unsigned axes) {
  require_some("max", x, axes);
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  GRADUS_RUN(x.device(), max, fresh(y), x.array(), axes);
  return record(kMax, y, {x}, {x, y}, Reduced{axes});
}

Tensor min_into(const Shape& shape, const Tensor& x, unsigned axes) {
  require_some("min", x, axes);
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  GRADUS_RUN(x.device(), min, fresh(y), x.array(), axes);
  return record(kMin, y, {x}, {x, y}, Reduced{axes});
}

}  // namespace

// ---- logsumexp: dx = dy exp(x - y)

namespace {

Grads logsumexp_rule(const Entry& e, const Tensor& dy) {
  const Tensor& y = e.saved(1);
  const Tensor shift = where(y == -std::numeric_limits<double>::infinity(), 0.0, y);  // all -infinity: exp(x - 0) is 0
  return {beside_input(e, dy) * exp(e.saved(0) - beside_input(e, shift))};
}
constexpr Op kLogsumexp{"logsumexp", logsumexp_rule};

Tensor logsumexp_into(const Shape& shape, const Tensor& x, unsigned axes) {
  require_some("logsumexp", x, axes);
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  GRADUS_RUN(x.device(), logsumexp, fresh(y), x.array(), axes);
  return record(kLogsumexp, y, {x}, {x, y}, Reduced{axes});
}

}  // namespace

// ---- the three forms of each

#define REDUCTION(name)                                      \
  Tensor name(const Tensor& x) {                             \
    require_floating(#name, "x", x);                         \
    return name##_into({}, x, kAllAxes);                     \
  }                                                          \
  Tensor name(const Tensor& x, const Axes& axes) {           \
    const unsigned bits = axis_bits(#name, x, axes);         \
    return name##_into(without(x.shape(), bits), x, bits);   \
  }                                                          \
  Tensor name(const Tensor& x, const Axes& axes, KeepDims) { \
    const unsigned bits = axis_bits(#name, x, axes);         \
    return name##_into(with_ones(x.shape(), bits), x, bits); \
  }
REDUCTION(sum)
REDUCTION(mean)
REDUCTION(max)
REDUCTION(min)
REDUCTION(logsumexp)
#undef REDUCTION

// ---- argmax

Tensor argmax(const Tensor& x, int axis) {
  require_floating("argmax", "x", x);
  const int along = require_axis("argmax", "x", x, axis);
  require_some("argmax", x, 1u << along);
  Tensor y = Tensor::empty(without(x.shape(), 1u << along), DType::i64, x.device());
  GRADUS_RUN(x.device(), argmax, fresh(y), x.array(), along);
  return y;
}

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
  if (!fits)
    raise_shape(std::string("[") + op + "] " + describe("x", x) + ": " + to_string(small) + " does not broadcast to " + to_string(large));
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
