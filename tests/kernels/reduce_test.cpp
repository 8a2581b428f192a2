// Reductions against sums, maxima and searches written out in extended precision.
#include <algorithm>
#include <string>

#include <gradus/kernels/reduce.h>
#include <gradus/tests/kernels/kernel_support.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

using Wide = long double;
using Kernel = void (*)(Array, ConstArray, unsigned);

Shape kept_shape(const Shape& x, unsigned axes) {
  Shape y;
  for (int i = 0; i < x.rank(); ++i) y.push_back(axes >> i & 1 ? 1 : x[i]);
  return y;
}

/// The element of y that element i of x is reduced into.
std::int64_t target_of(const Shape& x, unsigned axes, std::int64_t i) {
  std::int64_t target = 0, step = 1;
  for (int axis = x.rank() - 1; axis >= 0; --axis) {
    const std::int64_t index = i % x[axis];
    i /= x[axis];
    if (axes >> axis & 1) continue;
    target += index * step;
    step *= x[axis];
  }
  return target;
}

/// Every element of x, by the element of y that it goes into.
template <class T> std::vector<std::vector<Wide>> groups_of(const Buffer<T>& x, unsigned axes, std::int64_t outputs) {
  std::vector<std::vector<Wide>> groups(static_cast<std::size_t>(outputs));
  for (std::int64_t i = 0; i < x.size(); ++i) groups[static_cast<std::size_t>(target_of(x.shape(), axes, i))].push_back(x[i]);
  return groups;
}

Wide sum_of(const std::vector<Wide>& v) {
  Wide total = 0;
  for (const Wide x : v) total += x;
  return total;
}
Wide size_of_terms(const std::vector<Wide>& v) {
  Wide total = 0;
  for (const Wide x : v) total += std::fabs(x);
  return total;
}
Wide max_of(const std::vector<Wide>& v) { return v.empty() ? -kInfinity : *std::max_element(v.begin(), v.end()); }
Wide min_of(const std::vector<Wide>& v) { return v.empty() ? kInfinity : *std::min_element(v.begin(), v.end()); }
Wide logsumexp_of(const std::vector<Wide>& v) {
  const Wide top = max_of(v);
  if (std::isinf(top)) return top;
  Wide total = 0;
  for (const Wide x : v) total += std::exp(x - top);
  return top + std::log(total);
}

/// Largest error of a kernel, in units of `scale(group) * epsilon`.
template <class T, class Scale>
double worst_error(Kernel kernel, Wide (*exact)(const std::vector<Wide>&), const Buffer<T>& x, unsigned axes, const Scale& scale) {
  Buffer<T> y(kept_shape(x.shape(), axes));
  kernel(y.array(), x.array(), axes);
  CHECK(y.guards_intact());
  const auto groups = groups_of(x, axes, y.size());
  double worst = 0;
  for (std::int64_t i = 0; i < y.size(); ++i) {
    const Wide want = exact(groups[static_cast<std::size_t>(i)]);
    if (static_cast<Wide>(y[i]) == want) continue;
    const Wide unit = scale(groups[static_cast<std::size_t>(i)]) * std::numeric_limits<T>::epsilon();
    worst = std::max(worst, static_cast<double>(std::fabs(y[i] - want) / unit));
  }
  return worst;
}

template <class T> void check_all(const Shape& shape, unsigned axes, std::uint32_t seed) {
  Buffer<T> x(shape);
  fill_normal(x, seed, 2);
  INFO(to_string(shape), ", axes ", axes, ", ", sizeof(T), " bytes, seed ", seed);
  const auto one = [](const std::vector<Wide>&) { return Wide(1); };
  // 1024 terms at most are added in T: sqrt(32 + 5) additions in a row at a half epsilon each, on average; 4 is far beyond that.
  CHECK(worst_error(cpu::sum, sum_of, x, axes, size_of_terms) <= 4);
  CHECK(worst_error(cpu::max, max_of, x, axes, one) == 0);
  CHECK(worst_error(cpu::min, min_of, x, axes, one) == 0);
  CHECK(worst_error(cpu::logsumexp, logsumexp_of, x, axes, [](const auto& v) { return 1 + std::fabs(logsumexp_of(v)); }) <= 4);
}

struct Case {
  Shape shape;
  unsigned axes;
};
std::vector<Case> cases() {
  std::vector<Case> all = {{{}, 0},
                           {{1}, 1},
                           {{5}, 1},
                           {{1000}, 1},
                           {{40000}, 1},
                           {{3000000}, 1},
                           {{7, 33}, 2},
                           {{7, 33}, 1},
                           {{7, 33}, 3},
                           {{7, 33}, 0},
                           {{300, 10}, 1},
                           {{300, 10}, 2},
                           {{40000, 3}, 1},
                           {{3, 40000}, 1},
                           {{3, 40000}, 2},
                           {{2, 100000}, 2},
                           {{5000, 300}, 1},
                           {{200, 8, 30}, 2},
                           {{8, 5, 7, 7}, 13},
                           {{8, 5, 7, 7}, 12},
                           {{8, 5, 7, 7}, 2},
                           {{6, 3, 40, 41}, 13},
                           {{2, 3, 2, 3, 2, 3}, 21},
                           {{2, 3, 2, 3, 2, 3}, 42},
                           {{64, 2, 64, 3, 8}, 21},
                           {{64, 2, 64, 3, 8}, 10},
                           {{20, 1, 7}, 2},
                           {{20, 1, 7}, 5},
                           {{4, 0}, 2},
                           {{0, 4}, 1},
                           {{0, 4}, 2},
                           {{1000, 129}, 1},
                           {{1000, 128}, 1},
                           {{257, 256}, 1},
                           {{70, 1000, 4}, 5},
                           {{50, 3, 300, 2}, 5}};
  std::mt19937 rng(7);
  for (int i = 0; i < 80; ++i) {
    Shape s;
    const int rank = 1 + static_cast<int>(rng() % 6);
    for (int k = 0; k < rank; ++k) s.push_back(1 + static_cast<std::int64_t>(rng() % 6));
    all.push_back({s, static_cast<unsigned>(rng() % (1u << rank))});
  }
  return all;
}

std::int64_t naive_argmax(const Buffer<float>& x, std::int64_t start, std::int64_t n, std::int64_t step) {
  std::int64_t best = 0;
  for (std::int64_t i = 1; i < n; ++i) {
    const float v = x[start + i * step], top = x[start + best * step];
    if (!std::isnan(top) && (v > top || std::isnan(v))) best = i;
  }
  return best;
}

}  // namespace

TEST_CASE("reduce: sum, max, min and logsumexp over any axes") {
  for_each_isa([] {
    std::uint32_t seed = 1;
    for (const Case& c : cases()) {
      check_all<float>(c.shape, c.axes, seed++);
      check_all<double>(c.shape, c.axes, seed++);
    }
  });
}

TEST_CASE("reduce: the error of a sum of f32 hardly grows with its length") {
  for_each_isa([] {
    for (const std::int64_t n : {1000, 100000, 10000000}) {
      Buffer<float> x({n});
      std::mt19937 rng(3);
      for (std::int64_t i = 0; i < n; ++i) x[i] = static_cast<float>(rng() >> 8) * 0x1p-24f;
      INFO("n ", n);
      CHECK(worst_error(cpu::sum, sum_of, x, 1, sum_of) <= 1);
      Buffer<float> columns({n / 10, 10});
      std::copy(x.data(), x.data() + n, columns.data());
      CHECK(worst_error(cpu::sum, sum_of, columns, 1, sum_of) <= 1);
    }
  });
}

TEST_CASE("reduce: bits do not depend on the number of threads") {
  ThreadPool pool(3);
  for_each_isa([&] {
    for (const Case& c : cases()) {
      Buffer<float> x(c.shape);
      fill_normal(x, 17);
      for (const Kernel kernel : {cpu::sum, cpu::max, cpu::logsumexp}) {
        Buffer<float> y(kept_shape(c.shape, c.axes)), threaded(y.shape());
        kernel(y.array(), x.array(), c.axes);
        const PoolScope scope(pool);
        kernel(threaded.array(), x.array(), c.axes);
        INFO(to_string(c.shape), ", axes ", c.axes);
        CHECK(threaded.same_bits(y));
      }
    }
  });
}

TEST_CASE("reduce: a row's result does not depend on the rows beside it") {
  struct Batch {
    Shape shape;  // of one row
    unsigned axes;
  };
  const Batch batches[] = {{{1, 3}, 2},        {{1, 33}, 2},          {{1, 2000}, 2},      {{1, 50000}, 2},
                           {{1, 4000, 40}, 2}, {{1, 300, 3, 70}, 10}, {{1, 50, 30, 40}, 6}};
  for_each_isa([&] {
    for (const auto& [shape, axes] : batches) {
      constexpr std::int64_t kRows = 20;
      const std::int64_t n = shape.elements();
      Shape many{kRows};
      for (int i = 1; i < shape.rank(); ++i) many.push_back(shape[i]);
      Buffer<float> x(many), y(kept_shape(many, axes)), row(shape), one(kept_shape(shape, axes));
      fill_normal(x, 23);
      for (const Kernel kernel : {cpu::sum, cpu::max, cpu::logsumexp}) {
        kernel(y.array(), x.array(), axes);
        for (std::int64_t r = 0; r < kRows; ++r) {
          std::copy(x.data() + r * n, x.data() + (r + 1) * n, row.data());
          kernel(one.array(), row.array(), axes);
          INFO(to_string(shape), ", axes ", axes, ", row ", r);
          REQUIRE(std::memcmp(one.data(), y.data() + r * one.size(), static_cast<std::size_t>(one.size()) * sizeof(float)) == 0);
        }
      }
    }
  });
}

TEST_CASE("reduce: NaN and infinities") {
  const float nan = static_cast<float>(kNaN), infinity = static_cast<float>(kInfinity);
  for_each_isa([&] {
    for (const Case& c : {Case{{3, 40}, 2}, Case{{40, 3}, 1}, Case{{5, 3, 8}, 5}, Case{{3}, 0}}) {
      INFO(to_string(c.shape), ", axes ", c.axes);
      Buffer<float> x(c.shape, -infinity), y({3});
      // Where element j of y reads from: the first element of x that is reduced into it.
      const auto element = [&](std::int64_t j) {
        std::int64_t i = 0;
        while (target_of(c.shape, c.axes, i) != j) ++i;
        return i;
      };
      cpu::logsumexp(y.array(), x.array(), c.axes);
      for (int j = 0; j < 3; ++j) CHECK(y[j] == -infinity);
      x[element(0)] = nan;
      x[element(1)] = infinity;
      x[element(2)] = 2;
      for (const Kernel kernel : {cpu::max, cpu::logsumexp}) {
        kernel(y.array(), x.array(), c.axes);
        CHECK(std::isnan(y[0]));
        CHECK(y[1] == infinity);
        CHECK(y[2] == 2);
      }
      cpu::min(y.array(), x.array(), c.axes);
      CHECK(std::isnan(y[0]));
      if (c.axes != 0) CHECK(y[2] == -infinity);
    }
    Buffer<float> huge({64}, 1e30f), y({});
    cpu::logsumexp(y.array(), huge.array(), 1);
    CHECK(y[0] == 1e30f);
  });
}

TEST_CASE("reduce: argmax takes the first maximum, or the first NaN") {
  for_each_isa([] {
    std::mt19937 rng(5);
    for (const Shape& s :
         {Shape{1}, Shape{7}, Shape{5, 100}, Shape{100, 5}, Shape{4, 9, 70}, Shape{3, 1, 2}, Shape{50000}, Shape{0, 3}, Shape{40000, 2}})
      for (int axis = 0; axis < s.rank(); ++axis) {
        if (s[axis] == 0) continue;
        Buffer<float> x(s);
        for (std::int64_t i = 0; i < x.size(); ++i) x[i] = rng() % 97 == 0 ? static_cast<float>(kNaN) : static_cast<float>(rng() % 5);
        Shape kept;
        for (int k = 0; k < s.rank(); ++k)
          if (k != axis) kept.push_back(s[k]);
        Buffer<std::int64_t> y(kept);
        cpu::argmax(y.array(), x.array(), axis);
        const std::int64_t inner = s.product(axis + 1, s.rank());
        INFO(to_string(s), ", axis ", axis);
        bool same = true;
        for (std::int64_t i = 0; i < y.size(); ++i)
          same = same && y[i] == naive_argmax(x, i / inner * s[axis] * inner + i % inner, s[axis], inner);
        CHECK(same);
        CHECK(y.guards_intact());
      }
  });
}
