#include <gradus/engine/ops/shape.h>

#include <cstring>

#include <gradus/engine/record.h>
#include <gradus/kernels/elementwise.h>

namespace gradus::inline v0 {

// ---- reshape

namespace {
Grads reshape_rule(const Entry& e, const Tensor& dy) { return {reshape(dy, e.input_shape(0))}; }
constexpr Op kReshape{"reshape", reshape_rule};
}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  require_defined("reshape", "x", x);
  if (shape.elements() != x.elements())
    raise_shape("[reshape] " + describe("x", x) + " to " + to_string(shape) + ": expected " + std::to_string(x.elements()) + " elements");
  return record(kReshape, TensorAccess::view(x, shape, 0), {x});
}

Tensor reshape(const Tensor& x, std::initializer_list<std::int64_t> extents) {
  require_defined("reshape", "x", x);
  std::int64_t known = 1;
  int unknown = 0;
  for (const std::int64_t n : extents) {
    if (n == -1) ++unknown;
    else known *= n;
  }
  if (unknown > 1) raise_shape("[reshape] " + describe("x", x) + ": at most one extent may be -1");
  Shape shape;
  for (const std::int64_t n : extents) shape.push_back(n == -1 ? (known ? x.elements() / known : 0) : n);
  return reshape(x, shape);
}

// ---- slice_rows, pad_rows: adjoints of each other

namespace {
struct Rows {
  std::int64_t row;
};
Grads slice_rows_rule(const Entry& e, const Tensor& dy) { return {Grad::window(dy, e.attrs<Rows>().row)}; }
constexpr Op kSliceRows{"slice_rows", slice_rows_rule};

Grads pad_rows_rule(const Entry& e, const Tensor& dy) {
  const std::int64_t row = e.attrs<Rows>().row;
  return {slice_rows(dy, row, row + e.input_shape(0)[0])};
}
constexpr Op kPadRows{"pad_rows", pad_rows_rule};

Shape with_rows(const Shape& shape, std::int64_t rows) {
  Shape out{rows};
  for (int i = 1; i < shape.rank(); ++i) out.push_back(shape[i]);
  return out;
}
}  // namespace

Tensor slice_rows(const Tensor& x, std::int64_t first, std::int64_t last) {
  require_defined("slice_rows", "x", x);
  if (x.rank() == 0 || first < 0 || last < first || last > x.shape()[0])
    raise_shape("[slice_rows] rows [" + std::to_string(first) + ", " + std::to_string(last) + ") of " + describe("x", x) + ": there are no such rows");
  const std::int64_t row_bytes = x.shape()[0] ? x.bytes() / x.shape()[0] : 0;
  return record(kSliceRows, TensorAccess::view(x, with_rows(x.shape(), last - first), first * row_bytes), {x}, {}, Rows{first});
}

Tensor pad_rows(const Tensor& x, std::int64_t rows, std::int64_t row) {
  require_defined("pad_rows", "x", x);
  if (x.rank() == 0 || row < 0 || row + x.shape()[0] > rows)
    raise_shape("[pad_rows] " + describe("x", x) + " at row " + std::to_string(row) + " of " + std::to_string(rows) + ": it does not fit");
  Tensor y = Tensor::zeros(with_rows(x.shape(), rows), x.dtype());
  Tensor window = TensorAccess::view(y, x.shape(), x.shape()[0] ? row * (x.bytes() / x.shape()[0]) : 0);
  GRADUS_RUN(x.device(), copy, fresh(window), x.array());
  return record(kPadRows, std::move(y), {x}, {}, Rows{row});
}

}  // namespace gradus::inline v0
