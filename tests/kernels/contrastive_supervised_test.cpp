// The supervised contrastive kernels: what labels do.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include <gradus/tests/kernels/contrastive_run.h>

using namespace gradus;
using namespace gradus::testing::contrastive;
using namespace gradus::testing::contrastive::host;

TEST_CASE("supervised contrastive: one label for all, a few classes, pairs and single rows among them") {
  on_every_isa([] {
    for (const Index n : {1, 2, 3, 33, 50, 151}) {
      const Index dim = n == 33 ? 1 : n;
      for (const auto label : kLabellings) {
        const Sample s = with_labels(n, dim, 0.2, 200, label);
        check_against_oracle<double>(s);
        check_against_oracle<float>(s);
      }
    }
  });
}

TEST_CASE("supervised contrastive: an anchor without positives costs nothing, but is a negative of the others") {
  const Sample s = with_labels(60, 8, 0.01, 210, [](Index i) { return i < 2 ? Index(0) : i; });
  Run<float> r(s.p, s.x);
  r.all();
  for (std::size_t i = 2; i < 60; ++i) {
    CHECK(r.loss.values[i] == 0);
    CHECK(r.ddloss.values[i] == 0);
    CHECK(std::isfinite(r.lse.values[i]));
  }
  CHECK(r.loss.values[0] > 0);
  CHECK(largest(r.d.query.values) > 0);
  const Sample alone = with_labels(60, 8, 0.01, 210, [](Index i) { return i; });
  Run<float> none(alone.p, alone.x);
  none.all();
  CHECK(largest(none.loss.values) == 0);
  CHECK(largest(none.d.query.values) == 0);
  CHECK(none.d.temperature.values[0] == 0);
  CHECK(largest(none.dd.query.values) == 0);
}

TEST_CASE("supervised contrastive: with a label for each pair of views it is NT-Xent, to the bit") {
  const Index n = 130;
  Sample s = random_sample(Form::supervised, 2 * n, 2 * n, 20, 0.1, 220), same = s;
  for (Index i = 0; i < 2 * n; ++i) s.p.labels[std::size_t(i)] = std::numeric_limits<Index>::min() + i % n;
  same.p.form = Form::nt_xent;
  Run<float> a(s.p, s.x), b(same.p, same.x);
  std::mt19937 rng(221);
  a.u.draw(rng);
  b.u = a.u;
  a.all(), b.all();
  CHECK(a.loss.values == b.loss.values);
  CHECK(a.lse.values == b.lse.values);
  CHECK(a.d.query.values == b.d.query.values);
  CHECK(a.d.temperature.values == b.d.temperature.values);
  CHECK(a.ddloss.values == b.ddloss.values);
  CHECK(a.dd.query.values == b.dd.query.values);
}

TEST_CASE("supervised contrastive: equal rows") {
  const Index n = 90;
  Sample s = with_labels(n, 6, 0.1, 230, [](Index i) { return i % 3; });
  std::fill(s.x.query.begin(), s.x.query.end(), 0.25);
  s.x.key = s.x.query;
  Run<float> r(s.p, s.x);
  r.forward();
  for (const float l : r.loss.values) CHECK(l == doctest::Approx(std::log(double(n - 1))).epsilon(1e-6));
}

TEST_CASE("supervised contrastive: aligned classes at small temperatures in f32") {
  // The gradient is the spread of the positives' scores, whose rounding in f32 does not shrink with it.
  struct Line {
    double temperature, noise, tolerance;
  };
  for (const Line line : {Line{0.1, 0.1, 2e-6}, Line{0.07, 0.03, 8e-6}, Line{0.01, 0.01, 5e-5}}) {
    CAPTURE(line.temperature);
    const Sample s = aligned_classes(line.temperature, line.noise);
    Run<float> r(s.p, s.x);
    r.forward(), r.backward();
    const Result<double> want = oracle(r.p, r.point());
    const double of_gradient = error(r.d.query.values, want.dquery), of_loss = error(r.loss.values, want.loss);
    CAPTURE(of_gradient);
    CAPTURE(of_loss);
    CHECK(of_gradient < line.tolerance);
    CHECK(of_loss < 1e-5);
  }
}

TEST_CASE("supervised contrastive: NaN reaches every anchor that has a positive") {
  Sample s = with_labels(40, 8, 0.2, 240, [](Index i) { return i < 6 ? i / 3 : i; });
  s.x.query[std::size_t(20 * 8)] = double(NAN);
  Run<float> r(s.p, s.x);
  r.forward(), r.backward();
  for (std::size_t i = 0; i < 40; ++i) CHECK(std::isnan(r.loss.values[i]) == (i < 6));
  CHECK(std::isnan(r.d.query.values[0]));
}
