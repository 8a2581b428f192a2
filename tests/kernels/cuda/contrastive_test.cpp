// The contrastive kernels on the device against the naive oracle in f64, and against the CPU's where the oracle would take too long.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include <gradus/tests/kernels/contrastive_oracle.h>
#include <gradus/tests/kernels/cuda/support.h>

using namespace gradus;
using namespace gradus::testing;
using namespace gradus::testing::contrastive;

namespace {

// ---- data -----------------------------------------------------------------------------------------------------------------------------

/// A problem, where it is taken, and cotangents of its gradients.
struct Sample {
  Problem p;
  Point<double> x, u;
  double u_temperature = 0;
};

std::vector<double> normals(Index n, std::mt19937& rng, double scale = 1) {
  std::normal_distribution<double> normal(0, scale);
  std::vector<double> x(static_cast<std::size_t>(n));
  for (double& v : x) v = normal(rng);
  return x;
}

void normalize(std::vector<double>& x, Index dim) {
  for (std::size_t row = 0; row < x.size(); row += std::size_t(dim)) {
    double sum = 0;
    for (std::size_t d = row; d < row + std::size_t(dim); ++d) sum += x[d] * x[d];
    for (std::size_t d = row; d < row + std::size_t(dim); ++d) x[d] /= std::sqrt(sum);
  }
}

/// Random unit rows (of any length where dim is 1, or all scores would be +-1), random upstream gradients of either sign.
Sample random_sample(Form form, Index rows, Index columns, Index dim, double temperature, unsigned seed) {
  std::mt19937 rng(seed);
  Sample s;
  s.p.form = form, s.p.rows = rows, s.p.columns = columns, s.p.dim = dim;
  const Index positives = form == Form::queue ? rows : 0;
  s.x = {normals(rows * dim, rng), normals(columns * dim, rng), normals(positives * dim, rng), temperature};
  s.u = {normals(rows * dim, rng), normals(columns * dim, rng), normals(positives * dim, rng), normals(1, rng)[0]};
  if (dim > 1) normalize(s.x.query, dim), normalize(s.x.key, dim), normalize(s.x.positive, dim);
  if (form == Form::nt_xent) s.x.key = s.x.query, s.u.key = s.u.query;
  s.p.dloss = normals(s.p.anchors(), rng, 1.0 / double(std::max<Index>(1, rows)));
  for (Index i = 0; i < rows; ++i) s.p.positive.push_back(columns ? Index(rng() % std::size_t(columns)) : 0);
  return s;
}

/// Forbids pairs at random, never a positive; row 1 keeps its positive alone, row 2 nothing; of the symmetric form the columns likewise.
void add_mask(Sample& s, unsigned seed) {
  std::mt19937 rng(seed);
  Problem& p = s.p;
  p.mask.assign(std::size_t(p.rows * p.columns), 0);
  const bool both = p.form == Form::symmetric;
  for (Index i = 0; i < p.rows; ++i)
    for (Index j = 0; j < p.columns; ++j) {
      const bool positive = p.form != Form::queue && j == (both ? i : p.positive[std::size_t(i)]);
      const bool nothing = i == 2 || (both && j == 2), alone = i == 1 || (both && j == 1);
      p.mask[std::size_t(i * p.columns + j)] = nothing ? 0 : positive ? 1 : alone ? 0 : rng() % 3 > 0;
    }
}

/// Positives that all but agree: the loss falls to 1e-28 and below, and with p - 1 the gradient would be noise.
Sample aligned_sample(Form form, double temperature, double noise) {
  constexpr Index n = 256, dim = 128;
  Sample s = random_sample(form, n, n, dim, temperature, 70);
  std::mt19937 rng(71);
  std::vector<double>& other = form == Form::nt_xent ? s.x.query : s.x.key;
  const Index shift = form == Form::nt_xent ? n / 2 : 0;
  std::normal_distribution<double> normal(0, noise);
  for (Index i = 0; i < (n - shift) * dim; ++i) other[std::size_t(i + shift * dim)] = s.x.query[std::size_t(i)] + normal(rng);
  normalize(other, dim);
  if (form == Form::nt_xent) s.x.key = s.x.query;
  for (Index i = 0; i < n; ++i) s.p.positive[std::size_t(i)] = i;
  s.p.dloss.assign(s.p.dloss.size(), 1.0 / n);
  return s;
}

// ---- the kernels ----------------------------------------------------------------------------------------------------------------------

template <class To, class From> std::vector<To> cast(const std::vector<From>& x) { return std::vector<To>(x.begin(), x.end()); }

template <class T> struct Values { std::vector<T> query, key, positive, temperature; };
template <class T> struct Outcome {
  std::vector<T> loss, lse, ddloss;
  Values<T> d, dd;
};

/// The operands on the device, `offset` elements from an aligned address.
template <class T> class OnGpu {
 public:
  OnGpu(const Sample& s, int offset)
      : p_(s.p),
        offset_(offset),
        query_(array(s.x.query, {s.p.rows, s.p.dim})),
        key_(array(s.x.key, {s.p.columns, s.p.dim})),
        positive_(array(s.x.positive, {positives(), s.p.dim})),
        temperature_(array({s.x.temperature}, {1})),
        index_(device_array(s.p.positive, Shape{s.p.rows}, offset)),
        mask_(device_array(s.p.mask, s.p.mask.empty() ? Shape{0} : Shape{s.p.rows, s.p.columns}, offset)),
        dloss_(array(s.p.dloss, {s.p.anchors()})),
        u_query_(array(s.u.query, {s.p.rows, s.p.dim})),
        u_key_(array(s.u.key, {s.p.columns, s.p.dim})),
        u_positive_(array(s.u.positive, {positives(), s.p.dim})),
        u_temperature_(array({s.u.temperature}, {1})),
        loss_(device_output<T>({s.p.anchors()}, offset)),
        lse_(device_output<T>({s.p.anchors()}, offset)) {}

  Contrastive operands() {
    Contrastive c;
    c.form = p_.form;
    c.query = query_.array(), c.key = nt_xent() ? query_.array() : key_.array(), c.temperature = temperature_.array();
    if (p_.form == Form::key_set) c.positive_index = index_.array();
    if (queue()) c.positive = positive_.array();
    if (!p_.mask.empty()) c.mask = mask_.array(), c.mask.dtype = DType::boolean;
    return c;
  }
  ContrastiveCotangents cotangents() {
    return {u_query_.array(), nt_xent() ? ConstArray() : ConstArray(u_key_.array()),
            queue() ? ConstArray(u_positive_.array()) : ConstArray(), u_temperature_.array()};
  }

  void forward() {
    auto w = workspace(cuda::contrastive_workspace_bytes(operands()));
    cuda::contrastive(loss_.array(), lse_.array(), operands(), w.workspace());
  }
  /// Which of query, key, positive, temperature to ask for.
  struct Asked {
    bool query = true, key = true, positive = true, temperature = true;
  };
  Values<T> backward(Asked asked) {
    Gradients g(*this, asked);
    auto w = workspace(cuda::contrastive_backward_workspace_bytes(operands()));
    cuda::contrastive_backward(g.arrays(), dloss_.array(), loss_.array(), lse_.array(), operands(), w.workspace());
    return g.values();
  }
  Values<T> double_backward(std::vector<T>& ddloss, Asked asked, const ContrastiveCotangents& u) {
    Gradients g(*this, asked);
    auto out = device_output<T>({p_.anchors()}, offset_);
    auto w = workspace(cuda::contrastive_double_backward_workspace_bytes(operands()));
    cuda::contrastive_double_backward(out.array(), g.arrays(), u, dloss_.array(), loss_.array(), lse_.array(), operands(), w.workspace());
    ddloss = out.values();
    return g.values();
  }
  Outcome<T> all() {
    Outcome<T> o;
    forward();
    o.loss = loss_.values(), o.lse = lse_.values();
    o.d = backward({});
    o.dd = double_backward(o.ddloss, {}, cotangents());
    return o;
  }
  std::vector<T> loss() { return loss_.values(); }
  std::vector<T> lse() { return lse_.values(); }

 private:
  struct Gradients {
    Gradients(OnGpu& o, Asked a)
        : asked(a),
          query(device_output<T>({o.p_.rows, o.p_.dim}, o.offset_)),
          key(device_output<T>({o.p_.columns, o.p_.dim}, o.offset_)),
          positive(device_output<T>({o.positives(), o.p_.dim}, o.offset_)),
          temperature(device_output<T>({1}, o.offset_)) {
      if (o.nt_xent()) asked.key = false;
      if (!o.queue()) asked.positive = false;
    }
    ContrastiveGradients arrays() {
      return {asked.query ? query.array() : Array(), asked.key ? key.array() : Array(), asked.positive ? positive.array() : Array(),
              asked.temperature ? temperature.array() : Array()};
    }
    Values<T> values() {
      const auto of = [](bool wanted, DeviceArray<T>& a) { return wanted ? a.values() : std::vector<T>(); };
      return {of(asked.query, query), of(asked.key, key), of(asked.positive, positive), of(asked.temperature, temperature)};
    }
    Asked asked;
    DeviceArray<T> query, key, positive, temperature;
  };

  bool nt_xent() const { return p_.form == Form::nt_xent; }
  bool queue() const { return p_.form == Form::queue; }
  Index positives() const { return queue() ? p_.rows : 0; }
  DeviceArray<T> array(const std::vector<double>& x, Shape shape) { return device_array(cast<T>(x), shape, offset_); }

  Problem p_;
  int offset_;
  DeviceArray<T> query_, key_, positive_, temperature_;
  DeviceArray<Index> index_;
  DeviceArray<std::uint8_t> mask_;
  DeviceArray<T> dloss_, u_query_, u_key_, u_positive_, u_temperature_, loss_, lse_;
};

template <class T> Outcome<T> run(const Sample& s, int offset = 0) { return OnGpu<T>(s, offset).all(); }

// ---- what they should give ------------------------------------------------------------------------------------------------------------

template <class T> double largest(const std::vector<T>& x) {
  double top = 0;
  for (const T& v : x) top = std::max(top, std::abs(double(v)));
  return top;
}

/// max |a - b| / max |b|
template <class T> double error(const std::vector<T>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (double(a[i]) == b[i]) continue;  // infinities too
    const double e = std::abs(double(a[i]) - b[i]);
    worst = std::isnan(e) ? kInf : std::max(worst, e);
  }
  return worst == 0 ? 0 : worst / std::max(largest(b), 1e-30);
}

/// The operands as a kernel for T sees them.
template <class T> Sample rounded(Sample s) {
  const auto round = [](std::vector<double>& x) {
    for (double& v : x) v = double(T(v));
  };
  for (Point<double>* at : {&s.x, &s.u})
    round(at->query), round(at->key), round(at->positive), at->temperature = double(T(at->temperature));
  round(s.p.dloss);
  return s;
}

template <class T> constexpr double kTolerance = sizeof(T) == 4 ? 3e-5 : 1e-12;

template <class T> void check_first_order(const Sample& s, const Outcome<T>& got, double tolerance) {
  const Result<double> want = oracle(s.p, s.x);
  CHECK(error(got.loss, want.loss) < tolerance);
  CHECK(error(got.lse, want.lse) < tolerance);
  CHECK(error(got.d.query, want.dquery) < tolerance);
  CHECK(error(got.d.positive, want.dpositive) < tolerance);
  if (s.p.form != Form::nt_xent) CHECK(error(got.d.key, want.dkey) < tolerance);
  double scale = 0;  // dtemperature is a sum with cancellation: judge it by its terms
  for (std::size_t i = 0; i < want.dquery.size(); ++i) scale += std::abs(want.dquery[i] * s.x.query[i]);
  CHECK(std::abs(double(got.d.temperature[0]) - want.dtemperature) <= tolerance * (1e-30 + scale / s.x.temperature));
}

template <class T> void check_second_order(const Sample& s, const Outcome<T>& got, double tolerance) {
  const auto moving = [](const std::vector<double>& at, const std::vector<double>& slope) {
    std::vector<Dual> x;
    for (std::size_t i = 0; i < at.size(); ++i) x.emplace_back(at[i], slope[i]);
    return x;
  };
  const Result<Dual> want = oracle(s.p, Point<Dual>{moving(s.x.query, s.u.query), moving(s.x.key, s.u.key),
                                                    moving(s.x.positive, s.u.positive), Dual(s.x.temperature, s.u.temperature)});
  const auto slopes = [](const std::vector<Dual>& duals) {
    std::vector<double> x;
    for (const Dual& v : duals) x.push_back(v.slope);
    return x;
  };
  CHECK(error(got.ddloss, slopes(want.loss)) < tolerance);
  CHECK(error(got.dd.query, slopes(want.dquery)) < tolerance);
  CHECK(error(got.dd.positive, slopes(want.dpositive)) < tolerance);
  if (s.p.form != Form::nt_xent) CHECK(error(got.dd.key, slopes(want.dkey)) < tolerance);
  CHECK(error(got.dd.temperature, {want.dtemperature.slope}) < 100 * tolerance);
}

template <class T> void check_against_oracle(const Sample& sample, double tolerance = kTolerance<T>, int offset = 0) {
  CAPTURE(int(sample.p.form));
  CAPTURE(sample.p.rows);
  CAPTURE(sample.p.columns);
  CAPTURE(sample.p.dim);
  CAPTURE(sample.x.temperature);
  CAPTURE(sizeof(T));
  CAPTURE(offset);
  const Sample s = rounded<T>(sample);
  const Outcome<T> got = run<T>(s, offset);
  check_first_order(s, got, tolerance);
  check_second_order(s, got, 3 * tolerance);
}

/// The CPU's answer.
template <class T> Outcome<T> on_cpu(const Sample& s) {
  const Problem& p = s.p;
  const Shape q{p.rows, p.dim}, k{p.columns, p.dim}, one{1}, anchors{p.anchors()}, index{p.rows};
  const Shape positive{p.form == Form::queue ? p.rows : 0, p.dim};
  Values<T> x{cast<T>(s.x.query), cast<T>(s.x.key), cast<T>(s.x.positive), {T(s.x.temperature)}};
  Values<T> u{cast<T>(s.u.query), cast<T>(s.u.key), cast<T>(s.u.positive), {T(s.u.temperature)}};
  Outcome<T> o;
  o.d = o.dd = x;
  o.loss.resize(std::size_t(p.anchors())), o.lse = o.ddloss = o.loss;
  const std::vector<T> dloss = cast<T>(p.dloss);
  const auto in = [](const std::vector<T>& v, const Shape& shape) { return ConstArray(v.data(), &shape, dtype_of<T>); };
  const auto out = [](std::vector<T>& v, const Shape& shape) { return Array{v.data(), &shape, dtype_of<T>}; };
  const bool own_key = p.form != Form::nt_xent, queue = p.form == Form::queue;
  Contrastive c{p.form, in(x.query, q), own_key ? in(x.key, k) : in(x.query, q), in(x.temperature, one), {}, {}, {}};
  if (p.form == Form::key_set) c.positive_index = {p.positive.data(), &index, DType::i64};
  if (queue) c.positive = in(x.positive, positive);
  std::vector<char> bytes(std::max({cpu::contrastive_workspace_bytes(c), cpu::contrastive_backward_workspace_bytes(c),
                                    cpu::contrastive_double_backward_workspace_bytes(c)}) +
                          64);
  const Workspace w{bytes.data() + (64 - reinterpret_cast<std::uintptr_t>(bytes.data()) % 64) % 64, bytes.size() - 64};
  const auto gradients = [&](Values<T>& g) {
    return ContrastiveGradients{out(g.query, q), own_key ? out(g.key, k) : Array(), queue ? out(g.positive, positive) : Array(),
                                out(g.temperature, one)};
  };
  cpu::contrastive(out(o.loss, anchors), out(o.lse, anchors), c, w);
  cpu::contrastive_backward(gradients(o.d), in(dloss, anchors), in(o.loss, anchors), in(o.lse, anchors), c, w);
  cpu::contrastive_double_backward(
      out(o.ddloss, anchors), gradients(o.dd),
      {in(u.query, q), own_key ? in(u.key, k) : ConstArray(), queue ? in(u.positive, positive) : ConstArray(), in(u.temperature, one)},
      in(dloss, anchors), in(o.loss, anchors), in(o.lse, anchors), c, w);
  return o;
}

template <class T> void check_against_cpu(const Sample& sample, double tolerance = kTolerance<T>) {
  CAPTURE(int(sample.p.form));
  CAPTURE(sample.p.rows);
  CAPTURE(sample.p.columns);
  CAPTURE(sample.p.dim);
  const Outcome<T> got = run<T>(sample), want = on_cpu<T>(sample);
  CHECK(error(got.loss, cast<double>(want.loss)) < tolerance);
  CHECK(error(got.lse, cast<double>(want.lse)) < tolerance);
  CHECK(error(got.ddloss, cast<double>(want.ddloss)) < 10 * tolerance);
  for (const auto member : {&Values<T>::query, &Values<T>::key, &Values<T>::positive}) {
    if (sample.p.form == Form::nt_xent && member == &Values<T>::key) continue;
    CHECK(error(got.d.*member, cast<double>(want.d.*member)) < 3 * tolerance);
    CHECK(error(got.dd.*member, cast<double>(want.dd.*member)) < 10 * tolerance);
  }
}

constexpr Form kForms[] = {Form::key_set, Form::queue, Form::symmetric, Form::nt_xent};
Index columns_for(Form form, Index rows, Index columns) { return form == Form::symmetric || form == Form::nt_xent ? rows : columns; }

}  // namespace

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
      check_against_oracle<float>(s, kTolerance<float>, 1);
    }
}

TEST_CASE("cuda contrastive: columns in parts, large tiles, single rows") {
  check_against_oracle<float>(random_sample(Form::queue, 9, 2000, 8, 0.3, 20));
  check_against_oracle<float>(random_sample(Form::key_set, 1, 1500, 9, 0.3, 21));
  check_against_oracle<float>(random_sample(Form::key_set, 1500, 1, 9, 0.3, 22));  // no negatives: all zero
  check_against_oracle<double>(random_sample(Form::key_set, 700, 12, 3, 0.3, 23));
  check_against_oracle<double>(random_sample(Form::symmetric, 1, 1, 3, 0.3, 24));
  check_against_cpu<float>(random_sample(Form::key_set, 600, 2000, 4, 0.3, 25));  // 64-row blocks in 11 parts
  check_against_cpu<float>(random_sample(Form::nt_xent, 1100, 1100, 5, 0.3, 26));
  check_against_cpu<float>(random_sample(Form::key_set, 4100, 10, 40, 0.3, 27));
  check_against_cpu<float>(random_sample(Form::key_set, 4100, 10, 133, 0.3, 28));
  check_against_cpu<float>(random_sample(Form::key_set, 4100, 10, 258, 0.3, 29));
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
    for (const Form form : {Form::key_set, Form::symmetric, Form::nt_xent}) {
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
      if (form != Form::nt_xent) CHECK(error(got.d.key, want.dkey) < line.tolerance);
      if (line.temperature == 0.07) check_second_order(s, got, 1e-4);
    }
}

TEST_CASE("cuda contrastive: unaligned pairs at a temperature of 0.01") {  // specs/kernels.md: gradient error 1e-6 in fp32
  for (const Form form : {Form::key_set, Form::symmetric, Form::nt_xent}) {
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
    for (const Form form : {Form::key_set, Form::symmetric, Form::nt_xent}) {
      Sample s = random_sample(form, 80, 80, 12, temperature, 80);
      check_against_oracle<double>(s, 1e-10);
      for (std::size_t i = 0; i < s.x.query.size(); ++i) s.x.query[i] *= i / 12 % 3 == 0 ? 5 : i / 12 % 3 == 1 ? 1 : 0.01;
      if (form == Form::nt_xent) s.x.key = s.x.query;
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
    CAPTURE(rows);
    CAPTURE(columns);
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
    if (form == Form::nt_xent) continue;
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
