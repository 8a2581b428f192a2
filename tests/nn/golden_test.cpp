// Values of a foreign framework (tests/golden/make_golden.py): single ops with their first and second derivatives, optimizers, and ten
// training steps of whole models.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <memory>

#include <gradus/engine/ops/convolution.h>
#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/matmul.h>
#include <gradus/engine/ops/normalization.h>
#include <gradus/engine/ops/pooling.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/ops/softmax.h>
#include <gradus/engine/pass.h>
#include <gradus/nn/models/convnet.h>
#include <gradus/nn/models/mlp.h>
#include <gradus/nn/optimizers.h>
#include <gradus/nn/safetensors.h>

using namespace gradus;

namespace {

const TensorFile& golden(const char* name) {
  static const TensorFile ops = read_safetensors(GRADUS_SOURCE_DIR "/tests/golden/ops.safetensors");
  static const TensorFile training = read_safetensors(GRADUS_SOURCE_DIR "/tests/golden/training.safetensors");
  return name[0] == 'o' ? ops : training;
}

/// make_golden.py's fill(): the same integers, so the same bits.
Tensor fill(std::uint32_t seed, const Shape& shape) {
  std::vector<double> values(static_cast<std::size_t>(shape.elements()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint32_t h = static_cast<std::uint32_t>(i) * 2654435761u + seed * 2246822519u + 374761393u;
    h ^= h >> 15;
    h *= 2246822519u;
    h ^= h >> 13;
    values[i] = static_cast<double>(h >> 8) / (1 << 23) - 1;
  }
  return Tensor::from(values, shape);
}

Tensor labels(std::uint32_t seed, std::int64_t n, double classes) { return cast((fill(seed, {n}) + 1.0) / 2.0 * classes, DType::i64); }

/// Largest |got - expected| / max(1, |expected|); infinite if the shapes differ or the file has no such tensor.
double error_against(const TensorFile& file, const std::string& name, const Tensor& got) {
  const Tensor* expected = file.find(name);
  if (!expected || !got || !(expected->shape() == got.shape())) return INFINITY;
  const Tensor wide = cast(got, DType::f64);
  double worst = 0;
  for (std::size_t i = 0; i < wide.values<double>().size(); ++i) {
    const double e = expected->values<double>()[i], error = std::abs(wide.values<double>()[i] - e) / std::max(1., std::abs(e));
    if (!(error <= worst)) worst = error;  // NaN is the worst of all
  }
  return worst;
}

using OneOp = std::function<Tensor(const TensorList&)>;

void check_op(const std::string& name, const OneOp& f, std::initializer_list<Tensor> operands) {
  const TensorFile& file = golden("ops");
  for (const DType dtype : {DType::f64, DType::f32}) {
    // f32 against f64: a few roundings of values up to about 10, more after two derivatives.
    const double tolerance = dtype == DType::f64 ? 1e-12 : 1e-5, second_tolerance = dtype == DType::f64 ? 1e-11 : 2e-4;
    TensorList inputs;
    for (const Tensor& t : operands) inputs.push_back(dtype == DType::f64 ? t : cast(t, dtype));
    Tape tape(inputs);
    const Tensor y = f(inputs);
    CHECK_MESSAGE(error_against(file, name + ".y", y) < tolerance, name, " in ", std::string(name_of(dtype)));
    const TensorList grads = tape.gradients(y, inputs, {.create_graph = true, .seed = cast(fill(99, y.shape()), dtype)});
    Tensor squares = Tensor::scalar(0, dtype);
    for (std::size_t i = 0; i < grads.size(); ++i) {
      CHECK_MESSAGE(error_against(file, name + ".d" + std::to_string(i), grads[i]) < tolerance, name, " gradient ", i, " in ",
                    std::string(name_of(dtype)));
      squares = squares + sum(square(grads[i]));
    }
    if (!tape.is_live(squares)) continue;  // linear: no second derivative
    const TensorList second = tape.gradients(squares, inputs);
    for (std::size_t i = 0; i < second.size(); ++i) {
      const Tensor s = second[i] ? second[i] : zeros_like(inputs[i]);
      CHECK_MESSAGE(error_against(file, name + ".dd" + std::to_string(i), s) < second_tolerance, name, " second derivative ", i, " in ",
                    std::string(name_of(dtype)));
    }
  }
}

/// The soft targets of label smoothing.
Tensor smoothed(const Tensor& labels, std::int64_t classes, double amount) {
  std::vector<double> t(static_cast<std::size_t>(labels.elements() * classes), amount / static_cast<double>(classes));
  for (std::int64_t i = 0; i < labels.elements(); ++i)
    t[static_cast<std::size_t>(i * classes + labels.values<std::int64_t>()[static_cast<std::size_t>(i)])] += 1 - amount;
  return Tensor::from(t, {labels.elements(), classes});
}

}  // namespace

TEST_CASE("golden: elementwise ops, softmax and cross-entropy") {
  const Tensor x = 4.0 * fill(1, {3, 7}), y = labels(2, 3, 7);
  check_op("gelu", [](const TensorList& in) { return gelu(in[0]); }, {x});
  check_op("softplus", [](const TensorList& in) { return softplus(in[0]); }, {x});
  check_op("sigmoid", [](const TensorList& in) { return sigmoid(in[0]); }, {x});
  check_op("tanh", [](const TensorList& in) { return tanh(in[0]); }, {x});
  check_op("log_softmax", [](const TensorList& in) { return log_softmax(in[0], 1); }, {x});
  check_op("softmax", [](const TensorList& in) { return softmax(in[0], 1); }, {x});
  check_op("logsumexp", [](const TensorList& in) { return logsumexp(in[0], {1}); }, {x});
  check_op("cross_entropy", [&](const TensorList& in) { return cross_entropy(in[0], y); }, {x});
  check_op("cross_entropy_weighted",
           [&](const TensorList& in) { return cross_entropy(in[0], y, {.class_weights = cast(1.5 + fill(3, {7}), in[0].dtype())}); }, {x});
  check_op("cross_entropy_smoothed", [&](const TensorList& in) { return cross_entropy(in[0], cast(smoothed(y, 7, .1), in[0].dtype())); },
           {x});
}

TEST_CASE("golden: linear, normalisation, convolution and pooling") {
  check_op("linear", [](const TensorList& in) { return linear(in[0], in[1], in[2]); }, {fill(1, {5, 6}), fill(2, {4, 6}), fill(3, {4})});
  const Tensor images = 2.0 * fill(1, {4, 3, 2, 5}), gamma = 1.5 + fill(2, {3}), beta = fill(3, {3});
  check_op("batch_norm", [](const TensorList& in) { return batch_norm(in[0], in[1], in[2], 1e-5).y; }, {images, gamma, beta});
  CHECK(error_against(golden("ops"), "batch_norm.inference",
                      batch_norm_inference(images, fill(4, {3}), 1.5 + fill(5, {3}), gamma, beta, 1e-5)) < 1e-12);
  check_op("conv2d", [](const TensorList& in) { return conv2d(in[0], in[1], in[2], {.padding = 1}); },
           {fill(1, {2, 3, 5, 6}), fill(2, {4, 3, 3, 3}), fill(3, {4})});
  check_op("conv2d_stride_groups",
           [](const TensorList& in) { return conv2d(in[0], in[1], in[2], {.stride = 2, .padding = 1, .groups = 2}); },
           {fill(1, {2, 4, 7, 6}), fill(2, {6, 2, 3, 3}), fill(3, {6})});
  check_op("conv2d_uneven",
           [](const TensorList& in) {
             return conv2d(in[0], in[1], {.stride = {1, 2}, .padding = {0, 1}});
           },
           {fill(1, {2, 2, 5, 6}), fill(2, {3, 2, 2, 3})});
  const Tensor planes = fill(1, {2, 3, 7, 6});
  check_op("max_pool2d", [](const TensorList& in) { return max_pool2d(in[0], {.kernel = 3, .stride = 2, .padding = 1}); }, {planes});
  check_op("max_pool2d_plain", [](const TensorList& in) { return max_pool2d(in[0], {.kernel = 2}); }, {planes});
  check_op("avg_pool2d", [](const TensorList& in) { return avg_pool2d(in[0], {.kernel = 2}); }, {planes});
}

TEST_CASE("golden: running statistics of batch norm") {
  BatchNorm norm(3, {.dtype = DType::f64});
  assign(norm.running_mean, fill(4, {3}));
  assign(norm.running_var, 1.5 + fill(5, {3}));
  {
    TrainingPass pass(Key{1, 0});
    norm(2.0 * fill(1, {4, 3, 2, 5}));
  }
  CHECK(error_against(golden("ops"), "batch_norm.running_mean", norm.running_mean) < 1e-12);
  CHECK(error_against(golden("ops"), "batch_norm.running_var", norm.running_var) < 1e-12);
}

TEST_CASE("golden: optimizer trajectories") {
  const auto check = [](const char* name, Optimizer&& optimizer, DType dtype) {
    const Tensor w = cast(fill(1, {21}), dtype).clone();
    TensorList path;
    for (std::uint32_t t = 0; t < 12; ++t) {
      Gradients g;
      g.parameters.push_back(w);
      g.values.push_back(cast(fill(10 + t, {21}), dtype) + .5 * w);
      optimizer.step(g);
      path.push_back(w.clone());
    }
    CHECK_MESSAGE(error_against(golden("ops"), name, stack(path, 0)) < (dtype == DType::f64 ? 1e-13 : 2e-6), name, " in ",
                  std::string(name_of(dtype)));
  };
  for (const DType dtype : {DType::f64, DType::f32}) {
    check("sgd", Sgd({.learning_rate = .1}), dtype);
    check("sgd_momentum", Sgd({.learning_rate = .1, .momentum = .9, .weight_decay = .05}), dtype);
    check("sgd_nesterov", Sgd({.learning_rate = .1, .momentum = .9, .nesterov = true, .weight_decay = .05}), dtype);
    check("adam", Adam({.learning_rate = .02}), dtype);
    check("adam_decay", Adam({.learning_rate = .02, .beta1 = .8, .beta2 = .95, .epsilon = 1e-3, .weight_decay = .1}), dtype);
    check("adamw", AdamW({.learning_rate = .02, .weight_decay = .1}), dtype);
  }
}

namespace {

/// Parameters in visiting order, which is PyTorch's, from fill() scaled by the fan-in of the layer; batch norms as they start.
template <class M> void fill_parameters(M& model) {
  std::uint32_t k = 0;
  double scale = 1;
  for (const NamedTensor& t : model.named_tensors()) {
    if (t.is_buffer) continue;
    const Tensor& p = t.tensor;
    if (p.rank() > 1) scale = std::pow(static_cast<double>(p.shape().product(1, p.rank())), -.5);
    if (t.role != Role::norm) assign(p, cast(scale * fill(1000 + k, p.shape()), p.dtype()));
    ++k;
  }
}

/// Ten steps; `names` are PyTorch's for our parameters and buffers, in order.
template <class M>
void check_training(const std::string& name, M model, const Shape& inputs, Optimizer&& optimizer, const std::vector<std::string>& names) {
  const TensorFile& file = golden("training");
  const DType dtype = model.parameters()[0].dtype();
  const double tolerance = dtype == DType::f64 ? 1e-11 : 1e-5;
  fill_parameters(model);
  std::vector<double> losses;
  for (std::uint32_t t = 0; t < 10; ++t) {
    TrainingPass pass(Key{t, 0});
    Tape tape(model.parameters());
    const Tensor loss = cross_entropy(model(cast(fill(100 + t, inputs), dtype)), labels(200 + t, inputs[0], 5));
    losses.push_back(loss.item());
    optimizer.step(tape.gradients(loss));
  }
  CHECK_MESSAGE(error_against(file, name + ".losses", Tensor::from(losses, {10})) < tolerance, name, " losses in ",
                std::string(name_of(dtype)));
  const NamedTensors tensors = model.named_tensors();
  REQUIRE(tensors.size() == names.size());
  for (std::size_t i = 0; i < names.size(); ++i) {
    const double error = error_against(file, name + "." + names[i], tensors[i].tensor);
    CHECK_MESSAGE(error < tolerance, name, ": ", tensors[i].name, " in ", std::string(name_of(dtype)), " differs by ", error);
  }
}

std::vector<std::string> convnet_names() {
  std::vector<std::string> names;
  for (const int block : {0, 4, 8}) {
    for (const char* p : {"weight", "bias"}) names.push_back(std::to_string(block) + "." + p);
    for (const char* p : {"weight", "bias", "running_mean", "running_var"}) names.push_back(std::to_string(block + 1) + "." + p);
  }
  names.insert(names.end(), {"14.weight", "14.bias"});
  return names;
}

}  // namespace

TEST_CASE("golden: ten training steps of an MLP") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    Generator rng(1);
    check_training("mlp", Mlp({12, 16, 16, 5}, rng, {.dtype = dtype}), {16, 12}, Adam({.learning_rate = 1e-2}),
                   {"0.weight", "0.bias", "2.weight", "2.bias", "4.weight", "4.bias"});
  }
}

TEST_CASE("golden: ten training steps of a convolutional network, running statistics included") {
  for (const DType dtype : {DType::f64, DType::f32}) {
    Generator rng(1);
    const Convnet model(1, 5, rng, {.widths = {4, 6, 8}, .pools = 3, .dtype = dtype});
    check_training("convnet", model, {6, 1, 12, 12}, Adam({.learning_rate = 1e-2, .epsilon = 1e-3}), convnet_names());
    check_training("convnet_sgd", model, {6, 1, 12, 12},
                   Sgd({.learning_rate = .05, .momentum = .9, .nesterov = true, .weight_decay = 1e-3}), convnet_names());
  }
}
