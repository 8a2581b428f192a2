// The convolution family on the device against sums over every product, in double precision.
#include <algorithm>
#include <string>

#include <gradus/kernels/cuda/vendor.h>
#include <gradus/tests/kernels/convolution_cases.h>
#include <gradus/tests/kernels/cuda/support.h>
#if defined(GRADUS_CUDA_EMULATED)
#include <gradus/kernels/emulator/count/counters.h>
#include <gradus/kernels/emulator/exec/machine.h>
#endif

using namespace gradus;
using namespace gradus::testing;

namespace {

/// Geometries that take paths of their own.
std::vector<Conv2dShape> geometries() {
  return {conv(3, 4, {8, 9}, 5, {3, 3}, {1, 1}, {1, 1}),        // few channels: 16 rows
          conv(2, 4, {16, 16}, 20, {3, 3}, {1, 1}, {1, 1}),     // 64 rows, planes of whole vectors
          conv(2, 8, {6, 6}, 20, {1, 1}, {1, 1}, {0, 0}),       // one tap on the pixel itself
          conv(2, 5, {4, 7}, 6, {1, 1}, {1, 1}, {0, 0}),        // the same, planes of broken vectors
          conv(2, 3, {9, 11}, 4, {3, 2}, {2, 3}, {1, 2}),       // strides: phases of unequal size
          conv(2, 4, {7, 7}, 3, {1, 1}, {2, 2}, {0, 0}),        // phases that no tap reaches
          conv(1, 2, {10, 9}, 3, {2, 5}, {3, 1}, {0, 2}),       // a stride above the kernel, rows left over
          conv(2, 1, {7, 7}, 3, {7, 7}, {1, 1}, {0, 0}),        // one output pixel
          conv(1, 2, {3, 3}, 2, {5, 5}, {2, 2}, {3, 3}),        // more padding than image
          conv(2, 6, {5, 6}, 4, {3, 3}, {1, 1}, {1, 1}, 2),     // groups
          conv(1, 48, {4, 4}, 40, {1, 1}, {1, 1}, {0, 0}, 2),   // groups of plain pixels
          conv(2, 6, {9, 13}, 6, {3, 3}, {1, 1}, {1, 1}, 6),    // depthwise
          conv(2, 3, {8, 6}, 6, {5, 3}, {2, 1}, {2, 1}, 3),     // depthwise with a multiplier and a stride
          conv(2, 3, {11, 19}, 3, {5, 5}, {2, 3}, {2, 2}, 3),   // depthwise, more taps than one round takes
          conv(1, 2, {150, 70}, 2, {3, 3}, {1, 1}, {1, 1}, 2),  // depthwise by bands
          conv(70, 2, {7, 7}, 2, {3, 3}, {1, 1}, {1, 1}, 2),    // depthwise, several planes a block
          conv(1, 2, {4, 9000}, 2, {3, 3}, {1, 1}, {1, 1}, 2),  // too wide for a band
          conv(1, 2, {60, 70}, 2, {5, 5}, {1, 1}, {2, 2}, 2),   // depthwise of many taps, several rounds of pixels
          conv(2, 2, {9, 9}, 2, {2, 2}, {3, 3}, {0, 0}, 2),     // depthwise, phases without taps
          conv(2, 3, {6, 6}, 30, {3, 3}, {1, 1}, {1, 1}, 3),    // one channel to many: a product
          conv(1, 40, {6, 6}, 9, {3, 3}, {1, 1}, {1, 1}),       // several steps of depth
          conv(2, 70, {3, 5}, 3, {3, 3}, {1, 1}, {1, 1}),       // many input channels
          conv(1, 8, {6, 6}, 70, {3, 3}, {1, 1}, {1, 1}),       // 128 x 128 tiles of the weight gradient
          conv(20, 2, {6, 7}, 3, {3, 3}, {1, 1}, {1, 1}),       // several segments of pixels
          conv(1, 1, {1, 1}, 1, {1, 1}, {1, 1}, {0, 0}),        // one of everything
          conv(0, 2, {4, 4}, 3, {3, 3}, {1, 1}, {1, 1}),        // nothing in each of the ways there are
          conv(2, 0, {4, 4}, 3, {3, 3}, {1, 1}, {1, 1}),       conv(2, 3, {4, 4}, 0, {3, 3}, {1, 1}, {1, 1}),
          conv(0, 2, {4, 4}, 2, {3, 3}, {1, 1}, {1, 1}, 2)};
}

/// x, w, bias and dy, and what the device makes of them.
template <class T> struct Problem {
  Conv2dShape v;
  std::vector<T> x, w, bias, dy;
  int offset = 0, result_offset = 0;

  Problem(const Conv2dShape& sizes, unsigned seed, int offset_elements = 0)
      : v(sizes),
        x(random_values<T>(input_shape(v).elements(), seed, -1, 1)),
        w(random_values<T>(weight_shape(v).elements(), seed + 1, -1, 1)),
        bias(random_values<T>(v.k, seed + 2, -1, 1)),
        dy(random_values<T>(output_shape(v).elements(), seed + 3, -1, 1)),
        offset(offset_elements),
        result_offset(offset_elements) {}

  std::vector<T> forward(bool with_bias = true) const {
    auto dx = device_array(x, input_shape(v), offset), dw = device_array(w, weight_shape(v), offset), db = device_array(bias, {v.k}, 1);
    auto y = device_output<T>(output_shape(v), result_offset);
    const DeviceWorkspace scratch = workspace(cuda::conv2d_workspace_bytes(dtype_of<T>, v));
    const auto& constant_x = dx;
    cuda::conv2d(y.array(), constant_x.array(), dw.array(), with_bias ? ConstArray(db.array()) : ConstArray(), v, scratch.workspace());
    return y.values();
  }
  std::vector<T> input_grad() const {
    auto d = device_array(dy, output_shape(v), offset), dw = device_array(w, weight_shape(v), offset);
    auto dx = device_output<T>(input_shape(v), result_offset);
    const DeviceWorkspace scratch = workspace(cuda::conv2d_input_grad_workspace_bytes(dtype_of<T>, v));
    cuda::conv2d_input_grad(dx.array(), d.array(), dw.array(), v, scratch.workspace());
    return dx.values();
  }
  std::vector<T> weight_grad() const {
    auto d = device_array(dy, output_shape(v), offset), dx = device_array(x, input_shape(v), offset);
    auto dw = device_output<T>(weight_shape(v), result_offset);
    const DeviceWorkspace scratch = workspace(cuda::conv2d_weight_grad_workspace_bytes(dtype_of<T>, v));
    cuda::conv2d_weight_grad(dw.array(), dx.array(), d.array(), v, scratch.workspace());
    return dw.values();
  }
};

/// While it lives, the kernels are the hand-written ones.
struct OwnKernels {
  bool before = cuda::use_vendor_libraries(false);
  ~OwnKernels() { cuda::use_vendor_libraries(before); }
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

template <class T> void check_sums(const char* what, const std::vector<T>& y, const Sums& exact) {
  const double tolerance = 8 * std::numeric_limits<T>::epsilon();
  REQUIRE(y.size() == exact.sum.size());
  for (std::size_t i = 0; i < y.size(); ++i)
    if (!(std::fabs(static_cast<double>(y[i]) - exact.sum[i]) <= tolerance * exact.magnitude[i])) {
      FAIL_CHECK(what << ": element " << i << " of " << y.size() << " is " << y[i] << ", expected " << exact.sum[i]);
      return;
    }
  CHECK(true);
}

template <class T> void check(const Conv2dShape& v, int offset, int further_of_result = 0) {
  constexpr unsigned kSeed = 17;
  INFO(text(v), "f", 8 * sizeof(T), ", offset ", offset, ", of results ", offset + further_of_result);
  Problem<T> p(v, kSeed, offset);
  p.result_offset += further_of_result;
  Sums y(output_shape(v).elements()), dx(input_shape(v).elements()), dw(weight_shape(v).elements());
  const auto value = [](const std::vector<T>& values, Index at) { return static_cast<double>(values[static_cast<std::size_t>(at)]); };
  for_each_product(v, [&](Index at_x, Index at_w, Index at_y) {
    y.add(at_y, value(p.x, at_x) * value(p.w, at_w));
    dx.add(at_x, value(p.dy, at_y) * value(p.w, at_w));
    dw.add(at_w, value(p.x, at_x) * value(p.dy, at_y));
  });
  check_sums("y", p.forward(false), y);
  for (Index i = 0; i < output_shape(v).elements(); ++i) y.add(i, value(p.bias, i / (v.out_h * v.out_w) % v.k));
  check_sums("y with bias", p.forward(true), y);
  check_sums("dx", p.input_grad(), dx);
  check_sums("dw", p.weight_grad(), dw);
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

template <class T> std::vector<T> slice(const std::vector<T>& values, Index first, Index count) {
  return std::vector<T>(values.begin() + first, values.begin() + first + count);
}

}  // namespace

TEST_CASE("cuda convolution: values and both gradients of every geometry") {
  const OwnKernels own;
  int offset = 0;
  for (const Conv2dShape& v : geometries()) {
    check<float>(v, 0);
    check<double>(v, 0);
    check<double>(v, 0, 1);  // operands by vectors, results by elements
    check<double>(v, 1);
    check<float>(v, ++offset % 3 + 1);
    check<float>(v, 0, 1);
  }
}

TEST_CASE("cuda convolution: large tiles") {
  const OwnKernels own;
  for (const int further : {0, 1}) {                                               // results by vectors, by elements
    check<float>(conv(1, 4, {130, 128}, 68, {3, 3}, {1, 1}, {1, 1}), 0, further);  // forward and, by phases of one, the weight gradient
    check<float>(conv(1, 68, {130, 128}, 4, {3, 3}, {1, 1}, {1, 1}), 0, further);  // input gradient
    check<float>(conv(1, 8, {130, 128}, 76, {1, 1}, {1, 1}, {0, 0}), 0, further);  // plain pixels
    check<float>(conv(1, 76, {130, 128}, 8, {1, 1}, {1, 1}, {0, 0}), 0, further);
  }
}

TEST_CASE("cuda convolution: an image's output and input gradient do not depend on the images beside it") {
  const OwnKernels own;
  for (const Conv2dShape& geometry : geometries()) {
    Conv2dShape v = geometry;
    if (v.n == 0 || v.w > 100) continue;
    v.n = 9;
    INFO(text(v));
    const Problem<float> whole(v, 3);
    const std::vector<float> y = whole.forward(), dx = whole.input_grad();
    const Index y_image = v.k * v.out_h * v.out_w, x_image = v.c * v.h * v.w;
    for (const auto& [first, count] : {std::pair<Index, Index>{0, 1}, {8, 1}, {2, 5}}) {
      const Problem<float> some = part(whole, first, count);
      check_same_bits(some.forward(), slice(y, first * y_image, count * y_image));
      check_same_bits(some.input_grad(), slice(dx, first * x_image, count * x_image));
    }
  }
}

TEST_CASE("cuda convolution: the same call has the same bits, wherever its arrays lie") {
  const OwnKernels own;
  for (const Conv2dShape& v : {conv(20, 2, {6, 7}, 3, {3, 3}, {1, 1}, {1, 1}), conv(2, 8, {6, 6}, 20, {1, 1}, {1, 1}, {0, 0}),
                               conv(9, 6, {9, 12}, 6, {3, 3}, {1, 1}, {1, 1}, 6), conv(1, 8, {20, 20}, 70, {3, 3}, {1, 1}, {1, 1})}) {
    INFO(text(v));
    const Problem<float> p(v, 29);
    Problem<float> moved = p;
    moved.offset = 1;
    check_same_bits(moved.forward(), p.forward());
    check_same_bits(moved.input_grad(), p.input_grad());
    check_same_bits(moved.weight_grad(), p.weight_grad());
  }
}

TEST_CASE("cuda convolution: NaN reaches the windows that hold it, and nothing else") {
  const OwnKernels own;
  for (const Conv2dShape& v : geometries()) {
    if (v.n * v.c * v.k == 0 || v.w > 100) continue;
    INFO(text(v));
    Problem<float> p(v, 31);
    const Index poisoned = v.n * v.c * v.h * v.w / 2;
    p.x[static_cast<std::size_t>(poisoned)] = std::nanf("");
    std::vector<bool> expected(p.dy.size());
    for_each_product(v, [&](Index x, Index, Index y) {
      if (x == poisoned) expected[static_cast<std::size_t>(y)] = true;
    });
    const std::vector<float> y = p.forward();
    bool right = true;
    for (std::size_t i = 0; i < y.size(); ++i) right = right && std::isnan(y[i]) == expected[i];
    CHECK(right);
  }
}

TEST_CASE("cuda convolution: scratch does not grow with the batch without end") {
  const OwnKernels own;
  for (const Index channels : {3, 64, 512})
    for (const Index image : {7, 32, 224})
      for (const Index groups : {Index{1}, channels}) {
        Conv2dShape v = conv(16, channels, {image, image}, groups == 1 ? 64 : channels, {3, 3}, {1, 1}, {1, 1}, groups);
        for (const Index n : {1, 16, 4096}) {
          v.n = n;
          CAPTURE(text(v));
          CHECK(cuda::conv2d_workspace_bytes(DType::f32, v) == 0);
          CHECK(cuda::conv2d_input_grad_workspace_bytes(DType::f32, v) == 0);
          CHECK(cuda::conv2d_weight_grad_workspace_bytes(DType::f32, v) <= (32u << 20));
        }
      }
}

#if defined(GRADUS_CUDA_EMULATED)
namespace {

template <class F> emulator::Counters counted(const F& f) {
  const bool before = emulator::options().count;
  emulator::options().count = true;
  emulator::counters_by_kernel().clear();
  f();
  emulator::options().count = before;
  emulator::Counters sum;
  for (const auto& [name, counters] : emulator::counters_by_kernel()) sum.add(counters);
  return sum;
}

}  // namespace

TEST_CASE("cuda convolution: tiles have no bank conflicts, depthwise touches little more than it must") {
  const OwnKernels own;
  for (const Conv2dShape& v : {conv(1, 16, {16, 16}, 72, {3, 3}, {1, 1}, {1, 1}), conv(1, 16, {16, 16}, 32, {1, 1}, {1, 1}, {0, 0})}) {
    INFO(text(v));
    const Problem<float> p(v, 1);
    for (const emulator::Counters& c :
         {counted([&] { p.forward(); }), counted([&] { p.input_grad(); }), counted([&] { p.weight_grad(); })}) {
      CHECK(c.shared_wavefronts == c.shared_ideal_wavefronts);
      CHECK(c.flops >= 2u * 16 * 16 * 16 * static_cast<std::uint64_t>(v.k * v.r * v.s));
    }
  }
  const Problem<float> depthwise(conv(1, 8, {56, 56}, 8, {3, 3}, {1, 1}, {1, 1}, 8), 2);
  for (const emulator::Counters& c :
       {counted([&] { depthwise.forward(); }), counted([&] { depthwise.input_grad(); }), counted([&] { depthwise.weight_grad(); })}) {
    INFO(c.bytes_touched, " bytes touched, ", c.bytes_compulsory, " compulsory");
    CHECK(static_cast<double>(c.bytes_touched) <= 1.05 * static_cast<double>(c.bytes_compulsory));
    CHECK(c.shared_wavefronts == c.shared_ideal_wavefronts);
  }
}
#endif
