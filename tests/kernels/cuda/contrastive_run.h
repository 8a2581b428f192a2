// The contrastive kernels on the device: a run on a sample, and what it should give.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include <gradus/tests/kernels/contrastive_samples.h>
#include <gradus/tests/kernels/cuda/support.h>

namespace gradus::testing::contrastive {

// ---- the kernels ----------------------------------------------------------------------------------------------------------------------

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
        labels_(device_array(s.p.labels, Shape{Index(s.p.labels.size())}, offset)),
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
    c.query = query_.array(), c.key = own_rows() ? query_.array() : key_.array(), c.temperature = temperature_.array();
    if (p_.form == Form::key_set) c.positive_index = index_.array();
    if (queue()) c.positive = positive_.array();
    if (p_.form == Form::supervised) c.labels = labels_.array();
    if (!p_.mask.empty()) c.mask = mask_.array(), c.mask.dtype = DType::boolean;
    return c;
  }
  ContrastiveCotangents cotangents() {
    return {u_query_.array(), own_rows() ? ConstArray() : ConstArray(u_key_.array()),
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
      if (o.own_rows()) asked.key = false;
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

  bool own_rows() const { return p_.own_rows(); }
  bool queue() const { return p_.form == Form::queue; }
  Index positives() const { return queue() ? p_.rows : 0; }
  DeviceArray<T> array(const std::vector<double>& x, Shape shape) { return device_array(cast<T>(x), shape, offset_); }

  Problem p_;
  int offset_;
  DeviceArray<T> query_, key_, positive_, temperature_;
  DeviceArray<Index> index_, labels_;
  DeviceArray<std::uint8_t> mask_;
  DeviceArray<T> dloss_, u_query_, u_key_, u_positive_, u_temperature_, loss_, lse_;
};

template <class T> Outcome<T> run(const Sample& s, int offset = 0) { return OnGpu<T>(s, offset).all(); }

// ---- what they should give ------------------------------------------------------------------------------------------------------------

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

template <class T> inline constexpr double kTolerance = sizeof(T) == 4 ? 3e-5 : 1e-12;

template <class T> void check_first_order(const Sample& s, const Outcome<T>& got, double tolerance) {
  const Result<double> want = oracle(s.p, s.x);
  CHECK(error(got.loss, want.loss) < tolerance);
  CHECK(error(got.lse, want.lse) < tolerance);
  CHECK(error(got.d.query, want.dquery) < tolerance);
  CHECK(error(got.d.positive, want.dpositive) < tolerance);
  if (!s.p.own_rows()) CHECK(error(got.d.key, want.dkey) < tolerance);
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
  if (!s.p.own_rows()) CHECK(error(got.dd.key, slopes(want.dkey)) < tolerance);
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

/// The CPU's answer, to first order.
template <class T> Outcome<T> on_cpu(const Sample& s) {
  const Problem& p = s.p;
  const Shape q{p.rows, p.dim}, k{p.columns, p.dim}, one{1}, anchors{p.anchors()}, index{p.rows};
  const Values<T> x{cast<T>(s.x.query), cast<T>(s.x.key), {}, {T(s.x.temperature)}};
  const std::vector<T> dloss = cast<T>(p.dloss);
  Outcome<T> o;
  o.d = x;
  o.loss.resize(std::size_t(p.anchors())), o.lse = o.loss;
  const auto in = [](const std::vector<T>& v, const Shape& shape) { return ConstArray(v.data(), &shape, dtype_of<T>); };
  const auto out = [](std::vector<T>& v, const Shape& shape) { return Array{v.data(), &shape, dtype_of<T>}; };
  const bool own_key = !p.own_rows();
  Contrastive c{p.form, in(x.query, q), own_key ? in(x.key, k) : in(x.query, q), in(x.temperature, one), {}, {}, {}, {}};
  if (p.form == Form::supervised) c.labels = {p.labels.data(), &index, DType::i64};
  if (p.form == Form::key_set) c.positive_index = {p.positive.data(), &index, DType::i64};
  std::vector<char> bytes(std::max(cpu::contrastive_workspace_bytes(c), cpu::contrastive_backward_workspace_bytes(c)) + 64);
  const Workspace w{bytes.data() + (64 - reinterpret_cast<std::uintptr_t>(bytes.data()) % 64) % 64, bytes.size() - 64};
  cpu::contrastive(out(o.loss, anchors), out(o.lse, anchors), c, w);
  cpu::contrastive_backward({out(o.d.query, q), own_key ? out(o.d.key, k) : Array(), {}, out(o.d.temperature, one)}, in(dloss, anchors),
                            in(o.loss, anchors), in(o.lse, anchors), c, w);
  return o;
}

/// First order alone: the second has one size of tiles.
inline void check_against_cpu(const Sample& s) {
  CAPTURE(int(s.p.form));
  CAPTURE(s.p.rows);
  CAPTURE(s.p.columns);
  CAPTURE(s.p.dim);
  OnGpu<float> gpu(s, 0);
  gpu.forward();
  const Values<float> got = gpu.backward({});
  const Outcome<float> want = on_cpu<float>(s);
  CHECK(error(gpu.loss(), cast<double>(want.loss)) < kTolerance<float>);
  CHECK(error(gpu.lse(), cast<double>(want.lse)) < kTolerance<float>);
  CHECK(error(got.query, cast<double>(want.d.query)) < kTolerance<float>);
  if (!s.p.own_rows()) CHECK(error(got.key, cast<double>(want.d.key)) < kTolerance<float>);
}

}  // namespace gradus::testing::contrastive
