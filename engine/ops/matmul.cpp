#include <gradus/engine/ops/matmul.h>

#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/record.h>
#include <gradus/engine/scratch.h>
#include <gradus/kernels/matmul.h>

namespace gradus::inline v0 {
namespace {

/// Rows and columns of a stored matrix operand, as the product uses it.
struct Matrix {
  std::int64_t rows, columns;
  Matrix(const Shape& s, bool transpose) : rows(s[s.rank() - 2]), columns(s[s.rank() - 1]) {
    if (transpose) std::swap(rows, columns);
  }
};

Shape batch_of(const Shape& s) { return Shape(s.begin(), s.rank() - 2); }

Gemm plain(const Matrix& a, const Matrix& b, const MatmulOptions& o) {
  return {.m = a.rows,
          .n = b.columns,
          .k = a.columns,
          .transpose_a = o.transpose_a,
          .transpose_b = o.transpose_b,
          .lda = o.transpose_a ? a.rows : a.columns,
          .ldb = o.transpose_b ? b.rows : b.columns,
          .ldc = b.columns};
}

void run(const Gemm& g, Tensor& y, const Tensor& a, const Tensor& b, const Tensor& bias, std::int64_t y_at, std::int64_t a_at,
         std::int64_t b_at) {
  const auto size = static_cast<std::int64_t>(size_of(y.dtype()));
  const Scratch scratch(GRADUS_RUN(y.device(), gemm_workspace_bytes, y.dtype(), g), y.device());
  GRADUS_RUN(y.device(), gemm, y.dtype(), g, static_cast<char*>(fresh(y).data) + y_at * size,
             static_cast<const char*>(a.array().data) + a_at * size, static_cast<const char*>(b.array().data) + b_at * size,
             bias ? bias.array().data : nullptr, scratch.workspace());
}

/// The product with leading axes: one call where the batches are equal, or where one operand has none; otherwise a call per matrix.
void run_batched(Tensor& y, const Tensor& a, const Tensor& b, const MatmulOptions& o) {
  Gemm g = plain(Matrix(a.shape(), o.transpose_a), Matrix(b.shape(), o.transpose_b), o);
  const Shape ab = batch_of(a.shape()), bb = batch_of(b.shape()), yb = batch_of(y.shape());
  const std::int64_t a_matrix = g.m * g.k, b_matrix = g.k * g.n, y_matrix = g.m * g.n;
  if ((ab == yb || ab.elements() == 1) && (bb == yb || bb.elements() == 1)) {
    g.batch = yb.elements();
    g.stride_a = ab.elements() == 1 ? 0 : a_matrix;
    g.stride_b = bb.elements() == 1 ? 0 : b_matrix;
    g.stride_c = y_matrix;
    return run(g, y, a, b, {}, 0, 0, 0);
  }
  auto offset = [&](std::int64_t flat, const Shape& s) {  // which matrix of an operand belongs to matrix `flat` of the result
    std::int64_t at = 0, stride = 1;
    for (int i = yb.rank() - 1; i >= 0; --i) {
      const std::int64_t coordinate = flat % yb[i];
      flat /= yb[i];
      const int axis = i - yb.rank() + s.rank();
      if (axis < 0) continue;
      at += s[axis] == 1 ? 0 : coordinate * stride;
      stride *= s[axis];
    }
    return at;
  };
  for (std::int64_t i = 0; i < yb.elements(); ++i) run(g, y, a, b, {}, i * y_matrix, offset(i, ab) * a_matrix, offset(i, bb) * b_matrix);
}

}  // namespace

Shape matmul_shape(const Shape& a, const Shape& b, const MatmulOptions& o) {
  auto fail = [&](const std::string& why) {
    raise_shape("[matmul] a " + to_string(a) + (o.transpose_a ? " transposed" : "") + " and b " + to_string(b) +
                (o.transpose_b ? " transposed" : "") + ": " + why);
  };
  if (a.rank() < 2 || b.rank() < 2) fail("expected at least two axes each; reshape a vector to a row or a column");
  const Matrix ma(a, o.transpose_a), mb(b, o.transpose_b);
  if (ma.columns != mb.rows) fail("inner extents " + std::to_string(ma.columns) + " and " + std::to_string(mb.rows) + " differ");
  Shape y = broadcast_shape("matmul", batch_of(a), batch_of(b));
  y.push_back(ma.rows);
  y.push_back(mb.columns);
  return y;
}

// ---- matmul

namespace {

/// The leading axes as one. (An axis of -1 would be ambiguous where the last is 0.)
Tensor as_rows(const Tensor& x) { return x.rank() == 2 ? x : reshape(x, Shape{x.shape().product(0, x.rank() - 1), x.size(-1)}); }

// y = op(a) op(b). With y' = dy: da = dy op(b)^T, transposed back if a was; db = op(a)^T dy likewise. Batches are summed by the engine.
Grads matmul_rule(const Entry& e, const Tensor& dy) {
  const auto& o = e.attrs<MatmulOptions>();
  Grads grads;
  grads.push_back(!e.needs(0)     ? Tensor()
                  : o.transpose_a ? matmul(e.saved(1), dy, {o.transpose_b, true})
                                  : matmul(dy, e.saved(1), {false, !o.transpose_b}));
  grads.push_back(!e.needs(1)     ? Tensor()
                  : o.transpose_b ? matmul(dy, e.saved(0), {true, o.transpose_a})
                                  : matmul(e.saved(0), dy, {!o.transpose_a, false}));
  return grads;
}
constexpr Op kMatmul{"matmul", matmul_rule};

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, const MatmulOptions& options) {
  require_floating("matmul", "a", a);
  require_same_dtype("matmul", "a", a, "b", b);
  const Shape shape = matmul_shape(a.shape(), b.shape(), options);
  // One b for all matrices of a: one taller product, and so one for b's gradient, instead of a batch of gradients to sum.
  if (a.rank() > 2 && b.rank() == 2 && !options.transpose_a) return reshape(matmul(as_rows(a), b, options), shape);
  Tensor y = Tensor::empty(shape, a.dtype(), a.device());
  if (a.rank() == 2 && b.rank() == 2)
    run(plain(Matrix(a.shape(), options.transpose_a), Matrix(b.shape(), options.transpose_b), options), y, a, b, {}, 0, 0, 0);
  else if (y.elements()) run_batched(y, a, b, options);
  return record(kMatmul, std::move(y), {a, b}, {for_input(1, a), for_input(0, b)}, options);
}

// ---- linear

namespace {

Tensor like_input(const Tensor& dx, const Shape& shape) { return dx.shape() == shape ? dx : reshape(dx, shape); }  // no entry for nothing

// y = x W^T + b:  dx = dy W,  dW = dy^T x,  db = column sums of dy.
Grads linear_rule(const Entry& e, const Tensor& dy) {
  const Tensor rows = as_rows(dy);
  Grads grads;
  grads.push_back(e.needs(0) ? like_input(matmul(rows, e.saved(1)), e.input_shape(0)) : Tensor());
  grads.push_back(e.needs(1) ? matmul(rows, as_rows(e.saved(0)), {.transpose_a = true}) : Tensor());
  grads.push_back(e.needs(2) ? sum_to(rows, e.input_shape(2)) : Tensor());
  return grads;
}
constexpr Op kLinear{"linear", linear_rule};

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  require_floating("linear", "x", x);
  require_same_dtype("linear", "x", x, "weight", weight);
  require_rank("linear", "weight", weight, 2);
  if (x.rank() < 1 || x.size(-1) != weight.shape()[1])
    raise_shape("[linear] " + describe("x", x) + " and " + describe("weight", weight) + ": expected x [..., " +
                std::to_string(weight.shape()[1]) + "]");
  if (bias) {
    require_same_dtype("linear", "x", x, "bias", bias);
    if (!(bias.shape() == Shape{weight.shape()[0]}))
      raise_shape("[linear] " + describe("bias", bias) + " for " + describe("weight", weight) + ": expected [" +
                  std::to_string(weight.shape()[0]) + "]");
  }
  Shape shape(x.shape().begin(), x.rank() - 1);
  const std::int64_t rows = shape.elements(), out = weight.shape()[0], in = weight.shape()[1];
  shape.push_back(out);
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  const Gemm g{.m = rows, .n = out, .k = in, .transpose_b = true, .lda = in, .ldb = in, .ldc = out};
  run(g, y, x, weight, bias, 0, 0, 0);
  return record(kLinear, std::move(y), {x, weight, bias}, {for_input(1, x), for_input(0, weight)});
}

}  // namespace gradus::inline v0
