// The contrastive kernels against the naive oracle of contrastive_oracle.h, against finite differences and exact values.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include <gradus/kernels/parallel.h>
#include <gradus/tests/kernels/contrastive_run.h>

using namespace gradus;
using namespace gradus::testing::contrastive;
using namespace gradus::testing::contrastive::host;

TEST_CASE("contrastive: value and both orders of gradient agree with the oracle in every form and size") {
  on_every_isa([] {
    // Around the register tile (6 x 16), the tile (48 to 144) and the depth of a slice (256).
    for (const Index n : {2, 3, 7, 16, 47, 48, 50, 97, 150}) {
      const Index dim = n == 3 ? 1 : n == 50 ? 300 : n + 2;
      check_against_oracle<double>(random_sample(Form::key_set, n, 2 * n + 1, dim, 0.2, 10));
      check_against_oracle<double>(random_sample(Form::key_set, 2 * n + 5, n, dim, 0.2, 11));
      check_against_oracle<double>(random_sample(Form::queue, n, n + 9, dim, 0.2, 17));
      check_against_oracle<float>(random_sample(Form::queue, 2 * n + 5, n, dim, 0.2, 18));
      check_against_oracle<double>(random_sample(Form::symmetric, n, n, dim, 0.2, 12));
      check_against_oracle<double>(random_sample(Form::nt_xent, 2 * n, 2 * n, dim, 0.2, 13));
      check_against_oracle<float>(random_sample(Form::key_set, n, 2 * n + 1, dim, 0.2, 14));
      check_against_oracle<float>(random_sample(Form::symmetric, n, n, dim, 0.2, 15));
      check_against_oracle<float>(random_sample(Form::nt_xent, 2 * n, 2 * n, dim, 0.2, 16));
      check_against_oracle<double>(random_sample(Form::supervised, n, n, dim, 0.2, 19));
      check_against_oracle<float>(random_sample(Form::supervised, 2 * n + 1, 2 * n + 1, dim, 0.2, 20));
    }
  });
}

TEST_CASE("contrastive: more tiles than groups, and single rows") {
  check_against_oracle<float>(random_sample(Form::nt_xent, 2200, 2200, 5, 0.3, 20));  // 16 tiles in 15 groups
  check_against_oracle<float>(random_sample(Form::supervised, 2200, 2200, 5, 0.3, 20));
  check_against_oracle<float>(random_sample(Form::key_set, 1, 2500, 9, 0.3, 21));
  check_against_oracle<float>(random_sample(Form::key_set, 2500, 1, 9, 0.3, 22));  // no negatives: all zero
  check_against_oracle<double>(random_sample(Form::symmetric, 1200, 1200, 3, 0.3, 23));
  check_against_oracle<double>(random_sample(Form::symmetric, 1, 1, 3, 0.3, 24));
}

TEST_CASE("contrastive: masks") {
  on_every_isa([] {
    for (const Index n : {5, 33, 160}) {
      for (const Form form : {Form::key_set, Form::queue, Form::symmetric}) {
        Sample s = random_sample(form, n, form == Form::symmetric ? n : n + 20, 17, 0.1, 30);
        add_mask(s, 31);
        check_against_oracle<double>(s);
        check_against_oracle<float>(s);
        Run<float> r(s.p, s.x);
        CHECK(cpu::unreachable_positive(r.operands()) == -1);
        r.all();
        for (const Index row : {1, 2}) {  // the positive alone, and nothing at all
          CHECK(r.loss.values[std::size_t(row)] == 0);
          for (Index d = 0; d < 17; ++d) CHECK(r.d.query.values[std::size_t(row * 17 + d)] == 0);
          CHECK(r.ddloss.values[std::size_t(row)] == 0);
        }
        if (form != Form::queue) CHECK(r.lse.values[2] == -kInf);
      }
    }
  });
}

TEST_CASE("contrastive: a masked positive beside an allowed negative is found and costs infinity") {
  Sample s = random_sample(Form::key_set, 6, 9, 4, 0.1, 40);
  s.p.mask.assign(54, 1);
  s.p.mask[std::size_t(3 * 9 + s.p.positive[3])] = 0;
  Run<double> r(s.p, s.x);
  CHECK(cpu::unreachable_positive(r.operands()) == 3);
  r.forward();
  CHECK(r.loss.values[3] == kInf);
  CHECK(std::isfinite(r.loss.values[2]));

  Sample clip = random_sample(Form::symmetric, 5, 5, 4, 0.1, 41);
  clip.p.mask.assign(25, 1);
  for (Index j = 0; j < 5; ++j) clip.p.mask[std::size_t(2 * 5 + j)] = 0;  // row 2 has nothing, but column 2 has negatives
  CHECK(cpu::unreachable_positive(Run<double>(clip.p, clip.x).operands()) == 5 + 2);
  for (Index i = 0; i < 5; ++i) clip.p.mask[std::size_t(i * 5 + 2)] = 0;
  CHECK(cpu::unreachable_positive(Run<double>(clip.p, clip.x).operands()) == -1);
}

TEST_CASE("contrastive: finite differences of the loss and of the gradient") {
  for (const Form form : kForms) {
    CAPTURE(int(form));
    const Sample s = random_sample(form, 8, columns_for(form, 8, 11), 5, 0.4, 50);
    Run<double> at(s.p, s.x);
    std::mt19937 rng(51);
    at.u.draw(rng);
    at.all();
    const auto dot = [](const std::vector<double>& a, const std::vector<double>& b) {
      double sum = 0;
      for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
      return sum;
    };
    const auto loss_of = [&](const Point<double>& x) {
      Run<double> r(s.p, x);
      r.forward();
      return dot(s.p.dloss, r.loss.values);
    };
    const auto phi_of = [&](const Point<double>& x, const std::vector<double>& dloss) {  // <u, d>
      Run<double> r(s.p, x);
      r.dloss.values = dloss;
      r.forward(), r.backward();
      return dot(at.u.query.values, r.d.query.values) + (compares_own_rows(form) ? 0 : dot(at.u.key.values, r.d.key.values)) +
             dot(at.u.positive.values, r.d.positive.values) + dot(at.u.temperature.values, r.d.temperature.values);
    };
    const auto check = [&](double Point<double>::*scalar, std::vector<double> Point<double>::*vector, std::size_t i, double first,
                           double second) {
      const double step = 1e-5;
      Point<double> up = s.x, down = s.x;
      (scalar ? up.*scalar : (up.*vector)[i]) += step;
      (scalar ? down.*scalar : (down.*vector)[i]) -= step;
      CHECK((loss_of(up) - loss_of(down)) / (2 * step) == doctest::Approx(first).epsilon(1e-6).scale(1e-2));
      CHECK((phi_of(up, s.p.dloss) - phi_of(down, s.p.dloss)) / (2 * step) == doctest::Approx(second).epsilon(1e-6).scale(1e-2));
    };
    for (std::size_t i = 0; i < 40; i += 3) check(nullptr, &Point<double>::query, i, at.d.query.values[i], at.dd.query.values[i]);
    for (std::size_t i = 0; !compares_own_rows(form) && i < s.x.key.size(); i += 3)
      check(nullptr, &Point<double>::key, i, at.d.key.values[i], at.dd.key.values[i]);
    for (std::size_t i = 0; i < s.x.positive.size(); i += 3)
      check(nullptr, &Point<double>::positive, i, at.d.positive.values[i], at.dd.positive.values[i]);
    check(&Point<double>::temperature, nullptr, 0, at.d.temperature.values[0], at.dd.temperature.values[0]);
    for (std::size_t a = 0; a < s.p.dloss.size(); ++a) {  // <u, d> is linear in dloss
      std::vector<double> dloss(s.p.dloss.size(), 0.0);
      dloss[a] = 1;
      CHECK(phi_of(s.x, dloss) == doctest::Approx(at.ddloss.values[a]).epsilon(1e-10).scale(1e-3));
    }
  }
}

TEST_CASE("contrastive: exact values") {
  const auto mean = [](const Run<float>& r) {
    double sum = 0;
    for (const float l : r.loss.values) sum += double(l);
    return sum / double(r.loss.values.size());
  };
  SUBCASE("NT-Xent of constant rows: log(2N - 1)") {
    for (const Index n : {2, 100, 700}) {
      Sample s = random_sample(Form::nt_xent, 2 * n, 2 * n, 6, 0.07, 60);
      std::fill(s.x.query.begin(), s.x.query.end(), std::sqrt(1.0 / 6));
      Run<float> r(s.p, s.x);
      r.forward();
      CHECK(mean(r) == doctest::Approx(std::log(2.0 * double(n) - 1)).epsilon(1e-6));
    }
  }
  SUBCASE("NT-Xent of N orthogonal pairs of equal views: log(1 + (2N - 2) exp(-1/T))") {
    Sample s = random_sample(Form::nt_xent, 8, 8, 4, 0.5, 61);
    for (Index i = 0; i < 8; ++i)
      for (Index d = 0; d < 4; ++d) s.x.query[std::size_t(i * 4 + d)] = i % 4 == d;
    Run<float> r(s.p, s.x);
    r.forward();
    CHECK(mean(r) == doctest::Approx(0.594438).epsilon(1e-6));
  }
  SUBCASE("InfoNCE with K orthogonal negatives: log(1 + K exp(-1/T))") {
    Sample s = random_sample(Form::key_set, 1, 8, 8, 0.3, 62);
    for (Index j = 0; j < 8; ++j)
      for (Index d = 0; d < 8; ++d) s.x.key[std::size_t(j * 8 + d)] = j == d;
    s.p.positive[0] = 5;
    for (Index d = 0; d < 8; ++d) s.x.query[std::size_t(d)] = d == 5;
    Run<float> r(s.p, s.x);
    r.forward();
    CHECK(mean(r) == doctest::Approx(std::log1p(7 * std::exp(-1 / 0.3))).epsilon(1e-6));
  }
}

TEST_CASE("contrastive: aligned pairs keep their gradient's relative accuracy in f32 down to tiny temperatures") {
  // The positives all but agree: the loss falls to 1e-28 and below, and with p - 1 the gradient would be noise.
  struct Line {
    double temperature, noise, tolerance;
  };
  for (const Line line : {Line{0.07, 0.01, 1e-5}, Line{0.01, 0.01, 1.5e-5}, Line{0.005, 0.1, 5e-5}})
    for (const Form form : {Form::key_set, Form::symmetric, Form::nt_xent, Form::supervised}) {
      CAPTURE(line.temperature);
      CAPTURE(int(form));
      const Sample s = aligned_sample(form, line.temperature, line.noise);
      Run<float> r(s.p, s.x);
      r.forward(), r.backward();
      const Result<double> want = oracle(r.p, r.point());
      const double e = error(r.d.query.values, want.dquery);
      CAPTURE(e);
      CHECK(e < line.tolerance);
      CHECK(error(r.loss.values, want.loss) < line.tolerance);
      if (line.temperature == 0.07) check_second_order(r, 1e-4);
    }
}

TEST_CASE("contrastive: unaligned pairs at temperatures where exp overflows, and anchors of very different scale") {
  for (const double temperature : {0.01, 0.005, 0.001}) {
    for (const Form form : {Form::key_set, Form::symmetric, Form::nt_xent, Form::supervised}) {
      Sample s = random_sample(form, 100, 100, 12, temperature, 80);
      check_against_oracle<double>(s, 1e-10);
      for (std::size_t i = 0; i < s.x.query.size(); ++i) s.x.query[i] *= i / 12 % 3 == 0 ? 5 : i / 12 % 3 == 1 ? 1 : 0.01;
      if (s.p.own_rows()) s.x.key = s.x.query;
      check_against_oracle<double>(s, 1e-8);  // scores up to 25,000, whose rounding is 4e-12
      Run<float> r(s.p, s.x);                 // one exponential cannot serve a tile here
      r.forward(), r.backward();
      check_first_order(r, 2e-2 / temperature * 1e-3);
    }
  }
}

TEST_CASE("contrastive: NaN stays with the anchors that see it, infinity gives NaN, nothing else is disturbed") {
  for (const double bad : {double(NAN), kInf}) {
    Sample s = random_sample(Form::key_set, 40, 60, 8, 0.2, 90);
    s.x.query[std::size_t(7 * 8)] = bad;
    Run<float> r(s.p, s.x);
    r.forward();
    for (Index i = 0; i < 40; ++i) CHECK(std::isnan(r.loss.values[std::size_t(i)]) == (i == 7));
    s = random_sample(Form::symmetric, 40, 40, 8, 0.2, 91);
    s.x.key[std::size_t(9 * 8)] = double(NAN);
    Run<float> clip(s.p, s.x);
    clip.forward();
    for (Index j = 0; j < 40; ++j) {
      CHECK(std::isnan(clip.loss.values[std::size_t(j)]));  // every query sees key 9
      CHECK(std::isnan(clip.loss.values[std::size_t(40 + j)]) == (j == 9));
    }
    clip.backward();
    CHECK(std::isnan(clip.d.query.values[0]));
  }
  Sample s = random_sample(Form::key_set, 4, 30, 8, 0.2, 92);
  s.p.positive.assign(4, 3);
  s.p.mask.assign(120, 1);
  for (Index i = 0; i < 4; ++i) s.p.mask[std::size_t(i * 30 + 20)] = 0;
  Run<float> clean(s.p, s.x);
  clean.forward();
  s.x.key[std::size_t(20 * 8)] = double(NAN);  // forbidden to all
  Run<float> r(s.p, s.x);
  r.forward();
  CHECK(r.loss.values == clean.loss.values);
}

TEST_CASE("contrastive: empty sizes") {
  struct Size {
    Index rows, columns, dim;
  };
  for (const auto [rows, columns, dim] : {Size{0, 5, 4}, Size{0, 0, 4}, Size{5, 0, 4}, Size{5, 5, 0}, Size{0, 0, 0}}) {
    Sample s = random_sample(Form::key_set, rows, columns, dim, 0.5, 100);
    Run<float> r(s.p, s.x);
    r.all();
    Run<float>(random_sample(Form::queue, rows, columns, dim, 0.5, 103).p, s.x).all();
    for (const float l : r.loss.values) CHECK(l == doctest::Approx(columns ? std::log(double(columns)) : 0));
    if (columns == 0)
      for (const float l : r.lse.values) CHECK(l == -kInf);
    CHECK(r.d.temperature.values[0] == 0);
    if (rows != columns) continue;
    Sample clip = random_sample(Form::symmetric, rows, rows, dim, 0.5, 101);
    Run<double>(clip.p, clip.x).all();
    for (const Form form : {Form::nt_xent, Form::supervised}) {
      const Sample own = random_sample(form, 2 * rows, 2 * rows, dim, 0.5, 102);
      Run<double>(own.p, own.x).all();
    }
  }
}

TEST_CASE("contrastive: the bits do not depend on the number of threads") {
  for (const Form form : kForms) {
    const Sample s = random_sample(form, 700, columns_for(form, 700, 1500), 33, 0.1, 110);
    Run<float> alone(s.p, s.x), shared(s.p, s.x);
    std::mt19937 rng(111);
    alone.u.draw(rng);
    shared.u = alone.u;
    alone.all();
    for (const int threads : {2, 3, 8}) {
      ThreadPool pool(threads);
      const PoolScope scope(pool);
      shared.all();
      CHECK(shared.loss.values == alone.loss.values);
      CHECK(shared.lse.values == alone.lse.values);
      CHECK(shared.ddloss.values == alone.ddloss.values);
      for (std::size_t i = 0; i < 4; ++i) {
        CHECK(shared.d.all()[i]->values == alone.d.all()[i]->values);
        CHECK(shared.dd.all()[i]->values == alone.dd.all()[i]->values);
      }
    }
  }
}

TEST_CASE("contrastive: instruction sets agree to rounding") {
  const Sample s = random_sample(Form::nt_xent, 300, 300, 64, 0.1, 120);
  std::vector<std::vector<double>> gradients;
  on_every_isa([&] {
    Run<float> r(s.p, s.x);
    r.forward(), r.backward();
    gradients.emplace_back(r.d.query.values.begin(), r.d.query.values.end());
  });
  for (const auto& g : gradients) CHECK(error(g, gradients[0]) < 1e-5);
}

TEST_CASE("contrastive: a permutation of the samples permutes losses and gradients") {
  const Index n = 90, dim = 11;
  const Sample s = random_sample(Form::nt_xent, 2 * n, 2 * n, dim, 0.2, 130);
  std::vector<Index> order(std::size_t(n), 0);
  for (Index i = 0; i < n; ++i) order[std::size_t(i)] = i;
  std::mt19937 rng(131);
  std::shuffle(order.begin(), order.end(), rng);
  const auto source = [&](Index row) { return order[std::size_t(row % n)] + row / n * n; };
  Sample moved = s;
  for (Index row = 0; row < 2 * n; ++row) {
    moved.p.dloss[std::size_t(row)] = s.p.dloss[std::size_t(source(row))];
    std::copy_n(s.x.query.begin() + source(row) * dim, dim, moved.x.query.begin() + row * dim);
  }
  Run<double> a(s.p, s.x), b(moved.p, moved.x);
  a.forward(), a.backward(), b.forward(), b.backward();
  for (Index row = 0; row < 2 * n; ++row) {
    CHECK(b.loss.values[std::size_t(row)] == doctest::Approx(a.loss.values[std::size_t(source(row))]).epsilon(1e-12));
    for (Index d = 0; d < dim; ++d)
      CHECK(b.d.query.values[std::size_t(row * dim + d)] ==
            doctest::Approx(a.d.query.values[std::size_t(source(row) * dim + d)]).epsilon(1e-10));
  }
}

TEST_CASE("contrastive: scratch obeys 64 (B + M) bytes and 1 MiB a thread, and does not grow with B M") {
  const auto worst = [](Form form, DType dtype, Index rows, Index columns, Index dim) {
    const Shape q{rows, dim}, k{columns, dim};
    Contrastive x;
    x.form = form, x.query = {nullptr, &q, dtype}, x.key = {nullptr, &k, dtype};
    return std::max({cpu::contrastive_workspace_bytes(x), cpu::contrastive_backward_workspace_bytes(x),
                     cpu::contrastive_double_backward_workspace_bytes(x)});
  };
  for (const int threads : {1, 2, 40}) {  // the last: more than there are tasks
    ThreadPool pool(threads);
    const PoolScope scope(pool);
    for (const DType dtype : {DType::f32, DType::f64})
      for (const Form form : {Form::key_set, Form::symmetric, Form::nt_xent, Form::supervised})
        for (const Index rows : {1, 100, 8192, 1 << 20})
          for (const Index dim : {1, 128, 768, 100000}) {
            const Index columns = form == Form::key_set ? 4 * rows : rows;
            const std::size_t saved = 2 * size_of(dtype) * std::size_t(form == Form::symmetric ? 2 * rows : rows);
            CHECK(worst(form, dtype, rows, columns, dim) + saved <= std::size_t(64 * (rows + columns)) + (std::size_t(threads) << 20));
          }
  }
  const std::size_t one = worst(Form::symmetric, DType::f32, 100000, 100000, 64),
                    two = worst(Form::symmetric, DType::f32, 200000, 200000, 64);
  CHECK(two <= 2 * one);
}

TEST_CASE("contrastive: absent outputs and cotangents") {
  for (const Form form : {Form::key_set, Form::queue}) {
    const Sample s = random_sample(form, 60, 130, 20, 0.2, 140);
    Run<double> r(s.p, s.x), part(s.p, s.x);
    std::mt19937 rng(141);
    r.u.draw(rng);
    for (Field<double>* f : {&r.u.key, &r.u.positive, &r.u.temperature}) f->values.assign(f->values.size(), 0);
    r.all();
    const GuardedWorkspace w(
        std::max(cpu::contrastive_backward_workspace_bytes(r.operands()), cpu::contrastive_double_backward_workspace_bytes(r.operands())));
    cpu::contrastive_backward({part.d.query.out(), {}, {}, {}}, r.dloss.in(), r.loss.in(), r.lse.in(), r.operands(), w.get());
    CHECK(part.d.query.values == r.d.query.values);
    cpu::contrastive_backward({{}, part.d.key.out(), {}, {}}, r.dloss.in(), r.loss.in(), r.lse.in(), r.operands(), w.get());
    CHECK(part.d.key.values == r.d.key.values);
    cpu::contrastive_double_backward(part.ddloss.out(), {part.dd.query.out(), {}, {}, {}}, {r.u.query.in(), {}, {}, {}}, r.dloss.in(),
                                     r.loss.in(), r.lse.in(), r.operands(), w.get());
    CHECK(error(part.ddloss.values, r.ddloss.values) < 1e-14);
    CHECK(error(part.dd.query.values, r.dd.query.values) < 1e-14);
  }
}
