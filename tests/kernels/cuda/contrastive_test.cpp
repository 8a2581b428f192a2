// The contrastive kernels on the device against the naive oracle in f64, and against the CPU's where the oracle would take too long.
#include <gradus/tests/kernels/cuda/contrastive_run.h>

using namespace gradus;
using namespace gradus::testing;
using namespace gradus::testing::contrastive;

TEST_CASE("cuda contrastive: value and both orders of gradient agree with the oracle in every form and size") {
  struct Size {
    Index rows, columns, dim;
  };
  // Around the row blocks (16, 32), the tiles (32, 64) and the chunks (8, 16 features); above the registers' gradient (128, 256 features).
  for (const auto [rows, columns, dim] : {Size{2, 3, 1}, Size{4, 9, 4}, Size{16, 33, 16}, Size{34, 31, 7}, Size{66, 130, 20},
                                          Size{20, 70, 129}, Size{18, 65, 132}, Size{10, 66, 261}, Size{6, 200, 264}})
    for (const Form form : kForms) {
      const Sample s = random_sample(form, rows, columns_for(form, rows, columns), dim, 0.2, 10);
      check_against_oracle<float>(s);
      check_against_oracle<double>(s);
      if (dim % 4 == 0) check_against_oracle<float>(s, kTolerance<float>, 1);  // 16-byte access is off by the address alone
    }
}

TEST_CASE("cuda contrastive: columns in parts, large tiles, single rows") {
  check_against_oracle<float>(random_sample(Form::queue, 9, 2000, 8, 0.3, 20));
  check_against_oracle<float>(random_sample(Form::key_set, 1, 1500, 9, 0.3, 21));
  check_against_oracle<float>(random_sample(Form::key_set, 1500, 1, 9, 0.3, 22));  // no negatives: all zero
  check_against_oracle<double>(random_sample(Form::key_set, 700, 12, 3, 0.3, 23));
  check_against_oracle<double>(random_sample(Form::symmetric, 1, 1, 3, 0.3, 24));
  check_against_cpu(random_sample(Form::key_set, 600, 2000, 4, 0.3, 25));  // 64-row blocks in 11 parts
  check_against_cpu(random_sample(Form::nt_xent, 1100, 1100, 5, 0.3, 26));
  check_against_cpu(random_sample(Form::supervised, 1100, 1100, 5, 0.3, 26));
  check_against_cpu(random_sample(Form::key_set, 4100, 10, 40, 0.3, 27));
  check_against_cpu(random_sample(Form::key_set, 4100, 10, 133, 0.3, 28));
  check_against_cpu(random_sample(Form::key_set, 4100, 10, 258, 0.3, 29));
}

TEST_CASE("cuda contrastive: masks") {
  for (const Index n : {5, 40})
    for (const Form form : {Form::key_set, Form::queue, Form::symmetric}) {
      Sample s = random_sample(form, n, form == Form::symmetric ? n : n + 41, 17, 0.1, 30);
      add_mask(s, 31);
      check_against_oracle<double>(s);
      check_against_oracle<float>(s, kTolerance<float>, 3);
      CHECK(cuda::unreachable_positive(OnGpu<float>(s, 0).operands()) == -1);
      const Outcome<float> got = run<float>(s);
      for (const Index row : {1, 2}) {  // the positive alone, and nothing at all
        CHECK(got.loss[std::size_t(row)] == 0);
        for (Index d = 0; d < 17; ++d) CHECK(got.d.query[std::size_t(row * 17 + d)] == 0);
        CHECK(got.ddloss[std::size_t(row)] == 0);
      }
      if (form != Form::queue) CHECK(got.lse[2] == -kInf);
    }
}

TEST_CASE("cuda contrastive: a masked positive beside an allowed negative is found and costs infinity") {
  Sample s = random_sample(Form::key_set, 12, 9, 4, 0.1, 40);
  s.p.mask.assign(12 * 9, 1);
  for (const Index row : {10, 3}) s.p.mask[std::size_t(row * 9 + s.p.positive[std::size_t(row)])] = 0;
  OnGpu<double> one(s, 0);
  CHECK(cuda::unreachable_positive(one.operands()) == 3);
  one.forward();
  CHECK(one.loss()[3] == kInf);
  CHECK(std::isfinite(one.loss()[2]));

  Sample clip = random_sample(Form::symmetric, 5, 5, 4, 0.1, 41);
  clip.p.mask.assign(25, 1);
  for (Index j = 0; j < 5; ++j) clip.p.mask[std::size_t(2 * 5 + j)] = 0;  // row 2 has nothing, but column 2 has negatives
  CHECK(cuda::unreachable_positive(OnGpu<double>(clip, 0).operands()) == 5 + 2);
  for (Index i = 0; i < 5; ++i) clip.p.mask[std::size_t(i * 5 + 2)] = 0;
  CHECK(cuda::unreachable_positive(OnGpu<double>(clip, 0).operands()) == -1);
}

TEST_CASE("cuda contrastive: aligned pairs keep their gradient's relative accuracy in f32 down to tiny temperatures") {
  struct Line {
    double temperature, noise, tolerance;
  };
  for (const Line line : {Line{0.07, 0.01, 1e-5}, Line{0.01, 0.01, 1.5e-5}, Line{0.005, 0.1, 5e-5}})
    for (const Form form : {Form::key_set, Form::symmetric, Form::nt_xent, Form::supervised}) {
      CAPTURE(line.temperature);
      CAPTURE(int(form));
      const Sample s = rounded<float>(aligned_sample(form, line.temperature, line.noise));
      const Outcome<float> got = run<float>(s);
      const Result<double> want = oracle(s.p, s.x);
      const double of_query = error(got.d.query, want.dquery), of_loss = error(got.loss, want.loss);
      CAPTURE(of_query);
      CAPTURE(of_loss);
      CHECK(of_query < line.tolerance);
      CHECK(of_loss < line.tolerance);
      if (!s.p.own_rows()) CHECK(error(got.d.key, want.dkey) < line.tolerance);
      if (line.temperature == 0.07) check_second_order(s, got, 1e-4);
    }
}

TEST_CASE("cuda contrastive: unaligned pairs at a temperature of 0.01") {
  for (const Form form : {Form::key_set, Form::symmetric, Form::nt_xent, Form::supervised}) {
    const Sample s = rounded<float>(random_sample(form, 256, 256, 128, 0.01, 75));
    const Outcome<float> got = run<float>(s);
    const Result<double> want = oracle(s.p, s.x);
    const double of_query = error(got.d.query, want.dquery);
    CAPTURE(of_query);
    CHECK(of_query < 1e-5);
  }
}

TEST_CASE("cuda contrastive: temperatures where exp overflows, and anchors of very different scale") {
  for (const double temperature : {0.01, 0.001})
    for (const Form form : {Form::key_set, Form::symmetric, Form::nt_xent, Form::supervised}) {
      Sample s = random_sample(form, 80, 80, 12, temperature, 80);
      check_against_oracle<double>(s, 1e-10);
      for (std::size_t i = 0; i < s.x.query.size(); ++i) s.x.query[i] *= i / 12 % 3 == 0 ? 5 : i / 12 % 3 == 1 ? 1 : 0.01;
      if (s.p.own_rows()) s.x.key = s.x.query;
      check_against_oracle<double>(s, 1e-8);  // scores up to 25,000, whose rounding is 4e-12
    }
}

TEST_CASE("cuda contrastive: NaN stays with the anchors that see it, infinity gives NaN, nothing else is disturbed") {
  for (const double bad : {double(NAN), kInf}) {
    Sample s = random_sample(Form::key_set, 40, 60, 8, 0.2, 90);
    s.x.query[std::size_t(7 * 8)] = bad;
    OnGpu<float> gpu(s, 0);
    gpu.forward();
    for (Index i = 0; i < 40; ++i) CHECK(std::isnan(gpu.loss()[std::size_t(i)]) == (i == 7));
  }
  Sample clip = random_sample(Form::symmetric, 40, 40, 8, 0.2, 91);
  clip.x.key[std::size_t(9 * 8)] = double(NAN);
  const Outcome<float> got = run<float>(clip);
  for (Index j = 0; j < 40; ++j) {
    CHECK(std::isnan(got.loss[std::size_t(j)]));  // every query sees key 9
    CHECK(std::isnan(got.loss[std::size_t(40 + j)]) == (j == 9));
  }
  CHECK(std::isnan(got.d.query[0]));

  Sample s = random_sample(Form::key_set, 4, 30, 8, 0.2, 92);
  s.p.positive.assign(4, 3);
  s.p.mask.assign(120, 1);
  for (Index i = 0; i < 4; ++i) s.p.mask[std::size_t(i * 30 + 20)] = 0;
  OnGpu<float> clean(s, 0);
  clean.forward();
  s.x.key[std::size_t(20 * 8)] = double(NAN);  // forbidden to all
  OnGpu<float> dirty(s, 0);
  dirty.forward();
  check_same_bits(dirty.loss(), clean.loss());
}

TEST_CASE("cuda contrastive: empty sizes") {
  struct Size {
    Index rows, columns, dim;
  };
  for (const auto [rows, columns, dim] : {Size{0, 5, 4}, Size{0, 0, 4}, Size{5, 0, 4}, Size{5, 5, 0}, Size{0, 0, 0}}) {
    const Outcome<float> got = run<float>(random_sample(Form::key_set, rows, columns, dim, 0.5, 100));
    for (const float l : got.loss) CHECK(l == doctest::Approx(columns ? std::log(double(columns)) : 0));
    if (columns == 0)
      for (const float l : got.lse) CHECK(l == -kInf);
    for (const float g : got.d.query) CHECK(g == 0);
    CHECK(got.d.temperature[0] == 0);
    CHECK(got.dd.temperature[0] == 0);
    run<float>(random_sample(Form::queue, rows, columns, dim, 0.5, 103));
    if (rows != columns) continue;
    run<double>(random_sample(Form::symmetric, rows, rows, dim, 0.5, 101));
    run<double>(random_sample(Form::nt_xent, 2 * rows, 2 * rows, dim, 0.5, 102));
    run<double>(random_sample(Form::supervised, 2 * rows, 2 * rows, dim, 0.5, 102));
  }
}

TEST_CASE("cuda contrastive: an index out of range reads nothing and is nobody's positive") {
  Sample s = random_sample(Form::key_set, 6, 9, 4, 0.2, 105);
  s.p.positive[2] = 9, s.p.positive[4] = -1;
  const Outcome<float> got = run<float>(s);
  CHECK(got.loss[2] == float(kInf));
  CHECK(std::isfinite(got.loss[3]));
}

TEST_CASE("cuda contrastive: the same bits every time") {
  for (const Form form : kForms) {
    const Sample s = random_sample(form, 70, columns_for(form, 70, 450), 9, 0.1, 110);
    const Outcome<float> a = run<float>(s), b = run<float>(s);
    check_same_bits(a.loss, b.loss);
    check_same_bits(a.lse, b.lse);
    check_same_bits(a.ddloss, b.ddloss);
    for (const auto member : {&Values<float>::query, &Values<float>::key, &Values<float>::positive, &Values<float>::temperature}) {
      check_same_bits(a.d.*member, b.d.*member);
      check_same_bits(a.dd.*member, b.dd.*member);
    }
  }
}

TEST_CASE("cuda contrastive: loss, lse and scratch take at most 64 (B + M) bytes, and do not grow with B M") {
  const auto worst = [](Form form, DType dtype, Index rows, Index columns, Index dim) {
    const Shape q{rows, dim}, k{columns, dim};
    Contrastive x;
    x.form = form, x.query = {nullptr, &q, dtype}, x.key = {nullptr, &k, dtype}, x.temperature = {nullptr, &q, dtype};
    return std::max({cuda::contrastive_workspace_bytes(x), cuda::contrastive_backward_workspace_bytes(x),
                     cuda::contrastive_double_backward_workspace_bytes(x)});
  };
  for (const DType dtype : {DType::f32, DType::f64})
    for (const Form form : kForms)
      for (const Index rows : {16, 100, 256, 512, 1024, 8192, 1 << 20})
        for (const Index dim : {1, 16, 128, 768, 100000})
          for (const Index columns : {rows, 4 * rows, 256 * rows}) {
            if (columns != columns_for(form, rows, columns)) continue;
            const std::size_t saved = 2 * size_of(dtype) * std::size_t(form == Form::symmetric ? 2 * rows : rows);
            CAPTURE(int(form));
            CAPTURE(rows);
            CAPTURE(columns);
            CAPTURE(dim);
            CHECK(worst(form, dtype, rows, columns, dim) + saved <= std::size_t(64 * (rows + columns)));
          }
  CHECK(worst(Form::symmetric, DType::f32, 200000, 200000, 64) <= 2 * worst(Form::symmetric, DType::f32, 100000, 100000, 64));
}

TEST_CASE("cuda contrastive: absent outputs and cotangents") {
  using Asked = OnGpu<double>::Asked;
  for (const Form form : kForms) {
    CAPTURE(int(form));
    Sample s = random_sample(form, 40, columns_for(form, 40, 90), 20, 0.2, 140);
    OnGpu<double> gpu(s, 0);
    const Outcome<double> whole = gpu.all();
    check_same_bits(gpu.backward(Asked{true, false, false, false}).query, whole.d.query);
    std::vector<double> ddloss;
    check_same_bits(gpu.double_backward(ddloss, Asked{false, false, false, true}, gpu.cotangents()).temperature, whole.dd.temperature);
    check_same_bits(ddloss, whole.ddloss);
    if (s.p.own_rows()) continue;
    check_same_bits(gpu.backward(Asked{false, true, false, false}).key, whole.d.key);
    check_same_bits(gpu.double_backward(ddloss, Asked{false, true, true, false}, gpu.cotangents()).key, whole.dd.key);

    Sample part = s;  // zero cotangents and absent ones are the same
    part.u.key.assign(part.u.key.size(), 0), part.u.positive.assign(part.u.positive.size(), 0), part.u.temperature = 0;
    OnGpu<double> zeros(part, 0);
    const Outcome<double> want = zeros.all();
    ContrastiveCotangents u = zeros.cotangents();
    u.key = u.positive = u.temperature = ConstArray();
    const Values<double> got = zeros.double_backward(ddloss, {}, u);
    CHECK(error(ddloss, want.ddloss) < 1e-14);
    CHECK(error(got.query, want.dd.query) < 1e-14);
    CHECK(error(got.key, want.dd.key) < 1e-14);
    CHECK(error(got.positive, want.dd.positive) < 1e-14);
  }
}
