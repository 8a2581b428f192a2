// Seeded random programs of 5 to 30 ops: views, windows, concatenation, products, nested tapes, writes, recompute. A table with one case
// per op never meets their interactions. Every program is checked to second order against central differences along a random direction.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>

#include <gradus/engine/functional.h>
#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/matmul.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/ops/softmax.h>
#include <gradus/kernels/philox.h>

using namespace gradus;

namespace {

/// Where the tensors of a program are made.
thread_local Device device = Device::cpu;

/// Small integers and reals from a seed.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : key_{seed, 77} {}
  std::int64_t below(std::int64_t n) { return static_cast<std::int64_t>(gradus::below(word(), static_cast<std::uint64_t>(n))); }
  double real() { return 2 * static_cast<double>(uniform_from(word())) - 1; }
  Tensor tensor(const Shape& shape) {
    std::vector<double> x(static_cast<std::size_t>(shape.elements()));
    for (double& v : x) v = real();
    return Tensor::from(x, shape).to(device);
  }

 private:
  std::uint32_t word() { return philox_block(key_, static_cast<std::uint32_t>(n_++), 0).word[0]; }
  Key key_;
  std::int64_t n_ = 0;
};

/// A program over a stack of values, as a function of its inputs: the same seed builds and runs the same ops.
class Program {
 public:
  explicit Program(std::uint64_t seed) : seed_(seed) {}

  Tensor operator()(const TensorList& inputs) const {
    Dice dice(seed_);
    TensorList values = inputs;
    const std::int64_t length = 5 + dice.below(26);
    for (std::int64_t i = 0; i < length; ++i) values.push_back(squash(step(dice, values), dice));
    Tensor total = Tensor::scalar(0, DType::f64, device);
    for (std::size_t i = values.size() > 6 ? values.size() - 6 : 0; i < values.size(); ++i)
      total = total + sum(values[i] * values[i] * 0.5 + values[i]);
    return total;
  }

 private:
  /// Keeps values of order one, so that differences are accurate.
  static Tensor squash(const Tensor& x, Dice& dice) { return dice.below(3) == 0 ? tanh(x) : softplus(x) * 0.5 - 0.3; }

  static const Tensor& pick(Dice& dice, const TensorList& values) {
    return values[static_cast<std::size_t>(dice.below(static_cast<std::int64_t>(values.size())))];
  }

  /// A constant made under a tape of its own, with a gradient of its own: independent work that must leave no trace.
  static Tensor nested_constant(Dice& dice, const Shape& shape) {
    const Tensor k = dice.tensor(shape);
    Tape inner({k});
    return inner.gradients(sum(tanh(k) * k)).values[0].detach();
  }

  static Tensor matrix(const Tensor& x) { return reshape(x, {x.size(0), -1}); }

  static Tensor step(Dice& dice, const TensorList& values) {
    const Tensor& a = pick(dice, values);
    const Tensor& b = pick(dice, values);
    const std::int64_t rows = a.size(0);
    switch (dice.below(14)) {
      case 0: return a + reshape(sum(b), {1, 1});
      case 1: return a * reshape(tanh(mean(b)), {});
      case 2: return matmul(matrix(a), matrix(a), {.transpose_b = true});
      case 3: return slice_rows(a, rows > 1 ? dice.below(rows) : 0, rows);
      case 4: return pad_rows(a, rows + 2, dice.below(3));
      case 5: return concat({a, a * dice.real()}, 0);
      case 6: return exp(a * 0.3) - a;
      case 7: return reshape(transpose(matrix(a), 0, 1), {-1, 1});
      case 8: return a * nested_constant(dice, a.shape());
      case 9: return recompute([](const TensorList& in) { return tanh(in[0]) * in[0] + in[0]; }, {a});
      case 10: {
        const Tensor w = reshape(tanh(mean(b)), {});
        return recompute([w](const TensorList& in) { return softplus(in[0] * w) + w; }, {a});  // a captured, live tensor
      }
      case 11: {
        Tensor scratch = dice.tensor(a.shape());
        assign(scratch, dice.tensor(a.shape()));  // written before it is used
        return a * scratch;
      }
      case 12: return softmax(matrix(a), 1);
      default: return sigmoid(a) * square(a) - reshape(logsumexp(a), {1, 1});
    }
  }

  std::uint64_t seed_;
};

Tensor inner_product(const TensorList& a, const TensorList& b) {
  Tensor total = Tensor::scalar(0, DType::f64, device);
  for (std::size_t i = 0; i < a.size(); ++i)
    if (a[i] && b[i]) total = total + sum(a[i] * b[i]);
  return total;
}

/// order 0: f(x); order 1: <grad f(x), v>. With `gradient`, also the gradient of that.
double evaluate(const Program& f, const TensorList& x, const TensorList& v, int order, TensorList* gradient) {
  Tape tape(x);
  Tensor s = f(x);
  if (order == 1) s = inner_product(tape.gradients(s, {.create_graph = true}).values, v);
  if (gradient) *gradient = tape.gradients(s).values;
  return s.item();
}

void check_program(std::uint64_t seed) {
  const Program f(seed);
  Dice dice(seed + (std::uint64_t{1} << 40));
  TensorList x, v, d;
  for (const Shape& shape : {Shape{3, 2}, Shape{2, 2}}) {
    x.push_back(dice.tensor(shape));
    v.push_back(dice.tensor(shape));
    d.push_back(dice.tensor(shape));
  }
  auto moved = [&](double h) {
    TensorList out;
    for (std::size_t i = 0; i < x.size(); ++i) out.push_back(add_scaled(x[i], d[i], h));
    return out;
  };
  for (const int order : {0, 1}) {
    TensorList gradient;
    evaluate(f, x, v, order, &gradient);
    const double h = 1e-5, ours = inner_product(gradient, d).item();
    const double numeric = (evaluate(f, moved(h), v, order, nullptr) - evaluate(f, moved(-h), v, order, nullptr)) / (2 * h);
    INFO("program seed ", seed, ", order ", order + 1, ": ", ours, " against ", numeric);
    CHECK(std::abs(ours - numeric) <= 2e-6 * std::fmax(1.0, std::abs(numeric)) + 1e-7);
  }
}

}  // namespace

TEST_CASE("500 random programs to second order") {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) check_program(seed);
}

TEST_CASE("nightly: 10,000 random programs to second order") {
  for (std::uint64_t seed = 1; seed <= 10'000; ++seed) check_program(seed);
}

#if defined(GRADUS_CUDA)
namespace {

/// Value, first and second derivative of a program, on one device, as numbers.
std::vector<double> outcome(std::uint64_t seed, Device where) {
  device = where;
  const Program f(seed);
  Dice dice(seed + (std::uint64_t{1} << 40));
  TensorList x, v;
  for (const Shape& shape : {Shape{3, 2}, Shape{2, 2}}) {
    x.push_back(dice.tensor(shape));
    v.push_back(dice.tensor(shape));
  }
  std::vector<double> out;
  for (const int order : {0, 1}) {
    TensorList gradient;
    out.push_back(evaluate(f, x, v, order, &gradient));
    for (const Tensor& g : gradient)
      if (g)
        for (const double value : g.to_vector<double>()) out.push_back(value);
  }
  device = Device::cpu;
  return out;
}

void check_on_cuda(std::uint64_t seed) {
  const std::vector<double> want = outcome(seed, Device::cpu), got = outcome(seed, Device::cuda);
  INFO("program seed ", seed);
  REQUIRE(got.size() == want.size());
  double worst = 0;
  for (std::size_t i = 0; i < want.size(); ++i) worst = std::fmax(worst, std::abs(got[i] - want[i]) / std::fmax(1.0, std::abs(want[i])));
  CHECK(worst <= 1e-9);
}

}  // namespace

TEST_CASE("CUDA: 50 random programs equal the CPU's to second order") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) check_on_cuda(seed);
}

TEST_CASE("nightly: CUDA: 500 random programs equal the CPU's to second order") {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) check_on_cuda(seed);
}
#endif
