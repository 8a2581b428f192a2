// Functions of one tensor: check, forward and rule side by side.

#include <gradus/engine/ops/elementwise.h>

#include <gradus/engine/record.h>
#include <gradus/kernels/elementwise.h>

namespace gradus::inline v0 {

// ---- neg, abs, sign

namespace {
Grads neg_rule(const Entry&, const Tensor& dy) { return {-dy}; }
constexpr Op kNeg{"neg", neg_rule};
Grads abs_rule(const Entry& e, const Tensor& dy) { return {dy * sign(e.saved(0))}; }
constexpr Op kAbs{"abs", abs_rule};
}  // namespace

Tensor neg(const Tensor& x) {
  require_floating("neg", "x", x);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), neg, fresh(y), x.array());
  return record(kNeg, std::move(y), {x});
}

Tensor abs(const Tensor& x) {
  require_floating("abs", "x", x);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), abs, fresh(y), x.array());
  return record(kAbs, std::move(y), {x}, {x});
}

Tensor sign(const Tensor& x) {
  require_floating("sign", "x", x);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), sign, fresh(y), x.array());
  return y;
}

// ---- exp, log, log1p, expm1

namespace {
Grads exp_rule(const Entry& e, const Tensor& dy) { return {dy * e.saved(0)}; }
constexpr Op kExp{"exp", exp_rule};
Grads log_rule(const Entry& e, const Tensor& dy) { return {dy / e.saved(0)}; }
constexpr Op kLog{"log", log_rule};
Grads log1p_rule(const Entry& e, const Tensor& dy) { return {dy / (e.saved(0) + 1)}; }
constexpr Op kLog1p{"log1p", log1p_rule};
Grads expm1_rule(const Entry& e, const Tensor& dy) { return {dy * (e.saved(0) + 1)}; }
constexpr Op kExpm1{"expm1", expm1_rule};
}  // namespace

Tensor exp(const Tensor& x) {
  require_floating("exp", "x", x);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), exp, fresh(y), x.array());
  return record(kExp, y, {x}, {y});
}

Tensor log(const Tensor& x) {
  require_floating("log", "x", x);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), log, fresh(y), x.array());
  return record(kLog, std::move(y), {x}, {x});
}

Tensor log1p(const Tensor& x) {
  require_floating("log1p", "x", x);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), log1p, fresh(y), x.array());
  return record(kLog1p, std::move(y), {x}, {x});
}

Tensor expm1(const Tensor& x) {
  require_floating("expm1", "x", x);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), expm1, fresh(y), x.array());
  return record(kExpm1, y, {x}, {y});
}

// ---- sqrt, rsqrt, square, reciprocal

namespace {
Grads sqrt_rule(const Entry& e, const Tensor& dy) { return {dy * 0.5 / e.saved(0)}; }
constexpr Op kSqrt{"sqrt", sqrt_rule};
Grads rsqrt_rule(const Entry& e, const Tensor& dy) { return {dy * -0.5 * pow(e.saved(0), 3)}; }
constexpr Op kRsqrt{"rsqrt", rsqrt_rule};
Grads square_rule(const Entry& e, const Tensor& dy) { return {dy * 2 * e.saved(0)}; }
constexpr Op kSquare{"square", square_rule};
Grads reciprocal_rule(const Entry& e, const Tensor& dy) { return {-dy * square(e.saved(0))}; }
constexpr Op kReciprocal{"reciprocal", reciprocal_rule};
}  // namespace

Tensor sqrt(const Tensor& x) {
  require_floating("sqrt", "x", x);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), sqrt, fresh(y), x.array());
  return record(kSqrt, y, {x}, {y});
}

Tensor rsqrt(const Tensor& x) {
  require_floating("rsqrt", "x", x);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), rsqrt, fresh(y), x.array());
  return record(kRsqrt, y, {x}, {y});
}

Tensor square(const Tensor& x) {
  require_floating("square", "x", x);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), square, fresh(y), x.array());
  return record(kSquare, std::move(y), {x}, {x});
}

Tensor reciprocal(const Tensor& x) {
  require_floating("reciprocal", "x", x);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), reciprocal, fresh(y), x.array());
  return record(kReciprocal, y, {x}, {y});
}

// ---- sin, cos

namespace {
Grads sin_rule(const Entry& e, const Tensor& dy) { return {dy * cos(e.saved(0))}; }
constexpr Op kSin{"sin", sin_rule};
Grads cos_rule(const Entry& e, const Tensor& dy) { return {-dy * sin(e.saved(0))}; }
constexpr Op kCos{"cos", cos_rule};
}  // namespace

Tensor sin(const Tensor& x) {
  require_floating("sin", "x", x);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), sin, fresh(y), x.array());
  return record(kSin, std::move(y), {x}, {x});
}

Tensor cos(const Tensor& x) {
  require_floating("cos", "x", x);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), cos, fresh(y), x.array());
  return record(kCos, std::move(y), {x}, {x});
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

// ---- relu

namespace {
Grads relu_rule(const Entry& e, const Tensor& dy) { return {where(e.saved(0) <= 0.0, 0.0, dy)}; }
Grads relu_fused(const Entry& e, const Tensor& dy) {
  Tensor dx = empty_like(dy);
  GRADUS_RUN(dy.device(), relu_backward, fresh(dx), dy.array(), e.saved(0).array());
  return {dx};
}
constexpr Op kRelu{"relu", relu_rule, relu_fused};
}  // namespace

Tensor relu(const Tensor& x) {
  require_floating("relu", "x", x);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), relu, fresh(y), x.array());
  return record(kRelu, y, {x}, {y});
}

// ---- gelu, erf

namespace {
/// Phi(x) + x phi(x).
Grads gelu_rule(const Entry& e, const Tensor& dy) {
  constexpr double root_half = 0.70710678118654752440, density_at_0 = 0.39894228040143267794;  // 1 / sqrt(2 pi)
  const Tensor& x = e.saved(0);
  const Tensor cumulative = affine(erf(x * root_half), 0.5, 0.5), density = exp(square(x) * -0.5) * density_at_0;
  return {dy * (cumulative + x * density)};
}
Grads gelu_fused(const Entry& e, const Tensor& dy) {
  Tensor dx = empty_like(dy);
  GRADUS_RUN(dy.device(), gelu_backward, fresh(dx), dy.array(), e.saved(0).array());
  return {dx};
}
constexpr Op kGelu{"gelu", gelu_rule, gelu_fused};

Grads erf_rule(const Entry& e, const Tensor& dy) {
  constexpr double slope_at_0 = 1.12837916709551257390;  // 2 / sqrt(pi)
  return {dy * slope_at_0 * exp(-square(e.saved(0)))};
}
constexpr Op kErf{"erf", erf_rule};
}  // namespace

Tensor gelu(const Tensor& x) {
  require_floating("gelu", "x", x);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), gelu, fresh(y), x.array());
  return record(kGelu, std::move(y), {x}, {x});
}

Tensor erf(const Tensor& x) {
  require_floating("erf", "x", x);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), erf, fresh(y), x.array());
  return record(kErf, std::move(y), {x}, {x});
}

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

// ---- clamp

namespace {
struct Bounds {
  double low, high;
};
Grads clamp_rule(const Entry& e, const Tensor& dy) {
  const auto [low, high] = e.attrs<Bounds>();
  const Tensor& x = e.saved(0);
  return {where(x >= low, where(x <= high, dy, 0.0), 0.0)};
}
Grads clamp_fused(const Entry& e, const Tensor& dy) {
  const auto [low, high] = e.attrs<Bounds>();
  Tensor dx = empty_like(dy);
  GRADUS_RUN(dy.device(), clamp_backward, fresh(dx), dy.array(), e.saved(0).array(), low, high);
  return {dx};
}
constexpr Op kClamp{"clamp", clamp_rule, clamp_fused};
}  // namespace

Tensor clamp(const Tensor& x, double low, double high) {
  require_floating("clamp", "x", x);
  if (!(low <= high))
    raise_value("[clamp] low is " + std::to_string(low) + " and high is " + std::to_string(high) + ": expected low <= high");
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), clamp, fresh(y), x.array(), low, high);
  return record(kClamp, std::move(y), {x}, {x}, Bounds{low, high});
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

// ---- pow with a number

namespace {
struct Exponent {
  double value;
};
Grads pow_number_rule(const Entry& e, const Tensor& dy) {
  const double n = e.attrs<Exponent>().value;
  if (n == 0) return {zeros_like(dy)};
  return {n == 1 ? dy : dy * n * pow(e.saved(0), n - 1)};
}
constexpr Op kPowNumber{"pow", pow_number_rule};
}  // namespace

Tensor pow(const Tensor& x, double exponent) {
  require_floating("pow", "x", x);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), pow_scalar, fresh(y), x.array(), exponent);
  return record(kPowNumber, std::move(y), {x}, {x}, Exponent{exponent});
}

// ---- cast

namespace {
struct Origin {
  DType dtype;
};
Grads cast_rule(const Entry& e, const Tensor& dy) { return {cast(dy, e.attrs<Origin>().dtype)}; }
constexpr Op kCast{"cast", cast_rule};
}  // namespace

Tensor cast(const Tensor& x, DType dtype) {
  require_defined("cast", "x", x);
  if (x.dtype() == dtype) return x;
  Tensor y = Tensor::empty(x.shape(), dtype, x.device());
  GRADUS_RUN(x.device(), cast, fresh(y), x.array());
  return is_floating(dtype) ? record(kCast, std::move(y), {x}, {}, Origin{x.dtype()}) : y;
}

}  // namespace gradus::inline v0
