#include <gradus/engine/ops/contrastive_rules.h>

#include <vector>

#include <gradus/engine/ops/elementwise.h>
#include <gradus/engine/ops/index.h>
#include <gradus/engine/ops/matmul.h>
#include <gradus/engine/ops/reduce.h>
#include <gradus/engine/ops/shape.h>
#include <gradus/engine/ops/softmax.h>

namespace gradus::inline v0::detail {
namespace {

/// The pairs as matrices: who may be compared (0 or 1), and who belongs together (1 / |P|, else 0). Constants of the operands' type.
struct Pairs {
  Tensor allowed, positive;
};

Tensor identity(std::int64_t n, const Tensor& like) { return one_hot(Tensor::arange(n, DType::i64, like.device()), n, like.dtype()); }

/// (i + N) mod 2N
Tensor other_view(std::int64_t rows, Device device) {
  std::vector<std::int64_t> index;
  for (std::int64_t i = 0; i < rows; ++i) index.push_back((i + rows / 2) % rows);
  return Tensor::from(index, {rows}).to(device);
}

/// Nothing is allowed to a row without positives: all of its terms are 0 then.
Pairs pairs_by_label(const Tensor& labels, const Tensor& like) {
  const Tensor other = 1 - identity(labels.size(0), like);
  const Tensor same = cast(equal(unsqueeze(labels, 1), unsqueeze(labels, 0)), like.dtype()) * other, count = sum(same, {1}, keepdims);
  return {other * minimum(count, 1), same / maximum(count, 1)};
}

Pairs pairs_of(const ContrastiveOperands& x) {
  const std::int64_t rows = x.query.size(0), columns = x.key.size(0);
  const DType dtype = x.query.dtype();
  const Tensor allowed = x.mask ? cast(x.mask, dtype) : Tensor::ones({rows, columns}, dtype, x.query.device());
  switch (x.form) {
    case ContrastiveForm::key_set: return {allowed, one_hot(x.positive, columns, dtype) * allowed};
    case ContrastiveForm::symmetric: return {allowed, identity(rows, x.query) * allowed};
    case ContrastiveForm::nt_xent: return {1 - identity(rows, x.query), one_hot(other_view(rows, x.query.device()), rows, dtype)};
    case ContrastiveForm::supervised: return pairs_by_label(x.positive, x.query);
    case ContrastiveForm::queue: break;
  }
  const Tensor own = identity(rows, x.query);  // the positives are further columns
  return {concat({allowed, own}, 1), concat({zeros_like(allowed), own}, 1)};
}

/// Softmax over what is allowed; 0 elsewhere, also where nothing is.
Tensor probabilities(const Tensor& scores, const Tensor& allowed, int axis) {
  const Tensor condition = cast(allowed, DType::boolean);
  const double kForbidden = -1e30;  // finite: a row without any key would be NaN
  return where(condition, softmax(where(condition, scores, kForbidden), axis), 0);
}

Tensor or_zeros(const Tensor& t, const Tensor& like) { return t ? t : zeros_like(like); }

/// The anchors along one axis: their weights for G and W (see kernels/contrastive.h), and ddloss.
struct Anchors {
  Tensor g, w, ddloss;
};
Anchors anchors_along(int axis, const Tensor& scores, const Tensor& t, const Tensor& dloss, const Pairs& pairs) {
  const Tensor p = probabilities(scores, pairs.allowed, axis), mean = sum(p * t, {axis}, keepdims), d = unsqueeze(dloss, axis);
  return {d * (p - pairs.positive), d * p * (t - mean), squeeze(mean - sum(pairs.positive * t, {axis}, keepdims), axis)};
}

Anchors all_anchors(const ContrastiveOperands& x, const Tensor& scores, const Tensor& t, const Tensor& dloss, const Pairs& pairs) {
  if (x.form != ContrastiveForm::symmetric) return anchors_along(1, scores, t, dloss, pairs);
  const std::int64_t rows = x.query.size(0);
  const Anchors q = anchors_along(1, scores, t, slice_rows(dloss, 0, rows), pairs);
  const Anchors k = anchors_along(0, scores, t, slice_rows(dloss, rows, 2 * rows), pairs);
  return {q.g + k.g, q.w + k.w, concat({q.ddloss, k.ddloss}, 0)};
}

Tensor product(const Tensor& a, const Tensor& b) { return matmul(a, b); }
Tensor product_transposed(const Tensor& a, const Tensor& b) { return matmul(a, b, {.transpose_b = true}); }
Tensor transposed_product(const Tensor& a, const Tensor& b) { return matmul(a, b, {.transpose_a = true}); }

/// A queue's positives as further keys, rows that are compared with each other as keys.
struct Sides {
  Tensor key, u, v;
};
Sides sides_of(const ContrastiveOperands& x, const ContrastiveValues& u) {
  const Tensor query = or_zeros(u.query, x.query);
  if (compares_own_rows(x.form)) return {x.key, query, query};
  const Tensor key = or_zeros(u.key, x.key);
  if (x.form != ContrastiveForm::queue) return {x.key, query, key};
  return {concat({x.key, x.positive}, 0), query, concat({key, or_zeros(u.positive, x.positive)}, 0)};
}

ContrastiveValues split(const ContrastiveOperands& x, const Tensor& query, const Tensor& key, const Tensor& temperature) {
  const std::int64_t columns = x.key.size(0);
  switch (x.form) {
    case ContrastiveForm::nt_xent:
    case ContrastiveForm::supervised: return {query + key, {}, {}, temperature};
    case ContrastiveForm::queue: return {query, slice_rows(key, 0, columns), slice_rows(key, columns, key.size(0)), temperature};
    default: return {query, key, {}, temperature};
  }
}

}  // namespace

ContrastiveSecondOrder compose_second_order(const ContrastiveOperands& x, const Tensor& dloss, const ContrastiveValues& u) {
  const Pairs pairs = pairs_of(x);
  const Sides s = sides_of(x, u);
  const Tensor b = reciprocal(reshape(x.temperature, Shape{}));
  const Tensor w = reshape(or_zeros(u.temperature, x.temperature), Shape{}), r = -(w * b * b);
  const Tensor c = product_transposed(x.query, s.key), cross = product_transposed(s.u, s.key) + product_transposed(x.query, s.v);
  const Anchors a = all_anchors(x, b * c, b * cross + r * c, dloss, pairs);
  const Tensor by_score = b * a.w + r * a.g, by_cross = b * a.g;
  const Tensor ddquery = product(by_score, s.key) + product(by_cross, s.v);
  const Tensor ddkey = transposed_product(by_score, x.query) + transposed_product(by_cross, s.u);
  const Tensor by_b = sum(a.w * c + a.g * cross) - 2 * (w * b) * sum(a.g * c);
  return {a.ddloss, split(x, ddquery, ddkey, reshape(-(b * b) * by_b, x.temperature.shape()))};
}

}  // namespace gradus::inline v0::detail
