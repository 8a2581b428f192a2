#include <gradus/engine/ops/convolution.h>

#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/record.h>
#include <gradus/engine/scratch.h>
#include <gradus/kernels/convolution.h>

namespace gradus::inline v0 {
namespace {

std::int64_t output_extent(std::int64_t in, std::int64_t kernel, std::int64_t stride, std::int64_t padding) {
  return in + 2 * padding < kernel ? 0 : (in + 2 * padding - kernel) / stride + 1;
}

[[noreturn]] void fail(const char* op, const Shape& a, const Shape& b, const std::string& why) {
  raise_shape(std::string("[") + op + "] " + to_string(a) + " and " + to_string(b) + ": " + why);
}

std::string text_of(const Pair2d& p) { return "(" + std::to_string(p.h) + ", " + std::to_string(p.w) + ")"; }

void check_options(const char* op, const ConvOptions& o) {
  if (o.stride.h < 1 || o.stride.w < 1 || o.padding.h < 0 || o.padding.w < 0 || o.groups < 1)
    raise_value(std::string("[") + op + "] stride " + text_of(o.stride) + ", padding " + text_of(o.padding) + ", groups " +
                std::to_string(o.groups) + ": expected stride >= 1, padding >= 0, groups >= 1");
}

/// All extents of a convolution of x [N, C, H, W] by w [K, C / groups, R, S], checked.
Conv2dShape conv_of(const char* op, const Shape& x, const Shape& w, const ConvOptions& o) {
  check_options(op, o);
  if (x.rank() != 4 || w.rank() != 4) fail(op, x, w, "expected x [N, C, H, W] and w [K, C / groups, R, S]");
  Conv2dShape c;
  c.n = x[0], c.c = x[1], c.h = x[2], c.w = x[3], c.k = w[0], c.r = w[2], c.s = w[3];
  c.stride_h = o.stride.h, c.stride_w = o.stride.w, c.pad_h = o.padding.h, c.pad_w = o.padding.w, c.groups = o.groups;
  if (c.c % o.groups || c.k % o.groups || w[1] * o.groups != c.c)
    fail(op, x, w,
         "with " + std::to_string(o.groups) + " groups expected w [K, " + std::to_string(c.c / o.groups) +
             ", R, S], and C and K divisible by the groups");
  c.out_h = output_extent(c.h, c.r, c.stride_h, c.pad_h);
  c.out_w = output_extent(c.w, c.s, c.stride_w, c.pad_w);
  if (c.out_h < 1 || c.out_w < 1 || c.r < 1 || c.s < 1)
    fail(op, x, w, "the kernel does not fit into the padded image; more padding or a smaller kernel");
  return c;
}

Shape input_of(const Conv2dShape& c) { return {c.n, c.c, c.h, c.w}; }
Shape weight_of(const Conv2dShape& c) { return {c.k, c.c / c.groups, c.r, c.s}; }
Shape output_of(const Conv2dShape& c) { return {c.n, c.k, c.out_h, c.out_w}; }

Tensor run_conv(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dShape& c);
Tensor run_input_grad(const Tensor& dy, const Tensor& w, const Conv2dShape& c);
Tensor run_weight_grad(const Tensor& x, const Tensor& dy, const Conv2dShape& c);

Tensor bias_grad(const Tensor& dy) { return sum(dy, {0, 2, 3}); }

// y = conv(x, w) + bias
Grads conv_rule(const Entry& e, const Tensor& dy) {
  const auto& c = e.attrs<Conv2dShape>();
  Grads grads;
  grads.push_back(e.needs(0) ? run_input_grad(dy, e.saved(1), c) : Tensor());
  grads.push_back(e.needs(1) ? run_weight_grad(e.saved(0), dy, c) : Tensor());
  grads.push_back(e.needs(2) ? bias_grad(dy) : Tensor());
  return grads;
}
constexpr Op kConv{"conv2d", conv_rule};

// dx = input_grad(dy, w), with cotangent d of dx: conv(d, w) for dy, weight_grad(d, dy) for w
Grads input_grad_rule(const Entry& e, const Tensor& d) {
  const auto& c = e.attrs<Conv2dShape>();
  Grads grads;
  grads.push_back(e.needs(0) ? run_conv(d, e.saved(1), {}, c) : Tensor());
  grads.push_back(e.needs(1) ? run_weight_grad(d, e.saved(0), c) : Tensor());
  return grads;
}
constexpr Op kInputGrad{"conv2d_input_grad", input_grad_rule};

// dw = weight_grad(x, dy), with cotangent d of dw: input_grad(dy, d) for x, conv(x, d) for dy
Grads weight_grad_rule(const Entry& e, const Tensor& d) {
  const auto& c = e.attrs<Conv2dShape>();
  Grads grads;
  grads.push_back(e.needs(0) ? run_input_grad(e.saved(1), d, c) : Tensor());
  grads.push_back(e.needs(1) ? run_conv(e.saved(0), d, {}, c) : Tensor());
  return grads;
}
constexpr Op kWeightGrad{"conv2d_weight_grad", weight_grad_rule};

Tensor run_conv(const Tensor& x, const Tensor& w, const Tensor& bias, const Conv2dShape& c) {
  Tensor y = Tensor::empty(output_of(c), x.dtype(), x.device());
  const Scratch scratch(GRADUS_RUN(x.device(), conv2d_workspace_bytes, x.dtype(), c), x.device());
  GRADUS_RUN(x.device(), conv2d, fresh(y), x.array(), w.array(), bias ? bias.array() : ConstArray(), c, scratch.workspace());
  return record(kConv, std::move(y), {x, w, bias}, {for_input(1, x), for_input(0, w)}, c);
}

Tensor run_input_grad(const Tensor& dy, const Tensor& w, const Conv2dShape& c) {
  Tensor dx = Tensor::empty(input_of(c), dy.dtype(), dy.device());
  const Scratch scratch(GRADUS_RUN(dy.device(), conv2d_input_grad_workspace_bytes, dy.dtype(), c), dy.device());
  GRADUS_RUN(dy.device(), conv2d_input_grad, fresh(dx), dy.array(), w.array(), c, scratch.workspace());
  return record(kInputGrad, std::move(dx), {dy, w}, {for_input(1, dy), for_input(0, w)}, c);
}

Tensor run_weight_grad(const Tensor& x, const Tensor& dy, const Conv2dShape& c) {
  Tensor dw = Tensor::empty(weight_of(c), x.dtype(), x.device());
  const Scratch scratch(GRADUS_RUN(x.device(), conv2d_weight_grad_workspace_bytes, x.dtype(), c), x.device());
  GRADUS_RUN(x.device(), conv2d_weight_grad, fresh(dw), x.array(), dy.array(), c, scratch.workspace());
  return record(kWeightGrad, std::move(dw), {x, dy}, {for_input(1, x), for_input(0, dy)}, c);
}

void require_output(const char* op, const Tensor& dy, const Conv2dShape& c) {
  if (!(dy.shape() == output_of(c)))
    raise_shape(std::string("[") + op + "] " + describe("dy", dy) + ": expected " + to_string(output_of(c)));
}

}  // namespace

Shape conv2d_shape(const Shape& x, const Shape& w, const ConvOptions& options) { return output_of(conv_of("conv2d", x, w, options)); }

Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, const ConvOptions& options) {
  require_floating("conv2d", "x", x);
  require_same_dtype("conv2d", "x", x, "w", w);
  const Conv2dShape c = conv_of("conv2d", x.shape(), w.shape(), options);
  if (bias) {
    require_same_dtype("conv2d", "x", x, "bias", bias);
    if (!(bias.shape() == Shape{c.k})) raise_shape("[conv2d] " + describe("bias", bias) + ": expected [" + std::to_string(c.k) + "]");
  }
  return run_conv(x, w, bias, c);
}

Tensor conv2d(const Tensor& x, const Tensor& w, const ConvOptions& options) { return conv2d(x, w, Tensor(), options); }

Tensor conv2d_input_grad(const Tensor& dy, const Tensor& w, std::int64_t height, std::int64_t width, const ConvOptions& options) {
  require_floating("conv2d_input_grad", "dy", dy);
  require_same_dtype("conv2d_input_grad", "dy", dy, "w", w);
  require_rank("conv2d_input_grad", "dy", dy, 4);
  require_rank("conv2d_input_grad", "w", w, 4);
  const Conv2dShape c = conv_of("conv2d_input_grad", {dy.shape()[0], w.shape()[1] * options.groups, height, width}, w.shape(), options);
  require_output("conv2d_input_grad", dy, c);
  return run_input_grad(dy, w, c);
}

Tensor conv2d_weight_grad(const Tensor& x, const Tensor& dy, std::int64_t rows, std::int64_t columns, const ConvOptions& options) {
  require_floating("conv2d_weight_grad", "x", x);
  require_same_dtype("conv2d_weight_grad", "x", x, "dy", dy);
  require_rank("conv2d_weight_grad", "x", x, 4);
  require_rank("conv2d_weight_grad", "dy", dy, 4);
  check_options("conv2d_weight_grad", options);
  const Conv2dShape c = conv_of("conv2d_weight_grad", x.shape(), {dy.shape()[1], x.shape()[1] / options.groups, rows, columns}, options);
  require_output("conv2d_weight_grad", dy, c);
  return run_weight_grad(x, dy, c);
}

}  // namespace gradus::inline v0
