// Attacks and threat models: exact properties.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include <gradus/algorithms/adversarial/adversarial_training.h>
#include <gradus/algorithms/adversarial/fgsm.h>
#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/matmul.h>
#include <gradus/engine/ops/random.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/ops/softmax.h>
#include <gradus/engine/pass.h>
#include <gradus/nn/models/convnet.h>
#include <gradus/nn/models/mlp.h>

using namespace gradus;

namespace {

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.array().data, b.array().data, static_cast<std::size_t>(a.bytes())) == 0;
}

struct Points {
  Tensor x, labels, ids;
  explicit Points(std::int64_t n, Shape sample = {8}) {
    Shape shape{n};
    for (const std::int64_t extent : sample) shape.push_back(extent);
    x = uniform(Key{5, 0}, shape, 0.3, 0.7);
    std::vector<std::int64_t> y;
    for (std::int64_t i = 0; i < n; ++i) y.push_back(i % 2);
    labels = Tensor::from(y, {n});
    ids = Tensor::arange(n) + Tensor::full({}, 100, DType::i64);
  }
};

/// Two classes, margin <w, x> + b.
struct LinearBinary {
  Tensor w = Tensor::from({0.5f, -1.0f, 0.25f, 2.0f, -0.75f, 0.1f, 0.0f, 1.5f}, {1, 8});
  Tensor operator()(const Tensor& x) const {
    const Tensor margin = matmul(x, w, {.transpose_b = true});
    return concat({margin * -0.5, margin * 0.5}, 1);
  }
};

double norm1(const Tensor& w) { return sum(abs(w)).item(); }

}  // namespace

TEST_CASE("on a linear model FGSM lowers the margin by exactly eps |w|_1, and PGD does no better") {
  const LinearBinary model;
  const Points p(16);
  const double eps = 0.05;  // the box is not reached: pixels lie in [.3, .7]
  auto margin = [&](const Tensor& x) {
    const Tensor z = model(x);
    Tensor m = slice(z, 1, 1, 2) - slice(z, 1, 0, 1);
    const Tensor sign_of_label = reshape(cast(p.labels, DType::f32) * 2.0 - 1.0, {16, 1});
    return m * sign_of_label;
  };
  const Tensor before = margin(p.x);
  const AttackResult fgsm = fgsm_attack(model, p.x, p.labels, p.ids, {.threat = {Norm::linf, eps}}, Key{1, 0});
  const AttackResult pgd =
      pgd_attack(model, p.x, p.labels, p.ids, {.threat = {Norm::linf, eps}, .steps = 20, .keep_best = false}, Key{1, 0});
  const Tensor margin_fgsm = margin(fgsm.adversarial), margin_pgd = margin(pgd.adversarial);
  const auto was = before.values<float>(), after_fgsm = margin_fgsm.values<float>(), after_pgd = margin_pgd.values<float>();
  for (std::size_t i = 0; i < was.size(); ++i) {
    const double lowest = static_cast<double>(was[i]) - eps * norm1(model.w);
    if (was[i] > 0) CHECK(static_cast<double>(after_fgsm[i]) == doctest::Approx(lowest).epsilon(1e-4));
    else CHECK(after_fgsm[i] == was[i]);  // wrong from the start: a success at distance 0
    CHECK(static_cast<double>(after_pgd[i]) >= lowest - 1e-5);
  }
}

TEST_CASE("L2 on a linear model: the margin falls by eps |w|_2") {
  const LinearBinary model;
  const Points p(8);
  const AttackResult r = pgd_attack(model, p.x, p.labels, p.ids, {.threat = {Norm::l2, 0.1}, .steps = 40, .keep_best = false}, Key{2, 0});
  const double w2 = std::sqrt(sum(square(model.w)).item());
  const Tensor moved = matmul(r.adversarial - p.x, model.w, {.transpose_b = true});
  for (const float m : moved.values<float>()) {
    CHECK(std::abs(static_cast<double>(m)) <= 0.1 * w2 * (1 + 1e-5));
    CHECK(std::abs(static_cast<double>(m)) >= 0.1 * w2 * 0.95);  // steps along w wear the random start's other directions off only slowly
  }
}

TEST_CASE("projections are feasible, idempotent and nearest") {
  const Tensor x = Tensor::from({0.1, 0.9, 0.5, 0.02}, {2, 2});
  for (const Norm norm : {Norm::linf, Norm::l2}) {
    const ThreatBall ball({norm, 0.25}, x);
    const Tensor far = Tensor::from({-0.4, 1.7, 0.2, 0.9}, {2, 2}), y = ball.project(far);
    ball.require_inside("test", y);
    CHECK(max(abs(ball.project(y) - y)).item() < 1e-12);
    // Brute force over a grid of feasible points: none is nearer. (For L2 the projection is along the segment, so it is compared with its
    // own definition: the farthest feasible point of the clipped segment.)
    for (std::int64_t row = 0; row < 2; ++row) {
      auto at = [&](const Tensor& t, std::int64_t i) { return t.values<double>()[static_cast<std::size_t>(2 * row + i)]; };
      double best_linf = HUGE_VAL, farthest = 0;
      for (int i = 0; i <= 400; ++i)
        for (int j = 0; norm == Norm::linf && j <= 400; ++j) {
          const double a = i / 400.0, b = j / 400.0;
          if (std::abs(a - at(x, 0)) > .25 || std::abs(b - at(x, 1)) > .25) continue;
          best_linf = std::fmin(best_linf, std::hypot(a - at(far, 0), b - at(far, 1)));
        }
      for (int i = 0; i <= 100000; ++i) {
        const double s = i / 100000.0;
        const double a = std::fmin(std::fmax(at(x, 0) + s * (at(far, 0) - at(x, 0)), 0), 1),
                     b = std::fmin(std::fmax(at(x, 1) + s * (at(far, 1) - at(x, 1)), 0), 1);
        const double d = std::hypot(a - at(x, 0), b - at(x, 1));
        if (d <= .25) farthest = std::fmax(farthest, d);
      }
      const double to_far = std::hypot(at(y, 0) - at(far, 0), at(y, 1) - at(far, 1)),
                   from_x = std::hypot(at(y, 0) - at(x, 0), at(y, 1) - at(x, 1));
      if (norm == Norm::linf) CHECK(to_far <= best_linf + 1e-9);
      else CHECK(from_x == doctest::Approx(farthest).epsilon(1e-4));
    }
  }
}

TEST_CASE("f32 bounds are rounded towards x: the check in f64 holds for every eps") {
  const Tensor x = uniform(Key{6, 0}, {1, 5000}, 0, 1);
  for (const double eps : {0.3, 0.03, 8.0 / 255, 1e-3}) {
    const ThreatBall ball({Norm::linf, eps}, x);
    const Tensor up = ball.project(x + 10.0), down = ball.project(x - 10.0);
    ball.require_inside("test", up);
    ball.require_inside("test", down);
    CHECK(max(ball.distance(up)).item() <= eps);
  }
}

TEST_CASE("PGD: the same result for any batch split, bit for bit") {
  Generator rng(3);
  const Convnet model(1, 2, rng);
  const Points p(9, {1, 12, 12});
  const PgdConfig config{.threat = {Norm::linf, 0.1}, .steps = 4, .restarts = 2};
  const Classifier classify = [&](const Tensor& x) { return model(x); };
  const AttackResult whole = pgd_attack(classify, p.x, p.labels, p.ids, config, Key{7, 0});
  for (const std::int64_t split : {1, 4, 7})
    for (std::int64_t first = 0; first < 9; first += split) {
      const std::int64_t last = std::min<std::int64_t>(first + split, 9);
      const AttackResult part = pgd_attack(classify, slice_rows(p.x, first, last), slice_rows(p.labels, first, last),
                                           slice_rows(p.ids, first, last), config, Key{7, 0});
      CHECK(same_bits(part.adversarial, slice_rows(whole.adversarial, first, last)));
    }
}

TEST_CASE("an attack under a training pass changes nothing of the model, its statistics included") {
  Generator rng(3);
  const Convnet model(1, 2, rng);
  const Module module = model;
  const Points p(6, {1, 12, 12});
  std::vector<Tensor> before;
  for (const NamedTensor& t : module.named_tensors()) before.push_back(t.tensor.clone());
  {
    const TrainingPass pass(rng);
    pgd_attack([&](const Tensor& x) { return module(x); }, p.x, p.labels, p.ids, {.threat = {Norm::linf, 0.1}, .steps = 3}, Key{7, 0});
  }
  std::size_t i = 0;
  for (const NamedTensor& t : module.named_tensors()) CHECK(same_bits(t.tensor, before[i++]));
}

TEST_CASE("no weight gradient is computed inside an attack: the rules are counted") {
  Generator rng(3);
  const Convnet convnet(1, 2, rng);
  const Points p(4, {1, 12, 12});
  const Tensor input = p.x.detach();
  const InferencePass inference;
  Tape training(convnet.parameters());  // the weights are live on the tape of the training step around the attack
  Tape attack({input});
  attack.gradients(cross_entropy(convnet(input), p.labels, {.reduction = Reduction::sum}), {input});
  // Every entry of a chain has one live input, so every rule computes one gradient: a weight's or bias's would be a second one.
  CHECK(attack.stats().rules_run == attack.stats().entries);
  CHECK(attack.stats().gradients == attack.stats().rules_run);
  CHECK(training.stats().entries == 0);
  CHECK(training.stats().rules_run == 0);
  // The counter does count them: on a training tape there are more gradients than rules.
  Tape both(convnet.parameters());
  both.gradients(cross_entropy(convnet(input), p.labels));
  CHECK(both.stats().gradients > both.stats().rules_run);
}

TEST_CASE("PGD asks for one backward pass a step and leaves the training tape alone") {
  const Tensor w = normal(Key{8, 0}, {8, 2});
  const Points p(4);
  Tape training({w});
  const AttackResult r = pgd_attack([&](const Tensor& x) { return matmul(x, w); }, p.x, p.labels, p.ids,
                                    {.threat = {Norm::linf, 0.1}, .steps = 3, .random_start = false, .keep_best = false}, Key{7, 0});
  CHECK(r.backward_count == 3);
  CHECK(training.stats().entries == 0);
  CHECK(training.stats().rules_run == 0);
}

TEST_CASE("attack arguments are checked") {
  const LinearBinary model;
  const Points p(4);
  CHECK_THROWS_AS(pgd_attack(model, p.x, p.labels, p.ids, {.threat = {Norm::linf, 0.3}, .steps = 10, .step_size = 0.01}, Key{}),
                  ValueError);
  CHECK_THROWS_AS(pgd_attack(model, p.x + 1.0, p.labels, p.ids, {}, Key{}), ValueError);
  CHECK_THROWS_AS(pgd_attack(model, p.x, slice_rows(p.labels, 0, 2), p.ids, {}, Key{}), ShapeError);
  CHECK_THROWS_AS(pgd_attack(model, p.x, p.x, p.ids, {}, Key{}), DTypeError);
  CHECK_THROWS_AS(fgsm_attack(model, p.x, p.labels, p.ids, {.threat = {Norm::linf, -1}}, Key{}), ValueError);
}

TEST_CASE("probabilities are noticed; hidden gradients are counted") {
  const LinearBinary model;
  const Points p(4);
  const AttackResult r = fgsm_attack([&](const Tensor& x) { return softmax(model(x), 1); }, p.x, p.labels, p.ids, {}, Key{});
  REQUIRE(r.notes.size() == 1);
  CHECK(r.notes[0].find("probabilities") != std::string::npos);
  const AttackResult hidden =
      fgsm_attack([&](const Tensor& x) { return model(x) * log(sum(x - x, {1}, keepdims)); }, p.x, p.labels, p.ids, {}, Key{});
  bool counted = false;
  for (const std::string& note : hidden.notes) counted |= note.find("non-finite") != std::string::npos;
  CHECK(counted);
}
