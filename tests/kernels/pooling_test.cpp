// Pooling against windows walked pixel by pixel.
#include <string>

#include <gradus/tests/kernels/kernel_support.h>
#include <gradus/tests/kernels/pooling_cases.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

/// Every geometry that takes a path of its own: 2x2 in whole, overlapping and short vectors; taps with stride 1, 2, 3; windows wider than
/// the row of outputs; padding; one pixel; nothing.
std::vector<Pool2d> geometries() {
  return {pool(2, 3, 8, 16, 2, 2, 2, 2, 0, 0),  pool(1, 2, 7, 15, 2, 2, 2, 2, 0, 0),  pool(3, 1, 5, 7, 2, 2, 2, 2, 0, 0),
          pool(2, 2, 2, 2, 2, 2, 2, 2, 0, 0),   pool(1, 9, 6, 9, 2, 2, 2, 2, 0, 0),   pool(2, 3, 9, 11, 3, 3, 2, 2, 1, 1),
          pool(1, 2, 6, 13, 3, 3, 1, 1, 1, 1),  pool(1, 2, 10, 23, 4, 2, 3, 3, 2, 1), pool(2, 2, 7, 7, 7, 7, 7, 7, 0, 0),
          pool(1, 1, 5, 6, 4, 5, 1, 2, 2, 2),   pool(1, 1, 1, 1, 1, 1, 1, 1, 0, 0),   pool(2, 1, 4, 6, 2, 2, 1, 1, 1, 1),
          pool(1, 17, 3, 40, 1, 3, 1, 2, 0, 0), pool(0, 3, 4, 4, 2, 2, 2, 2, 0, 0),   pool(3, 0, 4, 4, 3, 3, 1, 1, 1, 1)};
}

/// f(input offset of a real pixel inside the window of output o, offset of o) in row-major order, o running over all outputs.
template <class F> void walk(const Pool2d& p, const F& f) {
  for (Index plane = 0; plane < p.n * p.c; ++plane)
    for (Index i = 0; i < p.out_h; ++i)
      for (Index j = 0; j < p.out_w; ++j)
        for (Index y = i * p.stride_h - p.pad_h; y < i * p.stride_h - p.pad_h + p.kernel_h; ++y)
          for (Index x = j * p.stride_w - p.pad_w; x < j * p.stride_w - p.pad_w + p.kernel_w; ++x)
            if (y >= 0 && y < p.h && x >= 0 && x < p.w) f(plane, y * p.w + x, (plane * p.out_h + i) * p.out_w + j);
}

template <class T> void check_max(const Pool2d& p, Buffer<T>& x) {
  INFO(text(p));
  Buffer<T> y(output_shape(p)), expected(output_shape(p));
  Buffer<Index> index(output_shape(p)), place(output_shape(p), -1);
  cpu::max_pool2d(y.array(), index.array(), x.array(), p);
  walk(p, [&](Index plane, Index at, Index o) {
    const T value = x[plane * p.h * p.w + at];
    if (place[o] < 0 || value > expected[o] || std::isnan(value)) expected[o] = value, place[o] = at;
  });
  for (Index o = 0; o < y.size(); ++o) {
    CAPTURE(o);
    REQUIRE(index[o] == place[o]);
    REQUIRE((y[o] == expected[o] || (std::isnan(y[o]) && std::isnan(expected[o]))));
  }
  REQUIRE(y.guards_intact());
  REQUIRE(index.guards_intact());
}

template <class T> void check_scatter_and_gather(const Pool2d& p) {
  INFO(text(p));
  Buffer<T> x(input_shape(p)), y(output_shape(p)), dy(output_shape(p)), dx(input_shape(p), T(7)), expected(input_shape(p)),
      back(output_shape(p));
  Buffer<Index> index(output_shape(p));
  fill_normal(x, 11), fill_normal(dy, 12);
  cpu::max_pool2d(y.array(), index.array(), x.array(), p);
  cpu::max_pool2d_scatter(dx.array(), dy.array(), index.array());
  const Index outputs = p.out_h * p.out_w;
  for (Index o = 0; o < dy.size(); ++o) expected[o / outputs * p.h * p.w + index[o]] += dy[o];
  REQUIRE(dx.same_bits(expected));
  cpu::max_pool2d_gather(back.array(), x.array(), index.array());
  REQUIRE(back.same_bits(y));  // the maxima are where the index says
  REQUIRE(dx.guards_intact());
  REQUIRE(back.guards_intact());
}

template <class T> void check_mean(const Pool2d& p, double tolerance) {
  INFO(text(p));
  Buffer<T> x(input_shape(p)), y(output_shape(p)), dy(output_shape(p)), dx(input_shape(p), T(7));
  fill_normal(x, 21), fill_normal(dy, 22);
  cpu::avg_pool2d(y.array(), x.array(), p);
  cpu::avg_pool2d_backward(dx.array(), dy.array(), p);
  const double area = static_cast<double>(p.kernel_h * p.kernel_w);
  Buffer<double> mean(output_shape(p)), spread(input_shape(p));
  walk(p, [&](Index plane, Index at, Index o) {
    mean[o] += static_cast<double>(x[plane * p.h * p.w + at]) / area;
    spread[plane * p.h * p.w + at] += static_cast<double>(dy[o]) / area;
  });
  for (Index o = 0; o < y.size(); ++o) REQUIRE(std::fabs(static_cast<double>(y[o]) - mean[o]) <= tolerance);
  for (Index i = 0; i < x.size(); ++i) REQUIRE(std::fabs(static_cast<double>(dx[i]) - spread[i]) <= tolerance);
  REQUIRE(y.guards_intact());
  REQUIRE(dx.guards_intact());
}

template <class T> void check_thread_count(const Pool2d& p) {
  Buffer<T> x(input_shape(p)), y(output_shape(p)), y2(output_shape(p)), dx(input_shape(p)), dx2(input_shape(p));
  Buffer<Index> index(output_shape(p)), index2(output_shape(p));
  fill_normal(x, 31);
  const auto run = [&](Buffer<T>& out, Buffer<Index>& at, Buffer<T>& back) {
    cpu::max_pool2d(out.array(), at.array(), x.array(), p);
    cpu::max_pool2d_scatter(back.array(), out.array(), at.array());
    cpu::avg_pool2d(out.array(), x.array(), p);
  };
  run(y, index, dx);
  ThreadPool threads(3);
  const PoolScope scope(threads);
  run(y2, index2, dx2);
  REQUIRE(y.same_bits(y2));
  REQUIRE(index.same_bits(index2));
  REQUIRE(dx.same_bits(dx2));
}

}  // namespace

TEST_CASE("pooling: the maximum of every window and its place") {
  for_each_isa([] {
    for (const Pool2d& p : geometries()) {
      Buffer<float> x(input_shape(p));
      Buffer<double> wide(input_shape(p));
      fill_normal(x, 1), fill_normal(wide, 2);
      check_max(p, x), check_max(p, wide);
    }
  });
}

TEST_CASE("pooling: among equal maxima the first wins") {
  for_each_isa([] {
    for (const Pool2d& p : geometries()) {
      Buffer<float> x(input_shape(p), 3.0f);
      check_max(p, x);
      Buffer<double> few(input_shape(p));
      for (Index i = 0; i < few.size(); ++i) few[i] = static_cast<double>(i % 3);
      check_max(p, few);
    }
  });
}

TEST_CASE("pooling: NaN wins, and -inf is a value like others") {
  for_each_isa([] {
    std::mt19937 rng(5);
    for (const Pool2d& p : geometries()) {
      Buffer<float> x(input_shape(p));
      Buffer<double> wide(input_shape(p));
      fill_normal(x, 3), fill_normal(wide, 4);
      for (Index i = 0; i < x.size(); ++i) {
        const auto draw = rng() % 10;
        if (draw == 0) x[i] = NAN, wide[i] = NAN;
        else if (draw < 6) x[i] = -INFINITY, wide[i] = -INFINITY;
      }
      check_max(p, x), check_max(p, wide);
    }
  });
}

TEST_CASE("pooling: scatter and gather by the index") {
  for_each_isa([] {
    for (const Pool2d& p : geometries()) check_scatter_and_gather<float>(p), check_scatter_and_gather<double>(p);
  });
}

TEST_CASE("pooling: the mean of every window, padding counted, and its adjoint") {
  for_each_isa([] {
    for (const Pool2d& p : geometries()) check_mean<float>(p, 2e-6), check_mean<double>(p, 1e-14);
  });
}

TEST_CASE("pooling: the same bits for any number of threads") {
  for_each_isa([] {
    check_thread_count<float>(pool(5, 7, 9, 9, 3, 3, 2, 2, 1, 1));
    check_thread_count<double>(pool(5, 7, 8, 8, 2, 2, 2, 2, 0, 0));
  });
}
