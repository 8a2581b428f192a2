#include <gradus/engine/ops/index.h>

#include <string>

#include <gradus/engine/ops/shape.h>
#include <gradus/engine/record.h>
#include <gradus/kernels/elementwise.h>
#include <gradus/kernels/index.h>

namespace gradus::inline v0 {

namespace {

std::string tag(const char* op) { return std::string("[") + op + "] "; }

/// "3" or "2, 0": where the flat position lies in the shape.
std::string position_in(const Shape& shape, std::int64_t flat) {
  std::string text;
  for (int a = shape.rank() - 1; a >= 0; --a) {
    text = std::to_string(flat % shape[a]) + (text.empty() ? "" : ", ") + text;
    flat /= shape[a];
  }
  return text;
}

void require_device(const char* op, const Tensor& x, const Tensor& index) { check_same_device(op, "x", x, "index", index); }

/// An op of this file in its rule: the axis, and the index as saved tensor 0.
struct Along {
  int axis;
};

}  // namespace

void require_indices(const char* op, const char* name, const Tensor& index, std::int64_t bound) {
  require_dtype(op, name, index, DType::i64);
#if defined(GRADUS_CUDA)
  if (index.device() == Device::cuda) return cuda::note_out_of_range(index.array(), bound, op);  // found later, by whoever waits
#endif
  const std::int64_t flat = cpu::first_out_of_range(index.array(), bound);
  if (flat < 0) return;
  raise_index(tag(op) + name + "[" + position_in(index.shape(), flat) + "] is " +
              std::to_string(index.values<std::int64_t>()[static_cast<std::size_t>(flat)]) + ": expected 0 <= " + name + " < " +
              std::to_string(bound));
}

// ---- index_select, index_add

namespace {

int check_slices(const char* op, const Tensor& x, int axis, const Tensor& index) {
  const int along = require_axis(op, "x", x, axis);
  require_dtype(op, "index", index, DType::i64);
  require_rank(op, "index", index, 1);
  require_device(op, x, index);
  require_indices(op, "index", index, x.shape()[along]);
  return along;
}

Tensor select_slices(const Tensor& x, int axis, const Tensor& index);
Tensor sum_slices(const Tensor& x, int axis, const Tensor& index, const Shape& shape);

Grads index_select_rule(const Entry& e, const Tensor& dy) { return {sum_slices(dy, e.attrs<Along>().axis, e.saved(0), e.input_shape(0))}; }
constexpr Op kIndexSelect{"index_select", index_select_rule};

Grads index_sum_rule(const Entry& e, const Tensor& dy) { return {select_slices(dy, e.attrs<Along>().axis, e.saved(0))}; }
constexpr Op kIndexSum{"index_sum", index_sum_rule};

Grads index_add_rule(const Entry& e, const Tensor& dy) {
  return {dy, e.needs(1) ? select_slices(dy, e.attrs<Along>().axis, e.saved(0)) : Tensor()};
}
constexpr Op kIndexAdd{"index_add", index_add_rule};

Tensor select_slices(const Tensor& x, int axis, const Tensor& index) {
  Tensor y = Tensor::empty(with_extent(x.shape(), axis, index.elements()), x.dtype(), x.device());
  GRADUS_RUN(x.device(), index_select, fresh(y), x.array(), index.array(), axis);
  return record(kIndexSelect, std::move(y), {x}, {index}, Along{axis});
}

/// Zeros of `shape` with the slices of x added at the index.
Tensor sum_slices(const Tensor& x, int axis, const Tensor& index, const Shape& shape) {
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  GRADUS_RUN(x.device(), fill, fresh(y), 0);
  GRADUS_RUN(x.device(), index_add, fresh(y), x.array(), index.array(), axis);
  return record(kIndexSum, std::move(y), {x}, {index}, Along{axis});
}

}  // namespace

Tensor index_select(const Tensor& x, const Tensor& index, int axis) {
  return select_slices(x, check_slices("index_select", x, axis, index), index);
}

Tensor index_add(const Tensor& x, const Tensor& index, const Tensor& source, int axis) {
  require_floating("index_add", "x", x);
  require_same_dtype("index_add", "x", x, "source", source);
  const int along = check_slices("index_add", x, axis, index);
  if (!(source.shape() == with_extent(x.shape(), along, index.elements())))
    raise_shape("[index_add] " + describe("source", source) + " for " + describe("x", x) + " and " + describe("index", index) +
                " along axis " + std::to_string(axis) + ": expected source of shape " +
                to_string(with_extent(x.shape(), along, index.elements())));
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  GRADUS_RUN(x.device(), copy, fresh(y), x.array());
  GRADUS_RUN(x.device(), index_add, fresh(y), source.array(), index.array(), along);
  return record(kIndexAdd, std::move(y), {x, source}, {for_input(1, index)}, Along{along});
}

// ---- gather, scatter_add

namespace {

int check_elements(const char* op, const Tensor& x, int axis, const Tensor& index) {
  const int along = require_axis(op, "x", x, axis);
  require_dtype(op, "index", index, DType::i64);
  require_device(op, x, index);
  if (index.rank() != x.rank() || !(with_extent(index.shape(), along, 0) == with_extent(x.shape(), along, 0)))
    raise_shape(tag(op) + describe("x", x) + " and " + describe("index", index) + ": expected equal extents but for axis " +
                std::to_string(axis));
  require_indices(op, "index", index, x.shape()[along]);
  return along;
}

Tensor gather_elements(const Tensor& x, int axis, const Tensor& index);
Tensor sum_elements(const Tensor& x, int axis, const Tensor& index, const Shape& shape);

Grads gather_rule(const Entry& e, const Tensor& dy) { return {sum_elements(dy, e.attrs<Along>().axis, e.saved(0), e.input_shape(0))}; }
constexpr Op kGather{"gather", gather_rule};

Grads scatter_sum_rule(const Entry& e, const Tensor& dy) { return {gather_elements(dy, e.attrs<Along>().axis, e.saved(0))}; }
constexpr Op kScatterSum{"scatter_sum", scatter_sum_rule};

Grads scatter_add_rule(const Entry& e, const Tensor& dy) {
  return {dy, e.needs(1) ? gather_elements(dy, e.attrs<Along>().axis, e.saved(0)) : Tensor()};
}
constexpr Op kScatterAdd{"scatter_add", scatter_add_rule};

Tensor gather_elements(const Tensor& x, int axis, const Tensor& index) {
  Tensor y = Tensor::empty(index.shape(), x.dtype(), x.device());
  GRADUS_RUN(x.device(), gather, fresh(y), x.array(), index.array(), axis);
  return record(kGather, std::move(y), {x}, {index}, Along{axis});
}

/// Zeros of `shape` with the elements of x added at the index.
Tensor sum_elements(const Tensor& x, int axis, const Tensor& index, const Shape& shape) {
  Tensor y = Tensor::empty(shape, x.dtype(), x.device());
  GRADUS_RUN(x.device(), fill, fresh(y), 0);
  GRADUS_RUN(x.device(), scatter_add, fresh(y), x.array(), index.array(), axis);
  return record(kScatterSum, std::move(y), {x}, {index}, Along{axis});
}

}  // namespace

Tensor gather(const Tensor& x, const Tensor& index, int axis) {
  return gather_elements(x, check_elements("gather", x, axis, index), index);
}

Tensor scatter_add(const Tensor& x, const Tensor& index, const Tensor& source, int axis) {
  require_floating("scatter_add", "x", x);
  require_same_dtype("scatter_add", "x", x, "source", source);
  const int along = check_elements("scatter_add", x, axis, index);
  require_same_shape("scatter_add", "source", source, "index", index);
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  GRADUS_RUN(x.device(), copy, fresh(y), x.array());
  GRADUS_RUN(x.device(), scatter_add, fresh(y), source.array(), index.array(), along);
  return record(kScatterAdd, std::move(y), {x, source}, {for_input(1, index)}, Along{along});
}

// ---- one_hot

Tensor one_hot(const Tensor& index, std::int64_t classes, DType dtype) {
  if (dtype == DType::bf16) raise_dtype("[one_hot] dtype is bf16: it only stores; expected f32, f64, i64, u8 or bool");
  require_indices("one_hot", "index", index, classes);
  Shape shape = index.shape();
  shape.push_back(classes);
  Tensor y = Tensor::empty(shape, dtype, index.device());
  GRADUS_RUN(index.device(), one_hot, fresh(y), index.array());
  return y;
}

Tensor one_hot(const Tensor& index, std::int64_t classes) { return one_hot(index, classes, DType::f32); }

}  // namespace gradus::inline v0
