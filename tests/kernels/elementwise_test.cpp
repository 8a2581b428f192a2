// Elementwise kernels against the C library in extended precision, element by element.
#include <algorithm>
#include <functional>
#include <string>

#include <gradus/kernels/elementwise.h>
#include <gradus/tests/kernels/kernel_support.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

using Wide = long double;
using UnaryKernel = void (*)(Array, ConstArray);
using BinaryKernel = void (*)(Array, ConstArray, ConstArray);

Wide normal_cdf(Wide x) { return std::erfc(-x * std::sqrt(0.5L)) / 2; }
Wide normal_pdf(Wide x) { return std::exp(-x * x / 2) / std::sqrt(2 * 3.14159265358979323846264338327950288L); }
Wide logistic(Wide x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }

struct Function {
  const char* name;
  UnaryKernel kernel;
  Wide (*exact)(Wide);
  double ulps_f32, ulps_f64;  // what kernels/cpu/math.h states
};
const Function kFunctions[] = {
    {"neg", cpu::neg, [](Wide x) { return -x; }, 0, 0},
    {"abs", cpu::abs, [](Wide x) { return std::fabs(x); }, 0, 0},
    {"sign", cpu::sign, [](Wide x) { return x > 0   ? 1
                                            : x < 0 ? -1
                                                    : x; }, 0, 0},
    {"square", cpu::square, [](Wide x) { return x * x; }, 0.5, 0.51},
    {"reciprocal", cpu::reciprocal, [](Wide x) { return 1 / x; }, 0.5, 0.51},
    {"sqrt", cpu::sqrt, [](Wide x) { return std::sqrt(x); }, 0.5, 0.51},
    {"rsqrt", cpu::rsqrt, [](Wide x) { return 1 / std::sqrt(x); }, 1.5, 1.5},
    {"relu", cpu::relu, [](Wide x) { return x <= 0 ? 0 : x; }, 0, 0},
    {"exp", cpu::exp, [](Wide x) { return std::exp(x); }, 1, 1},
    {"log", cpu::log, [](Wide x) { return std::log(x); }, 1, 1},
    {"log1p", cpu::log1p, [](Wide x) { return std::log1p(x); }, 1, 1},
    {"expm1", cpu::expm1, [](Wide x) { return std::expm1(x); }, 1.5, 2},
    {"tanh", cpu::tanh, [](Wide x) { return std::tanh(x); }, 2.6, 2.6},
    {"sigmoid", cpu::sigmoid, logistic, 2.5, 2.5},
    {"softplus", cpu::softplus, [](Wide x) { return std::isnan(x) ? x : std::max<Wide>(x, 0) + std::log1p(std::exp(-std::fabs(x))); }, 2,
     2},
    {"erf", cpu::erf, [](Wide x) { return std::erf(x); }, 1.5, 1.5},
    {"gelu", cpu::gelu, [](Wide x) { return std::isinf(x) ? std::max<Wide>(x, 0) : x * normal_cdf(x); }, 8.5, 11},
    {"sin", cpu::sin, [](Wide x) { return std::sin(x); }, 0.51, 0.6},
    {"cos", cpu::cos, [](Wide x) { return std::cos(x); }, 0.51, 0.6},
};

template <class T> double allowed(const Function& f) { return sizeof(T) == 4 ? f.ulps_f32 : f.ulps_f64; }

/// Bits of every size and sign, and values of ordinary size.
template <class T> T anything(std::mt19937_64& rng, int kind) {
  using Word = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  const auto word = static_cast<Word>(rng());
  T x;
  std::memcpy(&x, &word, sizeof x);
  const double unit = static_cast<double>(rng() >> 11) * 0x1p-52 - 1;
  switch (kind % 4) {
    case 0: return x;
    case 1: return static_cast<T>(unit * 2);
    case 2: return static_cast<T>(unit * 30);
    default: return static_cast<T>(unit * (sizeof(T) == 4 ? 110 : 760));
  }
}

template <class T> std::vector<T> special_values() {
  using L = std::numeric_limits<T>;
  std::vector<T> x = {T(0),         -T(0),         T(1),     T(-1),     L::infinity(),   -L::infinity(),   L::quiet_NaN(),
                      L::max(),     L::lowest(),   L::min(), -L::min(), L::denorm_min(), -L::denorm_min(), L::min() / 8,
                      L::epsilon(), -L::epsilon(), T(0.5),   T(-0.5),   T(3.25),         T(-7.75)};
  for (const double limit :
       {88.72, 88.73, -103.9, -104.1, 709.78, 709.79, -745.1, -745.2, 14.2, -14.2, 38.4, -38.4, 1e6, -1e6, 1048577.0, 1e20})
    x.push_back(static_cast<T>(limit));
  return x;
}

template <class T> void check_accuracy(const Function& f, Buffer<T>& x) {
  Buffer<T> y(x.shape());
  f.kernel(y.array(), x.array());
  double worst = 0;
  T at = 0;
  for (std::int64_t i = 0; i < x.size(); ++i) {
    const Wide exact = f.exact(x[i]);
    const double error = ulps(y[i], exact);
    const bool sign_lost =
        exact == 0 && y[i] == 0 && std::signbit(y[i]) != std::signbit(exact) && x[i] == 0 && std::string(f.name) != "relu";
    if (error > worst || sign_lost) worst = sign_lost ? kInfinity : error, at = x[i];
  }
  INFO(std::string(f.name), " of ", sizeof(T), " bytes, worst at ", at);
  CHECK(worst <= allowed<T>(f));
  CHECK(y.guards_intact());
}

template <class T> void check_all_accurate(std::int64_t samples) {
  constexpr std::uint64_t kSeed = 20240607;
  INFO("seed ", kSeed);
  const std::vector<T> special = special_values<T>();
  for (const Function& f : kFunctions) {
    std::mt19937_64 rng(kSeed);
    Buffer<T> x({samples});
    for (std::int64_t i = 0; i < samples; ++i)
      x[i] = i < static_cast<std::int64_t>(special.size()) ? special[static_cast<std::size_t>(i)] : anything<T>(rng, static_cast<int>(i));
    check_accuracy(f, x);
  }
}

/// y of a whole array equals y of each element alone, whatever the length: nothing depends on position.
template <class T> void check_position(const char* name, const std::function<void(Array, ConstArray)>& kernel) {
  for (const std::int64_t n : {0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 100}) {
    Buffer<T> x({n}), y({n}), in_place({n});
    fill_normal(x, static_cast<std::uint32_t>(n) + 1, 3);
    in_place = x;
    kernel(y.array(), x.array());
    kernel(in_place.array(), in_place.array());
    INFO(std::string(name), ", n ", n);
    CHECK(y.guards_intact());
    CHECK(in_place.same_bits(y));
    bool same = true;
    for (std::int64_t i = 0; i < n; ++i) {
      Buffer<T> one_x({}), one_y({});
      one_x[0] = x[i];
      kernel(one_y.array(), one_x.array());
      same = same && std::memcmp(&one_y[0], &y[i], sizeof(T)) == 0;
    }
    CHECK(same);
  }
}

// ---- broadcasting, naively

std::int64_t source_of(const Shape& y, const Shape& x, std::int64_t i) {
  std::int64_t source = 0, step = 1;
  for (int back = 1; back <= y.rank(); ++back) {
    const std::int64_t extent = y[y.rank() - back], index = i % extent;
    i /= extent;
    if (back > x.rank()) continue;
    const std::int64_t own = x[x.rank() - back];
    source += (own == 1 ? 0 : index) * step;
    step *= own;
  }
  return source;
}

Shape random_shape(std::mt19937& rng, int rank) {
  static constexpr std::int64_t kExtents[] = {1, 1, 2, 3, 5, 8, 17, 20};
  Shape s;
  for (int i = 0; i < rank; ++i) s.push_back(kExtents[rng() % 8]);
  return s;
}

/// y with some extents set to 1 and some leading axes dropped.
Shape shrunk(std::mt19937& rng, const Shape& y) {
  Shape s;
  for (int i = static_cast<int>(rng() % static_cast<unsigned>(y.rank() + 1)); i < y.rank(); ++i) s.push_back(rng() % 3 == 0 ? 1 : y[i]);
  return s;
}

Shape joined(const Shape& a, const Shape& b) {
  Shape y;
  const int rank = std::max(a.rank(), b.rank());
  for (int i = 0; i < rank; ++i) {
    const int at_a = i - rank + a.rank(), at_b = i - rank + b.rank();
    const std::int64_t of_a = at_a < 0 ? 1 : a[at_a], of_b = at_b < 0 ? 1 : b[at_b];
    y.push_back(of_a == 1 ? of_b : of_a);
  }
  return y;
}

template <class T> struct BinaryFunction {
  const char* name;
  BinaryKernel kernel;
  T (*exact)(T, T);
  double allowed = 0;  // units of the last place
};

template <class T> void check_binary(const BinaryFunction<T>& f, const Shape& a_shape, const Shape& b_shape, std::uint32_t seed) {
  const Shape y_shape = joined(a_shape, b_shape);
  Buffer<T> a(a_shape), b(b_shape), y(y_shape);
  fill_normal(a, seed, 3);
  fill_normal(b, seed + 1, 3);
  f.kernel(y.array(), a.array(), b.array());
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < y.size(); ++i) {
    const T exact = f.exact(a[source_of(y_shape, a_shape, i)], b[source_of(y_shape, b_shape, i)]);
    if constexpr (std::is_floating_point_v<T>) wrong += ulps(y[i], exact) > f.allowed;
    else wrong += y[i] != exact;
  }
  INFO(std::string(f.name), " of ", sizeof(T), " bytes: ", to_string(a_shape), ", ", to_string(b_shape), ", seed ", seed);
  CHECK(wrong == 0);
  CHECK(y.guards_intact());
}

template <class T> std::vector<BinaryFunction<T>> arithmetic() {
  return {{"add", cpu::add, [](T a, T b) { return static_cast<T>(a + b); }},
          {"sub", cpu::sub, [](T a, T b) { return static_cast<T>(a - b); }},
          {"mul", cpu::mul, [](T a, T b) { return static_cast<T>(a * b); }},
          {"maximum", cpu::maximum, [](T a, T b) { return a > b ? a : b; }},
          {"minimum", cpu::minimum, [](T a, T b) { return a < b ? a : b; }}};
}

template <class T> void check_comparisons(const Shape& a_shape, const Shape& b_shape, std::uint32_t seed) {
  struct Comparison {
    const char* name;
    BinaryKernel kernel;
    bool (*exact)(T, T);
  };
  static const Comparison kComparisons[] = {
      {"equal", cpu::equal, [](T a, T b) { return a == b; }},    {"not_equal", cpu::not_equal, [](T a, T b) { return a != b; }},
      {"less", cpu::less, [](T a, T b) { return a < b; }},       {"less_equal", cpu::less_equal, [](T a, T b) { return a <= b; }},
      {"greater", cpu::greater, [](T a, T b) { return a > b; }}, {"greater_equal", cpu::greater_equal, [](T a, T b) { return a >= b; }}};
  const Shape y_shape = joined(a_shape, b_shape);
  Buffer<T> a(a_shape), b(b_shape);
  std::mt19937 rng(seed);
  const auto draw = [&] { return std::is_floating_point_v<T> && rng() % 9 == 0 ? static_cast<T>(kNaN) : static_cast<T>(rng() % 4); };
  for (std::int64_t i = 0; i < a.size(); ++i) a[i] = draw();
  for (std::int64_t i = 0; i < b.size(); ++i) b[i] = draw();
  for (const Comparison& c : kComparisons) {
    Mask y(y_shape);
    c.kernel(y.array(), a.array(), b.array());
    std::int64_t wrong = 0;
    for (std::int64_t i = 0; i < y_shape.elements(); ++i)
      wrong += y[i] != c.exact(a[source_of(y_shape, a_shape, i)], b[source_of(y_shape, b_shape, i)]);
    INFO(std::string(c.name), " of ", sizeof(T), " bytes: ", to_string(a_shape), ", ", to_string(b_shape), ", seed ", seed);
    CHECK(wrong == 0);
    CHECK(y.bytes.guards_intact());
  }
}

template <class T> void check_where(const Shape& c_shape, const Shape& a_shape, const Shape& b_shape, std::uint32_t seed) {
  const Shape y_shape = joined(c_shape, joined(a_shape, b_shape));
  Mask c(c_shape);
  Buffer<T> a(a_shape), b(b_shape), y(y_shape);
  std::mt19937 rng(seed);
  for (std::int64_t i = 0; i < c_shape.elements(); ++i) c.set(i, rng() % 2 == 0);
  for (std::int64_t i = 0; i < a.size(); ++i) a[i] = static_cast<T>(rng() % 100);
  for (std::int64_t i = 0; i < b.size(); ++i) b[i] = static_cast<T>(100 + rng() % 100);
  cpu::where(y.array(), c.array(), a.array(), b.array());
  std::int64_t wrong = 0;
  for (std::int64_t i = 0; i < y.size(); ++i)
    wrong += y[i] != (c[source_of(y_shape, c_shape, i)] ? a[source_of(y_shape, a_shape, i)] : b[source_of(y_shape, b_shape, i)]);
  INFO("where of ", sizeof(T), " bytes: ", to_string(c_shape), ", ", to_string(a_shape), ", ", to_string(b_shape), ", seed ", seed);
  CHECK(wrong == 0);
  CHECK(y.guards_intact());
}

/// The shapes that have a path of their own, then random ones.
std::vector<std::pair<Shape, Shape>> shape_pairs() {
  std::vector<std::pair<Shape, Shape>> pairs = {{{}, {}},
                                                {{1}, {1, 1}},
                                                {{5}, {5}},
                                                {{33}, {}},
                                                {{}, {33}},
                                                {{4, 3}, {3}},
                                                {{3}, {4, 3}},
                                                {{7, 40}, {40}},
                                                {{7, 40}, {7, 1}},
                                                {{7, 1}, {1, 40}},
                                                {{6, 10}, {6, 1}},
                                                {{2, 5, 7, 7}, {1, 5, 1, 1}},
                                                {{3, 4, 5}, {4, 1}},
                                                {{0}, {1}},
                                                {{0, 3}, {3}},
                                                {{3, 0}, {3, 1}},
                                                {{300, 3}, {3}},
                                                {{1000, 2}, {1000, 1}},
                                                {{2, 40000}, {2, 1}},
                                                {{1, 40000}, {3, 1}},
                                                {{40000}, {}},
                                                {{2, 1, 2, 1, 2, 1, 2, 1}, {1, 2, 1, 2, 1, 2, 1, 2}}};
  std::mt19937 rng(99);
  for (int i = 0; i < 60; ++i) {
    const Shape y = random_shape(rng, static_cast<int>(rng() % 5));
    pairs.push_back({shrunk(rng, y), shrunk(rng, y)});
  }
  return pairs;
}

template <class To, class From> To cast_one(From value) {
  const Shape one;
  To y{};
  cpu::cast({&y, &one, dtype_of<To>}, {&value, &one, dtype_of<From>});
  return y;
}
std::uint16_t to_bf16(double value) {
  const Shape one;
  std::uint16_t y = 0;
  cpu::cast({&y, &one, DType::bf16}, {&value, &one, DType::f64});
  return y;
}
double from_bf16(std::uint16_t value) {
  const Shape one;
  double y = 0;
  cpu::cast({&y, &one, DType::f64}, {&value, &one, DType::bf16});
  return y;
}

}  // namespace

TEST_CASE("elementwise: functions are as accurate as their header says") {
  for_each_isa([] {
    check_all_accurate<float>(20000);
    check_all_accurate<double>(20000);
  });
}

TEST_CASE("nightly: elementwise functions of f32, every 61st float") {
  for_each_isa([] {
    for (const Function& f : kFunctions) {
      constexpr std::int64_t kBatch = 1 << 20;
      for (std::uint64_t word = 0; word < (std::uint64_t{1} << 32);) {
        Buffer<float> x({kBatch});
        for (std::int64_t i = 0; i < kBatch; ++i, word += 61) {
          const auto bits = static_cast<std::uint32_t>(word);
          std::memcpy(&x[i], &bits, sizeof bits);
        }
        check_accuracy(f, x);
      }
    }
  });
}

TEST_CASE("elementwise: an element does not depend on its position, and y may be x") {
  for_each_isa([] {
    for (const Function& f : kFunctions) {
      check_position<float>(f.name, f.kernel);
      check_position<double>(f.name, f.kernel);
    }
    const auto clamp = [](Array y, ConstArray x) { cpu::clamp(y, x, -1, 2); };
    const auto affine = [](Array y, ConstArray x) { cpu::affine(y, x, -1.5, 0.25); };
    const auto power = [](Array y, ConstArray x) { cpu::pow_scalar(y, x, 3); };
    check_position<float>("clamp", clamp);
    check_position<double>("affine", affine);
    check_position<float>("pow_scalar", power);
  });
}

TEST_CASE("elementwise: bits do not depend on the number of threads") {
  ThreadPool pool(3);
  for_each_isa([&] {
    Buffer<float> x({3, 40001}), row({40001}), y(x.shape()), threaded(x.shape());
    fill_normal(x, 5);
    fill_normal(row, 6);
    const auto run = [&](Buffer<float>& to) {
      cpu::tanh(to.array(), x.array());
      cpu::mul(to.array(), to.array(), row.array());
    };
    run(y);
    const PoolScope scope(pool);
    run(threaded);
    CHECK(threaded.same_bits(y));
    x[100000] = static_cast<float>(kNaN);
    CHECK_FALSE(cpu::all_finite(x.array()));
  });
}

TEST_CASE("elementwise: broadcasting arithmetic") {
  for_each_isa([] {
    std::uint32_t seed = 1;
    for (const auto& [a, b] : shape_pairs()) {
      for (const auto& f : arithmetic<float>()) check_binary(f, a, b, seed++);
      for (const auto& f : arithmetic<double>()) check_binary(f, a, b, seed++);
      for (const auto& f : arithmetic<std::int64_t>()) check_binary(f, a, b, seed++);
      check_binary<float>({"div", cpu::div, [](float u, float v) { return u / v; }}, a, b, seed++);
      check_binary<double>({"div", cpu::div, [](double u, double v) { return u / v; }}, a, b, seed++);
      const auto power = [](float u, float v) { return static_cast<float>(std::pow(static_cast<double>(u), static_cast<double>(v))); };
      check_binary<float>({"pow", cpu::pow, power, 1}, a, b, seed++);
    }
  });
}

TEST_CASE("elementwise: broadcasting comparisons and selection") {
  for_each_isa([] {
    std::uint32_t seed = 1;
    for (const auto& [a, b] : shape_pairs()) {
      check_comparisons<float>(a, b, seed++);
      check_comparisons<double>(a, b, seed++);
      check_comparisons<std::int64_t>(a, b, seed++);
      check_comparisons<std::uint8_t>(a, b, seed++);
      check_where<float>(joined(a, b), a, b, seed++);
      check_where<double>(a, {}, b, seed++);
      check_where<std::int64_t>(b, a, {}, seed++);
      check_where<std::uint8_t>({}, a, b, seed++);
    }
  });
}

TEST_CASE("elementwise: maximum, minimum, clamp and relu pass NaN on") {
  for_each_isa([] {
    Buffer<float> a({3}), b({3}), y({3});
    a[0] = b[1] = a[2] = b[2] = static_cast<float>(kNaN);
    for (const BinaryKernel f : {cpu::maximum, cpu::minimum}) {
      f(y.array(), a.array(), b.array());
      for (int i = 0; i < 3; ++i) CHECK(std::isnan(y[i]));
    }
    cpu::clamp(y.array(), a.array(), -1, 1);
    CHECK(std::isnan(y[0]));
    CHECK(y[1] == 0);
    cpu::relu(y.array(), a.array());
    CHECK(std::isnan(y[0]));
  });
}

TEST_CASE("elementwise: pow has the special values of IEEE 754") {
  for_each_isa([] {
    const std::vector<float> v = {0.f,
                                  -0.f,
                                  1.f,
                                  -1.f,
                                  2.f,
                                  -2.f,
                                  3.f,
                                  -3.f,
                                  .5f,
                                  -.5f,
                                  1.5f,
                                  1e30f,
                                  -1e30f,
                                  16777215.f,
                                  -16777215.f,
                                  1e-45f,
                                  -1e-45f,
                                  static_cast<float>(kInfinity),
                                  static_cast<float>(-kInfinity),
                                  static_cast<float>(kNaN)};
    const auto n = static_cast<std::int64_t>(v.size());
    Buffer<float> a({n, 1}), b({n}), y({n, n});
    for (std::int64_t i = 0; i < n; ++i) a[i] = b[i] = v[static_cast<std::size_t>(i)];
    cpu::pow(y.array(), a.array(), b.array());
    for (std::int64_t i = 0; i < n * n; ++i) {
      const float base = a[i / n], exponent = b[i % n],
                  exact = static_cast<float>(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
      INFO(base, " ^ ", exponent, " = ", exact);
      CHECK(ulps(y[i], std::pow(static_cast<Wide>(base), static_cast<Wide>(exponent))) <= 0.51);
      CHECK((std::isnan(exact) || std::signbit(y[i]) == std::signbit(exact)));
    }
  });
}

TEST_CASE("elementwise: functions with parameters") {
  for_each_isa([] {
    Buffer<double> x({37}), z({37}), y({37});
    fill_normal(x, 11, 2);
    fill_normal(z, 12, 2);
    const auto check = [&](const char* name, const std::function<double(double, double)>& exact) {
      double worst = 0;
      for (std::int64_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::fabs(y[i] - exact(x[i], z[i])));
      INFO(std::string(name));
      CHECK(worst <= 1e-13);
      CHECK(y.guards_intact());
    };
    const ConstArray cx = x.array(), cz = z.array();
    cpu::affine(y.array(), cx, 3, -1);
    check("affine", [](double u, double) { return 3 * u - 1; });
    cpu::affine(y.array(), cx, 1, 0.5);
    check("affine, sum", [](double u, double) { return u + 0.5; });
    cpu::affine(y.array(), cx, -2, 0);
    check("affine, product", [](double u, double) { return -2 * u; });
    cpu::clamp(y.array(), cx, -0.5, 1);
    check("clamp", [](double u, double) { return std::min(std::max(u, -0.5), 1.0); });
    cpu::clamp_backward(y.array(), cz, cx, -0.5, 1);
    check("clamp_backward", [](double u, double v) { return u >= -0.5 && u <= 1 ? v : 0; });
    cpu::add_scaled(y.array(), cx, cz, -0.25);
    check("add_scaled", [](double u, double v) { return u - 0.25 * v; });
    y = x;
    cpu::lerp(y.array(), cz, 0.1);
    check("lerp", [](double u, double v) { return u + 0.1 * (v - u); });
    for (const double e : {1.0, 2.0, 3.0, -1.0, 0.0, 4.0, -2.0}) {
      cpu::pow_scalar(y.array(), cx, e);
      double worst = 0;
      for (std::int64_t i = 0; i < x.size(); ++i)
        worst = std::max(worst, ulps(y[i], std::pow(static_cast<Wide>(x[i]), static_cast<Wide>(e))));
      INFO("pow_scalar ", e);
      CHECK(worst <= 1.5);
    }
  });
}

TEST_CASE("elementwise: fused backward functions") {
  struct Backward {
    const char* name;
    BinaryKernel kernel;
    double (*exact)(double dy, double saved);
  };
  static const Backward kBackward[] = {
      {"relu_backward", cpu::relu_backward, [](double d, double y) { return y > 0 ? d : 0; }},
      {"tanh_backward", cpu::tanh_backward, [](double d, double y) { return d * (1 - y * y); }},
      {"sigmoid_backward", cpu::sigmoid_backward, [](double d, double y) { return d * y * (1 - y); }},
      {"gelu_backward", cpu::gelu_backward,
       [](double d, double x) { return static_cast<double>(d * (normal_cdf(x) + x * normal_pdf(x))); }},
      {"softplus_backward", cpu::softplus_backward, [](double d, double x) { return static_cast<double>(d * logistic(x)); }}};
  for_each_isa([] {
    for (const Backward& f : kBackward) {
      Buffer<double> d({101}), s({101}), y({101});
      Buffer<float> d32({101}), s32({101}), y32({101});
      fill_normal(d, 3);
      fill_normal(s, 4, 3);
      for (std::int64_t i = 0; i < 101; ++i) d32[i] = static_cast<float>(d[i]), s32[i] = static_cast<float>(s[i]);
      f.kernel(y.array(), d.array(), s.array());
      f.kernel(y32.array(), d32.array(), s32.array());
      double worst = 0, worst32 = 0;
      for (std::int64_t i = 0; i < 101; ++i) {
        worst = std::max(worst, std::fabs(y[i] - f.exact(d[i], s[i])) / (1 + std::fabs(y[i])));
        worst32 = std::max(worst32, std::fabs(y32[i] - f.exact(d32[i], s32[i])) / (1 + std::fabs(static_cast<double>(y32[i]))));
      }
      INFO(std::string(f.name));
      CHECK(worst <= 1e-15);
      CHECK(worst32 <= 5e-7);
    }
  });
}

TEST_CASE("elementwise: casts") {
  for_each_isa([] {
    CHECK(cast_one<std::int64_t>(2.9f) == 2);
    CHECK(cast_one<std::int64_t>(-2.9) == -2);
    CHECK(cast_one<std::int64_t>(1e30) == INT64_MAX);
    CHECK(cast_one<std::int64_t>(-1e30f) == INT64_MIN);
    CHECK(cast_one<std::int64_t>(kNaN) == 0);
    CHECK(cast_one<std::uint8_t>(300.0f) == 255);
    CHECK(cast_one<std::uint8_t>(-4.0) == 0);
    CHECK(cast_one<std::uint8_t>(254.99) == 254);
    CHECK(cast_one<bool>(-0.0f) == false);
    CHECK(cast_one<bool>(kNaN) == true);
    CHECK(cast_one<float>(true) == 1.0f);
    CHECK(cast_one<double>(std::int64_t{1} << 52) == 0x1p52);
    CHECK(cast_one<float>(std::uint8_t{200}) == 200.0f);
    CHECK(to_bf16(1.0) == 0x3F80);
    CHECK(to_bf16(1.0 + 0x1p-8) == 0x3F80);            // a tie goes to even
    CHECK(to_bf16(1.0 + 0x1p-8 + 0x1p-40) == 0x3F81);  // and is none if anything is left, however small
    CHECK(to_bf16(1.0 + 3 * 0x1p-8) == 0x3F82);
    CHECK(to_bf16(-kInfinity) == 0xFF80);
    CHECK(to_bf16(1e39) == 0x7F80);
    CHECK(std::isnan(from_bf16(to_bf16(kNaN))));
    for (std::uint32_t b = 0; b < 0x7F80; ++b) REQUIRE(to_bf16(from_bf16(static_cast<std::uint16_t>(b))) == b);
    Buffer<std::uint8_t> bytes({100});
    Buffer<float> floats({100});
    for (int i = 0; i < 100; ++i) bytes[i] = static_cast<std::uint8_t>(2 * i);
    cpu::cast(floats.array(), bytes.array());
    for (int i = 0; i < 100; ++i) REQUIRE(floats[i] == 2.0f * static_cast<float>(i));
    CHECK(floats.guards_intact());
  });
}

TEST_CASE("elementwise: fill, copy, logical_not, all_finite") {
  for_each_isa([] {
    for (const std::int64_t n : {0, 1, 7, 8, 9, 33, 70000}) {
      Buffer<float> x({n}), y({n});
      cpu::fill(x.array(), -1.5);
      cpu::copy(y.array(), x.array());
      CHECK(std::all_of(y.data(), y.data() + n, [](float v) { return v == -1.5f; }));
      CHECK(y.guards_intact());
      CHECK(cpu::all_finite(x.array()));
      Mask m({n}), inverse({n});
      cpu::fill(m.array(), 1);
      if (n > 0) m.set(n - 1, false);
      cpu::logical_not(inverse.array(), m.array());
      for (std::int64_t i = 0; i < n; ++i) REQUIRE(inverse[i] == (i == n - 1));
      if (n == 0) continue;
      for (const double bad : {kNaN, kInfinity, -kInfinity}) {
        y[n / 2] = static_cast<float>(bad);
        CHECK_FALSE(cpu::all_finite(y.array()));
      }
    }
    Buffer<std::int64_t> labels({5});
    cpu::fill(labels.array(), -3);
    CHECK(labels[4] == -3);
  });
}
