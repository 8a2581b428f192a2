// Reductions on the device against those on the CPU.
#include <algorithm>
#include <string>

#include <gradus/kernels/reduce.h>
#include <gradus/tests/kernels/cuda/support.h>
#include <gradus/tests/kernels/kernel_support.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

using Kernel = void (*)(Array, ConstArray, unsigned);
struct Pair {
  const char* name;
  Kernel on_device, on_cpu;
};
constexpr Pair kKernels[] = {{"sum", cuda::sum, cpu::sum},
                             {"max", cuda::max, cpu::max},
                             {"min", cuda::min, cpu::min},
                             {"logsumexp", cuda::logsumexp, cpu::logsumexp}};

struct Case {
  Shape shape;
  unsigned axes;
};

/// Every path: lines of 2 to 32 lanes and of blocks, in one part and in several, whole and broken packs, several runs a line; columns by
/// the few, by the tile, by the pack, in parts; nothing at all; axes by turns.
std::vector<Case> cases() {
  return {{{}, 0},
          {{1}, 1},
          {{5}, 1},
          {{1000}, 1},
          {{1024}, 1},
          {{1025}, 1},
          {{9000}, 1},
          {{40001}, 1},
          {{100, 2}, 2},
          {{7, 33}, 2},
          {{7, 33}, 1},
          {{7, 33}, 3},
          {{7, 33}, 0},
          {{300, 10}, 1},
          {{300, 10}, 2},
          {{3, 4100}, 2},
          {{3, 20000}, 2},
          {{3, 4100}, 1},
          {{4000, 3}, 1},
          {{6000, 4}, 1},
          {{700, 260}, 1},
          {{1200, 12}, 1},
          {{500, 34}, 1},
          {{3000, 5}, 1},
          {{3, 16411}, 2},
          {{24, 2051}, 2},  // enough lines for an extremum in every place of a load
          {{24, 2052}, 2},
          {{300, 66}, 1},
          {{129, 130}, 1},
          {{70, 8, 30}, 2},
          {{8, 5, 7, 7}, 13},
          {{8, 5, 7, 7}, 12},
          {{8, 5, 7, 7}, 2},
          {{6, 3, 20, 24}, 13},
          {{6, 3, 20, 21}, 13},
          {{2, 3, 2, 3, 2, 3}, 21},
          {{2, 3, 2, 3, 2, 3}, 42},
          {{2, 3, 2, 3, 2, 3, 2, 3}, 0x55},
          {{16, 2, 16, 3, 8}, 21},
          {{16, 2, 16, 3, 8}, 10},
          {{20, 1, 7}, 2},
          {{20, 1, 7}, 5},
          {{4, 0}, 2},
          {{0, 4}, 1},
          {{0, 4}, 2},
          {{40, 3, 60, 2}, 5}};
}

Shape kept_shape(const Shape& x, unsigned axes) {
  Shape y;
  for (int i = 0; i < x.rank(); ++i) y.push_back(axes >> i & 1 ? 1 : x[i]);
  return y;
}

template <class T> std::vector<T> on_cpu(Kernel kernel, std::vector<T> x, Shape shape, unsigned axes) {
  Shape kept = kept_shape(shape, axes);
  std::vector<T> y(static_cast<std::size_t>(kept.elements()));
  kernel(Array{y.data(), &kept, dtype_of<T>}, ConstArray(x.data(), &shape, dtype_of<T>), axes);
  return y;
}
template <class T> std::vector<T> on_device(Kernel kernel, const std::vector<T>& x, const Shape& shape, unsigned axes, int offset = 0) {
  auto from = device_array(x, shape, offset);
  auto y = device_output<T>(kept_shape(shape, axes), offset);
  kernel(y.array(), from.array(), axes);
  return y.values();
}

template <class T> void check(const Case& c, std::uint32_t seed, double tolerance) {
  const std::vector<T> x = random_values<T>(c.shape.elements(), seed, -2, 3);
  for (const Pair& k : kKernels) {
    INFO(k.name, " ", to_string(c.shape), ", axes ", c.axes, ", ", sizeof(T), " bytes");
    const std::vector<T> y = on_device(k.on_device, x, c.shape, c.axes);
    // A sum's error is relative to the size of its terms, 2 at most.
    const double terms = y.empty() ? 0 : 2.0 * static_cast<double>(c.shape.elements()) / static_cast<double>(y.size());
    check_close(y, on_cpu(k.on_cpu, x, c.shape, c.axes), tolerance, tolerance * terms / 8);
    check_same_bits(on_device(k.on_device, x, c.shape, c.axes, 1), y);  // wherever it lies in memory
  }
}

}  // namespace

TEST_CASE("cuda reduce: sum, max, min and logsumexp over any axes") {
  std::uint32_t seed = 1;
  for (const Case& c : cases()) check<float>(c, seed++, 2e-6), check<double>(c, seed++, 1e-13);
}

TEST_CASE("cuda reduce: the error of a long sum does not grow with its length") {
  const std::vector<float> x = random_values<float>(300000, 3, 0, 1);
  double exact = 0;
  for (const float v : x) exact += v;
  CHECK(static_cast<double>(on_device(cuda::sum, x, {300000}, 1)[0]) == doctest::Approx(exact).epsilon(1.2e-7));
  const std::vector<float> columns = on_device(cuda::sum, x, {30000, 10}, 1);
  double total = 0;
  for (const float v : columns) total += v;
  CHECK(total == doctest::Approx(exact).epsilon(1.2e-7));
}

TEST_CASE("cuda reduce: integers whose parts need more than the upper half of a double add up exactly") {
  for (const auto& [shape, axes] : {Case{{2, 12288}, 2}, Case{{6000, 4}, 1}, Case{{900, 34}, 1}, Case{{4, 1026}, 2}}) {
    const std::int64_t outputs = kept_shape(shape, axes).elements(), terms = shape.elements() / outputs;
    std::vector<double> x(static_cast<std::size_t>(shape.elements()));
    std::mt19937 rng(29);
    for (std::int64_t o = 0; o < outputs; ++o) {
      std::vector<double> line(static_cast<std::size_t>(terms));  // pairs that cancel, in any order, and 1 + o beside them
      for (std::size_t i = 0; i + 1 < line.size(); i += 2) line[i] = static_cast<double>(rng() % (1u << 20)), line[i + 1] = -line[i];
      std::shuffle(line.begin(), line.end(), rng);
      line[0] += static_cast<double>(1 + o);
      for (std::int64_t i = 0; i < terms; ++i)
        x[static_cast<std::size_t>(axes == 2 ? o * terms + i : i * outputs + o)] = line[static_cast<std::size_t>(i)];
    }
    std::vector<double> want;
    for (std::int64_t o = 0; o < outputs; ++o) want.push_back(static_cast<double>(1 + o));
    INFO(to_string(shape));
    check_same_bits(on_device(cuda::sum, x, shape, axes), want);
    check_same_bits(on_device(cuda::sum, std::vector<float>(x.begin(), x.end()), shape, axes),
                    std::vector<float>(want.begin(), want.end()));
  }
}

TEST_CASE("cuda reduce: a row's result does not depend on the rows beside it") {
  const Case batches[] = {{{1, 3}, 2},       {{1, 33}, 2},         {{1, 1200}, 2},     {{1, 20000}, 2},
                          {{1, 900, 12}, 2}, {{1, 30, 3, 70}, 10}, {{1, 50, 30, 4}, 6}};
  constexpr std::int64_t kRows = 5;
  for (const auto& [shape, axes] : batches) {
    const std::int64_t n = shape.elements();
    Shape many{kRows};
    for (int i = 1; i < shape.rank(); ++i) many.push_back(shape[i]);
    const std::vector<float> x = random_values<float>(n * kRows, 23, -2, 2);
    for (const Pair& k : kKernels) {
      const std::vector<float> y = on_device(k.on_device, x, many, axes);
      const std::size_t outputs = y.size() / kRows;
      for (std::size_t r = 0; r < kRows; ++r) {
        const auto begin = x.begin() + static_cast<std::ptrdiff_t>(r) * n;
        const auto one = on_device(k.on_device, std::vector<float>(begin, begin + n), shape, axes, static_cast<int>(r));
        INFO(k.name, " ", to_string(shape), ", axes ", axes, ", row ", r);
        check_same_bits(one, std::vector<float>(y.begin() + static_cast<std::ptrdiff_t>(r * outputs),
                                                y.begin() + static_cast<std::ptrdiff_t>((r + 1) * outputs)));
      }
    }
  }
}

TEST_CASE("cuda reduce: NaN and infinities") {
  const float nan = static_cast<float>(kNaN), infinity = static_cast<float>(kInfinity);
  const Case of_each[] = {{{3, 40}, 2}, {{3, 2000}, 2}, {{3, 9000}, 2}, {{40, 3}, 1}, {{5, 3, 8}, 5}, {{9000, 4}, 1}};
  for (const Case& c : of_each) {
    const int n = static_cast<int>(c.shape.elements());
    std::vector<float> x(static_cast<std::size_t>(n), -infinity);
    for (const Pair& k : kKernels) check_same_bits(on_device(k.on_device, x, c.shape, c.axes), on_cpu(k.on_cpu, x, c.shape, c.axes));
    // A few of each kind, in some of the lines.
    for (int i = 0; i < n; i += 3) x[static_cast<std::size_t>(i)] = static_cast<float>(i % 7);
    x[static_cast<std::size_t>(n / 2)] = nan;
    x[static_cast<std::size_t>(n - 1)] = infinity;
    for (const Pair& k : kKernels) {
      INFO(k.name, " ", to_string(c.shape), ", axes ", c.axes);
      check_close(on_device(k.on_device, x, c.shape, c.axes), on_cpu(k.on_cpu, x, c.shape, c.axes), 2e-6, 0);
    }
  }
  CHECK(on_device(cuda::logsumexp, std::vector<float>(64, 1e30f), {64}, 1)[0] == 1e30f);
}

TEST_CASE("cuda reduce: argmax takes the first maximum, or the first NaN") {
  std::mt19937 rng(5);
  for (Shape s :
       {Shape{1}, Shape{7}, Shape{5, 100}, Shape{100, 5}, Shape{4, 9, 70}, Shape{3, 1, 2}, Shape{20000}, Shape{0, 3}, Shape{9000, 2},
        Shape{600, 40}, Shape{2, 1300}, Shape{24, 1031}, Shape{1031, 24}, Shape{700, 33}, Shape{3, 20001}, Shape{3, 9000}})
    for (int axis = 0; axis < s.rank(); ++axis) {
      if (s[axis] == 0) continue;
      std::vector<float> x(static_cast<std::size_t>(s.elements()));
      for (float& v : x) v = rng() % 97 == 0 ? static_cast<float>(kNaN) : static_cast<float>(rng() % 5);
      if (axis == 0) std::fill(x.begin(), x.end(), -static_cast<float>(kInfinity));
      Shape kept;
      for (int k = 0; k < s.rank(); ++k)
        if (k != axis) kept.push_back(s[k]);
      std::vector<std::int64_t> want(static_cast<std::size_t>(kept.elements()));
      cpu::argmax(Array{want.data(), &kept, DType::i64}, ConstArray(x.data(), &s, DType::f32), axis);
      auto from = device_array(x, s, 1);
      auto y = device_output<std::int64_t>(kept);
      cuda::argmax(y.array(), from.array(), axis);
      INFO(to_string(s), ", axis ", axis);
      check_same_bits(y.values(), want);
      auto aligned = device_array(x, s);
      cuda::argmax(y.array(), aligned.array(), axis);
      check_same_bits(y.values(), want);
      std::vector<double> wide(x.begin(), x.end());
      for (const int offset : {0, 1}) {
        auto from_wide = device_array(wide, s, offset);
        cuda::argmax(y.array(), from_wide.array(), axis);
        check_same_bits(y.values(), want);
      }
    }
}
