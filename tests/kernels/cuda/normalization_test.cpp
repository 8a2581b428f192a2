// Batch normalisation on the device against that on the CPU.
#include <string>

#include <gradus/kernels/normalization.h>
#include <gradus/tests/kernels/cuda/support.h>
#include <gradus/tests/kernels/kernel_support.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

/// Long runs, in one part and several, whole and broken packs; short runs as columns, few and many, in one part and several; one channel,
/// one row, one number.
const Shape kShapes[] = {{4, 3, 10, 10}, {3, 2, 9, 9},  {2, 5, 70, 80}, {1, 4, 100}, {6, 7, 7, 7}, {5, 8, 4}, {40, 10},    {33, 130},
                         {7, 1, 5},      {9, 1},        {1, 1},         {1, 6, 3},   {600, 3, 6},  {3, 300},  {2, 1, 129}, {1000, 16},
                         {2, 133000},    {20, 5, 8, 8}, {2, 3, 61, 67}, {1200, 12},  {500, 34},    {70, 36},  {3000, 5}};

template <class T> struct Data {
  Shape shape, channels;
  std::vector<T> x, dy, gamma, beta;
  explicit Data(const Shape& s) : shape(s), channels({s[1]}) {
    x = random_values<T>(s.elements(), 1, 3, 5);
    dy = random_values<T>(s.elements(), 2, -1, 1);
    gamma = random_values<T>(s[1], 3, 0.5, 2);
    beta = random_values<T>(s[1], 4, -1, 1);
  }
  std::size_t n() const { return x.size(); }
  std::size_t c() const { return gamma.size(); }
  ConstArray of(const std::vector<T>& v) const { return {v.data(), &shape, dtype_of<T>}; }
  ConstArray per_channel(const std::vector<T>& v) const { return {v.data(), &channels, dtype_of<T>}; }
  Array to(std::vector<T>& v) const { return {v.data(), v.size() == n() && n() != c() ? &shape : &channels, dtype_of<T>}; }
};

/// Statistics are compared to the size of x, gradients to that of the sums they are made from.
template <class T> void check(const Shape& shape, double tolerance, int offset) {
  INFO(to_string(shape), ", ", sizeof(T), " bytes, offset ", offset);
  const Data<T> d(shape);
  std::vector<T> y(d.n()), mean(d.c()), var(d.c()), rstd(d.c()), dx(d.n()), dgamma(d.c()), dbeta(d.c());
  const Shape &s = d.shape, &c = d.channels;
  constexpr DType type = dtype_of<T>;
  cpu::batch_norm_train({y.data(), &s, type}, d.to(mean), d.to(var), d.to(rstd), d.of(d.x), d.per_channel(d.gamma), d.per_channel(d.beta),
                        1e-3);
  cpu::batch_norm_backward({dx.data(), &s, type}, d.to(dgamma), d.to(dbeta), d.of(d.dy), d.of(d.x), d.per_channel(mean),
                           d.per_channel(rstd), d.per_channel(d.gamma));

  auto x = device_array(d.x, s, offset), dy = device_array(d.dy, s, offset), gamma = device_array(d.gamma, c),
       beta = device_array(d.beta, c);
  auto y_ = device_output<T>(s, offset), dx_ = device_output<T>(s, offset);
  auto mean_ = device_output<T>(c), var_ = device_output<T>(c), rstd_ = device_output<T>(c), dgamma_ = device_output<T>(c),
       dbeta_ = device_output<T>(c);
  cuda::batch_norm_train(y_.array(), mean_.array(), var_.array(), rstd_.array(), x.array(), gamma.array(), beta.array(), 1e-3);
  check_close(mean_.values(), mean, tolerance, 0);
  check_close(var_.values(), var, 4 * tolerance, 8 * tolerance);
  check_close(rstd_.values(), rstd, 4 * tolerance, 0);
  // rstd is at most 32: where a channel has a single value, y is beta + gamma rstd times a rounding error of x.
  check_close(y_.values(), y, 4 * tolerance, 200 * tolerance);

  // From the CPU's statistics, so that only the backward pass is compared.
  auto cpu_mean = device_array(mean, c), cpu_rstd = device_array(rstd, c);
  cuda::batch_norm_backward(dx_.array(), dgamma_.array(), dbeta_.array(), dy.array(), x.array(), cpu_mean.array(), cpu_rstd.array(),
                            gamma.array());
  const double terms = static_cast<double>(d.n()) / static_cast<double>(d.c());
  check_close(dbeta_.values(), dbeta, tolerance, tolerance * terms / 4);
  check_close(dgamma_.values(), dgamma, tolerance, tolerance * terms / 2);
  check_close(dx_.values(), dx, 8 * tolerance, 64 * tolerance);

  cuda::batch_norm_backward({}, dgamma_.array(), dbeta_.array(), dy.array(), x.array(), cpu_mean.array(), cpu_rstd.array(), ConstArray());
  check_close(dgamma_.values(), dgamma, tolerance, tolerance * terms / 2);  // gamma is no part of them

  cuda::batch_norm_statistics(mean_.array(), var_.array(), x.array());
  check_close(mean_.values(), mean, tolerance, 0);
  check_close(var_.values(), var, 4 * tolerance, 8 * tolerance);

  std::vector<T> plain(d.n());
  cpu::batch_norm({plain.data(), &s, type}, d.of(d.x), d.per_channel(mean), d.per_channel(rstd), ConstArray(), ConstArray());
  cuda::batch_norm(y_.array(), x.array(), cpu_mean.array(), cpu_rstd.array(), ConstArray(), ConstArray());
  check_close(y_.values(), plain, 2 * tolerance, 2 * tolerance);
}

}  // namespace

TEST_CASE("cuda batch norm: statistics, y and gradients") {
  for (const Shape& s : kShapes)
    for (const int offset : {0, 1}) check<float>(s, 2e-6, offset), check<double>(s, 1e-13, offset);
}

TEST_CASE("cuda batch norm: a mean that is large beside the spread costs no accuracy") {
  for (const Shape& s : {Shape{2, 3, 100, 100}, Shape{500, 12}, Shape{1, 2, 128, 256}}) {
    std::vector<float> x = random_values<float>(s.elements(), 9, -1, 1);
    for (float& v : x) v = 1e4f + std::round(v * 64) / 64;  // exact in f32
    Shape shape = s, channels{s[1]};
    std::vector<float> mean(static_cast<std::size_t>(s[1])), var(mean);
    cpu::batch_norm_statistics({mean.data(), &channels, DType::f32}, {var.data(), &channels, DType::f32}, {x.data(), &shape, DType::f32});
    auto from = device_array(x, s);
    auto mean_ = device_output<float>(channels), var_ = device_output<float>(channels);
    cuda::batch_norm_statistics(mean_.array(), var_.array(), from.array());
    INFO(to_string(s));
    check_close(mean_.values(), mean, 2e-7, 0);
    check_close(var_.values(), var, 1e-5, 0);
  }
}

TEST_CASE("cuda batch norm: an empty batch has no statistics") {
  for (const Shape& s : {Shape{0, 3, 4}, Shape{0, 5}, Shape{2, 3, 0}, Shape{0, 2, 100}, Shape{0, 1, 100}}) {
    auto x = device_output<float>(s);
    const Shape channels{s[1]};
    auto mean = device_output<float>(channels), var = device_output<float>(channels), dgamma = device_output<float>(channels),
         dbeta = device_output<float>(channels);
    INFO(to_string(s));
    cuda::batch_norm_statistics(mean.array(), var.array(), x.array());
    for (const float v : mean.values()) CHECK(std::isnan(v));
    for (const float v : var.values()) CHECK(std::isnan(v));
    auto given = device_array(std::vector<float>(static_cast<std::size_t>(s[1]), 1), channels);
    cuda::batch_norm_backward(x.array(), dgamma.array(), dbeta.array(), x.array(), x.array(), given.array(), given.array(), ConstArray());
    for (const float v : dgamma.values()) CHECK(v == 0);
    for (const float v : dbeta.values()) CHECK(v == 0);
  }
  auto x = device_output<float>(Shape{4, 0, 3});
  auto none = device_output<float>(Shape{0});
  cuda::batch_norm_statistics(none.array(), none.array(), x.array());
}

TEST_CASE("cuda batch norm: the same bits every time") {
  for (const Shape& s : {Shape{3, 4, 60, 60}, Shape{700, 20}, Shape{30, 6, 7, 7}}) {
    auto x = device_array(random_values<float>(s.elements(), 5, -1, 1), s);
    const Shape channels{s[1]};
    const auto run = [&] {
      auto mean = device_output<float>(channels), var = device_output<float>(channels);
      cuda::batch_norm_statistics(mean.array(), var.array(), x.array());
      return var.values();
    };
    check_same_bits(run(), run());
  }
}
