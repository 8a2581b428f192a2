// Softmax, log-softmax and cross-entropy on the device against those on the CPU.
#include <string>

#include <gradus/kernels/softmax.h>
#include <gradus/tests/kernels/cuda/support.h>
#include <gradus/tests/kernels/kernel_support.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

struct Case {
  Shape shape;
  int axis;
};
/// Every path: rows of few lanes, of a warp with few and many numbers a lane, of a block on the chip and beyond it, in packs and not;
/// columns alone, by eights, with wide and narrow insides, on the chip and beyond it; nothing.
const Case kCases[] = {{{5, 1}, 1},       {{7, 2}, 1},     {{33, 10}, 1},     {{9, 64}, 1},    {{3, 129}, 1},     {{5, 500}, 1},
                       {{2, 700}, 1},     {{3, 1000}, 1},  {{2, 1024}, 1},    {{2, 1025}, 1},  {{2, 5000}, 1},    {{2, 6100}, 1},
                       {{1, 12000}, 1},   {{1, 13001}, 1}, {{4, 6, 5}, 1},    {{3, 5, 7}, 0},  {{2, 40, 9}, 1},   {{2, 33, 70}, 1},
                       {{1, 400, 40}, 1}, {{700, 3}, 0},   {{2, 6000, 2}, 1}, {{300, 4}, 1},   {{3, 0}, 1},       {{0, 3}, 1},
                       {{2, 3, 0}, 1},    {{6}, 0},        {{2, 6500}, 1},    {{2, 1701}, 1},  {{2, 3502}, 1},    {{1, 12004}, 1},
                       {{1, 55, 33}, 1},  {{3, 1024}, 0},  {{4, 252}, 1},     {{1, 12006}, 1}, {{2, 1000, 13}, 1}};

template <class T> constexpr double kTolerance = sizeof(T) == 4 ? 2e-6 : 1e-13;

template <class T> std::vector<T> on_cpu(void (*kernel)(Array, ConstArray, int), const std::vector<T>& x, Shape s, int axis) {
  std::vector<T> y(x.size());
  kernel({y.data(), &s, dtype_of<T>}, {x.data(), &s, dtype_of<T>}, axis);
  return y;
}
template <class T> std::vector<T> on_cpu(void (*kernel)(Array, ConstArray, ConstArray, int), const std::vector<T>& dy,
                                         const std::vector<T>& y, Shape s, int axis) {
  std::vector<T> dx(y.size());
  kernel({dx.data(), &s, dtype_of<T>}, {dy.data(), &s, dtype_of<T>}, {y.data(), &s, dtype_of<T>}, axis);
  return dx;
}
template <class T>
std::vector<T> on_device(void (*kernel)(Array, ConstArray, int), const std::vector<T>& x, Shape s, int axis, int offset = 0) {
  auto from = device_array(x, s, offset);
  auto y = device_output<T>(s, offset);
  kernel(y.array(), from.array(), axis);
  return y.values();
}
template <class T> std::vector<T> on_device(void (*kernel)(Array, ConstArray, ConstArray, int), const std::vector<T>& dy,
                                            const std::vector<T>& y, Shape s, int axis, int offset = 0) {
  auto a = device_array(dy, s, offset), b = device_array(y, s, offset);
  auto dx = device_output<T>(s, offset);
  kernel(dx.array(), a.array(), b.array(), axis);
  return dx.values();
}

template <class T> void check(const Case& c, std::uint32_t seed) {
  INFO(to_string(c.shape), ", axis ", c.axis, ", ", sizeof(T), " bytes");
  constexpr double e = kTolerance<T>;
  const std::vector<T> x = random_values<T>(c.shape.elements(), seed, -4, 4), dy = random_values<T>(c.shape.elements(), seed + 1, -1, 1);
  const std::vector<T> y = on_cpu(cpu::softmax, x, c.shape, c.axis), log_y = on_cpu(cpu::log_softmax, x, c.shape, c.axis);
  const std::vector<T> got = on_device(cuda::softmax, x, c.shape, c.axis), log_got = on_device(cuda::log_softmax, x, c.shape, c.axis);
  check_close(got, y, 2 * e, 0);
  check_close(log_got, log_y, e, e);
  const std::vector<T> dx = on_device(cuda::softmax_backward, dy, y, c.shape, c.axis);
  const std::vector<T> log_dx = on_device(cuda::log_softmax_backward, dy, log_y, c.shape, c.axis);
  check_close(dx, on_cpu(cpu::softmax_backward, dy, y, c.shape, c.axis), 2 * e, e / 4);
  check_close(log_dx, on_cpu(cpu::log_softmax_backward, dy, log_y, c.shape, c.axis), 2 * e, 8 * e);
  // Wherever it lies in memory.
  check_same_bits(on_device(cuda::softmax, x, c.shape, c.axis, 1), got);
  check_same_bits(on_device(cuda::log_softmax, x, c.shape, c.axis, 1), log_got);
  check_same_bits(on_device(cuda::softmax_backward, dy, y, c.shape, c.axis, 3), dx);
  check_same_bits(on_device(cuda::log_softmax_backward, dy, log_y, c.shape, c.axis, 3), log_dx);
}

/// Loss, lse and gradient of one problem; `targets` are classes or distributions.
template <class T> struct CrossEntropy {
  Shape rows, logits;
  std::vector<T> x, dloss, weights;
  std::vector<std::int64_t> classes;
  std::vector<T> soft;

  CrossEntropy(std::int64_t n, std::int64_t k, std::uint32_t seed)
      : rows({n}),
        logits({n, k}),
        x(random_values<T>(n * k, seed, -5, 5)),
        dloss(random_values<T>(n, seed + 1, -1, 1)),
        weights(random_values<T>(k, seed + 2, 0.5, 2)),
        soft(random_values<T>(n * k, seed + 3, 0, 1)) {
    std::mt19937 rng(seed);
    for (std::int64_t i = 0; i < n; ++i) classes.push_back(static_cast<std::int64_t>(rng() % static_cast<std::uint32_t>(k)));
    for (std::size_t i = 0; i < soft.size(); i += 3) soft[i] = 0;
  }
  struct Result {
    std::vector<T> loss, lse, dx;
  };

  Result on_cpu(bool by_class, bool weighted) const {
    Result r{std::vector<T>(dloss.size()), std::vector<T>(dloss.size()), std::vector<T>(x.size())};
    const Shape k{logits[1]};
    const ConstArray in(x.data(), &logits, dtype_of<T>), w(weighted ? weights.data() : nullptr, &k, dtype_of<T>);
    const ConstArray t = by_class ? ConstArray(classes.data(), &rows, DType::i64) : ConstArray(soft.data(), &logits, dtype_of<T>);
    cpu::cross_entropy({r.loss.data(), &rows, dtype_of<T>}, {r.lse.data(), &rows, dtype_of<T>}, in, t, w);
    cpu::cross_entropy_backward({r.dx.data(), &logits, dtype_of<T>}, {dloss.data(), &rows, dtype_of<T>}, in,
                                {r.lse.data(), &rows, dtype_of<T>}, t, w);
    return r;
  }
  Result on_device(bool by_class, bool weighted, int offset = 0, bool in_place = false) const {
    auto in = device_array(x, logits, offset), g = device_array(dloss, rows), w = device_array(weights, {logits[1]});
    auto c = device_array(classes, rows);
    auto s = device_array(soft, logits, offset);
    auto loss = device_output<T>(rows), lse = device_output<T>(rows), dx = device_output<T>(logits, offset);
    const ConstArray t = by_class ? ConstArray(c.array()) : ConstArray(s.array()), given = weighted ? ConstArray(w.array()) : ConstArray();
    cuda::cross_entropy(loss.array(), lse.array(), in.array(), t, given);
    cuda::cross_entropy_backward(in_place ? in.array() : dx.array(), g.array(), in.array(), lse.array(), t, given);
    return {loss.values(), lse.values(), in_place ? in.values() : dx.values()};
  }
};

template <class T> void check_cross_entropy(std::int64_t n, std::int64_t k, std::uint32_t seed) {
  const CrossEntropy<T> problem(n, k, seed);
  constexpr double e = kTolerance<T>;
  for (const bool by_class : {true, false})
    for (const bool weighted : {false, true}) {
      INFO(n, " rows of ", k, ", classes ", by_class, ", weights ", weighted, ", ", sizeof(T), " bytes");
      const auto want = problem.on_cpu(by_class, weighted), got = problem.on_device(by_class, weighted);
      const double mass = by_class ? 2 : static_cast<double>(k);  // of a row's targets
      check_close(got.loss, want.loss, 2 * e, e);
      check_close(got.lse, want.lse, e, e);
      check_close(got.dx, want.dx, 4 * e, e * mass / 4);
      const auto shifted = problem.on_device(by_class, weighted, 1, true);
      check_same_bits(shifted.loss, got.loss);
      check_same_bits(shifted.dx, got.dx);
    }
}

}  // namespace

TEST_CASE("cuda softmax: values and gradients along any axis") {
  std::uint32_t seed = 1;
  for (const Case& c : kCases) check<float>(c, seed += 2), check<double>(c, seed += 2);
}

TEST_CASE("cuda softmax: large logits, -inf, and rows that have no softmax") {
  const float inf = static_cast<float>(kInfinity), nan = static_cast<float>(kNaN);
  for (const std::int64_t n : {7, 40, 1100, 14000})
    for (const bool along_rows : {true, false}) {
      constexpr std::int64_t kLines = 6;
      std::vector<float> x(static_cast<std::size_t>(kLines * n));
      const auto number = [&](std::int64_t line, std::int64_t i) -> float& {
        return x[static_cast<std::size_t>(along_rows ? line * n + i : i * kLines + line)];
      };
      for (std::int64_t i = 0; i < n; ++i) {
        const float v = static_cast<float>(i % 13);
        number(0, i) = 1e30f, number(1, i) = i % 2 ? -inf : v, number(2, i) = -inf;
        number(3, i) = i == n / 2 ? inf : v, number(4, i) = i == n - 1 ? nan : v, number(5, i) = i == 3 ? -1e30f : v - 1000;
      }
      const Shape s = along_rows ? Shape{kLines, n} : Shape{n, kLines};
      INFO(to_string(s));
      const double e = n > 10000 ? 1e-4 : 4e-6;  // the CPU adds up a column in f32, one number after the other
      check_close(on_device(cuda::softmax, x, s, along_rows), on_cpu(cpu::softmax, x, s, along_rows), e, 0);
      check_close(on_device(cuda::log_softmax, x, s, along_rows), on_cpu(cpu::log_softmax, x, s, along_rows), e, e);
    }
}

namespace {

/// Lines of n numbers around 1000, each with one of 3000 at a place of its own: whoever misses it overflows.
template <class T> void check_peaks(std::int64_t n, bool along_rows) {
  constexpr std::int64_t kLines = 24;
  const Shape s = along_rows ? Shape{kLines, n} : Shape{n, kLines};
  INFO(to_string(s), ", ", sizeof(T), " bytes");
  std::vector<T> x = random_values<T>(s.elements(), 40, 990, 1010);
  std::mt19937 rng(41);
  for (std::int64_t line = 0; line < kLines; ++line) {
    const auto i = static_cast<std::int64_t>(rng() % static_cast<std::uint32_t>(n));
    x[static_cast<std::size_t>(along_rows ? line * n + i : i * kLines + line)] = 3000;
  }
  constexpr double e = 100 * kTolerance<T>;  // of 3000, whose rounding the exponentials enlarge
  check_close(on_device(cuda::softmax, x, s, along_rows), on_cpu(cpu::softmax, x, s, along_rows), e, e * 1e-3);
  check_close(on_device(cuda::log_softmax, x, s, along_rows), on_cpu(cpu::log_softmax, x, s, along_rows), e, e);
  if (!along_rows) return;
  CrossEntropy<T> p(kLines, n, 42);
  p.x = x;
  for (const bool by_class : {true, false}) {
    const auto want = p.on_cpu(by_class, false), got = p.on_device(by_class, false);
    check_close(got.loss, want.loss, e, e);
    check_close(got.lse, want.lse, e, e);
  }
}

}  // namespace

TEST_CASE("cuda softmax: one number far above the rest, wherever it stands") {
  for (const std::int64_t n : {7, 40, 130, 700, 1100, 3001, 6500, 13001})
    for (const bool along_rows : {true, false}) check_peaks<float>(n, along_rows), check_peaks<double>(n, along_rows);
}

TEST_CASE("cuda cross entropy: loss, log-sum-exp and gradient; in place; wherever it lies") {
  std::uint32_t seed = 50;
  for (const auto& [n, k] : {std::pair<std::int64_t, std::int64_t>{4, 1},
                             {17, 10},
                             {5, 64},
                             {3, 129},
                             {3, 1000},
                             {2, 1023},
                             {2, 1025},
                             {2, 4096},
                             {1, 13000},
                             {2, 508},
                             {2, 1701},
                             {2, 3502},
                             {2, 6500},
                             {1, 13001},
                             {0, 5}})
    check_cross_entropy<float>(n, k, seed += 4), check_cross_entropy<double>(n, k, seed += 4);
}

TEST_CASE("cuda cross entropy: small losses keep their digits") {
  CrossEntropy<float> p(3, 40, 9);
  for (float& v : p.x) v = 0;
  for (std::size_t i = 0; i < 3; ++i) p.x[i * 40 + static_cast<std::size_t>(p.classes[i])] = static_cast<float>(20 * (i + 1));
  const auto want = p.on_cpu(true, false), got = p.on_device(true, false);
  check_close(got.loss, want.loss, 2e-6, 0);  // 8e-8, 2e-16, 3e-25
  check_close(got.dx, want.dx, 4e-6, 0);
}

TEST_CASE("cuda cross entropy: infinities and NaN") {
  const float inf = static_cast<float>(kInfinity), nan = static_cast<float>(kNaN);
  for (const std::int64_t k : {9, 1500}) {
    CrossEntropy<float> p(8, k, 11);
    const auto row = [&](std::int64_t r) { return p.x.data() + r * k; };
    std::fill(row(0), row(1), -inf);
    row(1)[p.classes[1]] = -inf;
    row(2)[p.classes[2]] = inf;
    row(3)[(p.classes[3] + 1) % k] = inf;
    row(4)[p.classes[4]] = nan;
    row(5)[(p.classes[5] + 1) % k] = nan;
    std::fill(row(6), row(7), -inf);
    row(6)[p.classes[6]] = 1;
    row(7)[0] = -inf;
    for (std::int64_t r = 0; r < 8; ++r) p.soft[static_cast<std::size_t>(r * k)] = 0;  // 0 times -inf is 0
    for (const bool by_class : {true, false}) {
      INFO(k, " classes, by class ", by_class);
      const auto want = p.on_cpu(by_class, false), got = p.on_device(by_class, false);
      check_close(got.loss, want.loss, 4e-6, 1e-6);
      check_close(got.lse, want.lse, 4e-6, 1e-6);
      check_close(got.dx, want.dx, 8e-6, 1e-3 * 4e-6 * static_cast<double>(k));
    }
  }
}

TEST_CASE("cuda cross entropy: a row with a class out of range has no loss and no gradient") {
  for (const std::int64_t k : {10, 1200}) {
    CrossEntropy<float> p(3, k, 13);
    p.classes = {-1, k, k + 7};
    const auto r = p.on_device(true, true);
    for (const float v : r.loss) CHECK(v == 0);
    for (const float v : r.dx) CHECK(v == 0);
  }
}
