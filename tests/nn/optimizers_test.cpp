#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/nn/ema.h>
#include <gradus/nn/gradients.h>
#include <gradus/nn/optimizers.h>

#include "support.h"

using namespace gradus;
using namespace gradus::testing;

namespace {

/// Gradients as tape.gradients() would give them.
Gradients gradients_of(std::initializer_list<std::pair<Tensor, Tensor>> pairs) {
  Gradients g;
  for (const auto& pair : pairs) {
    g.parameters.push_back(pair.first);
    g.values.push_back(pair.second);
  }
  return g;
}

/// Numbers without pattern, the same everywhere: the fractional parts of multiples of the golden ratio.
std::vector<double> numbers(std::size_t n, double seed) {
  std::vector<double> x(n);
  for (std::size_t i = 0; i < n; ++i) {
    const double product = (static_cast<double>(i) + seed) * 0.6180339887498949;
    x[i] = 2 * (product - std::floor(product)) - 1;
  }
  return x;
}

Tensor tensor_of(const std::vector<double>& values, DType dtype) {
  const Tensor t = Tensor::from(values, {static_cast<std::int64_t>(values.size())});
  return dtype == DType::f64 ? t : cast(t, dtype);
}

double largest_error(const Tensor& t, const std::vector<double>& expected) {
  const std::vector<double> values = cast(t, DType::f64).to_vector<double>();
  double error = 0;
  for (std::size_t i = 0; i < values.size(); ++i) error = std::max(error, std::abs(values[i] - expected[i]));
  return error;
}

/// The textbook forms, one element at a time.
struct SgdReference {
  double rate, momentum, decay;
  bool nesterov;
  double velocity = 0;
  double step(double w, double g, int) {
    g += decay * w;
    velocity = momentum * velocity + g;
    return w - rate * (momentum == 0 ? g : nesterov ? g + momentum * velocity : velocity);
  }
};
struct AdamReference {
  double rate, beta1, beta2, epsilon, decay;
  bool decoupled;
  double m = 0, v = 0;
  double step(double w, double g, int t) {
    if (decoupled) w -= rate * decay * w;
    else g += decay * w;
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    return w - rate * (m / (1 - std::pow(beta1, t))) / (std::sqrt(v / (1 - std::pow(beta2, t))) + epsilon);
  }
};

/// Ten steps of `optimizer` on 37 elements (packets and a tail) against the reference: the largest difference.
template <class Reference> double difference(Optimizer&& optimizer, const Reference& reference, DType dtype) {
  constexpr std::size_t kElements = 37;
  std::vector<double> w = numbers(kElements, 1);
  const Tensor parameter = tensor_of(w, dtype);
  std::vector<Reference> state(kElements, reference);
  double worst = 0;
  for (int t = 1; t <= 10; ++t) {
    const std::vector<double> g = numbers(kElements, 100. * t);
    optimizer.step(gradients_of({{parameter, tensor_of(g, dtype)}}));
    for (std::size_t i = 0; i < kElements; ++i) w[i] = state[i].step(w[i], g[i], t);
    worst = std::max(worst, largest_error(parameter, w));
  }
  return worst;
}

struct Layer : ModuleOf<Layer> {
  Parameter weight{Tensor::ones({2, 3})}, bias{Tensor::ones({2}), Role::bias}, gamma{Tensor::ones({2}), Role::norm};
  void visit(Visitor& v) {
    v("weight", weight);
    v("bias", bias);
    v("gamma", gamma);
  }
};

}  // namespace

TEST_CASE("optimizers: every form equals its textbook loop") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const double tolerance = dtype == DType::f64 ? 1e-14 : 2e-6;
    CHECK(difference(Sgd({.learning_rate = .1}), SgdReference{.1, 0, 0, false}, dtype) < tolerance);
    CHECK(difference(Sgd({.learning_rate = .1, .momentum = .9}), SgdReference{.1, .9, 0, false}, dtype) < tolerance);
    CHECK(difference(Sgd({.learning_rate = .1, .momentum = .9, .nesterov = true, .weight_decay = .05}), SgdReference{.1, .9, .05, true},
                     dtype) < tolerance);
    CHECK(difference(Sgd({.learning_rate = .1, .weight_decay = .05}), SgdReference{.1, 0, .05, false}, dtype) < tolerance);
    CHECK(difference(Adam({.learning_rate = .01}), AdamReference{.01, .9, .999, 1e-8, 0, false}, dtype) < tolerance);
    CHECK(difference(Adam({.learning_rate = .01, .beta1 = 0, .beta2 = .9, .epsilon = 1e-3, .weight_decay = .1}),
                     AdamReference{.01, 0, .9, 1e-3, .1, false}, dtype) < tolerance);
    CHECK(difference(AdamW({.learning_rate = .01, .weight_decay = .1}), AdamReference{.01, .9, .999, 1e-8, .1, true}, dtype) < tolerance);
  }
}

TEST_CASE("optimizers: a number of steps means the schedule's numbers") {
  const Tensor w = Tensor::zeros({1}, DType::f64), one = Tensor::ones({1}, DType::f64);
  Sgd sgd({.learning_rate = Schedule::linear(1, 0, 4)});
  for (int i = 0; i < 4; ++i) sgd.step(gradients_of({{w, one}}));
  CHECK(w.item() == -2.5);  // 1 + .75 + .5 + .25
  CHECK(sgd.steps() == 4);
  CHECK(sgd.learning_rate() == 0);
  sgd.set_learning_rate(2);
  sgd.step(gradients_of({{w, one}}));
  CHECK(w.item() == -4.5);
}

TEST_CASE("optimizers: an empty gradient leaves parameter, moments and step count alone") {
  const Tensor a = Tensor::ones({3}), b = Tensor::ones({3}), g = Tensor::full({3}, .5);
  AdamW adamw({.weight_decay = .5});
  adamw.step(gradients_of({{a, g}, {b, g}}));
  const Tensor b_before = b.clone(), m_before = adamw.state_of(b)->moments[0].tensor().clone();
  adamw.step(gradients_of({{a, g}, {b, Tensor()}}));
  CHECK(same_bits(b, b_before));
  CHECK(same_bits(adamw.state_of(b)->moments[0], m_before));
  CHECK(adamw.state_of(b)->steps == 1);
  CHECK(adamw.state_of(a)->steps == 2);
  CHECK(adamw.steps() == 2);
  // A zero gradient is not an empty one: decay and moments still move.
  adamw.step(gradients_of({{b, Tensor::zeros({3})}}));
  CHECK_FALSE(same_bits(b, b_before));
}

TEST_CASE("optimizers: parameters may come in any order and number") {
  std::vector<Tensor> together, apart;
  for (int i = 0; i < 7; ++i) {
    together.push_back(tensor_of(numbers(5, i), DType::f32));
    apart.push_back(together.back().clone());
  }
  Adam a({}), b({});
  for (int t = 0; t < 3; ++t) {
    Gradients all, backwards;
    for (std::size_t i = 0; i < 7; ++i) {
      const Tensor g = tensor_of(numbers(5, 10. * t + static_cast<double>(i)), DType::f32);
      all.parameters.push_back(together[i]);
      all.values.push_back(g);
      backwards.parameters.push_back(apart[i]);
      backwards.values.push_back(g);
    }
    std::reverse(backwards.parameters.begin(), backwards.parameters.end());
    std::reverse(backwards.values.begin(), backwards.values.end());
    a.step(all);
    b.step(backwards);
  }
  for (std::size_t i = 0; i < 7; ++i) CHECK(same_bits(together[i], apart[i]));
  CHECK(a.parameters() == 7);
}

TEST_CASE("optimizers: a wrong gradient moves nothing") {
  const Tensor a = Tensor::ones({3}), b = Tensor::ones({3}), g = Tensor::ones({3});
  const Tensor a_before = a.clone();
  Sgd sgd({.momentum = .9});
  CHECK(contains(error_of<ShapeError>([&] { sgd.step(gradients_of({{a, g}, {b, Tensor::ones({4})}})); }), "[sgd]"));
  CHECK(contains(error_of<DTypeError>([&] { sgd.step(gradients_of({{a, g}, {b, Tensor::ones({3}, DType::f64)}})); }), "f64"));
  Gradients short_one = gradients_of({{a, g}});
  short_one.values.pop_back();
  CHECK(contains(error_of<ValueError>([&] { sgd.step(short_one); }), "0 gradients for 1 parameters"));
  {
    Tape tape({b});
    CHECK(contains(error_of<GradientError>([&] { sgd.step(gradients_of({{a, g}, {b, g}})); }), "live on a tape"));
  }
  CHECK(same_bits(a, a_before));
  CHECK(sgd.steps() == 0);
  // The state is as if nothing had happened, too.
  sgd.step(gradients_of({{a, g}}));
  CHECK(sgd.state_of(a)->steps == 1);
  CHECK(a.values<float>()[0] == 1 - .1f);
}

TEST_CASE("optimizers: configs out of their domain throw") {
  CHECK(contains(error_of<ValueError>([] { Sgd({.momentum = 1}); }), "momentum is 1.0"));
  CHECK(contains(error_of<ValueError>([] { Sgd({.nesterov = true}); }), "nesterov"));
  CHECK(contains(error_of<ValueError>([] { Sgd({.weight_decay = -1}); }), "weight_decay"));
  CHECK(contains(error_of<ValueError>([] { Adam({.beta1 = 1}); }), "[adam] beta1"));
  CHECK(contains(error_of<ValueError>([] { AdamW({.beta2 = -.1}); }), "[adamw] beta2"));
  CHECK(contains(error_of<ValueError>([] { Adam({.epsilon = -1}); }), "epsilon"));
  CHECK(contains(error_of<ValueError>([] { Adam({.weight_decay = std::nan("")}); }), "weight_decay"));
}

TEST_CASE("optimizers: biases and norms are left out of weight decay when asked") {
  Layer layer;
  const auto zero = [](const Tensor& t) { return Tensor::zeros(t.shape()); };
  Sgd sgd({.learning_rate = 1, .weight_decay = .5, .no_decay = no_decay(layer)});
  sgd.step(gradients_of({{layer.weight, zero(layer.weight)}, {layer.bias, zero(layer.bias)}, {layer.gamma, zero(layer.gamma)}}));
  CHECK(layer.weight.tensor().values<float>()[0] == .5f);
  CHECK(layer.bias.tensor().values<float>()[0] == 1);
  CHECK(layer.gamma.tensor().values<float>()[0] == 1);
  CHECK(select_parameters(layer, [](const NamedTensor& t) { return t.name == "bias"; }) == ParameterIds{layer.bias.tensor().id()});
  sgd.exclude_from_decay({layer.weight.tensor().id()});
  sgd.step(gradients_of({{layer.weight, zero(layer.weight)}}));
  CHECK(layer.weight.tensor().values<float>()[0] == .5f);
}

TEST_CASE("optimizers: a mask stops the update, not the gradient") {
  const Tensor mask = Tensor::from({true, false, true, false});
  for (const bool adam : {true, false}) {
    const Tensor w = tensor_of(numbers(4, 3), DType::f32), g = tensor_of(numbers(4, 8), DType::f32), free = w.clone();
    std::unique_ptr<Optimizer> masked, unmasked;
    const auto make = [&]() -> std::unique_ptr<Optimizer> {
      if (adam) return std::make_unique<AdamW>(AdamWConfig{.learning_rate = .1, .weight_decay = .1});
      return std::make_unique<Sgd>(SgdConfig{.learning_rate = .1, .momentum = .9, .weight_decay = .1});
    };
    masked = make();
    unmasked = make();
    // Momentum is already moving every element when the mask arrives.
    for (Optimizer* o : {masked.get(), unmasked.get()}) o->step(gradients_of({{o == masked.get() ? w : free, g}}));
    masked->set_update_mask(w, mask);
    const std::vector<float> before = w.to_vector<float>();
    masked->step(gradients_of({{w, g}}));
    unmasked->step(gradients_of({{free, g}}));
    const std::vector<float> after = w.to_vector<float>(), unbound = free.to_vector<float>();
    CHECK(after[1] == before[1]);
    CHECK(after[3] == before[3]);
    CHECK(after[0] == unbound[0]);
    CHECK(after[2] == unbound[2]);
    CHECK(unbound[1] != before[1]);
    CHECK(same_bits(masked->state_of(w)->moments[0], unmasked->state_of(free)->moments[0]));
    masked->set_update_mask(w, Tensor());
    masked->step(gradients_of({{w, g}}));
    CHECK(w.to_vector<float>()[1] != before[1]);
    CHECK(contains(error_of<ShapeError>([&] { masked->set_update_mask(w, Tensor::from({true})); }), "mask"));
    CHECK(contains(error_of<DTypeError>([&] { masked->set_update_mask(w, Tensor::ones({4}, DType::f64)); }), "mask"));
  }
}

TEST_CASE("optimizers: copies are real copies; reset and forget drop what they say") {
  const Tensor w = Tensor::ones({2}), g = Tensor::full({2}, .25);
  Adam adam({});
  adam.set_update_mask(w, Tensor::from({true, true}));
  adam.step(gradients_of({{w, g}}));
  const Adam copy = adam;
  const Tensor m = copy.state_of(w)->moments[0].tensor().clone();
  adam.step(gradients_of({{w, g}}));
  CHECK(same_bits(copy.state_of(w)->moments[0], m));
  CHECK_FALSE(same_bits(adam.state_of(w)->moments[0], m));
  CHECK(copy.steps() == 1);
  adam.reset();
  CHECK(adam.state_of(w)->steps == 0);
  CHECK_FALSE(adam.state_of(w)->moments[0].tensor());
  CHECK(adam.state_of(w)->mask.tensor());
  CHECK(adam.steps() == 2);
  adam.forget(w);
  CHECK(adam.state_of(w) == nullptr);
  adam.forget(w);
  const auto blank = copy.without_state();
  CHECK(blank->parameters() == 0);
  CHECK(blank->name() == std::string("adam"));
}

TEST_CASE("optimizers: an allocation that fails in a step leaves everything as it was, and a second try gives the same bits") {
  const auto run = [](std::int64_t fail_nth, bool& failed) {
    const Tensor a = tensor_of(numbers(9, 1), DType::f32), b = tensor_of(numbers(9, 2), DType::f32);
    const Gradients g = gradients_of({{a, tensor_of(numbers(9, 3), DType::f32)}, {b, tensor_of(numbers(9, 4), DType::f32)}});
    const Tensor before = a.clone();
    Adam adam({});
    fail_allocation(fail_nth);
    failed = false;
    try {
      adam.step(g);
    } catch (const MemoryError&) { failed = true; }
    fail_allocation(0);
    if (failed) {
      CHECK(same_bits(a, before));
      CHECK(adam.steps() == 0);
      adam.step(g);
    }
    adam.step(g);
    return std::pair{a, b};
  };
  bool failed = false;
  const auto expected = run(0, failed);
  int failures = 0;
  for (std::int64_t nth = 1;; ++nth) {
    const auto got = run(nth, failed);
    CHECK(same_bits(got.first, expected.first));
    CHECK(same_bits(got.second, expected.second));
    if (!failed) break;
    ++failures;
  }
  CHECK(failures >= 4);
}

TEST_CASE("optimizers: steps take no memory after the first") {
  const Tensor a = Tensor::ones({64}), b = Tensor::ones({8});
  const Gradients g = gradients_of({{a, Tensor::ones({64})}, {b, Tensor::ones({8})}});
  Adam adam({});
  adam.step(g);
  const MemoryPeak peak;
  const std::int64_t calls = memory_stats().system_calls;
  for (int i = 0; i < 10; ++i) adam.step(g);
  CHECK(peak.bytes() == 0);
  CHECK(memory_stats().system_calls == calls);
}

TEST_CASE("optimizers: remap keeps moments, mask and step count with the elements they belong to") {
  Layer layer;
  layer.weight = Parameter(Tensor::from({1.f, 2.f, 3.f, 4.f, 5.f, 6.f}, {2, 3}));
  Adam adam({.weight_decay = .1, .no_decay = {layer.weight.tensor().id()}});
  adam.set_update_mask(layer.weight, Tensor::from({true, true, false, true, true, true}, {2, 3}));
  adam.step(gradients_of({{layer.weight, Tensor::from({1.f, 2.f, 3.f, 4.f, 5.f, 6.f}, {2, 3})}, {layer.bias, Tensor::ones({2})}}));
  const Tensor bias_m = adam.state_of(layer.bias)->moments[0].tensor().clone();
  const std::vector<float> m = adam.state_of(layer.weight)->moments[0].tensor().to_vector<float>();
  const std::uint64_t old_id = layer.weight.tensor().id();

  // Four columns: 0, 1, 2 and a copy of 1; then a new row.
  const std::int64_t columns[] = {0, 1, 2, 1}, rows[] = {0, 1, -1};
  adam.remap({take_units(layer.weight, 1, columns)});
  adam.remap({take_units(layer.weight, 0, rows)});
  CHECK(layer.weight.tensor().id() != old_id);
  CHECK(layer.weight.tensor().shape() == Shape{3, 4});
  CHECK(layer.weight.tensor().to_vector<float>()[11] == 0);
  const OptimizerState* state = adam.state_of(layer.weight);
  REQUIRE(state != nullptr);
  CHECK(state->moments[0].tensor().to_vector<float>() == std::vector<float>{m[0], m[1], m[2], m[1], m[3], m[4], m[5], m[4], 0, 0, 0, 0});
  CHECK(state->mask.tensor().to_vector<float>() == std::vector<float>{1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1});
  CHECK(state->steps == 1);
  CHECK_FALSE(state->decays);
  CHECK(same_bits(adam.state_of(layer.bias)->moments[0], bias_m));
  CHECK(adam.parameters() == 2);
  adam.step(gradients_of({{layer.weight, Tensor::ones({3, 4})}}));
  CHECK(adam.state_of(layer.weight)->steps == 2);
}

TEST_CASE("gradients: global norm and clipping") {
  const Tensor p = Tensor::zeros({2}), q = Tensor::zeros({1});
  Gradients g = gradients_of({{p, Tensor::from({3.f, 0.f})}, {q, Tensor()}, {q, Tensor::from({4.f})}});
  CHECK(global_norm(g) == 5);
  CHECK(clip_by_norm(g, 10) == 5);
  CHECK(g.values[0].to_vector<float>()[0] == 3);
  CHECK(clip_by_norm(g, 2.5) == 5);
  CHECK(g.values[0].to_vector<float>() == std::vector<float>{1.5f, 0});
  CHECK(g.values[2].to_vector<float>() == std::vector<float>{2});
  CHECK_FALSE(g.values[1]);
  // Somebody else's tensor is not written to.
  const Tensor shared = Tensor::from({3.f, 4.f});
  Gradients h = gradients_of({{p, shared}});
  CHECK(clip_by_norm(h, 1) == 5);
  CHECK(shared.to_vector<float>() == std::vector<float>{3, 4});
  CHECK(h.values[0].to_vector<float>()[0] == doctest::Approx(.6));
  // Large in f32, and NaN.
  Gradients large = gradients_of({{p, Tensor::full({2}, 1e30)}});
  CHECK(global_norm(large) == doctest::Approx(std::sqrt(2.) * 1e30));
  CHECK(clip_by_norm(large, 1) > 1e30);
  CHECK(global_norm(large) == doctest::Approx(1));
  Gradients broken = gradients_of({{p, Tensor::from({1.f, std::nanf("")})}});
  CHECK(std::isnan(clip_by_norm(broken, 1e-3)));
  CHECK(broken.values[0].to_vector<float>()[0] == 1);
  CHECK(contains(error_of<ValueError>([&] { clip_by_norm(g, 0); }), "max_norm is 0"));
}

TEST_CASE("ema: parameters follow, buffers stay, copies start equal") {
  struct Net : ModuleOf<Net> {
    Parameter w{Tensor::from({1.f, 2.f})};
    Buffer mean{Tensor::zeros({2})};
    void visit(Visitor& v) {
      v("w", w);
      v("mean", mean);
    }
  };
  Net student;
  Net teacher = student;
  CHECK(same_bits_of(student, teacher));
  CHECK(student.w.tensor().id() != teacher.w.tensor().id());
  assign(student.w, Tensor::from({3.f, -2.f}));
  assign(student.mean, Tensor::ones({2}));
  ema_update(teacher, student, .75);
  CHECK(teacher.w.tensor().to_vector<float>() == std::vector<float>{1.5f, 1});
  CHECK(same_bits(teacher.mean, Tensor::zeros({2})));
  ema_update(teacher, student, 0);
  CHECK(same_bits(teacher.w, student.w));
  ema_update(teacher, student, 1);
  CHECK(same_bits(teacher.w, student.w));
  CHECK(contains(error_of<ValueError>([&] { ema_update(teacher, student, 1.5); }), "decay is 1.5"));
  Layer other;
  CHECK(contains(error_of<ValueError>([&] { ema_update(teacher, other, .5); }), "expected the same model"));
}
