#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/matmul.h>
#include <gradus/engine/ops/random.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/softmax.h>
#include <gradus/engine/pass.h>
#include <gradus/nn/activation.h>
#include <gradus/nn/dropout.h>
#include <gradus/nn/growth.h>
#include <gradus/nn/models/convnet.h>
#include <gradus/nn/models/mlp.h>
#include <gradus/nn/optimizers.h>
#include <gradus/nn/pooling.h>
#include <gradus/nn/sequential.h>

#include "support.h"

using namespace gradus;
using namespace gradus::testing;

namespace {

std::vector<std::string> names_of(const NamedTensors& tensors) {
  std::vector<std::string> names;
  for (const NamedTensor& t : tensors) names.push_back(t.name);
  return names;
}

double largest_difference(const Tensor& a, const Tensor& b) { return max(abs(a - b)).item(); }

/// One training step of a copy leaves the original's bits alone, and the copy's forward is its own.
template <class M> void check_value(const M& model, const Tensor& x) {
  const M reference = model;
  M copy = model;
  CHECK(same_bits_of(copy, model));
  const TensorList a = copy.parameters(), b = model.parameters();
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(a[i].id() != b[i].id());
  const Tensor before = model(x);
  Sgd sgd({.learning_rate = .5});
  {
    TrainingPass pass(Key{3, 0});
    Tape tape(copy.parameters());
    sgd.step(tape.gradients(sum(square(copy(x)))));
  }
  CHECK(same_bits_of(model, reference));
  CHECK(same_bits(model(x), before));
  CHECK_FALSE(same_bits_of(copy, reference));
  const M moved = std::move(copy);
  CHECK(moved.parameters()[0].id() == a[0].id());
}

}  // namespace

TEST_CASE("modules: every module is a value") {
  Generator rng(3);
  const Tensor rows = normal(Key{1, 0}, {4, 6}), images = normal(Key{2, 0}, {4, 2, 8, 8});
  check_value(Linear(6, 3, rng), rows);
  check_value(Conv2d(2, 4, 3, rng, {.stride = 2, .padding = 1, .groups = 2}), images);
  check_value(BatchNorm(6), rows);
  check_value(Mlp({6, 5, 3}, rng), rows);
  check_value(Sequential(Linear(6, 5, rng), BatchNorm(5), Gelu(), Dropout(.5), Linear(5, 2, rng)), rows);
  check_value(ConvBlock(2, 4, true, rng), images);
  check_value(ConvEncoder(2, rng, {.widths = {3, 4}}), images);
  check_value(Convnet(2, 3, rng, {.widths = {3, 4}}), images);
  check_value(Module(Mlp({6, 5, 3}, rng)), rows);
}

TEST_CASE("modules: names, roles and printing follow from visit") {
  Generator rng(3);
  const Convnet model(1, 3, rng, {.widths = {2, 4}});
  CHECK(names_of(model.named_tensors()) ==
        std::vector<std::string>{"encoder.blocks.0.conv.weight", "encoder.blocks.0.conv.bias", "encoder.blocks.0.norm.gamma",
                                 "encoder.blocks.0.norm.beta", "encoder.blocks.0.norm.running_mean", "encoder.blocks.0.norm.running_var",
                                 "encoder.blocks.1.conv.weight", "encoder.blocks.1.conv.bias", "encoder.blocks.1.norm.gamma",
                                 "encoder.blocks.1.norm.beta", "encoder.blocks.1.norm.running_mean", "encoder.blocks.1.norm.running_var",
                                 "head.weight", "head.bias"});
  CHECK(model.parameters().size() == 10);
  CHECK(no_decay(model).size() == 7);
  CHECK(names_of(Linear(2, 2, rng, {.bias = false}).named_tensors()) == std::vector<std::string>{"weight"});
  CHECK(names_of(Sequential(Linear(2, 2, rng), Relu(), BatchNorm(2)).named_tensors()) ==
        std::vector<std::string>{"layers.0.weight", "layers.0.bias", "layers.2.gamma", "layers.2.beta", "layers.2.running_mean",
                                 "layers.2.running_var"});
  CHECK(contains(model.to_string(), "head.weight  f32[3, 4]  weight"));
  const Sequential net(Linear(2, 2, rng), Relu());
  CHECK(net.layers[1].as<Relu>() != nullptr);
  CHECK(net.layers[1].as<Linear>() == nullptr);
}

TEST_CASE("modules: initial values are PyTorch's distribution and a function of the generator") {
  Generator a(9), b(9), c(10);
  const Mlp first({30, 20, 10}, a), second({30, 20, 10}, b), third({30, 20, 10}, c);
  CHECK(same_bits_of(first, second));
  CHECK_FALSE(same_bits_of(first, third));
  CHECK(a == b);
  const double bound = 1 / std::sqrt(30.);
  CHECK(max(abs(first.layers[0].weight.tensor())).item() <= bound);
  CHECK(max(abs(first.layers[0].weight.tensor())).item() > .98 * bound);
  CHECK(max(abs(first.layers[0].bias.tensor())).item() <= bound);
  CHECK(max(abs(first.layers[1].bias.tensor())).item() <= 1 / std::sqrt(20.));
  const Conv2d conv(4, 50, 3, a, {.groups = 2});
  CHECK(conv.weight.tensor().shape() == Shape{50, 2, 3, 3});
  CHECK(max(abs(conv.weight.tensor())).item() <= 1 / std::sqrt(18.));
  CHECK(max(abs(conv.weight.tensor())).item() > .98 / std::sqrt(18.));
}

TEST_CASE("modules: the MLP computes its layers, with no activation after the last") {
  Generator rng(4);
  const Tensor x = normal(Key{1, 0}, {3, 4}, 0, 1, DType::f64);
  const std::pair<Activation, std::function<Tensor(const Tensor&)>> activations[] = {{Activation::identity, [](const Tensor& t) { return t; }},
                                                                                     {Activation::relu, [](const Tensor& t) { return relu(t); }},
                                                                                     {Activation::tanh, [](const Tensor& t) { return tanh(t); }},
                                                                                     {Activation::gelu, [](const Tensor& t) { return gelu(t); }},
                                                                                     {Activation::sigmoid, [](const Tensor& t) { return sigmoid(t); }},
                                                                                     {Activation::softplus, [](const Tensor& t) { return softplus(t); }}};
  for (const auto& [activation, function] : activations) {
    const Mlp model({4, 5, 6, 2}, rng, {.activation = activation, .dtype = DType::f64});
    const auto& l = model.layers;
    const auto layer = [](const Linear& w, const Tensor& t) { return matmul(t, w.weight, {.transpose_b = true}) + w.bias; };
    const Tensor hidden = function(layer(l[1], function(layer(l[0], x))));
    CHECK(largest_difference(model.features(x), hidden) < 1e-14);
    CHECK(largest_difference(model(x), layer(l[2], hidden)) < 1e-14);
  }
  const Mlp linear_model({4, 2}, rng);
  const Tensor rows = Tensor::ones({1, 4});
  CHECK(same_bits(linear_model.features(rows), rows));
  CHECK(same_bits(linear_model(Tensor::ones({1, 1, 2, 2})), linear_model(rows)));  // an image
  CHECK(linear_model(Tensor::ones({3, 5, 4})).shape() == Shape{3, 5, 2});          // a sequence of rows
  CHECK(contains(error_of<ValueError>([&] { Mlp({4}, rng); }), "1 sizes"));
  CHECK(contains(error_of<ValueError>([&] { Mlp()(rows); }), "without layers"));
  CHECK(contains(error_of<ShapeError>([&] { linear_model(Tensor::ones({1, 3})); }), "[linear]"));
}

TEST_CASE("modules: batch norm uses the batch in a training pass and running statistics otherwise") {
  BatchNorm norm(2, {.momentum = .25, .dtype = DType::f64});
  assign(norm.gamma, Tensor::from({2., 3.}));
  assign(norm.beta, Tensor::from({.5, -1.}));
  const Tensor x = Tensor::from({1., 10., 3., 30., 5., 20., 7., 40.}, {4, 2});
  const Tensor idle = norm(x);  // mean 0, variance 1
  CHECK(idle.values<double>()[1] == doctest::Approx(10 * 3 / std::sqrt(1 + 1e-5) - 1));
  Tensor y;
  {
    TrainingPass pass(Key{1, 0});
    y = norm(x);
    CHECK(same_bits(norm.running_mean, Tensor::zeros({2}, DType::f64)));  // written when the pass ends
  }
  // Channel 0: mean 4, biased variance 5, unbiased 20 / 3. Channel 1: 25, 125, 500 / 3.
  CHECK(y.values<double>()[0] == doctest::Approx((1 - 4) / std::sqrt(5 + 1e-5) * 2 + .5).epsilon(1e-12));
  CHECK(norm.running_mean.tensor().values<double>()[0] == doctest::Approx(.25 * 4).epsilon(1e-14));
  CHECK(norm.running_mean.tensor().values<double>()[1] == doctest::Approx(.25 * 25).epsilon(1e-14));
  CHECK(norm.running_var.tensor().values<double>()[0] == doctest::Approx(.75 + .25 * 20 / 3).epsilon(1e-14));
  CHECK(norm.running_var.tensor().values<double>()[1] == doctest::Approx(.75 + .25 * 500 / 3).epsilon(1e-14));
  const Tensor mean_before = norm.running_mean.tensor().clone();
  {
    TrainingPass pass(Key{1, 0});
    norm(x);
    pass.discard();
  }
  {
    TrainingPass pass(Key{1, 0});
    const InferencePass still;
    CHECK_FALSE(same_bits(norm(x), y));
  }
  CHECK(same_bits(norm.running_mean, mean_before));
  TrainingPass pass(Key{1, 0});
  CHECK(contains(error_of<ShapeError>([&] { norm(Tensor::ones({1, 2}, DType::f64)); }), "one value a channel"));
  CHECK(contains(error_of<ShapeError>([&] { norm(Tensor::ones({4, 3}, DType::f64)); }), "[3]"));
}

TEST_CASE("modules: dropout drops in a training pass only, by the pass's keys") {
  const Dropout dropout(.25);
  const Tensor x = Tensor::ones({100, 100});
  CHECK(same_bits(dropout(x), x));
  Tensor first, second, again;
  {
    TrainingPass pass(Key{5, 0});
    first = dropout(x);
    second = dropout(x);
  }
  {
    TrainingPass pass(Key{5, 0});
    again = dropout(x);
  }
  CHECK(same_bits(first, again));
  CHECK_FALSE(same_bits(first, second));
  CHECK(mean(first).item() == doctest::Approx(1).epsilon(.03));
  CHECK(max(first).item() == doctest::Approx(1 / .75));
  CHECK(contains(error_of<ValueError>([] { Dropout(1.5); }), "p is 1.5"));
}

TEST_CASE("modules: shapes of convolutional networks") {
  Generator rng(2);
  const Convnet model(1, 10, rng);
  CHECK(model.parameters().size() == 14);
  CHECK(model(Tensor::ones({2, 1, 28, 28})).shape() == Shape{2, 10});
  const ConvEncoder encoder(1, rng);
  CHECK(encoder.features() == 128);
  CHECK(encoder(Tensor::ones({3, 1, 8, 8})).shape() == Shape{3, 128});
  CHECK_FALSE(encoder.blocks[0].pool);
  CHECK(encoder.blocks[1].pool);
  CHECK(encoder.blocks[2].pool);
  CHECK(Flatten()(Tensor::ones({2, 3, 4})).shape() == Shape{2, 12});
  CHECK(Flatten()(Tensor::ones({0, 3, 4})).shape() == Shape{0, 12});
  CHECK(Sequential(MaxPool2d({.kernel = 3, .stride = 2, .padding = 1}), GlobalAvgPool())(Tensor::ones({2, 3, 7, 7})).shape() ==
        Shape{2, 3});
  CHECK(contains(error_of<ValueError>([&] { Conv2d(3, 4, 3, rng, {.groups = 2}); }), "groups 2"));
  CHECK(contains(error_of<ValueError>([&] { ConvEncoder(1, rng, {.widths = {}}); }), "widths is empty"));
}

TEST_CASE("modules: traces name the module") {
  Generator rng(2);
  const Mlp model({2, 3, 1}, rng);
  Tape tape(model.parameters());
  tape.trace();
  model(Tensor::ones({1, 2}));
  CHECK(contains(tape.table(), "layers/0"));
  CHECK(contains(tape.table(), "layers/1"));
}

TEST_CASE("modules: a reference to a module is copied, not wrapped") {
  Generator rng(2);
  Mlp model({3, 4, 2}, rng);
  ModuleRef ref(model);
  ModuleRef copy(ref);
  CHECK(copy.as<Mlp>() == &model);
}

TEST_CASE("modules: binding values is cheap and differentiable") {
  Generator rng(2);
  const Mlp model({3, 4, 2}, rng);
  const Tensor x = normal(Key{1, 0}, {5, 3}), y = Tensor::zeros({5, 2});
  const TensorList p = model.parameters();
  Tape tape(p);
  const TensorList inner = tape.gradients(mse(model(x), y), p, {.create_graph = true});
  TensorList fast;
  for (std::size_t i = 0; i < p.size(); ++i) fast.push_back(add_scaled(p[i], inner[i], -.1));
  const Gradients outer = tape.gradients(mse(bind_parameters(model, fast)(x), y), {.require_all = true});
  CHECK(outer.values.size() == p.size());
  CHECK(largest_difference(outer.values[0], inner[0]) > 0);
}

namespace {

/// A trained little network keeps its outputs and its optimizer's moments while it grows, and trains on.
template <class Widen> void check_growth(const std::function<Tensor()>& output, Optimizer& adam, const Widen& widen, double tolerance) {
  const Tensor before = output();
  const GrowthMap growth = widen();
  CHECK(largest_difference(output(), before) < tolerance);
  const std::size_t known = adam.parameters();
  adam.remap(growth);
  CHECK(adam.parameters() == known);
}

}  // namespace

TEST_CASE("growth: a wider MLP computes the same, and Adam goes on with its moments") {
  Generator rng(6);
  Mlp model({3, 4, 2}, rng, {.activation = Activation::tanh, .dtype = DType::f64});
  const Tensor x = normal(Key{1, 0}, {8, 3}, 0, 1, DType::f64), y = normal(Key{2, 0}, {8, 2}, 0, 1, DType::f64);
  Adam adam({.learning_rate = 1e-2});
  const auto train = [&](int steps) {
    double loss = 0;
    for (int i = 0; i < steps; ++i) {
      Tape tape(model.parameters());
      const Tensor l = mse(model(x), y);
      loss = l.item();
      adam.step(tape.gradients(l));
    }
    return loss;
  };
  const double before = train(20);
  const Tensor m = adam.state_of(model.layers[0].weight)->moments[0].tensor().clone();
  check_growth([&] { return model(x); }, adam, [&] { return widen(model.layers[0], model.layers[1], 9, rng.next_key()); }, 1e-14);
  CHECK(model.layers[0].weight.tensor().shape() == Shape{9, 3});
  CHECK(model.layers[1].weight.tensor().shape() == Shape{2, 9});
  const OptimizerState* state = adam.state_of(model.layers[0].weight);
  REQUIRE(state != nullptr);
  CHECK(state->steps == 20);
  for (std::size_t i = 0; i < 12; ++i) CHECK(state->moments[0].tensor().values<double>()[i] == m.values<double>()[i]);
  CHECK(train(20) < before);
  CHECK(contains(error_of<ValueError>([&] { widen(model.layers[0], model.layers[1], 5, Key{1, 0}); }), "9 units cannot get 5"));
  Linear stranger(7, 2, rng);
  CHECK(contains(error_of<ShapeError>([&] { widen(model.layers[0], stranger, 12, Key{1, 0}); }), "reads 7"));
  const std::int64_t wrong[] = {0, 9};
  CHECK(contains(error_of<IndexError>([&] { take_units(model.layers[0].weight, 0, wrong); }), "unit 9 of 9"));
}

TEST_CASE("growth: convolutions grow with their batch norms, running statistics included") {
  Generator rng(6);
  Convnet model(1, 3, rng, {.widths = {3, 4}, .pools = 2, .dtype = DType::f64});
  const Tensor x = normal(Key{1, 0}, {8, 1, 8, 8}, 0, 1, DType::f64);
  Adam adam({});
  {
    TrainingPass pass(rng);
    Tape tape(model.parameters());
    adam.step(tape.gradients(sum(square(model(x)))));
  }
  auto& blocks = model.encoder.blocks;
  check_growth([&] { return model(x); }, adam, [&] { return widen(blocks[0].conv, blocks[0].norm, blocks[1].conv, 5, rng.next_key()); },
               1e-13);
  check_growth([&] { return model(x); }, adam, [&] { return widen(blocks[1].conv, blocks[1].norm, model.head, 11, rng.next_key()); },
               1e-13);
  CHECK(blocks[1].norm.running_var.tensor().shape() == Shape{11});
  CHECK(model.head.weight.tensor().shape() == Shape{3, 11});
  // Copies are copies in training mode too: batch statistics of equal channels are equal.
  TrainingPass pass(rng);
  CHECK(model(x).shape() == Shape{8, 3});
}
