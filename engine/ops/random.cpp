#include <gradus/engine/ops/random.h>

#include <cmath>
#include <string>

#include <gradus/engine/record.h>
#include <gradus/engine/scratch.h>
#include <gradus/kernels/random.h>

namespace gradus::inline v0 {

namespace {

std::string tag(const char* op) { return std::string("[") + op + "] "; }

void require_row_ids(const char* op, const Tensor& row_ids, const Shape& shape) {
  require_dtype(op, "row_ids", row_ids, DType::i64);
  if (row_ids.rank() != 1 || shape.rank() == 0 || row_ids.elements() != shape[0])
    raise_shape(tag(op) + describe("row_ids", row_ids) + " for a result of shape " + to_string(shape) +
                ": expected one id per leading position");
}

void require_drawable(const char* op, DType dtype) {
  if (!is_floating(dtype)) raise_dtype(tag(op) + "dtype is " + name_of(dtype) + ": expected f32 or f64");
}

void require_probability(const char* op, double p) {
  if (!(p >= 0 && p <= 1)) raise_value(tag(op) + "p is " + std::to_string(p) + "; expected 0 <= p <= 1");
}

void require_range(double low, double high) {
  if (!(low <= high && std::isfinite(low) && std::isfinite(high)))
    raise_value("[uniform] the range is [" + std::to_string(low) + ", " + std::to_string(high) + "); expected low <= high, both finite");
}

void require_moments(double mean, double stddev) {
  if (!(stddev >= 0 && std::isfinite(stddev) && std::isfinite(mean)))
    raise_value("[normal] mean is " + std::to_string(mean) + ", stddev is " + std::to_string(stddev) +
                "; expected 0 <= stddev, both finite");
}

Tensor draw_uniform(Key key, ConstArray row_ids, const Shape& shape, double low, double high, DType dtype, Device device) {
  require_drawable("uniform", dtype);
  require_range(low, high);
  Tensor y = Tensor::empty(shape, dtype, device);
  GRADUS_RUN(device, uniform, fresh(y), key, row_ids, low, high);
  return y;
}

Tensor draw_normal(Key key, ConstArray row_ids, const Shape& shape, double mean, double stddev, DType dtype, Device device) {
  require_drawable("normal", dtype);
  require_moments(mean, stddev);
  Tensor y = Tensor::empty(shape, dtype, device);
  GRADUS_RUN(device, normal, fresh(y), key, row_ids, mean, stddev);
  return y;
}

Tensor draw_bernoulli(Key key, ConstArray row_ids, const Shape& shape, double p, Device device) {
  require_probability("bernoulli", p);
  Tensor y = Tensor::empty(shape, DType::boolean, device);
  GRADUS_RUN(device, bernoulli, fresh(y), key, row_ids, p);
  return y;
}

}  // namespace

// ---- draws: constants

Tensor uniform(Key key, const Shape& shape, double low, double high, DType dtype, Device device) {
  return draw_uniform(key, {}, shape, low, high, dtype, device);
}
Tensor uniform(Key key, const Tensor& row_ids, const Shape& shape, double low, double high, DType dtype) {
  require_row_ids("uniform", row_ids, shape);
  return draw_uniform(key, row_ids.array(), shape, low, high, dtype, row_ids.device());
}

Tensor normal(Key key, const Shape& shape, double mean, double stddev, DType dtype, Device device) {
  return draw_normal(key, {}, shape, mean, stddev, dtype, device);
}
Tensor normal(Key key, const Tensor& row_ids, const Shape& shape, double mean, double stddev, DType dtype) {
  require_row_ids("normal", row_ids, shape);
  return draw_normal(key, row_ids.array(), shape, mean, stddev, dtype, row_ids.device());
}

Tensor bernoulli(Key key, const Shape& shape, double p, Device device) { return draw_bernoulli(key, {}, shape, p, device); }
Tensor bernoulli(Key key, const Tensor& row_ids, const Shape& shape, double p) {
  require_row_ids("bernoulli", row_ids, shape);
  return draw_bernoulli(key, row_ids.array(), shape, p, row_ids.device());
}

Tensor permutation(Key key, std::int64_t n, Device device) {
  if (n < 0 || n > std::int64_t{1} << 32) raise_value("[permutation] n is " + std::to_string(n) + "; expected 0 <= n <= 2^32");
  Tensor y = Tensor::empty({n}, DType::i64, device);
  const Scratch scratch(GRADUS_RUN(device, permutation_workspace_bytes, n), device);
  GRADUS_RUN(device, permutation, fresh(y), key, scratch.workspace());
  return y;
}

// ---- dropout: its own adjoint

namespace {

struct Dropped {
  double p;
  Key key;
};

Tensor dropped(const Tensor& x, Dropped d, const Tensor& row_ids);
Grads dropout_rule(const Entry& e, const Tensor& dy) { return {dropped(dy, e.attrs<Dropped>(), e.saved(0))}; }
constexpr Op kDropout{"dropout", dropout_rule};

/// `row_ids` may be empty.
Tensor dropped(const Tensor& x, Dropped d, const Tensor& row_ids) {
  if (row_ids) check_same_device("dropout", "x", x, "row_ids", row_ids);
  Tensor y = Tensor::empty(x.shape(), x.dtype(), x.device());
  GRADUS_RUN(x.device(), dropout, fresh(y), x.array(), d.key, row_ids ? row_ids.array() : ConstArray(), d.p);
  return record(kDropout, std::move(y), {x}, {row_ids}, d);
}

}  // namespace

Tensor dropout(const Tensor& x, double p, Key key) {
  require_floating("dropout", "x", x);
  require_probability("dropout", p);
  return p == 0 ? x : dropped(x, {p, key}, Tensor());
}

Tensor dropout(const Tensor& x, double p, Key key, const Tensor& row_ids) {
  require_floating("dropout", "x", x);
  require_probability("dropout", p);
  require_row_ids("dropout", row_ids, x.shape());
  if (row_ids.device() != x.device())
    raise_device("[dropout] " + describe("x", x) + " and " + describe("row_ids", row_ids) + " are on two devices");
  return p == 0 ? x : dropped(x, {p, key}, row_ids);
}

}  // namespace gradus::inline v0
