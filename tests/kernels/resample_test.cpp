// Resampling against a bilinear reference in f64 that works in normalised coordinates, pixel by pixel.
#include <cmath>
#include <vector>

#include <gradus/kernels/resample.h>
#include <gradus/tests/kernels/kernel_support.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

using Index = std::int64_t;

/// A sum over all input pixels, each weighted by its distance to the point: bilinear without a word about neighbours.
double reference(const std::vector<double>& image, Index h, Index w, double x, double y, double fill) {
  const double column = ((x + 1) * double(w) - 1) / 2, row = ((y + 1) * double(h) - 1) / 2;
  double sum = 0, weights = 0;
  for (Index i = 0; i < h; ++i)
    for (Index j = 0; j < w; ++j) {
      const double weight = std::fmax(0, 1 - std::fabs(row - double(i))) * std::fmax(0, 1 - std::fabs(column - double(j)));
      sum += weight * image[static_cast<std::size_t>(i * w + j)];
      weights += weight;
    }
  return sum + (1 - weights) * fill;
}

template <class T> Buffer<T> random_maps(Index n, std::uint32_t seed) {
  Buffer<T> m({n, 2, 3});
  fill_normal(m, seed, 0.4);
  for (Index i = 0; i < n; ++i) {
    m[i * 6] += T(1);
    m[i * 6 + 4] += T(1);
  }
  return m;
}
template <class T> Buffer<T> the_map(std::initializer_list<double> values) {
  Buffer<T> m({1, 2, 3});
  Index i = 0;
  for (const double v : values) m[i++] = static_cast<T>(v);
  return m;
}

template <class T> void check_affine(const Shape& from, const Shape& to, double fill, double tolerance) {
  INFO("from " << to_string(from) << " to " << to_string(to));
  Buffer<T> x(from), y(to);
  fill_normal(x, 3);
  const Buffer<T> maps = random_maps<T>(from[0], 4);
  cpu::affine_resample(y.array(), x.array(), maps.array(), fill);
  REQUIRE(y.guards_intact());
  const Index h = from[2], w = from[3], plane = h * w;
  for (Index flat = 0; flat < y.size(); ++flat) {
    const Index j = flat % to[3], i = flat / to[3] % to[2], nc = flat / (to[2] * to[3]);
    const T* const m = maps.data() + nc / to[1] * 6;
    const double u = (2 * double(j) + 1) / double(to[3]) - 1, v = (2 * double(i) + 1) / double(to[2]) - 1;
    const std::vector<double> image(x.data() + nc * plane, x.data() + (nc + 1) * plane);
    const double expected = reference(image, h, w, m[0] * u + m[1] * v + m[2], m[3] * u + m[4] * v + m[5], fill);
    REQUIRE(std::fabs(y[flat] - expected) < tolerance);
  }
}

template <class T> Buffer<T> resampled(const Buffer<T>& x, std::initializer_list<double> map, double fill = 0) {
  Buffer<T> y(x.shape());
  const Buffer<T> m = the_map<T>(map);
  cpu::affine_resample(y.array(), x.array(), m.array(), fill);
  return y;
}

}  // namespace

TEST_CASE("affine_resample: random maps, sizes and types") {
  const std::vector<std::pair<Shape, Shape>> shapes = {
      {{3, 1, 8, 8}, {3, 1, 8, 8}}, {{2, 3, 7, 11}, {2, 3, 7, 11}}, {{2, 2, 5, 9}, {2, 2, 12, 4}},
      {{1, 1, 1, 1}, {1, 1, 3, 3}}, {{1, 2, 1, 6}, {1, 2, 1, 6}},   {{0, 3, 4, 4}, {0, 3, 4, 4}},
      {{2, 0, 4, 4}, {2, 0, 4, 4}}, {{1, 1, 4, 4}, {1, 1, 0, 5}},   {{1, 1, 10, 70}, {1, 1, 9, 131}}};
  for (const auto& [from, to] : shapes)
    for (const double fill : {0.0, 2.5}) {
      check_affine<float>(from, to, fill, 1e-4);  // coordinates of 100 pixels have 1e-5 of rounding
      check_affine<double>(from, to, fill, 1e-12);
    }
}

TEST_CASE("affine_resample: maps that move pixels onto pixels are exact") {
  const Index n = 9;
  Buffer<float> x({1, 2, n, n});
  fill_normal(x, 5);
  const auto at = [&](const Buffer<float>& image, Index c, Index i, Index j) { return image[(c * n + i) * n + j]; };
  const Buffer<float> same = resampled(x, {1, 0, 0, 0, 1, 0}), mirrored = resampled(x, {-1, 0, 0, 0, 1, 0}),
                      turned = resampled(x, {0, 1, 0, -1, 0, 0});
  CHECK(same.same_bits(x));
  for (Index c = 0; c < 2; ++c)
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < n; ++j) {
        CHECK(at(mirrored, c, i, j) == at(x, c, i, n - 1 - j));
        CHECK(at(turned, c, i, j) == at(x, c, n - 1 - j, i));  // u -> y = -u: the row counts back as the column advances
      }
}

TEST_CASE("affine_resample: a shift by pixels moves the picture the documented way, and fills") {
  Buffer<float> x({1, 1, 4, 8});
  for (Index i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i + 1);
  const Buffer<float> y = resampled(x, {1, 0, 2 * 2 / 8.0, 0, 1, -2 * 1 / 4.0}, -5);  // reads 2 columns to the right, 1 row above
  for (Index i = 0; i < 4; ++i)
    for (Index j = 0; j < 8; ++j) CHECK(y[i * 8 + j] == (i >= 1 && j + 2 < 8 ? x[(i - 1) * 8 + j + 2] : -5));
}

TEST_CASE("affine_resample: far and non-finite coordinates") {
  Buffer<float> x({1, 1, 4, 4}, 1.0f);
  for (const double far : {1e30, -1e30, 5.0, -5.0}) {
    const Buffer<float> y = resampled(x, {1, 0, far, 0, 1, 0}, 0.25);
    for (Index i = 0; i < 16; ++i) CHECK(y[i] == 0.25f);
  }
  for (const double bad : {kNaN, kInfinity, -kInfinity}) {
    const Buffer<float> y = resampled(x, {1, 0, bad, 0, 1, 0}, 0.25);
    for (Index i = 0; i < 16; ++i) CHECK(std::isnan(y[i]));
  }
  x[5] = static_cast<float>(kNaN);
  const Buffer<float> y = resampled(x, {1, 0, 0, 0, 1, 0});
  CHECK(std::isnan(y[5]));
  CHECK(y[15] == 1);
}

TEST_CASE("affine_resample: an image does not depend on the others, nor on threads") {
  const Shape shape{5, 3, 30, 20}, one{1, 3, 30, 20}, map_shape{1, 2, 3};
  Buffer<float> x(shape), y(shape), y2(shape);
  fill_normal(x, 6);
  const Buffer<float> maps = random_maps<float>(5, 7);
  cpu::affine_resample(y.array(), x.array(), maps.array(), 0.5);
  for (Index i = 0; i < 5; ++i) {
    Buffer<float> alone(one);
    cpu::affine_resample(alone.array(), {x.data() + i * alone.size(), &one, DType::f32}, {maps.data() + i * 6, &map_shape, DType::f32},
                         0.5);
    CHECK(std::memcmp(alone.data(), y.data() + i * alone.size(), static_cast<std::size_t>(alone.size()) * sizeof(float)) == 0);
  }
  ThreadPool pool(3);
  PoolScope scope(pool);
  cpu::affine_resample(y2.array(), x.array(), maps.array(), 0.5);
  CHECK(y.same_bits(y2));
}

template <class T> void check_rectangles() {
  const Index h = 6, w = 9;
  const Index boxes[][4] = {{1, 2, 4, 5}, {0, 0, 6, 9}, {-3, -7, 2, 100}, {2, 5, 2, 8}, {4, 6, 1, 2}, {5, 8, 6, 9}, {7, 1, 9, 3}};
  const Index n = static_cast<Index>(std::size(boxes));
  Buffer<T> y({n, 2, h, w});
  fill_normal(y, 8);
  Buffer<T> expected = y;
  Buffer<Index> box({n, 4});
  for (Index i = 0; i < n; ++i)
    for (Index k = 0; k < 4; ++k) box[i * 4 + k] = boxes[i][k];
  for (Index flat = 0; flat < y.size(); ++flat) {
    const Index j = flat % w, i = flat / w % h, image = flat / (2 * h * w);
    if (i >= boxes[image][0] && i < boxes[image][2] && j >= boxes[image][1] && j < boxes[image][3]) expected[flat] = T(0.5);
  }
  cpu::fill_rectangles(y.array(), box.array(), 0.5);
  CHECK(y.guards_intact());
  CHECK(y.same_bits(expected));
}

TEST_CASE("fill_rectangles: clipped, empty and whole boxes") {
  check_rectangles<float>();
  check_rectangles<double>();
}
