// Kernels of threat models: the fused step against the elementwise kernels that it stands for, and the device against the CPU.
#include <gradus/kernels/adversarial.h>
#include <gradus/kernels/elementwise.h>
#include <gradus/tests/kernels/cuda/any_array.h>
#include <gradus/tests/kernels/kernel_support.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

constexpr DType kFloating[] = {DType::f32, DType::f64};

AnyArray with_specials(const Shape& shape, DType dtype, std::uint32_t seed, std::size_t turn) {
  AnyArray x = random_array(shape, dtype, seed, 0, 1);
  const auto put = [&](auto zero) {
    using T = decltype(zero);
    const std::vector<T> specials = {T(0),
                                     T(-0.0),
                                     std::numeric_limits<T>::quiet_NaN(),
                                     std::numeric_limits<T>::infinity(),
                                     -std::numeric_limits<T>::infinity(),
                                     std::numeric_limits<T>::denorm_min(),
                                     T(-1),
                                     T(0.5)};
    std::vector<T> v = x.values<T>();
    // With turns 1, 8, 64 and 512, four arrays go through every combination.
    for (std::size_t i = 0; i < v.size() && i < 4096; ++i) v[i] = specials[i / turn % specials.size()];
    x = AnyArray(shape, dtype, v);
  };
  if (dtype == DType::f32) put(float());
  else put(double());
  return x;
}

/// sign, add_scaled, maximum, minimum.
AnyArray composed(const AnyArray& x, const AnyArray& g, const AnyArray& lower, const AnyArray& upper, double step) {
  AnyArray sign = x, moved = x, raised = x, y = x;
  cpu::sign(sign.array(), g.array());
  cpu::add_scaled(moved.array(), x.array(), sign.array(), step);
  cpu::maximum(raised.array(), moved.array(), lower.array());
  cpu::minimum(y.array(), raised.array(), upper.array());
  return y;
}

void check_equal(const AnyArray& got, const AnyArray& want) {
  if (got.dtype == DType::f32) check_near(got.values<float>(), want.values<float>(), 0, 0);
  else check_near(got.values<double>(), want.values<double>(), 0, 0);
}

}  // namespace

TEST_CASE("pgd_linf_step is sign, add_scaled, maximum and minimum, for each instruction set") {
  for (const DType dtype : kFloating)
    for_each_isa([&] {
      const Shape shape{5003};
      const AnyArray x = with_specials(shape, dtype, 1, 1), g = with_specials(shape, dtype, 2, 8),
                     lower = with_specials(shape, dtype, 3, 64), upper = with_specials(shape, dtype, 4, 512);
      for (const double step : {0.01, 0.5}) {
        AnyArray y = x;
        cpu::pgd_linf_step(y.array(), x.array(), g.array(), lower.array(), upper.array(), step);
        check_equal(y, composed(x, g, lower, upper, step));
      }
    });
}

TEST_CASE("cuda adversarial: the Linf step") {
  for (const DType dtype : kFloating)
    for (const std::int64_t n : {0, 1, 6, 5003})
      for (const int offset : {0, 1}) {
        INFO(text(dtype) << " " << n << " offset " << offset);
        const Shape shape{n};
        const AnyArray x = with_specials(shape, dtype, 1, 1), g = with_specials(shape, dtype, 2, 8),
                       lower = with_specials(shape, dtype, 3, 64), upper = with_specials(shape, dtype, 4, 512);
        AnyArray want = x;
        cpu::pgd_linf_step(want.array(), x.array(), g.array(), lower.array(), upper.array(), 0.1);
        AnyOnDevice y(shape, dtype, offset), dx(x, offset), dg(g, offset), dl(lower, offset), du(upper, offset);
        cuda::pgd_linf_step(y.array(), dx.array(), dg.array(), dl.array(), du.array(), 0.1);
        check_equal(y.read(), want);
        cuda::pgd_linf_step(dx.array(), dx.array(), dg.array(), dl.array(), du.array(), 0.1);
        check_equal(dx.read(), want);
      }
}

TEST_CASE("cuda adversarial: bounds, to the bit") {
  for (const DType dtype : kFloating)
    for (const std::int64_t n : {0, 1, 7, 3000})
      for (const int offset : {0, 1}) {
        const AnyArray x = random_array({n}, dtype, 5, 0, 1);
        AnyArray lower({n}, dtype), upper({n}, dtype);
        for (const double eps : {8.0 / 255, 0.3, 0.0}) {
          cpu::linf_bounds(lower.array(), upper.array(), x.array(), eps, 0, 1);
          AnyOnDevice dl({n}, dtype, offset), du({n}, dtype, offset), dx(x, offset);
          cuda::linf_bounds(dl.array(), du.array(), dx.array(), eps, 0, 1);
          check_same_bits(dl.read(), lower);
          check_same_bits(du.read(), upper);
        }
      }
}

TEST_CASE("cuda adversarial: distances of samples") {
  for (const DType dtype : kFloating)
    for (const Shape& shape : {Shape{5, 3, 4, 4}, Shape{3, 1001}, Shape{2, 3072}, Shape{2, 5003}, Shape{2, 5004}, Shape{24, 1001},
                               Shape{24, 1024}, Shape{1, 1}, Shape{0, 4}, Shape{4, 0}})
      for (const int offset : {0, 1})
        for (const bool special : {false, true}) {
          INFO(to_string(shape) << " " << text(dtype) << " offset " << offset);
          AnyArray a = special ? with_specials(shape, dtype, 6, 1) : random_array(shape, dtype, 6);
          const AnyArray b = random_array(shape, dtype, 7);
          AnyArray linf({shape[0]}, DType::f64), l2 = linf;
          cpu::linf_distance(linf.array(), a.array(), b.array());
          cpu::l2_distance(l2.array(), a.array(), b.array());
          AnyOnDevice da(a, offset), db(b, offset), got_linf({shape[0]}, DType::f64), got_l2({shape[0]}, DType::f64);
          cuda::linf_distance(got_linf.array(), da.array(), db.array());
          cuda::l2_distance(got_l2.array(), da.array(), db.array());
          check_near(got_linf.read().values<double>(), linf.values<double>(), 0, 0);
          check_near(got_l2.read().values<double>(), l2.values<double>(), 1e-13, 0);
        }
}

TEST_CASE("cuda adversarial: the L2 projection, staged and not") {
  for (const DType dtype : kFloating)
    for (const Shape& shape : {Shape{4, 3, 5, 5}, Shape{2, 784}, Shape{2, 6000}, Shape{2, 7001}, Shape{1, 1}, Shape{0, 4}, Shape{4, 0}})
      for (const double eps : {0.5, 1e9, 0.0}) {
        INFO(to_string(shape) << " " << text(dtype) << " eps " << eps);
        const AnyArray x = random_array(shape, dtype, 8, 0, 1), moved = random_array(shape, dtype, 9, -0.5, 1.5);
        AnyArray want(shape, dtype), distance({shape[0]}, DType::f64);
        cpu::l2_project(want.array(), x.array(), moved.array(), eps, 0, 1);
        AnyOnDevice y(shape, dtype), dx(x), dm(moved);
        cuda::l2_project(y.array(), dx.array(), dm.array(), eps, 0, 1);
        const AnyArray got = y.read();
        // The two sums round differently, so the last halvings may; then a coordinate moves by a rounding.
        if (dtype == DType::f32) check_near(got.values<float>(), want.values<float>(), 2.5e-7, 1e-7);
        else check_near(got.values<double>(), want.values<double>(), 1e-13, 1e-14);
        cpu::l2_distance(distance.array(), got.array(), x.array());
        for (const double d : distance.values<double>()) CHECK(d <= eps * (1 + 1e-12));
      }
}

TEST_CASE("cuda adversarial: the L2 projection measures the move to the last bit") {
  const auto check = [](auto zero, std::int64_t n) {
    using T = decltype(zero);
    INFO(n << " of " << sizeof(T) << " bytes");
    std::mt19937 rng(31);
    std::vector<T> x(static_cast<std::size_t>(n)), moved(x);
    double squares = 0;  // of integers, so exact in any order
    for (std::size_t i = 0; i < x.size(); ++i) {
      const int move = static_cast<int>(rng() % 2047) - 1023;
      x[i] = static_cast<T>(rng() % 64), moved[i] = x[i] + static_cast<T>(move);
      squares += static_cast<double>(move) * move;
    }
    const auto projected = [&](double eps) {
      auto dx = device_array(x, {1, n}), dm = device_array(moved, {1, n});
      auto y = device_output<T>({1, n});
      cuda::l2_project(y.array(), dx.array(), dm.array(), eps, -1e9, 1e9);
      return y.values();
    };
    const double length = std::sqrt(squares);
    check_same_bits(projected(length), moved);
    CHECK(projected(std::nextafter(length, 0.0)) != moved);
  };
  for (const std::int64_t n : {784, 3000, 6000, 7001}) check(float(), n), check(double(), n);
}

TEST_CASE("cuda adversarial: numbers that are not finite become 0 and are counted") {
  for (const DType dtype : kFloating)
    for (const std::int64_t n : {0, 1, 5, 4096, 70001})
      for (const int offset : {0, 1}) {
        const AnyArray g = with_specials({n}, dtype, 10, 3);
        AnyArray want({n}, dtype);
        const std::int64_t count = cpu::zero_non_finite(want.array(), g.array());
        AnyOnDevice y({n}, dtype, offset), dg(g, offset);
        CHECK(cuda::zero_non_finite(y.array(), dg.array()) == count);
        check_same_bits(y.read(), want);
      }
}
