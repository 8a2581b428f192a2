// Arithmetic of two tensors, or of a tensor and a number. Gradients have the broadcast shape; the engine sums them down.

#include <gradus/engine/ops/elementwise.h>

#include <cmath>

#include <gradus/engine/record.h>
#include <gradus/kernels/elementwise.h>

namespace gradus::inline v0 {

namespace {

void require_arithmetic(const char* op, const Tensor& a, const Tensor& b) {
  require_same_dtype(op, "a", a, "b", b);
  if (!is_floating(a.dtype()) && a.dtype() != DType::i64)
    raise_dtype(std::string("[") + op + "] " + describe("a", a) + ": expected f32, f64 or i64; use cast()");
}

void require_real(const char* op, const Tensor& a, const Tensor& b) {
  require_floating(op, "a", a);
  require_same_dtype(op, "a", a, "b", b);
}

Tensor result_of(const char* op, const Tensor& a, const Tensor& b) {
  return Tensor::empty(broadcast_shape(op, a.shape(), b.shape()), a.dtype(), a.device());
}

/// The operand that a number stands for.
Tensor number_for(const char* op, double s, const Tensor& x) {
  require_defined(op, "x", x);
  if (x.dtype() == DType::i64 && s != std::floor(s))
    raise_value(std::string("[") + op + "] " + describe("x", x) + " and the number " + std::to_string(s) +
                ": expected an integer, or cast()");
  return number_like(s, x);
}

bool is_integer(const Tensor& x) { return x && x.dtype() == DType::i64; }

}  // namespace

Tensor number_like(double value, const Tensor& x) {
  require_defined("number_like", "x", x);
  Tensor y = Tensor::empty({}, x.dtype(), x.device());
  GRADUS_RUN(x.device(), fill, fresh(y), value);
  return y;
}

// ---- add, sub, mul, div

namespace {

Grads add_rule(const Entry&, const Tensor& dy) { return {dy, dy}; }
constexpr Op kAdd{"add", add_rule};

Grads sub_rule(const Entry& e, const Tensor& dy) { return {dy, e.needs(1) ? -dy : Tensor()}; }
constexpr Op kSub{"sub", sub_rule};

Grads mul_rule(const Entry& e, const Tensor& dy) {
  return {e.needs(0) ? dy * e.saved(1) : Tensor(), e.needs(1) ? dy * e.saved(0) : Tensor()};
}
constexpr Op kMul{"mul", mul_rule};

/// da = dy / b, db = -da y.
Grads div_rule(const Entry& e, const Tensor& dy) {
  const Tensor da = dy / e.saved(0);
  return {da, e.needs(1) ? -da * e.saved(1) : Tensor()};
}
constexpr Op kDiv{"div", div_rule};

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  require_arithmetic("add", a, b);
  Tensor y = result_of("add", a, b);
  GRADUS_RUN(a.device(), add, fresh(y), a.array(), b.array());
  return record(kAdd, std::move(y), {a, b});
}

Tensor sub(const Tensor& a, const Tensor& b) {
  require_arithmetic("sub", a, b);
  Tensor y = result_of("sub", a, b);
  GRADUS_RUN(a.device(), sub, fresh(y), a.array(), b.array());
  return record(kSub, std::move(y), {a, b});
}

Tensor mul(const Tensor& a, const Tensor& b) {
  require_arithmetic("mul", a, b);
  Tensor y = result_of("mul", a, b);
  GRADUS_RUN(a.device(), mul, fresh(y), a.array(), b.array());
  return record(kMul, std::move(y), {a, b}, {for_input(1, a), for_input(0, b)});
}

Tensor div(const Tensor& a, const Tensor& b) {
  require_real("div", a, b);
  Tensor y = result_of("div", a, b);
  GRADUS_RUN(a.device(), div, fresh(y), a.array(), b.array());
  return record(kDiv, y, {a, b}, {b, for_input(1, y)});
}

// ---- maximum, minimum

namespace {

/// 1 where a > b, 1/2 where they are equal, 0 elsewhere: a constant.
Tensor share_of_larger(const Tensor& a, const Tensor& b) { return (cast(a > b, a.dtype()) + cast(a >= b, a.dtype())) * 0.5; }

Grads shared(const Tensor& dy, const Tensor& share_of_a) { return {dy * share_of_a, dy * (1 - share_of_a)}; }

Grads maximum_rule(const Entry& e, const Tensor& dy) { return shared(dy, share_of_larger(e.saved(0), e.saved(1))); }
constexpr Op kMaximum{"maximum", maximum_rule};

Grads minimum_rule(const Entry& e, const Tensor& dy) { return shared(dy, share_of_larger(e.saved(1), e.saved(0))); }
constexpr Op kMinimum{"minimum", minimum_rule};

}  // namespace

Tensor maximum(const Tensor& a, const Tensor& b) {
  require_arithmetic("maximum", a, b);
  Tensor y = result_of("maximum", a, b);
  GRADUS_RUN(a.device(), maximum, fresh(y), a.array(), b.array());
  return record(kMaximum, std::move(y), {a, b}, {a, b});
}

Tensor minimum(const Tensor& a, const Tensor& b) {
  require_arithmetic("minimum", a, b);
  Tensor y = result_of("minimum", a, b);
  GRADUS_RUN(a.device(), minimum, fresh(y), a.array(), b.array());
  return record(kMinimum, std::move(y), {a, b}, {a, b});
}

// ---- pow

namespace {

/// da = dy b a^(b-1), db = dy y log a. Where an infinite factor would meet a zero one, the product is 0: 0^-1 at a = b = 0, log 0 at a = 0.
Grads pow_rule(const Entry& e, const Tensor& dy) {
  const Tensor &a = e.saved(0), &b = e.saved(1), &y = e.saved(2);
  Tensor da, db;
  if (e.needs(0)) {
    const Tensor a_is_0 = a == 0.0, both_are_0 = where(a_is_0, b == 0.0, a_is_0);
    da = dy * b * pow(a, where(both_are_0, 0.0, b - 1));
  }
  if (e.needs(1)) db = dy * y * log(where(a == 0.0, 1.0, a));
  return {da, db};
}
constexpr Op kPow{"pow", pow_rule};

}  // namespace

Tensor pow(const Tensor& a, const Tensor& b) {
  require_real("pow", a, b);
  Tensor y = result_of("pow", a, b);
  GRADUS_RUN(a.device(), pow, fresh(y), a.array(), b.array());
  return record(kPow, y, {a, b}, {a, b, for_input(1, y)});
}

// ---- add_scaled

namespace {
struct Scale {
  double value;
};
Grads add_scaled_rule(const Entry& e, const Tensor& dy) { return {dy, e.needs(1) ? dy * e.attrs<Scale>().value : Tensor()}; }
constexpr Op kAddScaled{"add_scaled", add_scaled_rule};
}  // namespace

Tensor add_scaled(const Tensor& a, const Tensor& b, double scale) {
  require_real("add_scaled", a, b);
  require_same_shape("add_scaled", "a", a, "b", b);
  Tensor y = empty_like(a);
  GRADUS_RUN(a.device(), add_scaled, fresh(y), a.array(), b.array(), scale);
  return record(kAddScaled, std::move(y), {a, b}, {}, Scale{scale});
}

// ---- with a number

Tensor add(const Tensor& x, double s) { return is_integer(x) ? add(x, number_for("add", s, x)) : affine(x, 1, s); }
Tensor sub(const Tensor& x, double s) { return is_integer(x) ? sub(x, number_for("sub", s, x)) : affine(x, 1, -s); }
Tensor sub(double s, const Tensor& x) { return is_integer(x) ? sub(number_for("sub", s, x), x) : affine(x, -1, s); }
Tensor mul(const Tensor& x, double s) { return is_integer(x) ? mul(x, number_for("mul", s, x)) : affine(x, s, 0); }
Tensor div(const Tensor& x, double s) { return affine(x, 1 / s, 0); }
Tensor div(double s, const Tensor& x) { return div(number_for("div", s, x), x); }
Tensor maximum(const Tensor& x, double s) { return maximum(x, number_for("maximum", s, x)); }
Tensor minimum(const Tensor& x, double s) { return minimum(x, number_for("minimum", s, x)); }

}  // namespace gradus::inline v0
