// Comparisons, which are constants, and selection by them.

#include <gradus/engine/ops/elementwise.h>

#include <gradus/engine/record.h>
#include <gradus/kernels/elementwise.h>

namespace gradus::inline v0 {

// ---- comparisons

namespace {

/// An uninitialised bool tensor for the comparison of a and b.
Tensor comparison_of(const char* op, const Tensor& a, const Tensor& b) {
  require_same_dtype(op, "a", a, "b", b);
  if (a.dtype() == DType::bf16) raise_dtype(std::string("[") + op + "] " + describe("a", a) + ": bf16 is for storage; use cast()");
  return Tensor::empty(broadcast_shape(op, a.shape(), b.shape()), DType::boolean, a.device());
}

}  // namespace

#define COMPARISON(name)                                          \
  Tensor name(const Tensor& a, const Tensor& b) {                 \
    Tensor y = comparison_of(#name, a, b);                        \
    GRADUS_RUN(a.device(), name, fresh(y), a.array(), b.array()); \
    return y;                                                     \
  }
COMPARISON(equal)
COMPARISON(not_equal)
COMPARISON(less)
COMPARISON(less_equal)
COMPARISON(greater)
COMPARISON(greater_equal)
#undef COMPARISON

Tensor logical_not(const Tensor& x) {
  require_dtype("logical_not", "x", x, DType::boolean);
  Tensor y = empty_like(x);
  GRADUS_RUN(x.device(), logical_not, fresh(y), x.array());
  return y;
}

// ---- where

namespace {
Grads where_rule(const Entry& e, const Tensor& dy) {
  const Tensor& condition = e.saved(0);
  return {Tensor(), e.needs(1) ? where(condition, dy, 0.0) : Tensor(), e.needs(2) ? where(condition, 0.0, dy) : Tensor()};
}
constexpr Op kWhere{"where", where_rule};
}  // namespace

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  require_dtype("where", "condition", condition, DType::boolean);
  require_same_dtype("where", "a", a, "b", b);
  check_same_device("where", "condition", condition, "a", a);
  const Shape shape = broadcast_shape("where", condition.shape(), broadcast_shape("where", a.shape(), b.shape()));
  Tensor y = Tensor::empty(shape, a.dtype(), a.device());
  GRADUS_RUN(a.device(), where, fresh(y), condition.array(), a.array(), b.array());
  return record(kWhere, std::move(y), {condition, a, b}, {condition});
}

Tensor where(const Tensor& condition, const Tensor& a, double b) { return where(condition, a, number_like(b, a)); }
Tensor where(const Tensor& condition, double a, const Tensor& b) { return where(condition, number_like(a, b), b); }

}  // namespace gradus::inline v0
