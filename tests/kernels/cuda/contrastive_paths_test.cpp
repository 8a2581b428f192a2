// The contrastive kernels' paths: each size of tile with its features in registers, in wider slices and streamed, by 16-byte words and by
// elements, with and without a mask, tiles full and almost empty.
#include <gradus/tests/kernels/cuda/contrastive_run.h>

using namespace gradus;
using namespace gradus::testing;
using namespace gradus::testing::contrastive;

namespace {

/// Of the three ways that a gradient's features are kept (up to 128, up to 256, streamed): all but the last pack of each.
constexpr Index kDims[] = {124, 252, 380};

Sample masked(Form form, Index rows, Index columns, Index dim) {
  Sample s = random_sample(form, rows, columns_for(form, rows, columns), dim, 0.2, 200);
  if (form != Form::nt_xent && form != Form::supervised) add_mask(s, 201);
  return s;
}

template <class T> void check_first(const Sample& sample, int offset) {
  CAPTURE(int(sample.p.form));
  CAPTURE(sample.p.rows);
  CAPTURE(sample.p.dim);
  CAPTURE(offset);
  const Sample s = rounded<T>(sample);
  OnGpu<T> gpu(s, offset);
  Outcome<T> got;
  gpu.forward();
  got.loss = gpu.loss(), got.lse = gpu.lse(), got.d = gpu.backward({});
  check_first_order(s, got, kTolerance<T>);
}

template <class T> void check_absent_of_queue(int offset) {
  Sample s = random_sample(Form::queue, 9, 20, 260, 0.2, 220);
  OnGpu<T> whole(s, offset);
  const Outcome<T> want = whole.all();
  std::vector<T> ddloss;
  check_same_bits(whole.backward({true, true, false, false}).query, want.d.query);
  check_same_bits(whole.backward({false, true, true, false}).positive, want.d.positive);
  check_same_bits(whole.double_backward(ddloss, {true, true, false, true}, whole.cotangents()).query, want.dd.query);
  check_same_bits(whole.double_backward(ddloss, {false, true, true, true}, whole.cotangents()).positive, want.dd.positive);
  for (auto cotangent : {&ContrastiveCotangents::query, &ContrastiveCotangents::positive}) {
    Sample part = s;  // zero cotangents and absent ones are the same
    std::vector<double>& u = cotangent == &ContrastiveCotangents::query ? part.u.query : part.u.positive;
    u.assign(u.size(), 0);
    OnGpu<T> zeros(part, offset);
    const Outcome<T> of_zeros = zeros.all();
    ContrastiveCotangents absent = zeros.cotangents();
    absent.*cotangent = ConstArray();
    const Values<T> got = zeros.double_backward(ddloss, {}, absent);
    CHECK(error(got.query, cast<double>(of_zeros.dd.query)) < kTolerance<T>);
    CHECK(error(got.positive, cast<double>(of_zeros.dd.positive)) < kTolerance<T>);
  }
}

}  // namespace

TEST_CASE("cuda contrastive: masks and addresses at every width of the features") {
  for (const Index dim : kDims)
    for (const Form form : kForms)
      for (const int offset : {0, 1}) {
        const Sample s = masked(form, 34, 70, dim);
        check_against_oracle<float>(s, kTolerance<float>, offset);
        if (form == Form::key_set || form == Form::symmetric) check_against_oracle<double>(s, kTolerance<double>, offset);
      }
}

TEST_CASE("cuda contrastive: tiles with a row or two") {
  for (const Index dim : {4, 132, 260})
    for (const Form form : kForms)
      for (const int offset : {0, 1}) {
        const Sample s = random_sample(form, 2, columns_for(form, 2, 3), dim, 0.2, 210);
        check_against_oracle<float>(s, kTolerance<float>, offset);
        check_against_oracle<double>(s, kTolerance<double>, offset);
      }
}

TEST_CASE("cuda contrastive: gradients in memory grow by several wide tiles") {
  for (const int offset : {0, 1}) {
    check_against_oracle<float>(random_sample(Form::key_set, 18, 200, 380, 0.2, 211), kTolerance<float>, offset);
    check_against_oracle<double>(random_sample(Form::key_set, 18, 200, 380, 0.2, 212), kTolerance<double>, offset);
  }
}

TEST_CASE("cuda contrastive: large tiles") {
  for (const int offset : {0, 1}) {
    check_first<float>(masked(offset ? Form::key_set : Form::symmetric, 1100, 1100, 4 + 16 * offset), offset);
    for (const Index dim : kDims) check_first<float>(masked(Form::key_set, 4040, 3, dim), offset);
  }
  check_first<float>(masked(Form::nt_xent, 1100, 1100, 4), 1);
}

TEST_CASE("cuda contrastive: large tiles whose features are streamed, forwards") {
  for (const int offset : {0, 1}) {
    const Sample s = rounded<float>(masked(Form::key_set, 4040, 130, 258 + 2 * offset));
    OnGpu<float> gpu(s, offset);
    gpu.forward();
    CHECK(error(gpu.loss(), oracle(s.p, s.x).loss) < kTolerance<float>);
  }
}

TEST_CASE("cuda contrastive: a queue's gradients without one another, without cotangents") {
  check_absent_of_queue<float>(0);
  check_absent_of_queue<double>(1);
}

TEST_CASE("cuda contrastive: more parts and more row sums than a warp or a block has threads") {
  check_against_oracle<float>(random_sample(Form::key_set, 2, 8300, 1, 0.3, 230));
  check_against_oracle<float>(random_sample(Form::queue, 6300, 2, 1, 0.3, 231));
  check_against_oracle<double>(random_sample(Form::queue, 6300, 2, 1, 0.3, 232));
}

TEST_CASE("cuda contrastive: an unreachable positive in a wide mask") {
  Sample s = random_sample(Form::key_set, 12, 300, 1, 0.1, 240);
  s.p.mask.assign(12 * 300, 0);
  s.p.mask[5 * 300 + 299] = 1;  // its only negative is the last; nobody else has any
  if (s.p.positive[5] == 299) s.p.positive[5] = 0;
  CHECK(cuda::unreachable_positive(OnGpu<float>(s, 0).operands()) == 5);
  Sample clip = random_sample(Form::symmetric, 300, 300, 1, 0.1, 241);
  clip.p.mask.assign(300 * 300, 0);
  clip.p.mask[298 * 300 + 7] = 1;  // of row 298 and of column 7
  CHECK(cuda::unreachable_positive(OnGpu<float>(clip, 0).operands()) == 298);
  clip.p.mask[298 * 300 + 298] = 1;
  CHECK(cuda::unreachable_positive(OnGpu<float>(clip, 0).operands()) == 300 + 7);
}
