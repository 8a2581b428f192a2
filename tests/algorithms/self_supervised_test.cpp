// Views, SimCLR's loss, probes and monitors: exact properties.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include <gradus/algorithms/self_supervised/knn_probe.h>
#include <gradus/algorithms/self_supervised/linear_probe.h>
#include <gradus/algorithms/self_supervised/simclr.h>
#include <gradus/engine/ops/contrastive.h>
#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/index.h>
#include <gradus/engine/ops/random.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/ops/softmax.h>
#include <gradus/engine/pass.h>
#include <gradus/nn/models/mlp.h>

using namespace gradus;

namespace {

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::memcmp(a.array().data, b.array().data, static_cast<std::size_t>(a.bytes())) == 0;
}

Tensor images(std::int64_t n) { return uniform(Key{9, 0}, {n, 1, 8, 8}, 0, 1); }

/// Two clouds in 4 dimensions, labels 0 and 1.
struct Clouds {
  Tensor x, y;
  Clouds(std::int64_t n, double distance, std::uint64_t seed) {
    std::vector<std::int64_t> labels;
    for (std::int64_t i = 0; i < n; ++i) labels.push_back(i % 2);
    y = Tensor::from(labels, {n});
    x = normal(Key{seed, 0}, {n, 4}) + reshape((cast(y, DType::f32) * 2.0 - 1.0) * (distance / 2), {n, 1});  // on both sides of 0
  }
};

}  // namespace

TEST_CASE("a sample's view is the same in any batch, and differs between samples, views and keys") {
  const Tensor x = images(7), ids = Tensor::from<std::int64_t>({3, 1, 4, 15, 9, 2, 6});
  const ViewConfig config;
  const Tensor whole = augmented_view(x, ids, Key{1, 0}, config);
  for (std::int64_t i = 0; i < 7; ++i)
    CHECK(same_bits(augmented_view(slice_rows(x, i, i + 1), slice_rows(ids, i, i + 1), Key{1, 0}, config), slice_rows(whole, i, i + 1)));
  CHECK_FALSE(same_bits(augmented_view(x, ids, Key{2, 0}, config), whole));
  const Tensor twice = concat({slice_rows(x, 0, 1), slice_rows(x, 0, 1)}, 0);
  const Tensor views = augmented_view(twice, Tensor::from<std::int64_t>({1, 2}), Key{1, 0}, config);
  CHECK_FALSE(same_bits(slice_rows(views, 0, 1), slice_rows(views, 1, 2)));
}

TEST_CASE("no augmentation at all is the identity; almost none is noise of .02") {
  const Tensor x = images(64), ids = Tensor::arange(64);
  CHECK(same_bits(augmented_view(x, ids, Key{1, 0}, {0, 0, 1, 1, 0, 0, 0}), x));
  const Tensor noise = augmented_view(x, ids, Key{1, 0}, ViewConfig::almost_none()) - x;
  CHECK(std::sqrt(mean(square(noise)).item()) == doctest::Approx(0.02).epsilon(0.05));
  // A rotation by 0 and a scale of 1 through the resampler keeps the pixels.
  ViewConfig still{0, 0, 1, 1, 0, 0, 0};
  still.rotation = 1e-9;
  CHECK(max(abs(augmented_view(x, ids, Key{1, 0}, still) - x)).item() < 1e-5);
}

TEST_CASE("the erased square is zero and of the size that was asked for") {
  const Tensor x = Tensor::ones({32, 1, 8, 8}), ids = Tensor::arange(32);
  const Tensor y = augmented_view(x, ids, Key{1, 0}, {0, 0, 1, 1, 0, 3, 0});
  CHECK(sum(y).item() == 32 * (64 - 9));
}

TEST_CASE("views check their operands") {
  CHECK_THROWS_AS(augmented_view(images(2), Tensor::arange(3), Key{}, {}), ShapeError);
  CHECK_THROWS_AS(augmented_view(images(2), Tensor::arange(2), Key{}, {0, 0, 1, 1, 0, 9, 0}), ValueError);
  CHECK_THROWS_AS(augmented_view(cast(images(2), DType::f64), Tensor::arange(2), Key{}, {}), DTypeError);
}

TEST_CASE("NT-Xent: constant embeddings give log(2N - 1); orthogonal pairs the closed form; order does not matter") {
  const std::int64_t n = 4;
  const Tensor constant = l2_normalize(Tensor::ones({2 * n, 8}, DType::f64), 1);
  CHECK(nt_xent(constant, 0.5).item() == doctest::Approx(std::log(2.0 * n - 1)).epsilon(1e-6));
  const Tensor basis = one_hot(Tensor::from<std::int64_t>({0, 1, 2, 3, 0, 1, 2, 3}), 8, DType::f64);
  CHECK(nt_xent(basis, 0.5).item() == doctest::Approx(std::log(1 + (2.0 * n - 2) * std::exp(-1 / 0.5))).epsilon(1e-9));
  CHECK(nt_xent(basis, 0.5).item() == doctest::Approx(0.594438).epsilon(1e-5));
  const Tensor z = l2_normalize(normal(Key{3, 0}, {2 * n, 8}, 0, 1, DType::f64), 1);
  const Tensor order = Tensor::from<std::int64_t>({2, 0, 3, 1, 6, 4, 7, 5});
  CHECK(nt_xent(index_select(z, order, 0), 0.1).item() == doctest::Approx(nt_xent(z, 0.1).item()).epsilon(1e-12));
}

TEST_CASE("SimCLR refuses one image and a temperature of zero") {
  Generator rng(1);
  Simclr model(Mlp({64, 16}, rng), 16, {.hidden_dim = 16, .projection_dim = 8}, rng);
  const TrainingPass pass(rng);
  CHECK_THROWS_AS(simclr_loss(model, images(1), images(1)), ValueError);
  model.config.temperature = 0;
  CHECK_THROWS_AS(simclr_loss(model, images(4), images(4)), ValueError);
}

TEST_CASE("representation statistics of known clouds") {
  const Tensor isotropic = normal(Key{4, 0}, {4000, 16});
  const RepresentationStats healthy = representation_stats(isotropic);
  CHECK(healthy.std_sqrt_d == doctest::Approx(1).epsilon(0.02));
  CHECK(std::abs(healthy.mean_cosine) < 0.01);
  CHECK(healthy.effective_rank == doctest::Approx(16).epsilon(0.02));
  const Tensor collapsed = Tensor::ones({100, 16}) + normal(Key{4, 1}, {100, 16}, 0, 0.01);
  const RepresentationStats sick = representation_stats(collapsed);
  CHECK(sick.mean_cosine > 0.99);
  CHECK(sick.std_sqrt_d < 0.05);
  // One direction and its opposite: rank one.
  const Tensor line =
      reshape(cast(Tensor::arange(10, DType::f64) > 4.5, DType::f64) * 2.0 - 1.0, {10, 1}) * Tensor::ones({1, 6}, DType::f64);
  CHECK(representation_stats(line).effective_rank == doctest::Approx(1).epsilon(1e-6));
}

TEST_CASE("the monitor names weak views and collapse, and leaves a healthy run alone") {
  auto stats = [](double bound_share, double positive, double cosine, double spread) {
    const double ceiling = std::log(511.0);
    return ContrastiveStats{ceiling * (1 - bound_share), ceiling * bound_share, ceiling, positive, {spread, cosine, 20}};
  };
  auto alarms = [](const RepresentationMonitor& m) {
    std::string names;
    for (const Finding& f : m.findings())
      if (f.alarm) names += f.name + " ";
    return names;
  };
  RepresentationMonitor healthy(200, 256, 0.2), weak(200, 256, 0.2), collapsed(200, 256, 0.2);
  for (std::int64_t step = 0; step < 200; ++step) {
    healthy.observe(step, stats(0.3, 0.3, 0.05, 0.95));
    weak.observe(step, stats(0.75, 0.99, 0.1, 0.9));
    collapsed.observe(step, stats(0.1, 0.999, 0.99, 0.05));
  }
  CHECK(alarms(healthy).empty());
  CHECK(alarms(weak).find("weak_views ") != std::string::npos);
  CHECK(alarms(weak).find("weak_views_bound") != std::string::npos);
  CHECK(alarms(collapsed).find("collapse") != std::string::npos);
}

TEST_CASE("kNN: k above the bank clamps, chunks do not matter, labels come from the bank") {
  const Clouds bank(30, 6, 1), test(11, 6, 2);
  const KnnResult all = knn_probe(bank.x, bank.y, test.x, test.y, {.k = 1000});
  CHECK(all.k == 30);
  const KnnResult whole = knn_probe(bank.x, bank.y, test.x, test.y, {.k = 5}),
                  chunked = knn_probe(bank.x, bank.y, test.x, test.y, {.k = 5, .chunk = 3});
  CHECK(whole.accuracy == chunked.accuracy);
  CHECK(whole.accuracy > 90);
  const Tensor only_ones = Tensor::full({11}, 1, DType::i64);
  CHECK(knn_probe(bank.x, bank.y, test.x, only_ones, {.k = 5}).accuracy == doctest::Approx(100.0 * 5 / 11).epsilon(0.25));
  CHECK_THROWS_AS(knn_probe(bank.x, test.y, test.x, test.y), ShapeError);
}

TEST_CASE("the linear probe reaches the optimum of its objective") {
  // Separable clouds: accuracy near 100; shuffled labels: near chance.
  const Clouds train(200, 5, 3), test(400, 5, 4);
  CHECK(linear_probe(train.x, train.y, test.x, test.y) > 98);
  const Tensor shuffled = index_select(train.y, permutation(Key{5, 0}, 200), 0);
  CHECK(std::abs(linear_probe(train.x, shuffled, test.x, test.y) - 50) < 25);
  const double few = few_label_probe(train.x, train.y, test.x, test.y, 1, 10, Key{6, 0});
  CHECK(few > 80);
  CHECK(few == few_label_probe(train.x, train.y, test.x, test.y, 1, 10, Key{6, 0}));
  CHECK_THROWS_AS(few_label_probe(train.x, train.y, test.x, test.y, 101, 1, Key{}), ValueError);
}

TEST_CASE("the probe cannot change what it probes") {
  Generator rng(1);
  const Module encoder = Mlp({64, 16}, rng);
  std::vector<Tensor> before;
  for (const NamedTensor& t : encoder.named_tensors()) before.push_back(t.tensor.clone());
  const Tensor h = encode(encoder, images(40), 7);
  CHECK(same_bits(h, encode(encoder, images(40), 40)));
  std::vector<std::int64_t> y;
  for (std::int64_t i = 0; i < 40; ++i) y.push_back(i % 4);
  linear_probe(h, Tensor::from(y, {40}), h, Tensor::from(y, {40}));
  std::size_t i = 0;
  for (const NamedTensor& t : encoder.named_tensors()) CHECK(same_bits(t.tensor, before[i++]));
}
