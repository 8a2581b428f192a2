// The workloads that peers are measured on: same shapes, f32, same losses and optimizers, same number of gradients.
#include <memory>

#include <gradus/benchmarks/workload.h>
#include <gradus/gradus.h>

namespace gradus::bench {
namespace {

using Step = std::function<void()>;

Device device = Device::cpu;  // of what prepare() makes

Tensor randn(const Shape& shape, std::uint64_t stream) {
  return normal(Key{1, static_cast<std::uint32_t>(stream)}, shape, 0, 1, DType::f32, device);
}

Tensor random_labels(std::int64_t n, std::int64_t classes) {
  const Tensor u = uniform(Key{2, 0}, {n});
  std::vector<std::int64_t> y;
  for (const float v : u.values<float>()) y.push_back(static_cast<std::int64_t>(v * static_cast<float>(classes)));
  return Tensor::from(y, {n}).to(device);
}

/// One training step of `model` under `optimizer`; both live as long as the step.
template <class Model, class Loss> Step training(Model model, std::shared_ptr<Optimizer> optimizer, Loss loss) {
  auto shared = std::make_shared<Model>(std::move(model));
  shared->to(device);
  return [shared, optimizer, loss, rng = std::make_shared<Generator>(3)] {
    const TrainingPass pass(*rng);
    Tape tape(shared->parameters());
    optimizer->step(tape.gradients(loss(*shared)));
  };
}

Step tiny_mlp_step() {
  Generator rng(1);
  const Tensor x = randn({1, 2}, 1), y = randn({1, 1}, 2);
  return training(Mlp({2, 16, 16, 1}, rng, {.activation = Activation::tanh}), std::make_shared<Sgd>(SgdConfig{.learning_rate = 1e-3}),
                  [x, y](const Mlp& m) { return mse(m(x), y); });
}

Step mlp_step() {
  Generator rng(1);
  const Tensor x = randn({128, 784}, 1), y = random_labels(128, 10);
  return training(Mlp({784, 512, 512, 10}, rng), std::make_shared<Adam>(AdamConfig{}),
                  [x, y](const Mlp& m) { return cross_entropy(m(x), y); });
}

Step convnet_step() {
  Generator rng(1);
  const Tensor x = randn({128, 1, 28, 28}, 1), y = random_labels(128, 10);
  return training(Convnet(1, 10, rng), std::make_shared<Adam>(AdamConfig{}), [x, y](const Convnet& m) { return cross_entropy(m(x), y); });
}

Step nt_xent_step(std::int64_t rows) {
  const Tensor z = l2_normalize(randn({rows, 128}, 1), 1);
  return [z] {
    Tape tape({z});
    tape.gradients(nt_xent(z, 0.1));
  };
}

Step maml_sinusoid_step() {
  Generator rng(1);
  auto model = std::make_shared<Module>(Mlp({1, 40, 40, 1}, rng));
  model->to(device);
  auto optimizer = std::make_shared<Adam>(AdamConfig{});
  auto tasks = std::make_shared<std::vector<Task>>();
  for (std::uint64_t i = 0; i < 25; ++i)
    tasks->push_back({randn({10, 1}, 4 * i), randn({10, 1}, 4 * i + 1), randn({10, 1}, 4 * i + 2), randn({10, 1}, 4 * i + 3)});
  const LossFunction loss = [](const Tensor& output, const Tensor& target) { return mse(output, target); };
  return [=] { maml_step(*model, *optimizer, *tasks, loss, {.inner_lr = 0.01, .inner_steps = 1}, Key{}); };
}

Step pgd10_convnet() {
  Generator rng(1);
  auto model = std::make_shared<Convnet>(1, 10, rng);
  model->to(device);
  const Tensor x = uniform(Key{1, 1}, {128, 1, 28, 28}, 0, 1, DType::f32, device), y = random_labels(128, 10);
  const Tensor ids = Tensor::arange(128, DType::i64, device);
  return [=] {
    pgd_attack([&](const Tensor& in) { return (*model)(in); }, x, y, ids,
               {.threat = {Norm::linf, 0.1}, .steps = 10, .step_size = 0.025, .keep_best = false}, Key{1, 2});
  };
}

Step adam_10m() {
  auto gradients = std::make_shared<Gradients>();
  for (std::uint64_t i = 0; i < 50; ++i) {
    gradients->parameters.push_back(randn({200'000}, 2 * i));
    gradients->values.push_back(randn({200'000}, 2 * i + 1));
  }
  auto optimizer = std::make_shared<AdamW>(AdamWConfig{.learning_rate = 1e-3});
  return [=] { optimizer->step(*gradients); };
}

Step gelu_backward_1m() {
  const Tensor x = randn({1 << 20}, 1), g = randn({1 << 20}, 2);
  return [=] {
    Tape tape({x});
    tape.gradients(gelu(x), {.seed = g});
  };
}

Step softmax_cross_entropy() {
  const Tensor x = randn({8192, 1000}, 1), y = random_labels(8192, 1000);
  return [=] {
    Tape tape({x});
    tape.gradients(cross_entropy(x, y));
  };
}

Step gemm_step(std::int64_t m, std::int64_t n, std::int64_t k) {
  const Tensor a = randn({m, k}, 1), b = randn({k, n}, 2);
  return [=] { matmul(a, b); };
}

Step conv3x3(bool backward) {
  const Tensor x = randn({32, 64, 32, 32}, 1), w = randn({64, 64, 3, 3}, 2), g = randn({32, 64, 32, 32}, 3);
  const ConvOptions options{.padding = 1};
  if (!backward) return [=] { conv2d(x, w, options); };
  auto tape = std::make_shared<Tape>(TensorList{x, w});
  const Tensor y = conv2d(x, w, options);
  return [=] { tape->gradients(y, {.retain = true, .seed = g}); };
}

}  // namespace

void use_device(Device where) { device = where; }

const std::vector<Workload>& workloads() {
  static const std::vector<Workload> all = {
      {"tiny_mlp_step", "2-16-16-1 tanh MLP, batch 1, MSE, SGD: almost pure per-op overhead", tiny_mlp_step},
      {"mlp_step", "784-512-512-10, batch 128, cross-entropy, Adam", mlp_step},
      {"convnet_step", "conv3x3-BN-ReLU-pool x3 (32, 64, 128), 1x28x28, batch 128, Adam", convnet_step},
      {"nt_xent_1024", "NT-Xent forward and gradient, 2N = 1024 rows, D = 128, temperature 0.1", [] { return nt_xent_step(1024); }},
      {"nt_xent_8192", "the same with 2N = 8192 rows", [] { return nt_xent_step(8192); }},
      {"maml_sinusoid_step", "second-order MAML, 1-40-40-1 ReLU, 25 tasks x (10 + 10), one inner step, Adam", maml_sinusoid_step},
      {"pgd10_convnet", "PGD-10, Linf 0.1, on the convnet in inference mode, batch 128", pgd10_convnet},
      {"adam_10m", "AdamW on 10 M parameters in 50 tensors", adam_10m},
      {"gelu_backward_1m", "GELU forward and backward on 1 M elements", gelu_backward_1m},
      {"softmax_cross_entropy_8192x1000", "cross-entropy forward and backward on 8192 x 1000 logits", softmax_cross_entropy},
      {"gemm_64", "64 x 64 x 64", [] { return gemm_step(64, 64, 64); }},
      {"gemm_256", "256 x 256 x 256", [] { return gemm_step(256, 256, 256); }},
      {"gemm_1024", "1024 x 1024 x 1024", [] { return gemm_step(1024, 1024, 1024); }},
      {"gemm_128x512x784", "128 x 512 x 784", [] { return gemm_step(128, 512, 784); }},
      {"conv3x3_forward", "32 x 64 x 32 x 32, 64 filters 3x3, padding 1", [] { return conv3x3(false); }},
      {"conv3x3_backward", "both gradients of the same", [] { return conv3x3(true); }},
  };
  return all;
}

}  // namespace gradus::bench
