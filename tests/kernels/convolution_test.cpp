// The convolution family against sums over every product, in double precision.
#include <algorithm>
#include <string>

#include <gradus/tests/kernels/convolution_cases.h>
#include <gradus/tests/kernels/kernel_support.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

/// Geometries that take paths of their own.
std::vector<Conv2dShape> geometries() {
  return {conv(3, 4, {8, 9}, 5, {3, 3}, {1, 1}, {1, 1}),       // rows shorter than a panel, panels across images
          conv(1, 3, {5, 40}, 7, {3, 3}, {1, 1}, {1, 1}),      // rows longer than a panel
          conv(2, 2, {16, 16}, 13, {3, 3}, {1, 1}, {1, 1}),    // rows of one panel
          conv(2, 5, {4, 7}, 6, {1, 1}, {1, 1}, {0, 0}),       // the image is read where it is
          conv(3, 3, {6, 5}, 2, {3, 2}, {1, 1}, {0, 0}),       // the same with a kernel
          conv(2, 3, {9, 11}, 4, {3, 2}, {2, 3}, {1, 2}),      // strides: phases of unequal size
          conv(2, 4, {7, 7}, 3, {1, 1}, {2, 2}, {0, 0}),       // phases that no tap reaches
          conv(1, 2, {10, 9}, 3, {2, 5}, {3, 1}, {0, 2}),      // a stride above the kernel, rows left over
          conv(2, 1, {7, 7}, 3, {7, 7}, {1, 1}, {0, 0}),       // one output pixel
          conv(1, 2, {3, 3}, 2, {5, 5}, {2, 2}, {3, 3}),       // more padding than image
          conv(2, 6, {5, 6}, 4, {3, 3}, {1, 1}, {1, 1}, 2),    // groups
          conv(2, 6, {9, 13}, 6, {3, 3}, {1, 1}, {1, 1}, 6),   // depthwise
          conv(2, 3, {8, 6}, 6, {5, 3}, {2, 1}, {2, 1}, 3),    // depthwise with a multiplier and a stride
          conv(2, 3, {11, 19}, 3, {5, 5}, {2, 3}, {2, 2}, 3),  // depthwise, strided, more taps than one pass takes
          conv(1, 40, {6, 6}, 9, {3, 3}, {1, 1}, {1, 1}),      // two blocks of depth
          conv(2, 70, {3, 5}, 3, {3, 3}, {1, 1}, {1, 1}),      // two blocks of input channels
          conv(1, 330, {2, 3}, 2, {1, 1}, {1, 1}, {0, 0}),     // many channels of one tap
          conv(1, 2, {4, 4}, 200, {3, 3}, {1, 1}, {1, 1}),     // two blocks of output channels
          conv(40, 2, {6, 7}, 3, {3, 3}, {1, 1}, {1, 1}),      // several chunks of images
          conv(1, 1, {70, 50}, 2, {3, 3}, {1, 1}, {1, 1}),     // several chunks of rows
          conv(1, 1, {1, 1}, 1, {1, 1}, {1, 1}, {0, 0}),       // one of everything
          conv(0, 2, {4, 4}, 3, {3, 3}, {1, 1}, {1, 1}),       // nothing in each of the ways there are
          conv(2, 0, {4, 4}, 3, {3, 3}, {1, 1}, {1, 1}),      conv(2, 3, {4, 4}, 0, {3, 3}, {1, 1}, {1, 1})};
}

template <class T> std::vector<T> normals(const Shape& shape, std::uint32_t seed) {
  Buffer<T> x(shape);
  fill_normal(x, seed);
  return {x.data(), x.data() + x.size()};
}

/// x, w, bias and dy. They are vectors of the exact size: under the address sanitizer a read past the end is seen.
template <class T> struct Problem {
  Conv2dShape v;
  Shape x_shape, w_shape, y_shape, bias_shape;
  std::vector<T> x, w, bias, dy;

  Problem(const Conv2dShape& sizes, std::uint32_t seed)
      : v(sizes),
        x_shape(input_shape(v)),
        w_shape(weight_shape(v)),
        y_shape(output_shape(v)),
        bias_shape{v.k},
        x(normals<T>(x_shape, seed)),
        w(normals<T>(w_shape, seed + 1)),
        bias(normals<T>(bias_shape, seed + 2)),
        dy(normals<T>(y_shape, seed + 3)) {}

  static ConstArray array(const std::vector<T>& values, const Shape& shape) { return {values.data(), &shape, dtype_of<T>}; }

  Buffer<T> forward(bool with_bias = true) const {
    Buffer<T> y(y_shape, T(7));
    const Scratch scratch(cpu::conv2d_workspace_bytes(dtype_of<T>, v));
    cpu::conv2d(y.array(), array(x, x_shape), array(w, w_shape), with_bias ? array(bias, bias_shape) : ConstArray(), v,
                scratch.workspace());
    return y;
  }
  Buffer<T> input_grad() const {
    Buffer<T> dx(x_shape, T(7));
    const Scratch scratch(cpu::conv2d_input_grad_workspace_bytes(dtype_of<T>, v));
    cpu::conv2d_input_grad(dx.array(), array(dy, y_shape), array(w, w_shape), v, scratch.workspace());
    return dx;
  }
  Buffer<T> weight_grad() const {
    Buffer<T> dw(w_shape, T(7));
    const Scratch scratch(cpu::conv2d_weight_grad_workspace_bytes(dtype_of<T>, v));
    cpu::conv2d_weight_grad(dw.array(), array(x, x_shape), array(dy, y_shape), v, scratch.workspace());
    return dw;
  }

 private:
  class Scratch {
   public:
    explicit Scratch(std::size_t bytes) : bytes_(bytes), data_(bytes / sizeof(double) + 1) {}
    Workspace workspace() const { return {const_cast<double*>(data_.data()), bytes_}; }

   private:
    std::size_t bytes_;
    std::vector<double> data_;
  };
};

/// Sum and sum of magnitudes: an error is measured against the latter.
struct Sums {
  std::vector<double> sum, magnitude;
  explicit Sums(Index n) : sum(static_cast<std::size_t>(n)), magnitude(sum) {}
  void add(Index at, double value) {
    sum[static_cast<std::size_t>(at)] += value;
    magnitude[static_cast<std::size_t>(at)] += std::fabs(value);
  }
};

template <class T> void require_close(const Buffer<T>& y, const Sums& exact) {
  const double tolerance = 8 * std::numeric_limits<T>::epsilon();
  for (Index i = 0; i < y.size(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    CAPTURE(i);
    CAPTURE(exact.sum[at]);
    REQUIRE(std::fabs(static_cast<double>(y[i]) - exact.sum[at]) <= tolerance * exact.magnitude[at]);
  }
  REQUIRE(y.guards_intact());
}

template <class T> void check(const Conv2dShape& v) {
  constexpr std::uint32_t kSeed = 17;
  INFO(text(v), "f", 8 * sizeof(T), ", seed ", kSeed);
  const Problem<T> p(v, kSeed);
  Sums y(p.y_shape.elements()), dx(p.x_shape.elements()), dw(p.w_shape.elements());
  for_each_product(v, [&](Index at_x, Index at_w, Index at_y) {
    const auto value = [](const std::vector<T>& values, Index at) { return static_cast<double>(values[static_cast<std::size_t>(at)]); };
    y.add(at_y, value(p.x, at_x) * value(p.w, at_w));
    dx.add(at_x, value(p.dy, at_y) * value(p.w, at_w));
    dw.add(at_w, value(p.x, at_x) * value(p.dy, at_y));
  });
  require_close(p.forward(false), y);
  for (Index i = 0; i < p.y_shape.elements(); ++i) y.add(i, p.bias[static_cast<std::size_t>(i / (v.out_h * v.out_w) % v.k)]);
  require_close(p.forward(true), y);
  require_close(p.input_grad(), dx);
  require_close(p.weight_grad(), dw);
}

/// The images [first, first + count) of a problem, alone.
template <class T> Problem<T> part(const Problem<T>& whole, Index first, Index count) {
  Conv2dShape v = whole.v;
  v.n = count;
  Problem<T> p(v, 0);
  const Index x = v.c * v.h * v.w, y = v.k * v.out_h * v.out_w;
  p.x.assign(whole.x.begin() + first * x, whole.x.begin() + (first + count) * x);
  p.dy.assign(whole.dy.begin() + first * y, whole.dy.begin() + (first + count) * y);
  p.w = whole.w, p.bias = whole.bias;
  return p;
}

template <class T> void require_part(const Buffer<T>& part, const Buffer<T>& whole, Index offset) {
  REQUIRE(std::memcmp(part.data(), whole.data() + offset, static_cast<std::size_t>(part.size()) * sizeof(T)) == 0);
}

}  // namespace

TEST_CASE("convolution: values and both gradients of every geometry") {
  for_each_isa([] {
    for (const Conv2dShape& v : geometries()) {
      check<float>(v);
      check<double>(v);
    }
  });
}

TEST_CASE("convolution: an image's output and input gradient do not depend on the images beside it") {
  for_each_isa([] {
    for (Conv2dShape v : geometries()) {
      if (v.n == 0) continue;
      v.n = 64;
      INFO(text(v));
      const Problem<float> whole(v, 3);
      const Buffer<float> y = whole.forward(), dx = whole.input_grad();
      const Index y_image = v.k * v.out_h * v.out_w, x_image = v.c * v.h * v.w;
      for (const Index count : {1, 7, 57})
        for (const Index first : {Index{0}, 64 - count}) {
          const Problem<float> some = part(whole, first, count);
          require_part(some.forward(), y, first * y_image);
          require_part(some.input_grad(), dx, first * x_image);
        }
    }
  });
}

TEST_CASE("convolution: any number of threads gives the same bits") {
  for_each_isa([] {
    for (Conv2dShape v : geometries()) {
      v.n *= 5;
      INFO(text(v));
      const Problem<float> p(v, 29);
      const Buffer<float> y = p.forward(), dx = p.input_grad(), dw = p.weight_grad();
      for (const int threads : {1, 2, 5}) {
        ThreadPool pool(threads);
        const PoolScope scope(pool);
        INFO(threads, " threads");
        REQUIRE(p.forward().same_bits(y));
        REQUIRE(p.input_grad().same_bits(dx));
        REQUIRE(p.weight_grad().same_bits(dw));
      }
    }
  });
}

TEST_CASE("convolution: NaN reaches the windows that hold it, and nothing else") {
  for_each_isa([] {
    for (const Conv2dShape& v : geometries()) {
      if (v.n * v.c * v.k == 0) continue;
      INFO(text(v));
      Problem<float> p(v, 31);
      const Index poisoned = v.n * v.c * v.h * v.w / 2;
      p.x[static_cast<std::size_t>(poisoned)] = static_cast<float>(kNaN);
      std::vector<bool> expected(p.dy.size());
      for_each_product(v, [&](Index x, Index, Index y) {
        if (x == poisoned) expected[static_cast<std::size_t>(y)] = true;
      });
      const Buffer<float> y = p.forward();
      for (Index i = 0; i < y.size(); ++i) REQUIRE(std::isnan(y[i]) == expected[static_cast<std::size_t>(i)]);
    }
  });
}

TEST_CASE("convolution: scratch does not grow with the batch and stays small") {
  const auto most = [](Conv2dShape v) {
    return std::max({cpu::conv2d_workspace_bytes(DType::f32, v), cpu::conv2d_input_grad_workspace_bytes(DType::f32, v),
                     cpu::conv2d_weight_grad_workspace_bytes(DType::f32, v)});
  };
  for (const Index channels : {3, 64, 512})
    for (const Index image : {7, 32, 224}) {
      Conv2dShape v = conv(16, channels, {image, image}, 64, {3, 3}, {1, 1}, {1, 1});
      const std::size_t bytes = most(v);
      CAPTURE(bytes);
      CHECK(bytes <= (4u << 20));
      v.n = 4096;
      CHECK(most(v) <= (4u << 20));
    }
}
