// Moving kernels against element-by-element index arithmetic, on shapes drawn at random and on those that choose another path.
#include <algorithm>
#include <functional>
#include <numeric>
#include <vector>

#include <gradus/kernels/shape.h>
#include <gradus/tests/kernels/kernel_support.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

using Index = std::int64_t;
using Position = std::vector<Index>;

/// f(position, flat offset) for every position of a shape, in order.
void for_each_position(const Shape& shape, const std::function<void(const Position&, Index)>& f) {
  for (Index flat = 0; flat < shape.elements(); ++flat) {
    Position p(static_cast<std::size_t>(shape.rank()));
    Index rest = flat;
    for (int a = shape.rank() - 1; a >= 0; --a) {
      p[static_cast<std::size_t>(a)] = rest % shape[a];
      rest /= shape[a];
    }
    f(p, flat);
  }
}
Index flat_of(const Shape& shape, const Position& p) {
  Index flat = 0;
  for (int a = 0; a < shape.rank(); ++a) flat = flat * shape[a] + p[static_cast<std::size_t>(a)];
  return flat;
}

/// Distinct values, exact in every type but u8.
template <class T> void count_up(Buffer<T>& x, Index start = 1) {
  for (Index i = 0; i < x.size(); ++i) x[i] = static_cast<T>(start + i);
}

/// y[position] must be expected(position), which reads x.
template <class T> void check(const Buffer<T>& y, const std::function<T(const Position&)>& expected) {
  REQUIRE(y.guards_intact());
  for_each_position(y.shape(), [&](const Position& p, Index flat) { REQUIRE(y[flat] == expected(p)); });
}

Shape random_shape(std::mt19937& rng, int max_rank = 5, Index max_extent = 7) {
  Shape shape;
  for (int a = static_cast<int>(rng() % static_cast<unsigned>(max_rank + 1)); a > 0; --a)
    shape.push_back(rng() % 20 == 0 ? 0 : 1 + rng() % static_cast<unsigned>(max_extent));
  return shape;
}

template <class T> void check_permute(const Shape& shape, const std::vector<int>& permutation) {
  INFO("permute " << to_string(shape) << " element of " << sizeof(T) << " bytes, axes "
                  << std::accumulate(permutation.begin(), permutation.end(), std::string(),
                                     [](auto s, int a) { return s + std::to_string(a); }));
  Shape permuted;
  for (const int a : permutation) permuted.push_back(shape[a]);
  Buffer<T> x(shape), y(permuted);
  count_up(x);
  cpu::permute(y.array(), x.array(), permutation.data());
  check<T>(y, [&](const Position& p) {
    Position q(p.size());
    for (std::size_t a = 0; a < p.size(); ++a) q[static_cast<std::size_t>(permutation[a])] = p[a];
    return x[flat_of(shape, q)];
  });
}
void check_permute_types(const Shape& shape, const std::vector<int>& permutation) {
  check_permute<float>(shape, permutation);
  check_permute<double>(shape, permutation);
  check_permute<std::uint8_t>(shape, permutation);
}

template <class T> void check_slice(const Shape& x_shape, const Shape& y_shape, const Position& starts, const Position& steps) {
  INFO("slice " << to_string(y_shape) << " of " << to_string(x_shape));
  Buffer<T> x(x_shape), y(y_shape);
  count_up(x);
  const auto source = [&](const Position& p) {
    Position q(p);
    for (std::size_t a = 0; a < p.size(); ++a) q[a] = starts[a] + p[a] * steps[a];
    return flat_of(x_shape, q);
  };
  cpu::slice(y.array(), x.array(), starts.data(), steps.data());
  check<T>(y, [&](const Position& p) { return x[source(p)]; });

  Buffer<T> sum(x_shape), expected(x_shape);
  count_up(sum, 100);
  count_up(expected, 100);
  for_each_position(y_shape, [&](const Position& p, Index flat) { expected[source(p)] += y[flat]; });
  cpu::slice_add(sum.array(), y.array(), starts.data(), steps.data());
  REQUIRE(sum.guards_intact());
  REQUIRE(sum.same_bits(expected));
}

/// A window that fits: starts, steps and extents.
void check_random_slice(std::mt19937& rng) {
  const Shape x_shape = random_shape(rng);
  Shape y_shape;
  Position starts, steps;
  for (const Index n : x_shape) {
    const Index start = static_cast<Index>(rng() % static_cast<unsigned>(n + 1)), step = 1 + rng() % 3;
    const Index most = (n - start + step - 1) / step;
    y_shape.push_back(most ? static_cast<Index>(rng() % static_cast<unsigned>(most + 1)) : 0);
    starts.push_back(start);
    steps.push_back(step);
  }
  check_slice<float>(x_shape, y_shape, starts, steps);
  check_slice<double>(x_shape, y_shape, starts, steps);
}

template <class T> void check_pad(const Shape& x_shape, const Position& low, const Position& high, double value) {
  Shape y_shape;
  for (int a = 0; a < x_shape.rank(); ++a)
    y_shape.push_back(x_shape[a] + low[static_cast<std::size_t>(a)] + high[static_cast<std::size_t>(a)]);
  INFO("pad " << to_string(x_shape) << " to " << to_string(y_shape));
  Buffer<T> x(x_shape), y(y_shape);
  count_up(x);
  cpu::pad(y.array(), x.array(), low.data(), value);
  check<T>(y, [&](Position p) {
    for (std::size_t a = 0; a < p.size(); ++a) {
      p[a] -= low[a];
      if (p[a] < 0 || p[a] >= x_shape[static_cast<int>(a)]) return static_cast<T>(value);
    }
    return x[flat_of(x_shape, p)];
  });
}

template <class T> void check_flip(const Shape& shape, unsigned axes) {
  INFO("flip " << to_string(shape) << " axes " << axes);
  Buffer<T> x(shape), y(shape);
  count_up(x);
  cpu::flip(y.array(), x.array(), axes);
  check<T>(y, [&](Position p) {
    for (std::size_t a = 0; a < p.size(); ++a)
      if (axes >> a & 1u) p[a] = shape[static_cast<int>(a)] - 1 - p[a];
    return x[flat_of(shape, p)];
  });
}

template <class T> void check_broadcast(const Shape& x_shape, const Shape& y_shape) {
  INFO("broadcast " << to_string(x_shape) << " to " << to_string(y_shape));
  Buffer<T> x(x_shape), y(y_shape);
  count_up(x);
  cpu::broadcast_to(y.array(), x.array());
  check<T>(y, [&](const Position& p) {
    Position q(p.end() - x_shape.rank(), p.end());
    for (std::size_t a = 0; a < q.size(); ++a)
      if (x_shape[static_cast<int>(a)] == 1) q[a] = 0;
    return x[flat_of(x_shape, q)];
  });
}

template <class T> void check_concat(const Shape& like, int axis, const std::vector<Index>& extents) {
  INFO("concat along " << axis << " of " << to_string(like));
  std::vector<Buffer<T>> inputs;
  Shape y_shape;
  const Index total = std::accumulate(extents.begin(), extents.end(), Index{0});
  for (int a = 0; a < like.rank(); ++a) y_shape.push_back(a == axis ? total : like[a]);
  for (const Index n : extents) {
    Shape shape;
    for (int a = 0; a < like.rank(); ++a) shape.push_back(a == axis ? n : like[a]);
    inputs.emplace_back(shape);
    count_up(inputs.back(), 1000 * static_cast<Index>(inputs.size()));
  }
  std::vector<ConstArray> arrays;
  for (const Buffer<T>& x : inputs) arrays.push_back(x.array());
  Buffer<T> y(y_shape);
  cpu::concat(y.array(), arrays.data(), static_cast<int>(arrays.size()), axis);
  check<T>(y, [&](Position p) {
    std::size_t i = 0;
    Index& at = p[static_cast<std::size_t>(axis)];
    for (; at >= extents[i]; ++i) at -= extents[i];
    return inputs[i][flat_of(inputs[i].shape(), p)];
  });
}

}  // namespace

TEST_CASE("permute: random shapes and permutations") {
  std::mt19937 rng(1);
  for (int i = 0; i < 300; ++i) {
    const Shape shape = random_shape(rng);
    std::vector<int> permutation(static_cast<std::size_t>(shape.rank()));
    std::iota(permutation.begin(), permutation.end(), 0);
    std::shuffle(permutation.begin(), permutation.end(), rng);
    check_permute_types(shape, permutation);
  }
}

TEST_CASE("permute: transpositions of every size around a block") {
  for (const Index rows : {1, 2, 3, 4, 7, 8, 9, 31, 32, 33, 63, 64, 65, 130})
    for (const Index columns : {1, 3, 5, 8, 12, 32, 64, 67, 128}) check_permute_types({rows, columns}, {1, 0});
}

TEST_CASE("permute: layouts of images and attention heads") {
  check_permute_types({2, 3, 37, 41}, {0, 2, 3, 1});
  check_permute_types({2, 37, 41, 3}, {0, 3, 1, 2});
  check_permute_types({2, 40, 12, 20}, {0, 2, 3, 1});
  check_permute_types({2, 9, 3, 16}, {0, 2, 1, 3});
  check_permute_types({2, 9, 3, 16}, {0, 2, 3, 1});
  check_permute_types({5, 1500, 4}, {2, 1, 0});
  check_permute_types({2, 1, 2, 3, 1, 2, 2, 3}, {7, 3, 1, 0, 2, 6, 4, 5});
}

TEST_CASE("permute: two-byte elements") {
  const Shape shape{70, 9, 5}, permuted{5, 70, 9};
  const int permutation[] = {2, 0, 1};
  std::vector<std::uint16_t> x(static_cast<std::size_t>(shape.elements())), y(x.size());
  std::iota(x.begin(), x.end(), std::uint16_t{0});
  cpu::permute({y.data(), &permuted, DType::bf16}, {x.data(), &shape, DType::bf16}, permutation);
  for_each_position(permuted, [&](const Position& p, Index flat) {
    REQUIRE(y[std::size_t(flat)] == x[std::size_t(flat_of(shape, {p[1], p[2], p[0]}))]);
  });
}

TEST_CASE("slice, slice_add: random windows") {
  std::mt19937 rng(2);
  for (int i = 0; i < 500; ++i) check_random_slice(rng);
  check_slice<float>({3, 40000}, {3, 39001}, {0, 7}, {1, 1});
  check_slice<float>({100000}, {33000}, {5}, {3});
}

TEST_CASE("slice_add: NaN and infinity stay") {
  Buffer<float> y({4}, 1.0f), x({2});
  x[0] = static_cast<float>(kNaN);
  x[1] = static_cast<float>(kInfinity);
  const Index start = 1, step = 2;
  cpu::slice_add(y.array(), x.array(), &start, &step);
  CHECK(y[0] == 1);
  CHECK(std::isnan(y[1]));
  CHECK(y[2] == 1);
  CHECK(std::isinf(y[3]));
}

TEST_CASE("concat: any axis, any extents, empty inputs among them") {
  for (int axis = 0; axis < 3; ++axis) {
    check_concat<float>({3, 4, 5}, axis, {2, 1, 3});
    check_concat<double>({3, 4, 5}, axis, {1});
    check_concat<std::uint8_t>({3, 4, 5}, axis, {0, 2, 0, 7});
    check_concat<float>({3, 0, 5}, axis, {1, 2});
  }
  check_concat<float>({7}, 0, {40000, 3, 50000});
  check_concat<float>({500, 1, 90}, 1, {3, 0, 2, 1});
  check_concat<std::uint8_t>({3, 2}, 1, std::vector<Index>(40, 2));  // more inputs than are written at once
}

TEST_CASE("pad: random paddings of every type") {
  std::mt19937 rng(3);
  for (int i = 0; i < 300; ++i) {
    const Shape shape = random_shape(rng, 4);
    Position low, high;
    for (int a = 0; a < shape.rank(); ++a) {
      low.push_back(rng() % 2 ? rng() % 3 : 0);
      high.push_back(rng() % 2 ? rng() % 4 : 0);
    }
    check_pad<float>(shape, low, high, -1.5);
    check_pad<double>(shape, low, high, -kInfinity);
    check_pad<Index>(shape, low, high, -7);
    check_pad<std::uint8_t>(shape, low, high, 255);
  }
  check_pad<float>({2, 3, 100, 120}, {0, 0, 1, 2}, {0, 0, 3, 0}, 0);
}

TEST_CASE("pad: bf16 and booleans by value") {
  const Shape x_shape{1}, y_shape{3};
  const Index low = 1;
  std::uint16_t x = 0x1234, y[3];
  cpu::pad({y, &y_shape, DType::bf16}, {&x, &x_shape, DType::bf16}, &low,
           1.0 + 0x1p-8 + 0x1p-20);  // above the midpoint of 1 and its successor
  CHECK(y[0] == 0x3F81);
  CHECK(y[1] == 0x1234);
  CHECK(y[2] == 0x3F81);
  bool a = false, b[3];
  cpu::pad({b, &y_shape, DType::boolean}, {&a, &x_shape, DType::boolean}, &low, 1);
  CHECK(b[0]);
  CHECK_FALSE(b[1]);
  CHECK(b[2]);
}

TEST_CASE("flip: every set of axes") {
  std::mt19937 rng(4);
  for (int i = 0; i < 200; ++i) {
    const Shape shape = random_shape(rng, 4, 9);
    const unsigned axes = rng() & ((1u << shape.rank()) - 1);
    check_flip<float>(shape, axes);
    check_flip<double>(shape, axes);
    check_flip<std::uint8_t>(shape, axes);
  }
  check_flip<float>({40000}, 1);
}

TEST_CASE("broadcast_to: missing and single extents") {
  std::mt19937 rng(5);
  for (int i = 0; i < 200; ++i) {
    const Shape y_shape = random_shape(rng);
    const int missing = static_cast<int>(rng() % static_cast<unsigned>(y_shape.rank() + 1));
    Shape x_shape;
    for (int a = missing; a < y_shape.rank(); ++a) x_shape.push_back(rng() % 2 ? 1 : y_shape[a]);
    check_broadcast<float>(x_shape, y_shape);
    check_broadcast<std::uint8_t>(x_shape, y_shape);
  }
  check_broadcast<float>({}, {70000});
  check_broadcast<float>({300, 1}, {300, 300});
}

TEST_CASE("shape kernels: the same bits for any thread count") {
  const Shape shape{17, 40, 300}, permuted{300, 17, 40}, window{17, 38, 250}, padded{17, 45, 300};
  const int permutation[] = {2, 0, 1};
  const Index starts[] = {0, 1, 13}, steps[] = {1, 1, 1}, low[] = {0, 2, 0};
  Buffer<float> x(shape);
  fill_normal(x, 6);
  struct Results {
    Buffer<float> permute, slice, slice_add, pad, flip, rows, columns;
  };
  const auto run = [&] {
    Results r{Buffer<float>(permuted),      Buffer<float>(window),       x, Buffer<float>(padded), Buffer<float>(shape),
              Buffer<float>({34, 40, 300}), Buffer<float>({17, 80, 300})};
    cpu::permute(r.permute.array(), x.array(), permutation);
    cpu::slice(r.slice.array(), x.array(), starts, steps);
    cpu::slice_add(r.slice_add.array(), r.slice.array(), starts, steps);
    cpu::pad(r.pad.array(), x.array(), low, 0.5);
    cpu::flip(r.flip.array(), x.array(), 5);
    const ConstArray twice[] = {x.array(), r.flip.array()};
    cpu::concat(r.rows.array(), twice, 2, 0);
    cpu::concat(r.columns.array(), twice, 2, 1);
    return r;
  };
  const Results alone = run();
  ThreadPool pool(3);
  PoolScope scope(pool);
  const Results shared = run();
  CHECK(alone.permute.same_bits(shared.permute));
  CHECK(alone.slice.same_bits(shared.slice));
  CHECK(alone.slice_add.same_bits(shared.slice_add));
  CHECK(alone.pad.same_bits(shared.pad));
  CHECK(alone.flip.same_bits(shared.flip));
  CHECK(alone.rows.same_bits(shared.rows));
  CHECK(alone.columns.same_bits(shared.columns));
}
