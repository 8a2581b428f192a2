#include <gradus/engine/ops/elementwise.h>

#include <gradus/engine/record.h>
#include <gradus/kernels/elementwise.h>

namespace gradus::inline v0 {

// ---- softplus

namespace {
Grads softplus_rule(const Entry& e, const Tensor& dy) { return {dy * sigmoid(e.saved(0))}; }
Grads softplus_fused(const Entry& e, const Tensor& dy) {
  Tensor dx = empty_like(dy);
  GRADUS_RUN(dy.device(), softplus_backward, fresh(dx), dy.array(), e.saved(0).array());
  return {dx};
}
constexpr Op kSoftplus{"softplus", softplus_rule, softplus_fused};
}  // namespace

Tensor softplus(const Tensor& x) {
  require_floating("softplus", "x", x);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), softplus, fresh(y), x.array());
  return record(kSoftplus, std::move(y), {x}, {x});
}

// ---- sigmoid

namespace {
Grads sigmoid_rule(const Entry& e, const Tensor& dy) {
  const Tensor& y = e.saved(0);
  return {dy * y * (1 - y)};
}
Grads sigmoid_fused(const Entry& e, const Tensor& dy) {
  Tensor dx = empty_like(dy);
  GRADUS_RUN(dy.device(), sigmoid_backward, fresh(dx), dy.array(), e.saved(0).array());
  return {dx};
}
constexpr Op kSigmoid{"sigmoid", sigmoid_rule, sigmoid_fused};
}  // namespace

Tensor sigmoid(const Tensor& x) {
  require_floating("sigmoid", "x", x);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), sigmoid, fresh(y), x.array());
  return record(kSigmoid, y, {x}, {y});
}

// ---- tanh

namespace {
Grads tanh_rule(const Entry& e, const Tensor& dy) {
  const Tensor& y = e.saved(0);
  return {dy * (1 - y * y)};
}
Grads tanh_fused(const Entry& e, const Tensor& dy) {
  Tensor dx = empty_like(dy);
  GRADUS_RUN(dy.device(), tanh_backward, fresh(dx), dy.array(), e.saved(0).array());
  return {dx};
}
constexpr Op kTanh{"tanh", tanh_rule, tanh_fused};
}  // namespace

Tensor tanh(const Tensor& x) {
  require_floating("tanh", "x", x);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), tanh, fresh(y), x.array());
  return record(kTanh, y, {x}, {y});
}

// ---- add, mul: gradients have the broadcast shape; the engine sums them down

namespace {

void require_arithmetic(const char* op, const Tensor& a, const Tensor& b) {
  require_same_dtype(op, "a", a, "b", b);
  if (!is_floating(a.dtype()) && a.dtype() != DType::i64)
    raise_dtype(std::string("[") + op + "] " + describe("a", a) + ": expected f32, f64 or i64; use cast()");
}

Grads add_rule(const Entry&, const Tensor& dy) { return {dy, dy}; }
constexpr Op kAdd{"add", add_rule};

Grads mul_rule(const Entry& e, const Tensor& dy) {
  return {e.needs(0) ? dy * e.saved(1) : Tensor(), e.needs(1) ? dy * e.saved(0) : Tensor()};
}
constexpr Op kMul{"mul", mul_rule};

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  require_arithmetic("add", a, b);
  Tensor y = Tensor::empty(broadcast_shape("add", a.shape(), b.shape()), a.dtype(), a.device());
  GRADUS_RUN(a.device(), add, fresh(y), a.array(), b.array());
  return record(kAdd, std::move(y), {a, b});
}

Tensor mul(const Tensor& a, const Tensor& b) {
  require_arithmetic("mul", a, b);
  Tensor y = Tensor::empty(broadcast_shape("mul", a.shape(), b.shape()), a.dtype(), a.device());
  GRADUS_RUN(a.device(), mul, fresh(y), a.array(), b.array());
  return record(kMul, std::move(y), {a, b}, {for_input(1, a), for_input(0, b)});
}

// ---- affine

namespace {
struct Affine {
  double scale;
};
Grads affine_rule(const Entry& e, const Tensor& dy) {
  const double scale = e.attrs<Affine>().scale;
  return {scale == 1 ? dy : dy * scale};
}
constexpr Op kAffine{"affine", affine_rule};
}  // namespace

Tensor affine(const Tensor& x, double scale, double shift) {
  require_floating("affine", "x", x);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), affine, fresh(y), x.array(), scale, shift);
  return record(kAffine, std::move(y), {x}, {}, Affine{scale});
}

}  // namespace gradus::inline v0
