// Modules, optimizers and checkpoints on the device: the same numbers as on the CPU, one wait a step.
#include <doctest/doctest.h>

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>

#include <gradus/algorithms/self_supervised/simclr.h>
#include <gradus/engine/ops/random.h>
#include <gradus/engine/ops/softmax.h>
#include <gradus/engine/pass.h>
#include <gradus/kernels/device.h>
#include <gradus/nn/ema.h>
#include <gradus/nn/gradients.h>
#include <gradus/nn/models/convnet.h>
#include <gradus/nn/models/mlp.h>
#include <gradus/nn/optimizers.h>
#include <gradus/nn/serialize.h>

using namespace gradus;

namespace {

double difference(const Tensor& a, const Tensor& b) {
  const auto x = a.to_vector<float>(), y = b.to_vector<float>();
  REQUIRE(x.size() == y.size());
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) worst = std::fmax(worst, std::abs(static_cast<double>(x[i]) - static_cast<double>(y[i])));
  return worst;
}

/// Three steps of a classifier on one device; its parameters.
template <class Opt> TensorList trained(Device device, Opt optimizer) {
  Generator rng(4);
  Mlp model({6, 8, 3}, rng);
  model.to(device);
  const Tensor x = normal(Key{1, 0}, {10, 6}).to(device);
  const Tensor labels = Tensor::from(std::vector<std::int64_t>{0, 1, 2, 0, 1, 2, 0, 1, 2, 0}, {10}).to(device);
  for (int step = 0; step < 3; ++step) {
    const TrainingPass pass(Key{7, static_cast<std::uint32_t>(step)});
    Tape tape(model.parameters());
    Gradients g = tape.gradients(cross_entropy(model(x), labels));
    clip_by_norm(g, 0.5);
    optimizer.step(g);
  }
  return model.parameters();
}

}  // namespace

TEST_CASE("cuda: three optimizers move a model as on the CPU") {
  const auto check = [](auto make) {
    const TensorList here = trained(Device::cpu, make()), there = trained(Device::cuda, make());
    for (std::size_t i = 0; i < here.size(); ++i) {
      CHECK(there[i].device() == Device::cuda);
      CHECK(difference(there[i], here[i]) <= 1e-5);
    }
  };
  check([] { return Sgd({.learning_rate = .1, .momentum = .9, .nesterov = true, .weight_decay = 1e-3}); });
  check([] { return Adam({.learning_rate = 1e-2}); });
  check([] { return AdamW({.learning_rate = 1e-2, .weight_decay = 1e-2}); });
}

TEST_CASE("cuda: a model, its teacher and a checkpoint cross devices") {
  Generator rng(4);
  Mlp model({6, 8, 3}, rng), other({6, 8, 3}, rng);
  const TensorList before = model.parameters();
  model.to(Device::cuda);
  Mlp teacher = model;
  CHECK(teacher.parameters()[0].device() == Device::cuda);
  ema_update(teacher, model, .5);
  CHECK(difference(teacher.parameters()[0], before[0]) == 0);
  const std::string path = std::filesystem::temp_directory_path() / ("gradus-cuda-" + std::to_string(getpid()) + ".safetensors");
  save_module(path, model);
  load_module(path, other);
  std::remove(path.c_str());
  CHECK(difference(other.parameters()[2], before[2]) == 0);
  model.to(Device::cpu);
  CHECK(model.parameters()[1].to_vector<float>() == before[1].to_vector<float>());
}

TEST_CASE("cuda: a SimCLR step waits for the device once, when its loss is logged") {
  Generator rng(5);
  const ConvEncoder encoder(1, rng);
  Simclr model(encoder, encoder.features(), {}, rng);
  model.to(Device::cuda);
  AdamW optimizer({.learning_rate = 1e-3});
  const Tensor a = normal(Key{1, 0}, {4, 1, 8, 8}).to(Device::cuda), b = normal(Key{2, 0}, {4, 1, 8, 8}).to(Device::cuda);
  for (const std::uint32_t i : {0u, 1u, 2u}) simclr_step(model, optimizer, a, b, Key{3, i});  // the first ones allocate
  const std::int64_t before = cuda::host_synchronizations(), calls = memory_stats(Device::cuda).system_calls;
  const SimclrLoss loss = simclr_step(model, optimizer, a, b, Key{3, 3});
  CHECK(cuda::host_synchronizations() == before);
  CHECK(loss.loss.item() > 0);
  CHECK(cuda::host_synchronizations() == before + 1);
  CHECK(memory_stats(Device::cuda).system_calls == calls);
}
