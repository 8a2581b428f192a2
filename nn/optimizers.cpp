#include <gradus/nn/optimizers.h>

#include <algorithm>
#include <cmath>

#include <gradus/engine/record.h>
#include <gradus/kernels/elementwise.h>
#include <gradus/kernels/optimizer.h>
#include <gradus/nn/device_runs.h>

namespace gradus::inline v0 {
namespace {

constexpr std::size_t kAbsent = static_cast<std::size_t>(-1);

bool contains(const ParameterIds& ids, std::uint64_t id) {
  for (const std::uint64_t i : ids)
    if (i == id) return true;
  return false;
}

/// Throws ValueError naming field and value unless `good`.
void require(bool good, const char* optimizer, const char* field, double value, const char* expected) {
  if (!good) raise_value(std::string("[") + optimizer + "] " + field + " is " + std::to_string(value) + "; expected " + expected);
}

void visit_rate(FieldVisitor& v, Schedule& rate) {
  std::string text = rate.to_string();
  v.field("learning_rate", text, "step size: a number or a schedule of the step");
  rate = Schedule::parse(text);
}

/// A grown parameter's moments; elements without ancestor begin at zero.
void remap_buffer(Buffer& buffer, const ParameterMap& map) {
  if (buffer.tensor()) buffer = Buffer(gather_elements(buffer, map.source, map.shape));
}

/// A grown parameter's mask; elements without ancestor move.
void remap_mask(Buffer& mask, const ParameterMap& map) {
  if (!mask.tensor()) return;
  Tensor grown = gather_elements(mask.tensor().to(Device::cpu), map.source, map.shape);
  with_floating(grown.dtype(), [&](auto zero) {
    auto* factors = fresh(grown).as<decltype(zero)>();
    for (std::size_t i = 0; i < map.source.size(); ++i)
      if (map.source[i] < 0) factors[i] = 1;
  });
  mask = Buffer(grown.to(mask.tensor().device()));
}

ConstArray array_of(const Tensor& t) { return t ? t.array() : ConstArray(); }
/// For a parameter after begin_write(), and for a moment, which is the optimizer's own and on no tape.
Array writable(const Tensor& t) {
  if (!t) return {};
  const detail::Body* body = TensorAccess::body(t);
  return {body->data, &body->shape, body->dtype};
}

}  // namespace

// ---- Optimizer

std::size_t Optimizer::find(std::uint64_t id) const {
  const std::size_t n = ids_.size();
  for (std::size_t tried = 0, at = cursor_; tried < n; ++tried, ++at) {
    if (at >= n) at = 0;
    if (ids_[at] == id) {
      cursor_ = at + 1;
      return at;
    }
  }
  return kAbsent;
}

std::size_t Optimizer::find_or_add(const Tensor& parameter) {
  const std::size_t found = find(parameter.id());
  if (found != kAbsent) return found;
  states_.emplace_back().decays = !contains(no_decay_, parameter.id());
  try {
    ids_.push_back(parameter.id());
  } catch (...) {
    states_.pop_back();
    throw;
  }
  return cursor_ = ids_.size() - 1;
}

void Optimizer::prepare(const Tensor& parameter, const Tensor& gradient) {
  if (!parameter || parameter.dtype() != gradient.dtype() || !(parameter.shape() == gradient.shape())) {
    require_defined(name_, "parameter", parameter);
    require_same_dtype(name_, "parameter", parameter, "gradient", gradient);
    require_same_shape(name_, "parameter", parameter, "gradient", gradient);
  }
  const std::size_t index = find_or_add(parameter);
  OptimizerState& state = states_[index];
  for (int i = 0; i < moments(); ++i)
    if (!state.moments[i].tensor()) state.moments[i].replace(zeros_like(parameter));
  begin_write(name_, parameter);
  pending_.push_back({&parameter, &gradient, index});
}

void Optimizer::step(const Gradients& gradients) {
  if (gradients.parameters.size() != gradients.values.size())
    raise_value(std::string("[") + name_ + "] " + std::to_string(gradients.values.size()) + " gradients for " +
                std::to_string(gradients.parameters.size()) + " parameters; expected as many");
  pending_.clear();
  for (std::size_t i = 0; i < gradients.size(); ++i)
    if (gradients.values[i]) prepare(gradients.parameters[i], gradients.values[i]);

  const double rate = learning_rate();
  updates_.clear();
  for (const Pending& p : pending_) updates_.push_back({p.parameter, p.gradient, &states_[p.index], rate});
  detail::for_each_device_run(
      updates_.size(), [&](std::size_t i) { return updates_[i].parameter->device(); },
      [&](Device, std::size_t first, std::size_t count) {
        apply({updates_.data() + first, count});
      });
  for (const Update& u : updates_) ++u.state->steps;
  ++steps_;
}

void Optimizer::set_update_mask(const Tensor& parameter, const Tensor& mask) {
  require_floating("set_update_mask", "parameter", parameter);
  Tensor factors;
  if (mask) {
    require_same_shape("set_update_mask", "parameter", parameter, "mask", mask);
    if (mask.dtype() != DType::boolean) require_same_dtype("set_update_mask", "parameter", parameter, "mask", mask);
    factors = empty_like(parameter);
    GRADUS_RUN(parameter.device(), cast, fresh(factors), mask.array());
  }
  states_[find_or_add(parameter)].mask.replace(factors);
}

void Optimizer::exclude_from_decay(const ParameterIds& parameters) {
  for (const std::uint64_t id : parameters) {
    if (!contains(no_decay_, id)) no_decay_.push_back(id);
    const std::size_t known = find(id);
    if (known != kAbsent) states_[known].decays = false;
  }
}

void Optimizer::remap(const GrowthMap& growth) {
  for (const ParameterMap& map : growth) {
    std::replace(no_decay_.begin(), no_decay_.end(), map.from, map.to);
    const std::size_t known = find(map.from);
    if (known == kAbsent) continue;
    OptimizerState& state = states_[known];
    for (Buffer& moment : state.moments) remap_buffer(moment, map);
    remap_mask(state.mask, map);
    ids_[known] = map.to;
  }
}

void Optimizer::reset() {
  for (OptimizerState& state : states_) {
    for (Buffer& moment : state.moments) moment = Buffer();
    state.steps = 0;
  }
}

void Optimizer::forget(const Tensor& parameter) {
  const std::size_t known = find(parameter.id());
  if (known == kAbsent) return;
  ids_.erase(ids_.begin() + static_cast<std::ptrdiff_t>(known));
  states_.erase(states_.begin() + static_cast<std::ptrdiff_t>(known));
}

const OptimizerState* Optimizer::state_of(const Tensor& parameter) const {
  const std::size_t known = find(parameter.id());
  return known == kAbsent ? nullptr : &states_[known];
}

void Optimizer::replace_state(std::int64_t steps, Vec<std::uint64_t> ids, Vec<OptimizerState> states) noexcept {
  steps_ = steps;
  ids_ = std::move(ids);
  states_ = std::move(states);
  for (std::size_t i = 0; i < ids_.size(); ++i) states_[i].decays = !contains(no_decay_, ids_[i]);
  cursor_ = 0;
}

std::unique_ptr<Optimizer> Optimizer::without_state() const {
  std::unique_ptr<Optimizer> optimizer = make();
  optimizer->no_decay_ = no_decay_;
  return optimizer;
}

// ---- SGD

void SgdConfig::visit(FieldVisitor& v) {
  visit_rate(v, learning_rate);
  v.field("momentum", momentum, "share of the last direction that is kept");
  v.field("nesterov", nesterov, "look ahead along the momentum");
  v.field("weight_decay", weight_decay, "added to the gradient, times the weight");
}

Sgd::Sgd(SgdConfig config) : Optimizer("sgd", config.no_decay), config_(std::move(config)) {
  require(config_.momentum >= 0 && config_.momentum < 1, "sgd", "momentum", config_.momentum, "0 <= momentum < 1");
  require(!config_.nesterov || config_.momentum > 0, "sgd", "momentum", config_.momentum, "more than 0 with nesterov");
  require(config_.weight_decay >= 0, "sgd", "weight_decay", config_.weight_decay, "at least 0");
}

void Sgd::apply(std::span<const Update> updates) {
  items_.clear();
  for (const Update& u : updates)
    items_.push_back({writable(*u.parameter),
                      writable(u.state->moments[0]),
                      u.gradient->array(),
                      array_of(u.state->mask),
                      {u.rate, config_.momentum, u.state->decays ? config_.weight_decay : 0, config_.nesterov}});
  GRADUS_RUN(updates[0].parameter->device(), sgd_many, items_.data(), static_cast<int>(items_.size()));
}

// ---- Adam

void AdamConfig::visit(FieldVisitor& v) {
  visit_rate(v, learning_rate);
  v.field("beta1", beta1, "share of the first moment that is kept", "0.9");
  v.field("beta2", beta2, "share of the second moment that is kept", "0.999");
  v.field("epsilon", epsilon, "added to the root of the second moment", "1e-8");
  v.field("weight_decay", weight_decay, "Adam: added to the gradient, times the weight; AdamW: the weight shrinks by it, times the rate");
}

Adam::Adam(const char* name, AdamConfig config, bool decoupled)
    : Optimizer(name, config.no_decay), config_(std::move(config)), decoupled_(decoupled) {
  require(config_.beta1 >= 0 && config_.beta1 < 1, name, "beta1", config_.beta1, "0 <= beta1 < 1");
  require(config_.beta2 >= 0 && config_.beta2 < 1, name, "beta2", config_.beta2, "0 <= beta2 < 1");
  require(config_.epsilon >= 0, name, "epsilon", config_.epsilon, "at least 0");
  require(config_.weight_decay >= 0, name, "weight_decay", config_.weight_decay, "at least 0");
}

void Adam::apply(std::span<const Update> updates) {
  items_.clear();
  for (const Update& u : updates) {
    const std::int64_t steps = u.state->steps + 1;
    if (corrections_.steps != steps) {  // a model's parameters mostly share one count: two powers a step, not two a parameter
      const auto t = static_cast<double>(steps);
      corrections_ = {steps, 1 - std::pow(config_.beta1, t), 1 - std::pow(config_.beta2, t)};
    }
    items_.push_back({writable(*u.parameter),
                      writable(u.state->moments[0]),
                      writable(u.state->moments[1]),
                      u.gradient->array(),
                      array_of(u.state->mask),
                      {u.rate, config_.beta1, config_.beta2, config_.epsilon, u.state->decays ? config_.weight_decay : 0, decoupled_,
                       corrections_.first, corrections_.second}});
  }
  GRADUS_RUN(updates[0].parameter->device(), adam_many, items_.data(), static_cast<int>(items_.size()));
}

AdamW::AdamW(AdamWConfig config)
    : Adam("adamw", {config.learning_rate, config.beta1, config.beta2, config.epsilon, config.weight_decay, std::move(config.no_decay)},
           true) {}

}  // namespace gradus::inline v0
