#include <gradus/engine/ops/pooling.h>

#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/record.h>
#include <gradus/kernels/pooling.h>

namespace gradus::inline v0 {
namespace {

void check_axis(const char* op, const char* axis, std::int64_t extent, std::int64_t kernel, std::int64_t stride, std::int64_t padding) {
  if (kernel < 1 || stride < 1 || padding < 0 || 2 * padding > kernel)
    raise_value(std::string("[") + op + "] " + axis + ": kernel " + std::to_string(kernel) + ", stride " + std::to_string(stride) +
                ", padding " + std::to_string(padding) + "; expected kernel >= 1, stride >= 1 and 0 <= padding <= kernel / 2");
  if (extent + 2 * padding < kernel)
    raise_shape(std::string("[") + op + "] " + axis + " " + std::to_string(extent) + " with padding " + std::to_string(padding) +
                " is smaller than the kernel's " + std::to_string(kernel));
}

Pool2d pool_of(const char* op, const Tensor& x, const Pool2dOptions& o) {
  require_floating(op, "x", x);
  require_rank(op, "x", x, 4);
  Pool2d p;
  p.n = x.shape()[0], p.c = x.shape()[1], p.h = x.shape()[2], p.w = x.shape()[3];
  p.kernel_h = o.kernel.h, p.kernel_w = o.kernel.w;
  p.stride_h = o.stride.h ? o.stride.h : p.kernel_h, p.stride_w = o.stride.w ? o.stride.w : p.kernel_w;
  p.pad_h = o.padding.h, p.pad_w = o.padding.w;
  check_axis(op, "height", p.h, p.kernel_h, p.stride_h, p.pad_h);
  check_axis(op, "width", p.w, p.kernel_w, p.stride_w, p.pad_w);
  p.out_h = (p.h + 2 * p.pad_h - p.kernel_h) / p.stride_h + 1;
  p.out_w = (p.w + 2 * p.pad_w - p.kernel_w) / p.stride_w + 1;
  return p;
}

Shape output_of(const Pool2d& p) { return {p.n, p.c, p.out_h, p.out_w}; }
Shape input_of(const Pool2d& p) { return {p.n, p.c, p.h, p.w}; }

// ---- max_pool2d: unpool scatters to the winners, pick gathers from them; adjoints of each other

struct Plane {
  std::int64_t extents[4];
  Shape shape() const { return Shape(extents, 4); }
};
Plane plane_of(const Shape& s) { return {{s[0], s[1], s[2], s[3]}}; }

Tensor unpool(const Tensor& dy, const Tensor& index, const Shape& shape);
Tensor pick(const Tensor& x, const Tensor& index);

Grads unpool_rule(const Entry& e, const Tensor& d) { return {pick(d, e.saved(0))}; }
constexpr Op kUnpool{"max_unpool2d", unpool_rule};
Grads pick_rule(const Entry& e, const Tensor& d) { return {unpool(d, e.saved(0), e.attrs<Plane>().shape())}; }
constexpr Op kPick{"max_pool2d_pick", pick_rule};
constexpr Op kMaxPool{"max_pool2d", pick_rule};

Tensor unpool(const Tensor& dy, const Tensor& index, const Shape& shape) {
  Tensor dx = Tensor::empty(shape, dy.dtype(), dy.device());
  GRADUS_RUN(dy.device(), max_pool2d_scatter, fresh(dx), dy.array(), index.array());
  return record(kUnpool, std::move(dx), {dy}, {index});
}

Tensor pick(const Tensor& x, const Tensor& index) {
  Tensor y = Tensor::empty(index.shape(), x.dtype(), x.device());
  GRADUS_RUN(x.device(), max_pool2d_gather, fresh(y), x.array(), index.array());
  return record(kPick, std::move(y), {x}, {index}, plane_of(x.shape()));
}

// ---- avg_pool2d and its adjoint

Tensor average(const Tensor& x, const Pool2d& p);
Tensor spread(const Tensor& dy, const Pool2d& p);

Grads average_rule(const Entry& e, const Tensor& dy) { return {spread(dy, e.attrs<Pool2d>())}; }
constexpr Op kAverage{"avg_pool2d", average_rule};
Grads spread_rule(const Entry& e, const Tensor& d) { return {average(d, e.attrs<Pool2d>())}; }
constexpr Op kSpread{"avg_unpool2d", spread_rule};

Tensor average(const Tensor& x, const Pool2d& p) {
  Tensor y = Tensor::empty(output_of(p), x.dtype(), x.device());
  GRADUS_RUN(x.device(), avg_pool2d, fresh(y), x.array(), p);
  return record(kAverage, std::move(y), {x}, {}, p);
}

Tensor spread(const Tensor& dy, const Pool2d& p) {
  Tensor dx = Tensor::empty(input_of(p), dy.dtype(), dy.device());
  GRADUS_RUN(dy.device(), avg_pool2d_backward, fresh(dx), dy.array(), p);
  return record(kSpread, std::move(dx), {dy}, {}, p);
}

}  // namespace

Tensor max_pool2d(const Tensor& x, const Pool2dOptions& options) {
  const Pool2d p = pool_of("max_pool2d", x, options);
  Tensor y = Tensor::empty(output_of(p), x.dtype(), x.device()), index = Tensor::empty(output_of(p), DType::i64, x.device());
  GRADUS_RUN(x.device(), max_pool2d, fresh(y), fresh(index), x.array(), p);
  return record(kMaxPool, std::move(y), {x}, {index}, plane_of(x.shape()));
}

Tensor avg_pool2d(const Tensor& x, const Pool2dOptions& options) { return average(x, pool_of("avg_pool2d", x, options)); }

Tensor global_avg_pool(const Tensor& x) {
  require_floating("global_avg_pool", "x", x);
  require_rank("global_avg_pool", "x", x, 4);
  if (x.shape()[2] * x.shape()[3] == 0) raise_shape("[global_avg_pool] " + describe("x", x) + ": no positions to average");
  return mean(x, {2, 3});
}

}  // namespace gradus::inline v0
