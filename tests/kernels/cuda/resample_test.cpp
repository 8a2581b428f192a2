// Resampling on the device gives the CPU's bits.
#include <gradus/kernels/resample.h>
#include <gradus/tests/kernels/cuda/any_array.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

/// The identity and something on top; the last one, if there are several, is not finite.
AnyArray maps(std::int64_t n, DType dtype, double reach) {
  AnyArray m = random_array({n, 2, 3}, dtype, 1, -reach, reach);
  const auto add = [&](auto zero) {
    using T = decltype(zero);
    std::vector<T> v = m.values<T>();
    for (std::size_t i = 0; i < v.size(); i += 6) {
      v[i] += T(1);
      v[i + 4] += T(1);
    }
    if (n > 2) v[v.size() - 1] = std::numeric_limits<T>::quiet_NaN();
    if (n > 3) v[v.size() - 12] = std::numeric_limits<T>::infinity();
    m = AnyArray(m.shape, dtype, v);
  };
  if (dtype == DType::f32) add(float());
  else add(double());
  return m;
}

}  // namespace

TEST_CASE("cuda resample: affine maps") {
  struct Case {
    Shape from, to;
  };
  const std::vector<Case> cases = {{{2, 3, 8, 8}, {2, 3, 8, 8}},   {{5, 1, 28, 28}, {5, 1, 28, 28}}, {{1, 10, 5, 9}, {1, 10, 7, 4}},
                                   {{3, 17, 4, 4}, {3, 17, 9, 5}}, {{2, 2, 1, 1}, {2, 2, 3, 3}},     {{0, 3, 4, 4}, {0, 3, 4, 4}},
                                   {{2, 3, 4, 4}, {2, 3, 0, 4}}};
  for (const Case& c : cases)
    for (const DType dtype : {DType::f32, DType::f64})
      for (const double reach : {0.0, 0.4, 3.0})
        for (const int offset : {0, 1}) {
          const Shape &from = c.from, &to = c.to;
          INFO(to_string(from) << " to " << to_string(to) << " " << text(dtype) << " reach " << reach);
          const AnyArray x = random_array(from, dtype, 2), m = maps(from[0], dtype, reach);
          AnyArray want(to, dtype);
          cpu::affine_resample(want.array(), x.array(), m.array(), 0.25);
          AnyOnDevice y(to, dtype, offset), image(x, offset), matrices(m, offset);
          cuda::affine_resample(y.array(), image.array(), matrices.array(), 0.25);
          if (dtype == DType::f32) check_near(y.read().values<float>(), want.values<float>(), 0, 0);
          else check_near(y.read().values<double>(), want.values<double>(), 0, 0);
        }
}

TEST_CASE("cuda resample: rectangles, clipped") {
  for (const DType dtype : {DType::f32, DType::f64})
    for (const Shape& shape : {Shape{6, 3, 8, 9}, Shape{6, 1, 40, 130}, Shape{6, 2, 1, 1}, Shape{6, 0, 3, 3}}) {
      const std::int64_t h = shape[2], w = shape[3];
      const std::vector<std::int64_t> boxes = {
          0, 0, h, w, 1, 2, 5, 7, -4, -4, 3, 2, 2, 3, 90, 1 << 20, h / 2, 3, h / 2, 5, -(std::int64_t{1} << 40), 0, std::int64_t{1} << 40,
          1};
      const AnyArray b({6, 4}, DType::i64, boxes), x = random_array(shape, dtype, 3);
      AnyArray want = x;
      cpu::fill_rectangles(want.array(), b.array(), -1.5);
      for (const int offset : {0, 1}) {
        AnyOnDevice y(x, offset), device_boxes(b);
        cuda::fill_rectangles(y.array(), device_boxes.array(), -1.5);
        check_same_bits(y.read(), want);
      }
    }
}
