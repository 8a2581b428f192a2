// Elementwise kernels on the device against those on the CPU: every kernel, every way that shapes select, special values, any alignment.
#include <string>

#include <gradus/kernels/elementwise.h>
#include <gradus/tests/kernels/cuda/any_array.h>

using namespace gradus;
using namespace gradus::testing;

namespace {

constexpr DType kFloating[] = {DType::f32, DType::f64};
constexpr DType kAll[] = {DType::f32, DType::f64, DType::i64, DType::u8, DType::boolean, DType::bf16};

/// Special values, and random ones to make up n; at least n.
AnyArray with_specials(std::int64_t n, DType dtype, std::uint32_t seed, double low = -3, double high = 3) {
  AnyArray x = random_array({n}, dtype, seed, low, high);
  const auto put = [&](auto zero) {
    using T = decltype(zero);
    const auto specials = special_values<T>();
    std::vector<T> v = x.values<T>();
    for (std::size_t i = 0; i < specials.size() && i < v.size(); ++i) v[i] = specials[i];
    if (v.size() > specials.size()) v.back() = T(0.25);  // in every function's domain, so that a tail shows what it reads
    x = AnyArray(x.shape, dtype, v);
  };
  if (dtype == DType::f32) put(float());
  if (dtype == DType::f64) put(double());
  return x;
}

using Unary = void (*)(Array, ConstArray);
using Binary = void (*)(Array, ConstArray, ConstArray);
struct UnaryPair {
  const char* name;
  Unary on_device, on_cpu;
};
struct BinaryPair {
  const char* name;
  Binary on_device, on_cpu;
};
constexpr UnaryPair kUnary[] = {
#define X(name) {#name, cuda::name, cpu::name},
    GRADUS_UNARY_KERNELS(X)
#undef X
};
constexpr BinaryPair kBackward[] = {
#define X(name) {#name, cuda::name, cpu::name},
    GRADUS_UNARY_BACKWARD_KERNELS(X)
#undef X
};
constexpr BinaryPair kBinary[] = {
#define X(name) {#name, cuda::name, cpu::name},
    GRADUS_BINARY_KERNELS(X)
#undef X
};
constexpr BinaryPair kCompare[] = {
#define X(name) {#name, cuda::name, cpu::name},
    GRADUS_COMPARE_KERNELS(X)
#undef X
};

/// Few different numbers, so that some are equal.
AnyArray coarse(AnyArray x) {
  const auto round = [&](auto zero) {
    using T = decltype(zero);
    std::vector<T> v = x.values<T>();
    for (T& number : v) number = std::round(2 * number) / 2;
    x = AnyArray(x.shape, x.dtype, v);
  };
  if (x.dtype == DType::f32) round(float());
  if (x.dtype == DType::f64) round(double());
  return x;
}

/// f(y, x...) on both sides, operands `offset` elements behind an aligned address; y is of `shape` and `dtype`.
template <class Device, class Cpu, class... X>
void compare_kernels(const Device& on_device, const Cpu& on_cpu, const Shape& shape, DType dtype, int offset, const X&... x) {
  AnyArray want(shape, dtype);
  on_cpu(want.array(), x.array()...);
  AnyOnDevice y(shape, dtype, offset);
  [&](auto&&... operand) { on_device(y.array(), operand.array()...); }(AnyOnDevice(x, offset)...);
  check_near(y.read(), want);
}

}  // namespace

TEST_CASE("cuda elementwise: functions of one operand, with special values") {
  for (const auto& kernel : kUnary)
    for (const DType dtype : kFloating)
      for (const double reach : {3.0, 100.0}) {
        INFO(std::string(kernel.name) << " " << text(dtype) << " within " << reach);
        const AnyArray x = with_specials(1501, dtype, 1, -reach, reach);
        compare_kernels(kernel.on_device, kernel.on_cpu, x.shape, dtype, 0, x);
      }
}

TEST_CASE("cuda elementwise: any length and alignment") {
  for (const DType dtype : kFloating)
    for (const std::int64_t n : {0, 1, 2, 3, 4, 5, 7, 8, 255, 1023, 1024, 1025, 2500})
      for (const int offset : {0, 1, 2, 3}) {
        INFO(text(dtype) << " " << n << " elements, " << offset << " behind an aligned address");
        const AnyArray x = random_array({n}, dtype, 2);
        compare_kernels(cuda::square, cpu::square, x.shape, dtype, offset, x);
        compare_kernels(cuda::mul, cpu::mul, x.shape, dtype, offset, x, random_array({n}, dtype, 3));
        // Operands that are misaligned by different amounts.
        AnyArray want(x.shape, dtype);
        cpu::neg(want.array(), x.array());
        AnyOnDevice y(x.shape, dtype), from(x, offset);
        cuda::neg(y.array(), from.array());
        check_same_bits(y.read(), want);
      }
}

TEST_CASE("cuda elementwise: backward functions") {
  for (const auto& kernel : kBackward)
    for (const DType dtype : kFloating)
      for (const double reach : {2.0, 30.0}) {
        INFO(std::string(kernel.name) << " " << text(dtype) << " within " << reach);
        const AnyArray saved = with_specials(1101, dtype, 4, -reach, reach);
        const AnyArray dy = random_array(saved.shape, dtype, 5);
        AnyArray want(saved.shape, dtype);
        kernel.on_cpu(want.array(), dy.array(), saved.array());
        AnyOnDevice dx(saved.shape, dtype), from(dy), kept(saved);
        kernel.on_device(dx.array(), from.array(), kept.array());
        // The derivative of gelu has a zero, around which only its absolute error is small: 1.4e-7 on either side.
        const bool crosses = std::string(kernel.name) == "gelu_backward";
        if (dtype == DType::f32) check_near(dx.read().values<float>(), want.values<float>(), 2e-6, crosses ? 1e-6 : 1e-37);
        else check_near(dx.read().values<double>(), want.values<double>(), 1e-13, crosses ? 1e-14 : 1e-305);
      }
}

TEST_CASE("cuda elementwise: scalar parameters") {
  for (const DType dtype : kFloating) {
    INFO(text(dtype));
    const AnyArray x = with_specials(701, dtype, 6), b = random_array({701}, dtype, 7);
    const auto one = [&](auto on_device, auto on_cpu, auto... p) {
      compare_kernels([&](Array y, ConstArray v) { on_device(y, v, p...); }, [&](Array y, ConstArray v) { on_cpu(y, v, p...); }, x.shape,
                      dtype, 0, x);
    };
    for (const double shift : {0.0, 0.3})
      for (const double scale : {1.0, -1.7}) one(cuda::affine, cpu::affine, scale, shift);
    one(cuda::clamp, cpu::clamp, -1.0, 0.75);
    one(cuda::clamp, cpu::clamp, -HUGE_VAL, 0.0);
    for (const double exponent : {0.0, 1.0, 2.0, 3.0, -1.0, 0.5, -0.5, 4.0, -3.0, 2.2, 1.0 / 3, 0.1, 16777217.0, 1e10, -1e10, HUGE_VAL}) {
      INFO("exponent " << exponent);
      one(cuda::pow_scalar, cpu::pow_scalar, exponent);
    }
    compare_kernels([](Array y, ConstArray u, ConstArray v) { cuda::add_scaled(y, u, v, 0.37); },
                    [](Array y, ConstArray u, ConstArray v) { cpu::add_scaled(y, u, v, 0.37); }, x.shape, dtype, 0, b, x);
    compare_kernels([](Array y, ConstArray u, ConstArray v) { cuda::clamp_backward(y, u, v, -1, 0.5); },
                    [](Array y, ConstArray u, ConstArray v) { cpu::clamp_backward(y, u, v, -1, 0.5); }, x.shape, dtype, 0, b, x);
    AnyArray moved = b;
    cpu::lerp(moved.array(), x.array(), 0.2);
    AnyOnDevice y(b), target(x);
    cuda::lerp(y.array(), target.array(), 0.2);
    check_near(y.read(), moved);
  }
}

namespace {

struct Broadcast {
  Shape y, a, b;
};
/// Whole operands; single elements; a row beside many rows, in one column group and in two, of a width that packs do not divide; columns;
/// channels; operands that repeat by turns; nothing.
std::vector<Broadcast> broadcasts() {
  return {{{33}, {33}, {33}},
          {{2, 3}, {2, 3}, {1, 2, 3}},
          {{}, {}, {}},
          {{37}, {37}, {}},
          {{37}, {1}, {37}},
          {{40, 64}, {40, 64}, {64}},
          {{300, 16}, {16}, {300, 16}},
          {{9, 1040}, {9, 1040}, {1, 1040}},
          {{70, 32}, {70, 1}, {32}},
          {{5, 16}, {5, 16}, {16}},
          {{2, 16}, {2, 16}, {16}},
          {{30, 10}, {30, 10}, {10}},
          {{30, 7}, {7}, {30, 1}},
          {{40, 64}, {40, 64}, {40, 1}},
          {{40, 64}, {64}, {}},
          {{40, 64}, {}, {64}},
          {{4, 6, 5, 8}, {4, 6, 5, 8}, {6, 1, 1}},
          {{4, 6, 5, 7}, {6, 1, 1}, {4, 6, 5, 7}},
          {{3, 5, 4}, {3, 1, 4}, {1, 5, 1}},
          {{3, 5, 16}, {3, 1, 16}, {1, 5, 16}},
          {{2, 3, 2, 3, 2, 3, 2, 4}, {2, 1, 2, 1, 2, 1, 2, 1}, {1, 3, 1, 3, 1, 3, 1, 4}},
          {{0, 4}, {0, 4}, {4}},
          {{4, 0}, {4, 1}, {1, 0}}};
}

}  // namespace

TEST_CASE("cuda elementwise: functions of two operands, broadcast") {
  for (const auto& kernel : kBinary)
    for (const DType dtype : {DType::f32, DType::f64, DType::i64}) {
      const std::string op = kernel.name;
      if (dtype == DType::i64 && (op == "div" || op == "pow")) continue;
      for (const Broadcast& c : broadcasts()) {
        INFO(std::string(kernel.name) << " " << text(dtype) << " " << to_string(c.a) << " " << to_string(c.b));
        compare_kernels(kernel.on_device, kernel.on_cpu, c.y, dtype, 0, random_array(c.a, dtype, 8), random_array(c.b, dtype, 9));
        if (op == "sub")
          compare_kernels(kernel.on_device, kernel.on_cpu, c.y, dtype, 1, random_array(c.a, dtype, 8), random_array(c.b, dtype, 9));
      }
    }
}

TEST_CASE("cuda elementwise: special values meet special values") {
  for (const DType dtype : kFloating) {
    const auto n = static_cast<std::int64_t>(special_values<float>().size());
    const AnyArray a = with_specials(n, dtype, 10), b = with_specials(n, dtype, 11);
    AnyArray column = b;
    column.shape = {n, 1};
    for (const auto& kernel : kBinary) {
      INFO(std::string(kernel.name) << " " << text(dtype));
      compare_kernels(kernel.on_device, kernel.on_cpu, {n, n}, dtype, 0, a, column);
    }
    for (const auto& kernel : kCompare) {
      INFO(std::string(kernel.name) << " " << text(dtype));
      compare_kernels(kernel.on_device, kernel.on_cpu, {n, n}, DType::boolean, 0, a, column);
    }
  }
}

TEST_CASE("cuda elementwise: integers wrap around") {
  const std::vector<std::int64_t> values = {0, 1, -1, 2, INT64_MAX, INT64_MIN, INT64_MAX - 1, 3037000500, -4294967296};
  const auto n = static_cast<std::int64_t>(values.size());
  const AnyArray row({n}, DType::i64, values), column({n, 1}, DType::i64, values);
  for (const auto& kernel : kBinary)
    if (std::string(kernel.name) != "div" && std::string(kernel.name) != "pow")
      compare_kernels(kernel.on_device, kernel.on_cpu, {n, n}, DType::i64, 0, row, column);
}

TEST_CASE("cuda elementwise: comparisons and selection of every type") {
  for (const DType dtype : kAll)
    for (const Broadcast& c : broadcasts())
      for (const int offset : {0, 1}) {
        INFO(text(dtype) << " " << to_string(c.a) << " " << to_string(c.b) << " offset " << offset);
        const AnyArray u = coarse(random_array(c.a, dtype, 12, -1, 1)), v = coarse(random_array(c.b, dtype, 13, -1, 1));
        if (dtype != DType::bf16)
          for (const auto& kernel : kCompare) {
            if (offset > 0 && std::string(kernel.name) != "less") continue;
            INFO(std::string(kernel.name));
            compare_kernels(kernel.on_device, kernel.on_cpu, c.y, DType::boolean, offset, u, v);
          }
        compare_kernels(cuda::where, cpu::where, c.y, dtype, offset, random_array(c.y, DType::boolean, 14), u, v);
        compare_kernels(cuda::where, cpu::where, c.y, dtype, offset, random_array(c.a, DType::boolean, 15), u, v);
        compare_kernels(cuda::where, cpu::where, c.y, dtype, offset, random_array({}, DType::boolean, 16), u, v);
      }
  for (const DType dtype : {DType::f32, DType::f64, DType::i64, DType::u8, DType::boolean}) {
    AnyArray x = is_floating(dtype) ? with_specials(303, dtype, 17) : random_array({303}, dtype, 17);
    compare_kernels(cuda::logical_not, cpu::logical_not, x.shape, DType::boolean, 0, x);
  }
}

TEST_CASE("cuda elementwise: an operand may be the result's memory") {
  for (const Shape& b_shape : {Shape{40, 64}, Shape{64}, Shape{40, 1}, Shape{}}) {
    const AnyArray a = random_array({40, 64}, DType::f32, 18), b = random_array(b_shape, DType::f32, 19);
    AnyArray want = a;
    cpu::add(want.array(), a.array(), b.array());
    AnyOnDevice y(a), other(b);
    cuda::add(y.array(), y.array(), other.array());
    check_same_bits(y.read(), want);
  }
}

TEST_CASE("cuda elementwise: conversions are the CPU's, bit for bit") {
  for (const DType from : kAll) {
    AnyArray x = is_floating(from) ? with_specials(600, from, 20, -300, 300) : random_array({600}, from, 20, -300, 300);
    if (from == DType::i64) {
      std::vector<std::int64_t> v = x.values<std::int64_t>();
      const std::int64_t edges[] = {INT64_MAX, INT64_MIN, 0, 255, 256, -1, 16777217, 9007199254740993, (1LL << 53) - 1};
      std::copy(std::begin(edges), std::end(edges), v.begin());
      x = AnyArray(x.shape, from, v);
    }
    if (from == DType::bf16) {  // every exponent, with infinities and NaN
      std::vector<std::uint16_t> v(600);
      for (std::size_t i = 0; i < v.size(); ++i) v[i] = static_cast<std::uint16_t>(i * 109 + 5);
      x = AnyArray(x.shape, from, v);
    }
    for (const DType to : kAll)
      for (const std::int64_t n : {600, 7, 0}) {
        INFO(text(from) << " to " << text(to) << ", " << n);
        AnyArray part = x;
        part.shape = {n};
        part.bytes.resize(static_cast<std::size_t>(n) * size_of(from));
        for (const int offset : {0, 1}) compare_kernels(cuda::cast, cpu::cast, part.shape, to, offset, part);
      }
  }
}

TEST_CASE("cuda elementwise: constants and copies of every type") {
  for (const DType dtype : kAll)
    for (const std::int64_t n : {0, 1, 5, 1000, 5000})
      for (const int offset : {0, 1})
        for (const double value : {0.0, 1.0, -2.75, 300.0, std::nan("")}) {
          INFO(text(dtype) << " " << n << " of " << value);
          compare_kernels([&](Array y) { cuda::fill(y, value); }, [&](Array y) { cpu::fill(y, value); }, {n}, dtype, offset);
          if (value == 0) compare_kernels(cuda::copy, cpu::copy, {n}, dtype, offset, random_array({n}, dtype, 21));
        }
}

TEST_CASE("cuda elementwise: all_finite finds one number among many") {
  for (const DType dtype : kFloating)
    for (const std::int64_t n : {0, 1, 3, 1000, 70001})
      for (const int offset : {0, 1}) {
        AnyArray x = random_array({n}, dtype, 22);
        {
          AnyOnDevice d(x, offset);
          CHECK(cuda::all_finite(d.array()));
        }
        for (const std::int64_t at : {std::int64_t{0}, n / 2, n - 1})
          for (const double bad : {HUGE_VAL, -HUGE_VAL, std::nan("")}) {
            if (at < 0 || at >= n) continue;
            AnyArray spoilt = x;
            const float f = static_cast<float>(bad);
            unsigned char* const to = spoilt.bytes.data() + static_cast<std::size_t>(at) * size_of(dtype);
            std::memcpy(to, dtype == DType::f32 ? static_cast<const void*>(&f) : &bad, size_of(dtype));
            AnyOnDevice d(spoilt, offset);
            CHECK_FALSE(cuda::all_finite(d.array()));
          }
      }
}
