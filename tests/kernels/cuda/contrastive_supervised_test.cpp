// The supervised contrastive kernels on the device: what labels do.
#include <limits>

#include <gradus/tests/kernels/cuda/contrastive_run.h>

using namespace gradus;
using namespace gradus::testing;
using namespace gradus::testing::contrastive;

TEST_CASE("cuda supervised contrastive: one label for all, a few classes, pairs and single rows among them") {
  for (const Index n : {1, 2, 3, 34, 70, 150}) {
    const Index dim = n == 34 ? 1 : n == 70 ? 260 : n;
    for (const auto label : kLabellings) {
      const Sample s = with_labels(n, dim, 0.2, 200, label);
      check_against_oracle<double>(s);
      check_against_oracle<float>(s, kTolerance<float>, 1);
    }
  }
}

TEST_CASE("cuda supervised contrastive: an anchor without positives costs nothing, but is a negative of the others") {
  const Outcome<float> some = run<float>(with_labels(60, 8, 0.01, 210, [](Index i) { return i < 2 ? Index(0) : i; }));
  for (std::size_t i = 2; i < 60; ++i) {
    CHECK(some.loss[i] == 0);
    CHECK(some.ddloss[i] == 0);
    CHECK(std::isfinite(some.lse[i]));
  }
  CHECK(some.loss[0] > 0);
  CHECK(largest(some.d.query) > 0);
  const Outcome<float> none = run<float>(with_labels(60, 8, 0.01, 210, [](Index i) { return i; }));
  CHECK(largest(none.loss) == 0);
  CHECK(largest(none.d.query) == 0);
  CHECK(none.d.temperature[0] == 0);
  CHECK(largest(none.dd.query) == 0);
}

TEST_CASE("cuda supervised contrastive: with a label for each pair of views it is NT-Xent, to the bit") {
  const Index n = 70;
  Sample s = random_sample(Form::supervised, 2 * n, 2 * n, 20, 0.1, 220), same = s;
  for (Index i = 0; i < 2 * n; ++i) s.p.labels[std::size_t(i)] = std::numeric_limits<Index>::min() + i % n;
  same.p.form = Form::nt_xent;
  const Outcome<float> a = run<float>(s), b = run<float>(same);
  check_same_bits(a.loss, b.loss);
  check_same_bits(a.lse, b.lse);
  check_same_bits(a.d.query, b.d.query);
  check_same_bits(a.ddloss, b.ddloss);
  check_same_bits(a.dd.query, b.dd.query);
}

TEST_CASE("cuda supervised contrastive: aligned classes at small temperatures in f32") {
  // The gradient is the spread of the positives' scores, whose rounding in f32 does not shrink with it.
  struct Line {
    double temperature, noise, tolerance;
  };
  for (const Line line : {Line{0.1, 0.1, 2e-6}, Line{0.07, 0.03, 8e-6}, Line{0.01, 0.01, 5e-5}}) {
    CAPTURE(line.temperature);
    const Sample s = rounded<float>(aligned_classes(line.temperature, line.noise));
    const Outcome<float> got = run<float>(s);
    const Result<double> want = oracle(s.p, s.x);
    const double of_gradient = error(got.d.query, want.dquery), of_loss = error(got.loss, want.loss);
    CAPTURE(of_gradient);
    CAPTURE(of_loss);
    CHECK(of_gradient < line.tolerance);
    CHECK(of_loss < 1e-5);
  }
}

TEST_CASE("cuda supervised contrastive: NaN reaches every anchor that has a positive") {
  Sample s = with_labels(40, 8, 0.2, 240, [](Index i) { return i < 6 ? i / 3 : i; });
  s.x.query[std::size_t(20 * 8)] = double(NAN);
  const Outcome<float> got = run<float>(s);
  for (std::size_t i = 0; i < 40; ++i) CHECK(std::isnan(got.loss[i]) == (i < 6));
  CHECK(std::isnan(got.d.query[0]));
}
