// Indexing kernels against element-by-element loops; sums must equal a sequential sum bit for bit.
#include <vector>

#include <gradus/kernels/index.h>
#include <gradus/tests/kernels/kernel_support.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

using Index = std::int64_t;

/// A shape seen as [outer, extent, inner] around an axis.
struct View {
  Index outer = 1, extent, inner = 1;
  View(const Shape& shape, int axis) : extent(shape[axis]) {
    for (int a = 0; a < axis; ++a) outer *= shape[a];
    for (int a = axis + 1; a < shape.rank(); ++a) inner *= shape[a];
  }
  Index flat(Index o, Index j, Index k) const { return (o * extent + j) * inner + k; }
};
template <class F> void for_each(const View& v, const F& f) {
  for (Index o = 0; o < v.outer; ++o)
    for (Index j = 0; j < v.extent; ++j)
      for (Index k = 0; k < v.inner; ++k) f(o, j, k);
}

Shape with_extent(const Shape& shape, int axis, Index n) {
  Shape out;
  for (int a = 0; a < shape.rank(); ++a) out.push_back(a == axis ? n : shape[a]);
  return out;
}
Buffer<Index> random_index(const Shape& shape, Index bound, std::mt19937& rng) {
  Buffer<Index> index(shape);
  for (Index i = 0; i < index.size(); ++i) index[i] = static_cast<Index>(rng() % static_cast<unsigned>(bound));
  return index;
}

/// index_select and its adjoint along an axis of `shape`, n positions.
template <class T> void check_select(const Shape& shape, int axis, Index n, std::mt19937& rng) {
  INFO("index_select " << n << " along axis " << axis << " of " << to_string(shape));
  const Shape selected = with_extent(shape, axis, n);
  const View from(shape, axis), to(selected, axis);
  Buffer<T> x(shape), y(selected);
  fill_normal(x, rng(), 50);
  const Buffer<Index> index = random_index({n}, shape[axis], rng);
  cpu::index_select(y.array(), x.array(), index.array(), axis);
  REQUIRE(y.guards_intact());
  for_each(to, [&](Index o, Index j, Index k) { REQUIRE(y[to.flat(o, j, k)] == x[from.flat(o, index[j], k)]); });
  if constexpr (std::is_floating_point_v<T>) {
    Buffer<T> sum = x, expected = x;
    for_each(to, [&](Index o, Index j, Index k) { expected[from.flat(o, index[j], k)] += y[to.flat(o, j, k)]; });
    cpu::index_add(sum.array(), y.array(), index.array(), axis);
    REQUIRE(sum.guards_intact());
    REQUIRE(sum.same_bits(expected));
  }
}

/// gather and its adjoint: the index picks n positions of `shape` along the axis at every place.
template <class T> void check_gather(const Shape& shape, int axis, Index n, std::mt19937& rng) {
  INFO("gather " << n << " along axis " << axis << " of " << to_string(shape));
  const Shape gathered = with_extent(shape, axis, n);
  const View from(shape, axis), to(gathered, axis);
  Buffer<T> x(shape), y(gathered);
  fill_normal(x, rng(), 50);
  const Buffer<Index> index = random_index(gathered, shape[axis], rng);
  cpu::gather(y.array(), x.array(), index.array(), axis);
  REQUIRE(y.guards_intact());
  for_each(to, [&](Index o, Index j, Index k) { REQUIRE(y[to.flat(o, j, k)] == x[from.flat(o, index[to.flat(o, j, k)], k)]); });
  if constexpr (std::is_floating_point_v<T>) {
    Buffer<T> sum = x, expected = x;
    for_each(to, [&](Index o, Index j, Index k) { expected[from.flat(o, index[to.flat(o, j, k)], k)] += y[to.flat(o, j, k)]; });
    cpu::scatter_add(sum.array(), y.array(), index.array(), axis);
    REQUIRE(sum.guards_intact());
    REQUIRE(sum.same_bits(expected));
  }
}

template <class T> void check_all(const Shape& shape, int axis, Index n, std::mt19937& rng) {
  check_select<T>(shape, axis, n, rng);
  check_gather<T>(shape, axis, n, rng);
}

void check_sizes() {
  std::mt19937 rng(1);
  for (const Shape& shape :
       {Shape{5}, Shape{1}, Shape{4, 6}, Shape{3, 4, 5}, Shape{2, 1, 7, 3}, Shape{3, 2, 0}, Shape{0, 3}, Shape{300, 70}, Shape{70, 9, 40}})
    for (int axis = 0; axis < shape.rank(); ++axis)
      for (const Index n : {0, 1, 3, 200}) {
        if (shape[axis] == 0) continue;
        check_all<float>(shape, axis, n, rng);
        check_all<double>(shape, axis, n, rng);
        check_all<std::uint8_t>(shape, axis, n, rng);
        check_all<Index>(shape, axis, n, rng);
      }
}

}  // namespace

TEST_CASE("index_select, index_add, gather, scatter_add: all axes, sizes and types") { check_sizes(); }

TEST_CASE("index_add, scatter_add: sums keep their order on threads") {
  ThreadPool pool(3);
  PoolScope scope(pool);
  check_sizes();
  std::mt19937 rng(2);
  check_all<float>({500, 131}, 0, 3000, rng);
  check_all<float>({40, 500, 9}, 1, 3000, rng);
}

TEST_CASE("gather: two-byte elements") {
  const Shape shape{4}, gathered{3};
  const std::uint16_t x[] = {10, 20, 30, 40};
  const Index index[] = {3, 0, 3};
  std::uint16_t y[3];
  cpu::gather({y, &gathered, DType::bf16}, {x, &shape, DType::bf16}, {index, &gathered, DType::i64}, 0);
  CHECK(y[0] == 40);
  CHECK(y[1] == 10);
  CHECK(y[2] == 40);
}

TEST_CASE("scatter_add: NaN reaches only its own element") {
  Buffer<float> y({3}, 1.0f), x({2}, static_cast<float>(kNaN));
  Buffer<Index> index({2}, 1);
  cpu::scatter_add(y.array(), x.array(), index.array(), 0);
  CHECK(y[0] == 1);
  CHECK(std::isnan(y[1]));
  CHECK(y[2] == 1);
}

template <class T> void check_one_hot(const Buffer<Index>& index, Index classes) {
  Buffer<T> y({index.size(), classes}, T(9));
  cpu::one_hot(y.array(), index.array());
  REQUIRE(y.guards_intact());
  for (Index i = 0; i < y.size(); ++i) REQUIRE(y[i] == T(index[i / classes] == i % classes ? 1 : 0));
}

TEST_CASE("one_hot: one in the right place, zeros elsewhere") {
  std::mt19937 rng(3);
  for (const Index n : {0, 1, 7, 5000})
    for (const Index classes : {1, 2, 10, 33}) {
      const Buffer<Index> index = random_index({n}, classes, rng);
      check_one_hot<float>(index, classes);
      check_one_hot<double>(index, classes);
      check_one_hot<Index>(index, classes);
      check_one_hot<std::uint8_t>(index, classes);
      Mask y({n, classes});
      cpu::one_hot(y.array(), index.array());
      for (Index i = 0; i < n * classes; ++i) REQUIRE(y.bytes[i] == (index[i / classes] == i % classes ? 1 : 0));
    }
  Buffer<float> scalar({4}, 9.0f);
  Buffer<Index> two({}, 2);
  cpu::one_hot(scalar.array(), two.array());
  CHECK((scalar[0] == 0 && scalar[1] == 0 && scalar[2] == 1 && scalar[3] == 0));
}

TEST_CASE("first_out_of_range: the first one, below zero or at the bound") {
  Buffer<Index> index({100});
  for (Index i = 0; i < 100; ++i) index[i] = i % 10;
  CHECK(cpu::first_out_of_range(index.array(), 10) == -1);
  CHECK(cpu::first_out_of_range(index.array(), 9) == 9);
  index[42] = -1;
  index[77] = 12;
  CHECK(cpu::first_out_of_range(index.array(), 10) == 42);
  index[42] = std::numeric_limits<Index>::min();
  CHECK(cpu::first_out_of_range(index.array(), 10) == 42);
  index[42] = 0;
  CHECK(cpu::first_out_of_range(index.array(), 10) == 77);
  CHECK(cpu::first_out_of_range(Buffer<Index>(Shape{0}).array(), 0) == -1);
  CHECK(cpu::first_out_of_range(Buffer<Index>(Shape{1}).array(), 0) == 0);
}
