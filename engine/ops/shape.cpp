#include <gradus/engine/ops/shape.h>

#include <string>

#include <gradus/engine/record.h>
#include <gradus/kernels/elementwise.h>
#include <gradus/kernels/shape.h>

namespace gradus::inline v0 {

Shape with_extent(const Shape& shape, int axis, std::int64_t extent) {
  Shape out;
  for (int i = 0; i < shape.rank(); ++i) out.push_back(i == axis ? extent : shape[i]);
  return out;
}

namespace {

std::string tag(const char* op) { return std::string("[") + op + "] "; }

Shape without_axis(const Shape& shape, int axis) {
  Shape out;
  for (int i = 0; i < shape.rank(); ++i)
    if (i != axis) out.push_back(shape[i]);
  return out;
}

/// A new axis of this extent at position `axis`.
Shape with_axis(const Shape& shape, int axis, std::int64_t extent) {
  Shape out;
  for (int i = 0; i <= shape.rank(); ++i) {
    if (i == axis) out.push_back(extent);
    if (i < shape.rank()) out.push_back(shape[i]);
  }
  return out;
}

/// A position for a new axis, in [0, rank].
int require_new_axis(const char* op, const Tensor& x, int axis) {
  const int at = axis < 0 ? axis + x.rank() + 1 : axis;
  if (at < 0 || at > x.rank())
    raise_shape(tag(op) + describe("x", x) + ": no place " + std::to_string(axis) + " for a new axis; expected -" +
                std::to_string(x.rank() + 1) + " <= axis <= " + std::to_string(x.rank()));
  return at;
}

std::int64_t row_bytes(const Tensor& x) { return x.shape()[0] ? x.bytes() / x.shape()[0] : 0; }

}  // namespace

// ---- reshape, squeeze, unsqueeze

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

Tensor squeeze(const Tensor& x, int axis) {
  const int at = require_axis("squeeze", "x", x, axis);
  if (x.shape()[at] != 1)
    raise_shape("[squeeze] " + describe("x", x) + ": axis " + std::to_string(axis) + " has " + std::to_string(x.shape()[at]) +
                " positions; expected 1");
  return record(kReshape, TensorAccess::view(x, without_axis(x.shape(), at), 0), {x});
}

Tensor unsqueeze(const Tensor& x, int axis) {
  require_defined("unsqueeze", "x", x);
  return record(kReshape, TensorAccess::view(x, with_axis(x.shape(), require_new_axis("unsqueeze", x, axis), 1), 0), {x});
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
}  // namespace

Tensor slice_rows(const Tensor& x, std::int64_t first, std::int64_t last) {
  require_defined("slice_rows", "x", x);
  if (x.rank() == 0 || first < 0 || last < first || last > x.shape()[0])
    raise_shape("[slice_rows] rows [" + std::to_string(first) + ", " + std::to_string(last) + ") of " + describe("x", x) +
                ": there are no such rows");
  return record(kSliceRows, TensorAccess::view(x, with_extent(x.shape(), 0, last - first), first * row_bytes(x)), {x}, {}, Rows{first});
}

Tensor pad_rows(const Tensor& x, std::int64_t rows, std::int64_t row) {
  require_defined("pad_rows", "x", x);
  if (x.rank() == 0 || row < 0 || row + x.shape()[0] > rows)
    raise_shape("[pad_rows] " + describe("x", x) + " at row " + std::to_string(row) + " of " + std::to_string(rows) + ": it does not fit");
  std::int64_t low[Shape::kMaxRank] = {row};
  Tensor y = Tensor::empty(with_extent(x.shape(), 0, rows), x.dtype(), x.device());
  GRADUS_RUN(x.device(), pad, fresh(y), x.array(), low, 0);
  return record(kPadRows, std::move(y), {x}, {}, Rows{row});
}

// ---- permute, transpose

namespace {

/// Axis i of the result is axis of[i] of the operand.
struct Permutation {
  int of[Shape::kMaxRank] = {};
};

Tensor permuted(const Tensor& x, const Permutation& p);

Grads permute_rule(const Entry& e, const Tensor& dy) {
  const Permutation& p = e.attrs<Permutation>();
  Permutation inverse;
  for (int i = 0; i < dy.rank(); ++i) inverse.of[p.of[i]] = i;
  return {permuted(dy, inverse)};
}
constexpr Op kPermute{"permute", permute_rule};

/// True if the axes that have more than one position keep their order: then no element moves.
bool moves_nothing(const Shape& shape, const Permutation& p) {
  int last = -1;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[p.of[i]] == 1) continue;
    if (p.of[i] < last) return false;
    last = p.of[i];
  }
  return true;
}

Tensor permuted(const Tensor& x, const Permutation& p) {
  Shape shape;
  for (int i = 0; i < x.rank(); ++i) shape.push_back(x.shape()[p.of[i]]);
  if (moves_nothing(x.shape(), p)) return record(kPermute, TensorAccess::view(x, shape, 0), {x}, {}, p);
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  GRADUS_RUN(x.device(), permute, fresh(y), x.array(), p.of);
  return record(kPermute, std::move(y), {x}, {}, p);
}

}  // namespace

Tensor permute(const Tensor& x, const Axes& axes) {
  require_defined("permute", "x", x);
  Permutation p;
  unsigned named = 0;
  int count = 0;
  for (const int axis : axes.list()) {
    const int at = require_axis("permute", "x", x, axis);
    if (named >> at & 1u) raise_shape("[permute] " + describe("x", x) + ": axis " + std::to_string(axis) + " is named twice");
    named |= 1u << at;
    p.of[count++] = at;
  }
  if (count != x.rank())
    raise_shape("[permute] " + describe("x", x) + ": " + std::to_string(count) + " axes are named; expected all " +
                std::to_string(x.rank()));
  return permuted(x, p);
}

Tensor transpose(const Tensor& x, int axis, int other) {
  const int a = require_axis("transpose", "x", x, axis), b = require_axis("transpose", "x", x, other);
  Permutation p;
  for (int i = 0; i < x.rank(); ++i) p.of[i] = i == a ? b : i == b ? a : i;
  return permuted(x, p);
}

// ---- flip: its own adjoint

namespace {

struct Flipped {
  unsigned axes;
};

Tensor flipped(const Tensor& x, Flipped f);
Grads flip_rule(const Entry& e, const Tensor& dy) { return {flipped(dy, e.attrs<Flipped>())}; }
constexpr Op kFlip{"flip", flip_rule};

Tensor flipped(const Tensor& x, Flipped f) {
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  GRADUS_RUN(x.device(), flip, fresh(y), x.array(), f.axes);
  return record(kFlip, std::move(y), {x}, {}, f);
}

}  // namespace

Tensor flip(const Tensor& x, const Axes& axes) {
  require_defined("flip", "x", x);
  Flipped f{0};
  for (const int axis : axes.list()) {
    const unsigned bit = 1u << require_axis("flip", "x", x, axis);
    if (f.axes & bit) raise_shape("[flip] " + describe("x", x) + ": axis " + std::to_string(axis) + " is named twice");
    f.axes |= bit;
  }
  return flipped(x, f);
}

// ---- slice, pad: a window of a larger array, and an array around a window. Adjoints of each other

namespace {

/// Where a window lies in the larger array.
struct Window {
  std::int64_t start[Shape::kMaxRank] = {}, step[Shape::kMaxRank] = {1, 1, 1, 1, 1, 1, 1, 1};
};

Tensor take(const Tensor& x, const Window& window, const Shape& shape);
Tensor put(const Tensor& x, const Window& window, const Shape& shape, double value);

Grads slice_rule(const Entry& e, const Tensor& dy) { return {put(dy, e.attrs<Window>(), e.input_shape(0), 0)}; }
constexpr Op kSlice{"slice", slice_rule};
Grads pad_rule(const Entry& e, const Tensor& dy) { return {take(dy, e.attrs<Window>(), e.input_shape(0))}; }
constexpr Op kPad{"pad", pad_rule};

Tensor take(const Tensor& x, const Window& window, const Shape& shape) {
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  GRADUS_RUN(x.device(), slice, fresh(y), x.array(), window.start, window.step);
  return record(kSlice, std::move(y), {x}, {}, window);
}

/// `value` around x, and between its elements where a step is more than 1 (x is then a gradient, and `value` 0).
Tensor put(const Tensor& x, const Window& window, const Shape& shape, double value) {
  bool dense = true;
  for (int i = 0; i < x.rank(); ++i) dense = dense && window.step[i] == 1;
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  if (dense) {
    GRADUS_RUN(x.device(), pad, fresh(y), x.array(), window.start, value);
  } else {
    GRADUS_RUN(x.device(), fill, fresh(y), value);
    GRADUS_RUN(x.device(), slice_add, fresh(y), x.array(), window.start, window.step);
  }
  return record(kPad, std::move(y), {x}, {}, window);
}

}  // namespace

Tensor slice(const Tensor& x, int axis, std::int64_t first, std::int64_t last) { return slice(x, axis, first, last, 1); }

Tensor slice(const Tensor& x, int axis, std::int64_t first, std::int64_t last, std::int64_t step) {
  const int at = require_axis("slice", "x", x, axis);
  if (step < 1 || first < 0 || last < first || last > x.shape()[at])
    raise_shape("[slice] [" + std::to_string(first) + ", " + std::to_string(last) + ") by " + std::to_string(step) + " of axis " +
                std::to_string(axis) + " of " + describe("x", x) + ": expected 0 <= first <= last <= " + std::to_string(x.shape()[at]) +
                " and step >= 1");
  if (at == 0 && step == 1) return slice_rows(x, first, last);
  Window window;
  window.start[at] = first;
  window.step[at] = step;
  return take(x, window, with_extent(x.shape(), at, (last - first + step - 1) / step));
}

Tensor pad(const Tensor& x, std::span<const PadWidth> widths, double value) {
  require_defined("pad", "x", x);
  if (static_cast<int>(widths.size()) != x.rank())
    raise_shape("[pad] " + describe("x", x) + ": " + std::to_string(widths.size()) + " widths; expected one per axis");
  Window window;
  Shape shape;
  for (int i = 0; i < x.rank(); ++i) {
    const PadWidth w = widths[static_cast<std::size_t>(i)];
    if (w.low < 0 || w.high < 0)
      raise_shape("[pad] " + describe("x", x) + ": widths " + std::to_string(w.low) + ", " + std::to_string(w.high) + " of axis " +
                  std::to_string(i) + " are negative; slice() makes a tensor smaller");
    window.start[i] = w.low;
    shape.push_back(w.low + x.shape()[i] + w.high);
  }
  return put(x, window, shape, value);
}

Tensor pad(const Tensor& x, std::initializer_list<PadWidth> widths, double value) {
  return pad(x, std::span<const PadWidth>(widths.begin(), widths.size()), value);
}

// ---- concat, stack

namespace {

/// Where each input begins along the axis; one more for the end.
struct Joints {
  int axis;
  Vec<std::int64_t> starts;
};

Grads concat_rule(const Entry& e, const Tensor& dy) {
  const Joints& joints = e.attrs<Joints>();
  Grads grads;
  for (std::size_t i = 0; i + 1 < joints.starts.size(); ++i)
    grads.push_back(e.needs(static_cast<int>(i)) ? slice(dy, joints.axis, joints.starts[i], joints.starts[i + 1]) : Tensor());
  return grads;
}
constexpr Op kConcat{"concat", concat_rule};

Grads stack_rule(const Entry& e, const Tensor& dy) {
  const Joints& joints = e.attrs<Joints>();
  Grads grads;
  for (std::size_t i = 0; i + 1 < joints.starts.size(); ++i)
    grads.push_back(e.needs(static_cast<int>(i)) ? squeeze(slice(dy, joints.axis, joints.starts[i], joints.starts[i + 1]), joints.axis)
                                                 : Tensor());
  return grads;
}
constexpr Op kStack{"stack", stack_rule};

void require_some(const char* op, std::span<const Tensor> tensors) {
  if (tensors.empty()) raise_shape(tag(op) + "there is no tensor; expected at least one");
  for (const Tensor& t : tensors) require_defined(op, "tensors", t);
  for (const Tensor& t : tensors) require_same_dtype(op, "tensors[0]", tensors[0], "tensors", t);
}

[[noreturn]] void raise_mismatch(const char* op, std::span<const Tensor> tensors, std::size_t i, const std::string& expected) {
  const std::string name = "tensors[" + std::to_string(i) + "]";
  raise_shape(tag(op) + describe("tensors[0]", tensors[0]) + " and " + describe(name.c_str(), tensors[i]) + ": expected " + expected);
}

/// Writes the tensors, each of the shape given for it, side by side.
Tensor joined(const Op& op, std::span<const Tensor> tensors, const Vec<Shape>& shapes, Joints joints) {
  Vec<ConstArray> parts;
  for (std::size_t i = 0; i < tensors.size(); ++i) parts.push_back({tensors[i].array().data, &shapes[i], tensors[i].dtype()});
  Tensor y = Tensor::empty(with_extent(shapes[0], joints.axis, joints.starts.back()), tensors[0].dtype(), tensors[0].device());
  GRADUS_RUN(y.device(), concat, fresh(y), parts.data(), static_cast<int>(parts.size()), joints.axis);
  return record(op, std::move(y), Inputs(tensors), {}, std::move(joints));
}

}  // namespace

Tensor concat(std::span<const Tensor> tensors, int axis) {
  require_some("concat", tensors);
  Joints joints{require_axis("concat", "tensors[0]", tensors[0], axis), {0}};
  Vec<Shape> shapes;
  for (const Tensor& t : tensors) {
    const Shape& first = tensors[0].shape();
    if (t.rank() != first.rank() || !(with_extent(t.shape(), joints.axis, 0) == with_extent(first, joints.axis, 0)))
      raise_mismatch("concat", tensors, shapes.size(), "equal extents but for axis " + std::to_string(axis));
    shapes.push_back(t.shape());
    joints.starts.push_back(joints.starts.back() + t.shape()[joints.axis]);
  }
  return joined(kConcat, tensors, shapes, std::move(joints));
}

Tensor stack(std::span<const Tensor> tensors, int axis) {
  require_some("stack", tensors);
  Joints joints{require_new_axis("stack", tensors[0], axis), {0}};
  Vec<Shape> shapes;
  for (const Tensor& t : tensors) {
    if (!(t.shape() == tensors[0].shape())) raise_mismatch("stack", tensors, shapes.size(), "the same shape");
    shapes.push_back(with_axis(t.shape(), joints.axis, 1));
    joints.starts.push_back(joints.starts.back() + 1);
  }
  return joined(kStack, tensors, shapes, std::move(joints));
}

Tensor concat(std::initializer_list<Tensor> tensors, int axis) {
  return concat(std::span<const Tensor>(tensors.begin(), tensors.size()), axis);
}
Tensor stack(std::initializer_list<Tensor> tensors, int axis) {
  return stack(std::span<const Tensor>(tensors.begin(), tensors.size()), axis);
}

}  // namespace gradus::inline v0
