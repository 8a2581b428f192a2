#include <gradus/engine/functional.h>

#include <cmath>
#include <memory>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/record.h>
#include <gradus/kernels/philox.h>

namespace gradus::inline v0 {

// ---- custom_op

struct CustomOp::Definition {
  std::string name;
  CustomForward forward;
  CustomRule rule;
  Op op;
};

namespace {

struct CustomCall {
  std::shared_ptr<const void> keep_alive;  // the definition, whose Op the entry points to
  const CustomRule* rule;
  TensorList inputs;
  Tensor result;
};

Grads custom_rule(const Entry& e, const Tensor& dy) {
  const CustomCall& call = e.attrs<CustomCall>();
  const TensorList gradients = (*call.rule)({call.inputs, call.result}, dy);
  if (gradients.size() != call.inputs.size())
    raise_gradient(std::string("[") + e.op->name + "] its rule gave " + std::to_string(gradients.size()) + " gradients for " +
                   std::to_string(call.inputs.size()) + " inputs; expected one each, empty where there is none");
  Grads grads;
  for (const Tensor& g : gradients) grads.push_back(g);
  return grads;
}

}  // namespace

CustomOp::CustomOp(std::string name, CustomForward forward, CustomRule rule) {
  auto definition = std::make_shared<Definition>(Definition{std::move(name), std::move(forward), std::move(rule), {}});
  definition->op = Op{definition->name.c_str(), custom_rule};
  definition_ = std::move(definition);
}

Tensor CustomOp::operator()(TensorList inputs) const {
  Tensor y;
  {
    const NoGrad forward_is_opaque;
    y = definition_->forward(inputs);
  }
  require_defined(definition_->name.c_str(), "the result of forward", y);
  y = y.detach();  // a body of its own, even if forward returned an input
  const Inputs live{std::span<const Tensor>(inputs)};
  return record(definition_->op, y, live, {}, CustomCall{definition_, &definition_->rule, inputs, y});
}

CustomOp custom_op(std::string name, CustomForward forward, CustomRule rule) {
  return {std::move(name), std::move(forward), std::move(rule)};
}

// ---- hvp

Tensor hvp(const std::function<Tensor(const Tensor&)>& f, const Tensor& x, const Tensor& v) {
  require_same_dtype("hvp", "x", x, "v", v);
  require_same_shape("hvp", "x", x, "v", v);
  Tape tape({x});
  const Tensor gradient = tape.gradients(f(x), {x}, {.create_graph = true})[0];
  if (!tape.is_live(gradient)) return zeros_like(x);  // f is linear in x
  TensorList h = tape.gradients(gradient, {x}, {.seed = v});
  return h[0];
}

// ---- gradcheck

namespace {

using Function = std::function<Tensor(const TensorList&)>;

/// Reproducible numbers in [-1, 1), like y, that are not symmetric about anything: uniform cotangents cancel in normalisations.
Tensor random_cotangent(const Tensor& y, Key key) {
  Tensor t = Tensor::empty(y.shape(), DType::f64);
  auto* values = fresh(t).as<double>();
  for (std::int64_t i = 0; i < t.elements(); ++i)
    values[i] = 2.0 * static_cast<double>(uniform_from(philox_block(key, static_cast<std::uint32_t>(i / 4), 0).word[i % 4])) - 1.0;
  return t.to(y.device());
}

Tensor dot(const Tensor& a, const Tensor& b) { return sum_to(a * b, {}); }

double value_at(const Tensor& t, std::int64_t i) { return t.values<double>()[static_cast<std::size_t>(i)]; }

/// inputs with element i of input k moved by h.
TensorList moved(const TensorList& inputs, std::size_t k, std::int64_t i, double h) {
  TensorList out = inputs;
  out[k] = inputs[k].device() == Device::cpu ? inputs[k].clone() : inputs[k].to(Device::cpu);
  fresh(out[k]).as<double>()[i] += h;
  out[k] = out[k].to(inputs[k].device());
  return out;
}

bool checked(const Tensor& x) { return x && x.dtype() == DType::f64; }

/// On `tape`, which watches the checked inputs: s_0 = <u, f(x)>, and s_j = sum_k <v_jk, ds_{j-1}/dx_k>. The gradient of s_j is one
/// order higher than that of s_{j-1}.
Tensor scalar_of_order(const Function& f, const TensorList& inputs, int order, Tape& tape, Key key) {
  const Tensor y = f(inputs);
  Tensor s = dot(y, random_cotangent(y, fold(key, 0)));
  for (int j = 1; j < order; ++j) {
    if (!tape.is_live(s)) return zeros_like(s);
    const Gradients g = tape.gradients(s, {.create_graph = true});
    s = zeros_like(s);
    for (std::size_t k = 0; k < g.size(); ++k)
      if (g.values[k]) s = s + dot(g.values[k], random_cotangent(g.values[k], fold(fold(key, static_cast<std::uint64_t>(j)), k)));
  }
  return s;
}

void watch_checked(Tape& tape, const TensorList& inputs) {
  for (const Tensor& x : inputs)
    if (checked(x)) tape.watch(x);
}

double value_of_order(const Function& f, const TensorList& inputs, int order, Key key) {
  Tape tape;
  watch_checked(tape, inputs);
  return scalar_of_order(f, inputs, order, tape, key).item();
}

/// One order: every checked input's gradient against central differences.
void check_order(const Function& f, const TensorList& inputs, int order, const GradcheckOptions& options, GradcheckReport& report) {
  const Key key{options.seed, 0};
  Tape tape;
  watch_checked(tape, inputs);
  const Tensor s = scalar_of_order(f, inputs, order, tape, key);
  Gradients g;
  if (tape.is_live(s)) g = tape.gradients(s, {.retain = true});
  std::size_t watched = 0;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    if (!checked(inputs[k])) continue;
    const Tensor analytic = watched < g.size() && g.values[watched] ? g.values[watched].to(Device::cpu) : Tensor();
    ++watched;
    const std::int64_t n = inputs[k].elements(), stride = n > options.most ? n / options.most : 1;
    for (std::int64_t i = 0; i < n; i += stride) {
      const double up = value_of_order(f, moved(inputs, k, i, options.step), order, key);
      const double down = value_of_order(f, moved(inputs, k, i, -options.step), order, key);
      const double numeric = (up - down) / (2 * options.step), ours = analytic ? value_at(analytic, i) : 0;
      const double error = std::abs(ours - numeric) / std::fmax(1.0, std::abs(numeric));
      if (error <= report.largest_error) continue;  // NaN is an error too: it compares false
      report.largest_error = error;
      report.ok = error <= options.tolerance;
      report.text = "order " + std::to_string(order) + ", input " + std::to_string(k) + ", element " + std::to_string(i) + ": gradient " +
                    std::to_string(ours) + ", central difference " + std::to_string(numeric) + ", error " + std::to_string(error) +
                    ", seed " + std::to_string(options.seed);
      if (std::isnan(error)) return;
    }
  }
}

}  // namespace

GradcheckReport gradcheck(const Function& f, const TensorList& inputs, const GradcheckOptions& options) {
  bool any = false;
  for (const Tensor& x : inputs) any |= checked(x);
  if (!any) raise_dtype("[gradcheck] no input is f64; differences in f32 prove nothing");
  GradcheckReport report;
  for (int order = 1; order <= options.order && report.ok; ++order) check_order(f, inputs, order, options, report);
  return report;
}

}  // namespace gradus::inline v0
