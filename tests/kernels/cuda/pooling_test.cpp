// Pooling on the device against the CPU: maxima, their places, gathers and scatters bit for bit.
#include <algorithm>
#include <string>

#include <gradus/tests/kernels/cuda/support.h>
#include <gradus/tests/kernels/kernel_support.h>
#include <gradus/tests/kernels/pooling_cases.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

/// Every path: 2x2 in packs and not; many small planes a block and one; whole planes; bands of a large plane; rows too long to be staged;
/// windows that overlap, leave gaps, hang over the border, are wide; whole planes of many sizes; nothing.
std::vector<Pool2d> geometries() {
  return {pool(2, 3, 8, 16, 2, 2, 2, 2, 0, 0),    pool(1, 2, 7, 12, 2, 2, 2, 2, 0, 0),    pool(1, 2, 7, 15, 2, 2, 2, 2, 0, 0),
          pool(2, 2, 2, 2, 2, 2, 2, 2, 0, 0),     pool(5, 40, 6, 9, 3, 3, 2, 2, 1, 1),    pool(1, 2, 6, 13, 3, 3, 1, 1, 1, 1),
          pool(1, 2, 10, 23, 4, 2, 3, 3, 2, 1),   pool(2, 30, 7, 7, 7, 7, 7, 7, 0, 0),    pool(1, 2, 40, 40, 40, 40, 1, 1, 0, 0),
          pool(1, 1, 5, 6, 4, 5, 1, 2, 2, 2),     pool(1, 1, 1, 1, 1, 1, 1, 1, 0, 0),     pool(2, 1, 4, 6, 2, 2, 1, 1, 1, 1),
          pool(1, 3, 9, 9, 2, 2, 3, 4, 0, 0),     pool(1, 2, 130, 120, 3, 3, 2, 2, 1, 1), pool(1, 1, 5, 6000, 3, 2, 2, 2, 1, 1),
          pool(1, 1, 5, 6000, 3, 9, 1, 1, 1, 4),  pool(1, 2, 13, 31, 3, 9, 1, 1, 1, 4),   pool(2, 2, 12, 40, 5, 11, 2, 3, 2, 5),
          pool(3, 2, 8, 8, 8, 8, 1, 1, 0, 0),     pool(1, 2, 41, 41, 41, 41, 1, 1, 0, 0), pool(1, 1, 210, 190, 210, 190, 1, 1, 0, 0),
          pool(1, 1, 9, 6000, 2, 9, 4, 12, 0, 0), pool(1, 2, 14, 48, 2, 9, 4, 12, 0, 0),  pool(2, 3, 15, 15, 15, 15, 1, 1, 0, 0),
          pool(1, 2, 31, 31, 31, 31, 1, 1, 0, 0), pool(1, 1, 300, 90, 5, 5, 3, 1, 2, 2),  pool(0, 3, 4, 4, 2, 2, 2, 2, 0, 0),
          pool(3, 0, 4, 4, 3, 3, 1, 1, 1, 1)};
}

template <class T> void check(const Pool2d& p, std::vector<T> x, int offset) {
  INFO(text(p), ", ", sizeof(T), " bytes, offset ", offset);
  const Shape in = input_shape(p), out = output_shape(p);
  const std::vector<T> dy = random_values<T>(out.elements(), 12, -1, 1);
  std::vector<T> y(dy.size()), mean(dy.size()), gathered(dy.size()), scattered(x.size()), spread(x.size());
  std::vector<Index> index(dy.size());
  const auto host = [](std::vector<T>& v, const Shape& s) { return Array{v.data(), &s, dtype_of<T>}; };
  const ConstArray places(index.data(), &out, DType::i64), from(x.data(), &in, dtype_of<T>), gradient(dy.data(), &out, dtype_of<T>);
  cpu::max_pool2d(host(y, out), {index.data(), &out, DType::i64}, from, p);
  cpu::avg_pool2d(host(mean, out), from, p);
  cpu::max_pool2d_gather(host(gathered, out), from, places);
  cpu::max_pool2d_scatter(host(scattered, in), gradient, places);
  cpu::avg_pool2d_backward(host(spread, in), gradient, p);

  auto x_ = device_array(x, in, offset), dy_ = device_array(dy, out, offset);
  auto y_ = device_output<T>(out, offset), mean_ = device_output<T>(out, offset), gathered_ = device_output<T>(out, offset);
  auto scattered_ = device_output<T>(in, offset), spread_ = device_output<T>(in, offset);
  auto index_ = device_output<Index>(out, offset);
  cuda::max_pool2d(y_.array(), index_.array(), x_.array(), p);
  check_same_bits(index_.values(), index);
  check_close(y_.values(), y, 0, 0);  // NaN may have other bits
  cuda::avg_pool2d(mean_.array(), x_.array(), p);
  const double e = sizeof(T) == 4 ? 2e-6 : 1e-14;
  check_close(mean_.values(), mean, 4 * e, e);
  cuda::max_pool2d_gather(gathered_.array(), x_.array(), index_.array());
  check_same_bits(gathered_.values(), gathered);
  cuda::max_pool2d_scatter(scattered_.array(), dy_.array(), index_.array());
  check_same_bits(scattered_.values(), scattered);
  cuda::avg_pool2d_backward(spread_.array(), dy_.array(), p);
  check_close(spread_.values(), spread, 2 * e, e);
}

}  // namespace

TEST_CASE("cuda pooling: maxima, means and their adjoints") {
  for (const Pool2d& p : geometries())
    for (const int offset : {0, 1}) {
      check<float>(p, random_values<float>(input_shape(p).elements(), 1, -1, 1), offset);
      check<double>(p, random_values<double>(input_shape(p).elements(), 2, -1, 1), offset);
    }
}

TEST_CASE("cuda pooling: the first of equals, -inf and NaN") {
  for (const Pool2d& p : geometries()) {
    if (p.w > 1000) continue;
    const auto n = static_cast<std::size_t>(input_shape(p).elements());
    check<float>(p, std::vector<float>(n, 3), 0);
    std::vector<float> few(n);
    for (std::size_t i = 0; i < n; ++i) few[i] = static_cast<float>(i % 3);
    check<float>(p, few, 0);
    std::vector<float> strange = random_values<float>(static_cast<Index>(n), 3, -1, 1);
    std::mt19937 rng(5);
    for (float& v : strange) {
      const auto draw = rng() % 10;
      if (draw == 0) v = std::numeric_limits<float>::quiet_NaN();
      else if (draw < 6) v = -std::numeric_limits<float>::infinity();
    }
    auto x = device_array(strange, input_shape(p));
    auto y = device_output<float>(output_shape(p));
    auto index = device_output<Index>(output_shape(p));
    const Shape in = input_shape(p), out = output_shape(p);
    std::vector<float> want(static_cast<std::size_t>(out.elements()));
    std::vector<Index> places(want.size());
    cpu::max_pool2d({want.data(), &out, DType::f32}, {places.data(), &out, DType::i64}, {strange.data(), &in, DType::f32}, p);
    INFO(text(p));
    cuda::max_pool2d(y.array(), index.array(), x.array(), p);
    check_same_bits(index.values(), places);
    check_close(y.values(), want, 0, 0);
  }
}

TEST_CASE("cuda pooling: a place out of range is skipped") {
  const auto check = [](auto zero) {
    using T = decltype(zero);
    const Shape in{1, 2, 2, 2}, out{1, 2, 1, 3};
    auto index = device_array(std::vector<Index>{0, 4, -1, 3, 3, 3}, out);
    auto dy = device_array(std::vector<T>{1, 2, 3, 4, 5, 6}, out);
    auto dx = device_output<T>(in);
    cuda::max_pool2d_scatter(dx.array(), dy.array(), index.array());
    check_same_bits(dx.values(), {1, 0, 0, 0, 0, 0, 0, 15});
    auto back = device_output<T>(out);
    cuda::max_pool2d_gather(back.array(), dx.array(), index.array());
    check_same_bits(back.values(), {1, 0, 0, 15, 15, 15});
  };
  check(float()), check(double());
}

TEST_CASE("cuda pooling: integers whose parts need more than the upper half of a double have an exact mean") {
  for (const Index side : {41, 40}) {
    std::mt19937 rng(29);
    std::vector<float> x(static_cast<std::size_t>(side * side));
    for (std::size_t i = 0; i + 1 < x.size(); i += 2) x[i] = static_cast<float>(rng() % (1u << 20)), x[i + 1] = -x[i];
    std::shuffle(x.begin(), x.end(), rng);
    x[0] += 1;
    const Pool2d p = pool(1, 1, side, side, side, side, 1, 1, 0, 0);
    auto from = device_array(x, input_shape(p));
    auto y = device_output<float>(output_shape(p));
    cuda::avg_pool2d(y.array(), from.array(), p);
    check_same_bits(y.values(), {1 / static_cast<float>(side * side)});
  }
}

TEST_CASE("cuda pooling: many terms in one place of a plane that shared memory does not hold") {
  const Shape in{1, 2, 120, 110}, out{1, 2, 20, 10};
  const std::vector<float> dy = random_values<float>(out.elements(), 7, -1, 1);
  std::vector<Index> index(dy.size());
  for (std::size_t i = 0; i < index.size(); ++i) index[i] = i % 3 == 0 ? 77 : static_cast<Index>(i * 31);
  std::vector<float> want(static_cast<std::size_t>(in.elements()));
  cpu::max_pool2d_scatter({want.data(), &in, DType::f32}, {dy.data(), &out, DType::f32}, {index.data(), &out, DType::i64});
  auto index_ = device_array(index, out);
  auto dy_ = device_array(dy, out);
  auto dx = device_output<float>(in);
  cuda::max_pool2d_scatter(dx.array(), dy_.array(), index_.array());
  check_same_bits(dx.values(), want);
}
