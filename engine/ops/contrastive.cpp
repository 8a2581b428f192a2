#include <gradus/engine/ops/contrastive.h>

#include <gradus/engine/ops/contrastive_rules.h>
#include <gradus/engine/ops/index.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/record.h>
#include <gradus/engine/scratch.h>
#include <gradus/engine/tape_state.h>

namespace gradus::inline v0 {

namespace detail {

Contrastive ContrastiveOperands::arrays() const {
  const auto optional = [](const Tensor& t) { return t ? t.array() : ConstArray(); };
  Contrastive c;
  c.form = form;
  c.query = query.array(), c.key = key.array(), c.temperature = temperature.array();
  (form == ContrastiveForm::queue ? c.positive : form == ContrastiveForm::supervised ? c.labels : c.positive_index) = optional(positive);
  c.mask = optional(mask);
  return c;
}

}  // namespace detail

namespace {

using detail::ContrastiveOperands, detail::ContrastiveSecondOrder, detail::ContrastiveValues;
using Form = ContrastiveForm;

ConstArray optional(const Tensor& t) { return t ? t.array() : ConstArray(); }

// What both ops save, in this order; the backward op also keeps dloss.
enum Saved { kQuery, kKey, kTemperature, kPositive, kMask, kLoss, kLse, kDloss };

ContrastiveOperands operands_of(const Entry& e, Form form) {
  return {form, e.saved(kQuery), e.saved(kKey), e.saved(kTemperature), e.saved(kPositive), e.saved(kMask)};
}

// ---- second order: the gradients of <u, d>, d being the backward op's results

/// Where the backward op's results are; -1: not asked for.
struct BackwardResults {
  Form form;
  int query = -1, key = -1, positive = -1, temperature = -1;
};
enum BackwardInput { kOfDloss, kOfQuery, kOfKey, kOfPositive, kOfTemperature };

ContrastiveSecondOrder run_second_order(const Entry& e, const ContrastiveOperands& x, const ContrastiveValues& u) {
  const auto wanted = [&](BackwardInput i, const Tensor& like) { return e.needs(i) ? empty_like(like) : Tensor(); };
  ContrastiveSecondOrder dd{empty_like(e.saved(kDloss)), {}};
  dd.operands.query = wanted(kOfQuery, x.query);
  if (!compares_own_rows(x.form)) dd.operands.key = wanted(kOfKey, x.key);
  if (x.form == Form::queue) dd.operands.positive = wanted(kOfPositive, x.positive);
  dd.operands.temperature = wanted(kOfTemperature, x.temperature);
  const auto out = [](Tensor& t) { return t ? fresh(t) : Array(); };
  const Contrastive arrays = x.arrays();
  const Device device = x.query.device();
  const Scratch scratch(GRADUS_RUN(device, contrastive_double_backward_workspace_bytes, arrays), device);
  GRADUS_RUN(device, contrastive_double_backward, fresh(dd.dloss),
             {out(dd.operands.query), out(dd.operands.key), out(dd.operands.positive), out(dd.operands.temperature)},
             {optional(u.query), optional(u.key), optional(u.positive), optional(u.temperature)}, e.saved(kDloss).array(),
             e.saved(kLoss).array(), e.saved(kLse).array(), arrays, scratch.workspace());
  return dd;
}

/// In closed form, unless the sweep is recorded: then from ops that can be differentiated again.
Grads backward_rule(const Entry& e, const Tensor* dys) {
  const auto& at = e.attrs<BackwardResults>();
  const auto cotangent = [&](int result) { return result < 0 ? Tensor() : dys[result]; };
  const ContrastiveValues u{cotangent(at.query), cotangent(at.key), cotangent(at.positive), cotangent(at.temperature)};
  const ContrastiveOperands x = operands_of(e, at.form);
  const ContrastiveSecondOrder dd = e.tape->paused ? run_second_order(e, x, u) : detail::compose_second_order(x, e.saved(kDloss), u);
  Grads grads;
  for (const Tensor* t : {&dd.dloss, &dd.operands.query, &dd.operands.key, &dd.operands.positive, &dd.operands.temperature})
    grads.push_back(*t);
  return grads;
}
constexpr Op kBackward{"contrastive_backward", nullptr, nullptr, backward_rule};

// ---- first order

/// The results that the backward op makes, one by one.
struct ResultList {
  Tensor results[4];
  int count = 0;
  int add(const Tensor& like) {
    results[count] = empty_like(like);
    return count++;
  }
  Array array(int i) { return i < 0 ? Array() : fresh(results[i]); }
  Tensor get(int i) const { return i < 0 ? Tensor() : results[i]; }
};

Grads contrastive_rule(const Entry& e, const Tensor& dloss) {
  const ContrastiveOperands x = operands_of(e, e.attrs<Form>());
  ResultList list;
  BackwardResults at{x.form};
  if (e.needs(0) || e.needs(3)) at.query = list.add(x.query);  // the temperature's gradient is a sum over the query's
  if (e.needs(1) && !compares_own_rows(x.form)) at.key = list.add(x.key);
  if (e.needs(2) && x.form == Form::queue) at.positive = list.add(x.positive);
  if (e.needs(3)) at.temperature = list.add(x.temperature);
  const Contrastive arrays = x.arrays();
  const Device device = x.query.device();
  const Tensor &loss = e.saved(kLoss), &lse = e.saved(kLse);
  const Scratch scratch(GRADUS_RUN(device, contrastive_backward_workspace_bytes, arrays), device);
  GRADUS_RUN(device, contrastive_backward, {list.array(at.query), list.array(at.key), list.array(at.positive), list.array(at.temperature)},
             dloss.array(), loss.array(), lse.array(), arrays, scratch.workspace());
  record_many(kBackward, {list.results, static_cast<std::size_t>(list.count)}, {dloss, x.query, x.key, x.positive, x.temperature},
              {x.query, x.key, x.temperature, x.positive, x.mask, loss, lse, dloss}, at);
  return {list.get(at.query), list.get(at.key), list.get(at.positive), list.get(at.temperature)};
}
constexpr Op kContrastive{"contrastive", contrastive_rule};

// ---- the loss

Tensor losses(const ContrastiveOperands& x) {
  const Contrastive arrays = x.arrays();
  const Device device = x.query.device();
  Tensor loss = Tensor::empty({anchors_of(arrays)}, x.query.dtype(), device), lse = empty_like(loss);
  const Scratch scratch(GRADUS_RUN(device, contrastive_workspace_bytes, arrays), device);
  GRADUS_RUN(device, contrastive, fresh(loss), fresh(lse), arrays, scratch.workspace());
  return record(kContrastive, loss, {x.query, x.key, x.positive, x.temperature},
                {x.query, x.key, x.temperature, x.positive, x.mask, loss, lse}, x.form);
}

Tensor reduce(const char* op, const Tensor& loss, Reduction reduction) {
  if (reduction == Reduction::none) return loss;
  if (reduction == Reduction::sum) return sum(loss);
  if (loss.elements() == 0) raise_shape(std::string("[") + op + "] the mean of no anchors: expected at least one row");
  return mean(loss);
}

// ---- checks

std::string tag(const char* op) { return std::string("[") + op + "] "; }

void check_rows(const char* op, const char* name, const Tensor& x) {
  require_floating(op, name, x);
  require_rank(op, name, x, 2);
}

void check_temperature(const char* op, const char* beside, const Tensor& x, const Tensor& temperature) {
  require_same_dtype(op, beside, x, "temperature", temperature);
  if (temperature.elements() != 1) raise_shape(tag(op) + describe("temperature", temperature) + ": expected one element");
  if (temperature.device() == Device::cpu && !(temperature.item() > 0))
    raise_value(tag(op) + "temperature is " + std::to_string(temperature.item()) + ": expected > 0");
}

/// `other` [., D] beside query [B, D].
void check_beside_query(const char* op, const Tensor& query, const char* name, const Tensor& other) {
  require_same_dtype(op, "query", query, name, other);
  require_rank(op, name, other, 2);
  if (other.size(1) != query.size(1))
    raise_shape(tag(op) + describe("query", query) + " and " + describe(name, other) + ": expected rows of the same length");
}

void check_same_rows(const char* op, const char* rows, const Tensor& x, const char* name, const Tensor& other) {
  if (other.size(0) != x.size(0))
    raise_shape(tag(op) + describe(rows, x) + " and " + describe(name, other) + ": expected one for each row of " + rows);
}

void check_negatives(const char* op, bool any, const char* name, const Tensor& x) {
  if (!any)
    raise_shape(tag(op) + describe(name, x) + ": there are no negatives, so the loss would be 0 whatever the rows are; use a larger batch");
}

void check_mask(const char* op, const ContrastiveOperands& x) {
  if (!x.mask) return;
  require_dtype(op, "mask", x.mask, DType::boolean);
  check_same_device(op, "query", x.query, "mask", x.mask);
  const Shape expected{x.query.size(0), x.key.size(0)};
  if (!(x.mask.shape() == expected)) raise_shape(tag(op) + describe("mask", x.mask) + ": expected " + to_string(expected));
  if (x.query.device() != Device::cpu) return;  // to ask would be to wait: there such a loss is infinite
  const std::int64_t anchor = cpu::unreachable_positive(x.arrays());
  if (anchor < 0) return;
  const bool column = anchor >= expected[0];
  raise_value(tag(op) + "the mask forbids the positive of " + (column ? "key " : "query ") +
              std::to_string(column ? anchor - expected[0] : anchor) +
              " but allows a negative: its loss would be infinite; allow the positive, or forbid the whole " + (column ? "column" : "row"));
}

/// A temperature that is a number, of the type of x.
Tensor temperature_like(const char* op, const char* name, const Tensor& x, double temperature) {
  require_floating(op, name, x);
  return Tensor::scalar(temperature, x.dtype(), x.device());
}

}  // namespace

Tensor info_nce(const Tensor& query, const Tensor& key, const Tensor& positive_index, const Tensor& temperature,
                const InfoNceOptions& options) {
  constexpr const char* op = "info_nce";
  check_rows(op, "query", query);
  check_beside_query(op, query, "key", key);
  check_temperature(op, "query", query, temperature);
  require_rank(op, "positive_index", positive_index, 1);
  check_same_device(op, "query", query, "positive_index", positive_index);
  require_indices(op, "positive_index", positive_index, key.size(0));
  check_same_rows(op, "query", query, "positive_index", positive_index);
  check_negatives(op, query.size(0) == 0 || key.size(0) > 1, "key", key);
  const ContrastiveOperands x{Form::key_set, query, key, temperature, positive_index, options.mask};
  check_mask(op, x);
  return reduce(op, losses(x), options.reduction);
}

Tensor queue_info_nce(const Tensor& query, const Tensor& positive, const Tensor& queue, const Tensor& temperature,
                      const InfoNceOptions& options) {
  constexpr const char* op = "queue_info_nce";
  check_rows(op, "query", query);
  check_beside_query(op, query, "positive", positive);
  check_same_rows(op, "query", query, "positive", positive);
  check_beside_query(op, query, "queue", queue);
  check_temperature(op, "query", query, temperature);
  check_negatives(op, query.size(0) == 0 || queue.size(0) > 0, "queue", queue);
  const ContrastiveOperands x{Form::queue, query, queue, temperature, positive, options.mask};
  check_mask(op, x);
  return reduce(op, losses(x), options.reduction);
}

Tensor symmetric_info_nce(const Tensor& query, const Tensor& key, const Tensor& temperature, const InfoNceOptions& options) {
  constexpr const char* op = "symmetric_info_nce";
  check_rows(op, "query", query);
  check_beside_query(op, query, "key", key);
  check_same_rows(op, "query", query, "key", key);
  check_temperature(op, "query", query, temperature);
  check_negatives(op, query.size(0) != 1, "query", query);
  const ContrastiveOperands x{Form::symmetric, query, key, temperature, {}, options.mask};
  check_mask(op, x);
  return reduce(op, losses(x), options.reduction);
}

Tensor nt_xent(const Tensor& z, const Tensor& temperature, Reduction reduction) {
  constexpr const char* op = "nt_xent";
  check_rows(op, "z", z);
  check_temperature(op, "z", z, temperature);
  if (z.size(0) % 2) raise_shape(tag(op) + describe("z", z) + ": expected 2N rows, the N first views and then the N second ones");
  check_negatives(op, z.size(0) != 2, "z", z);
  return reduce(op, losses({Form::nt_xent, z, z, temperature, {}, {}}), reduction);
}

Tensor supervised_contrastive(const Tensor& z, const Tensor& labels, const Tensor& temperature, Reduction reduction) {
  constexpr const char* op = "supervised_contrastive";
  check_rows(op, "z", z);
  check_temperature(op, "z", z, temperature);
  require_dtype(op, "labels", labels, DType::i64);
  require_rank(op, "labels", labels, 1);
  check_same_device(op, "z", z, "labels", labels);
  check_same_rows(op, "z", z, "labels", labels);
  check_negatives(op, z.size(0) == 0 || z.size(0) > 2, "z", z);
  return reduce(op, losses({Form::supervised, z, z, temperature, labels, {}}), reduction);
}

Tensor info_nce(const Tensor& query, const Tensor& key, const Tensor& positive_index, double temperature, const InfoNceOptions& options) {
  return info_nce(query, key, positive_index, temperature_like("info_nce", "query", query, temperature), options);
}
Tensor queue_info_nce(const Tensor& query, const Tensor& positive, const Tensor& queue, double temperature, const InfoNceOptions& options) {
  return queue_info_nce(query, positive, queue, temperature_like("queue_info_nce", "query", query, temperature), options);
}
Tensor symmetric_info_nce(const Tensor& query, const Tensor& key, double temperature, const InfoNceOptions& options) {
  return symmetric_info_nce(query, key, temperature_like("symmetric_info_nce", "query", query, temperature), options);
}
Tensor nt_xent(const Tensor& z, double temperature, Reduction reduction) {
  return nt_xent(z, temperature_like("nt_xent", "z", z, temperature), reduction);
}
Tensor supervised_contrastive(const Tensor& z, const Tensor& labels, double temperature, Reduction reduction) {
  return supervised_contrastive(z, labels, temperature_like("supervised_contrastive", "z", z, temperature), reduction);
}

}  // namespace gradus::inline v0
