// The contrastive kernels on the CPU: a run on a sample, and what it should give.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include <gradus/kernels/cpu/isa.h>
#include <gradus/tests/kernels/contrastive_samples.h>

namespace gradus::testing::contrastive::host {

// ---- the kernels ----------------------------------------------------------------------------------------------------------------------

/// Exactly the bytes asked for, between guards that must survive.
class GuardedWorkspace {
 public:
  explicit GuardedWorkspace(std::size_t bytes) : bytes_(bytes), memory_(new (std::align_val_t(64)) unsigned char[bytes + 2 * kGuard]) {
    std::memset(memory_, kByte, bytes + 2 * kGuard);  // as floats: about -1e-23, as an uninitialised read would be: not zero
  }
  GuardedWorkspace(const GuardedWorkspace&) = delete;
  GuardedWorkspace& operator=(const GuardedWorkspace&) = delete;
  ~GuardedWorkspace() {
    bool intact = true;
    for (std::size_t i = 0; i < kGuard; ++i) intact = intact && memory_[i] == kByte && memory_[kGuard + bytes_ + i] == kByte;
    CHECK(intact);
    operator delete[](memory_, std::align_val_t(64));
  }
  Workspace get() const { return {memory_ + kGuard, bytes_}; }

 private:
  static constexpr std::size_t kGuard = 256;
  static constexpr unsigned char kByte = 0xFF;  // NaN in every float type
  std::size_t bytes_;
  unsigned char* memory_;
};

/// A vector of T seen as an array.
template <class T> struct Field {
  std::vector<T> values;
  Shape shape;
  explicit Field(const Shape& s, T value = T(0)) : values(std::size_t(s.elements()), value), shape(s) {}
  Array out() { return {values.data(), &shape, dtype_of<T>}; }
  ConstArray in() const { return {values.data(), &shape, dtype_of<T>}; }
};

/// Gradients, or cotangents of them.
template <class T> struct Fields {
  Field<T> query, key, positive, temperature;
  Fields(const Problem& p)
      : query({p.rows, p.dim}), key({p.columns, p.dim}), positive({p.form == Form::queue ? p.rows : 0, p.dim}), temperature({1}) {}
  ContrastiveGradients out(Form form) {
    return {query.out(), compares_own_rows(form) ? Array{} : key.out(), form == Form::queue ? positive.out() : Array{}, temperature.out()};
  }
  ContrastiveCotangents in(Form form) const {
    const ConstArray none;
    return {query.in(), compares_own_rows(form) ? none : key.in(), form == Form::queue ? positive.in() : none, temperature.in()};
  }
  std::vector<Field<T>*> all() { return {&query, &key, &positive, &temperature}; }
  void draw(std::mt19937& rng) {
    std::normal_distribution<double> normal;
    for (Field<T>* f : all())
      for (T& v : f->values) v = T(normal(rng));
  }
};

template <class T> struct Run {
  Problem p;
  Fields<T> x, d, u, dd;  // the operands, their gradients, the gradients' cotangents, the second order
  Field<T> dloss, loss, lse, ddloss;
  Field<Index> positive_index, labels;
  std::unique_ptr<bool[]> mask;
  Shape mask_shape;

  Run(const Problem& problem, const Point<double>& at)
      : p(problem),
        x(p),
        d(p),
        u(p),
        dd(p),
        dloss({p.anchors()}),
        loss(dloss),
        lse(dloss),
        ddloss(dloss),
        positive_index({p.rows}),
        labels(positive_index),
        mask(new bool[p.mask.size()]),
        mask_shape({p.rows, p.columns}) {
    std::copy(at.query.begin(), at.query.end(), x.query.values.begin());
    std::copy(at.key.begin(), at.key.end(), x.key.values.begin());
    std::copy(at.positive.begin(), at.positive.end(), x.positive.values.begin());
    std::copy(p.dloss.begin(), p.dloss.end(), dloss.values.begin());
    std::copy(p.positive.begin(), p.positive.end(), positive_index.values.begin());
    std::copy(p.labels.begin(), p.labels.end(), labels.values.begin());
    std::copy(p.mask.begin(), p.mask.end(), mask.get());
    x.temperature.values[0] = T(at.temperature);
  }

  Contrastive operands() const {
    Contrastive c;
    c.form = p.form;
    c.query = x.query.in();
    c.key = own_rows() ? x.query.in() : x.key.in();
    c.temperature = x.temperature.in();
    if (p.form == Form::key_set) c.positive_index = positive_index.in();
    if (p.form == Form::queue) c.positive = x.positive.in();
    if (p.form == Form::supervised) c.labels = labels.in();
    if (!p.mask.empty()) c.mask = {mask.get(), &mask_shape, DType::boolean};
    return c;
  }
  bool own_rows() const { return p.own_rows(); }
  void forward() {
    const GuardedWorkspace w(cpu::contrastive_workspace_bytes(operands()));
    cpu::contrastive(loss.out(), lse.out(), operands(), w.get());
  }
  void backward() {
    const GuardedWorkspace w(cpu::contrastive_backward_workspace_bytes(operands()));
    cpu::contrastive_backward(d.out(p.form), dloss.in(), loss.in(), lse.in(), operands(), w.get());
  }
  void double_backward() {
    const GuardedWorkspace w(cpu::contrastive_double_backward_workspace_bytes(operands()));
    cpu::contrastive_double_backward(ddloss.out(), dd.out(p.form), u.in(p.form), dloss.in(), loss.in(), lse.in(), operands(), w.get());
  }
  void all() { forward(), backward(), double_backward(); }
  /// The operands as the kernel sees them, rounded to T.
  Point<double> point() const {
    const auto wide = [](const std::vector<T>& v) { return std::vector<double>(v.begin(), v.end()); };
    return {wide(x.query.values), wide(own_rows() ? x.query.values : x.key.values), wide(x.positive.values),
            double(x.temperature.values[0])};
  }
};

template <class T> constexpr double kTolerance = sizeof(T) == 4 ? 3e-5 : 1e-12;

template <class T> void check_first_order(const Run<T>& r, double tolerance) {
  const Result<double> want = oracle(r.p, r.point());
  CHECK(error(r.loss.values, want.loss) < tolerance);
  CHECK(error(r.lse.values, want.lse) < tolerance);
  CHECK(error(r.d.query.values, want.dquery) < tolerance);
  CHECK(error(r.d.positive.values, want.dpositive) < tolerance);
  if (!r.own_rows()) CHECK(error(r.d.key.values, want.dkey) < tolerance);
  double scale = 0;  // dtemperature is a sum with cancellation: judge it by its terms
  for (std::size_t i = 0; i < want.dquery.size(); ++i) scale += std::abs(want.dquery[i] * double(r.x.query.values[i]));
  CHECK(std::abs(double(r.d.temperature.values[0]) - want.dtemperature) <= tolerance * (1e-30 + scale / r.point().temperature));
}

template <class T> void check_second_order(Run<T>& r, double tolerance) {
  std::mt19937 rng(99);
  r.u.draw(rng);
  r.double_backward();
  const auto moving = [](const std::vector<double>& at, const std::vector<T>& slope) {
    std::vector<Dual> x;
    for (std::size_t i = 0; i < at.size(); ++i) x.emplace_back(at[i], double(slope[i]));
    return x;
  };
  const Point<double> at = r.point();
  const Point<Dual> x{moving(at.query, r.u.query.values), moving(at.key, r.own_rows() ? r.u.query.values : r.u.key.values),
                      moving(at.positive, r.u.positive.values), Dual(at.temperature, double(r.u.temperature.values[0]))};
  const Result<Dual> want = oracle(r.p, x);
  const auto slopes = [](const std::vector<Dual>& duals) {
    std::vector<double> s;
    for (const Dual& v : duals) s.push_back(v.slope);
    return s;
  };
  CHECK(error(r.ddloss.values, slopes(want.loss)) < tolerance);
  CHECK(error(r.dd.query.values, slopes(want.dquery)) < tolerance);
  CHECK(error(r.dd.positive.values, slopes(want.dpositive)) < tolerance);
  if (!r.own_rows()) CHECK(error(r.dd.key.values, slopes(want.dkey)) < tolerance);
  CHECK(error(double(r.dd.temperature.values[0]), want.dtemperature.slope) < 100 * tolerance);
}

template <class T> void check_against_oracle(const Sample& s, double tolerance = kTolerance<T>) {
  CAPTURE(int(s.p.form));
  CAPTURE(s.p.rows);
  CAPTURE(s.p.columns);
  CAPTURE(s.p.dim);
  CAPTURE(s.x.temperature);
  Run<T> r(s.p, s.x);
  r.forward();
  r.backward();
  check_first_order(r, tolerance);
  check_second_order(r, 3 * tolerance);
}

template <class F> void on_every_isa(const F& f) {
  const cpu::Isa best = cpu::chosen_isa();
  for (const cpu::Isa isa : {cpu::Isa::baseline, cpu::Isa::avx2}) {
    if (isa > best) continue;
    CAPTURE(int(isa));
    cpu::force_isa(isa);
    f();
  }
  cpu::force_isa(best);
}

}  // namespace gradus::testing::contrastive::host
