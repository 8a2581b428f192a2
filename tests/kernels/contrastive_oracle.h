// The naive oracle of the contrastive kernels, in f64: every anchor's softmax written out over its list of pairs. It is a template over its
// number type, so that dual numbers give the second order from the same lines.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <gradus/kernels/contrastive.h>

namespace gradus::testing::contrastive {

using Index = std::int64_t;
using Form = ContrastiveForm;
inline constexpr double kInf = std::numeric_limits<double>::infinity();

/// a + a' e with e^2 = 0.
struct Dual {
  double value = 0, slope = 0;
  Dual(double v = 0, double s = 0) : value(v), slope(s) {}
  Dual& operator+=(Dual b) { return *this = {value + b.value, slope + b.slope}; }
};
inline Dual operator+(Dual a, Dual b) { return {a.value + b.value, a.slope + b.slope}; }
inline Dual operator-(Dual a, Dual b) { return {a.value - b.value, a.slope - b.slope}; }
inline Dual operator*(Dual a, Dual b) { return {a.value * b.value, a.slope * b.value + a.value * b.slope}; }
inline Dual operator/(Dual a, Dual b) { return {a.value / b.value, (a.slope - a.value / b.value * b.slope) / b.value}; }
inline Dual exp(Dual a) { return {std::exp(a.value), std::exp(a.value) * a.slope}; }
inline Dual log1p(Dual a) { return {std::log1p(a.value), a.slope / (1 + a.value)}; }
inline double value_of(double x) { return x; }
inline double value_of(Dual x) { return x.value; }

template <class S> struct Point {
  std::vector<S> query, key;  // where rows are compared with each other key is a copy of query
  std::vector<S> positive;    // of a queue
  S temperature;
};

/// One loss: its shape and its pairs.
struct Problem {
  Form form = Form::key_set;
  Index rows = 0, columns = 0, dim = 0;
  std::vector<Index> positive;
  std::vector<std::uint8_t> mask;  // empty: all allowed
  std::vector<Index> labels;       // of the supervised form
  std::vector<double> dloss;

  Index anchors() const { return form == Form::symmetric ? 2 * rows : rows; }
  bool own_rows() const { return compares_own_rows(form); }
  bool allowed(Index i, Index j) const { return mask.empty() || mask[std::size_t(i * columns + j)]; }
};

/// A query and a key; column kOwnPositive is the query's row of the queue's positives.
struct Pair {
  Index i, j;
};
inline constexpr Index kOwnPositive = -1;
struct Anchor {
  std::vector<Pair> positives, negatives;
};

inline Anchor anchor_of(const Problem& p, Index a) {
  const bool column = p.form == Form::symmetric && a >= p.rows;
  Anchor out;
  if (p.form == Form::queue) out.positives.push_back({a, kOwnPositive});
  for (Index b = 0; b < (column ? p.rows : p.columns); ++b) {
    const Pair pair = column ? Pair{b, a - p.rows} : Pair{a, b};
    if (p.own_rows() && a == b) continue;
    if (!p.allowed(pair.i, pair.j)) continue;
    const auto label = [&](Index i) { return p.labels[std::size_t(i)]; };
    const Index positive = p.form == Form::queue        ? kOwnPositive
                           : p.form == Form::key_set    ? p.positive[std::size_t(a)]
                           : p.form == Form::nt_xent    ? (a + p.rows / 2) % p.rows
                           : p.form == Form::supervised ? (label(a) == label(b) ? b : -1)
                                                        : pair.i;
    (pair.j == positive ? out.positives : out.negatives).push_back(pair);
  }
  return out;
}

template <class S> struct Result {
  std::vector<S> loss, lse, dquery, dkey, dpositive;
  S dtemperature = 0.0;
};

/// Where a pair's key begins, in the vector that key_in() gives.
inline Index key_offset(const Problem& p, Pair pair) { return (pair.j == kOwnPositive ? pair.i : pair.j) * p.dim; }
template <class S> const std::vector<S>& key_in(const Point<S>& x, Pair pair) { return pair.j == kOwnPositive ? x.positive : x.key; }

template <class S> S inner(const Problem& p, const Point<S>& x, Pair pair) {
  S sum = 0.0;
  for (Index d = 0; d < p.dim; ++d) sum += x.query[std::size_t(pair.i * p.dim + d)] * key_in(x, pair)[std::size_t(key_offset(p, pair) + d)];
  return sum;
}
template <class S> S score(const Problem& p, const Point<S>& x, Pair pair) { return inner(p, x, pair) / x.temperature; }

/// What a unit of d loss / d score of one pair does to the gradients.
template <class S> void add_pair(Result<S>& r, const Problem& p, const Point<S>& x, Pair pair, S weight) {
  std::vector<S>& dkey = pair.j == kOwnPositive ? r.dpositive : r.dkey;
  for (Index d = 0; d < p.dim; ++d) {
    const std::size_t q = std::size_t(pair.i * p.dim + d), k = std::size_t(key_offset(p, pair) + d);
    r.dquery[q] += weight * key_in(x, pair)[k] / x.temperature;
    dkey[k] += weight * x.query[q] / x.temperature;
  }
  r.dtemperature += S(0.0) - weight * inner(p, x, pair) / (x.temperature * x.temperature);
}

/// An anchor of the supervised form with several positives, or none.
template <class S> void add_supervised_anchor(Result<S>& r, const Problem& p, const Point<S>& x, Index a, const Anchor& anchor, S dloss) {
  using std::exp, std::log1p;
  std::vector<Pair> pairs = anchor.positives;
  pairs.insert(pairs.end(), anchor.negatives.begin(), anchor.negatives.end());
  std::vector<S> scores;
  double top = -kInf;
  for (const Pair pair : pairs) scores.push_back(score(p, x, pair)), top = std::max(top, value_of(scores.back()));
  S sum = 0.0, mean = 0.0;
  for (const S& s : scores) sum += exp(s - S(top));
  r.lse[std::size_t(a)] = log1p(sum - S(1.0)) + S(top);
  const S lse = r.lse[std::size_t(a)];
  if (anchor.positives.empty()) return;
  const S share = 1.0 / double(anchor.positives.size());
  for (std::size_t n = 0; n < anchor.positives.size(); ++n) mean += share * scores[n];
  r.loss[std::size_t(a)] = lse - mean;
  for (std::size_t n = 0; n < pairs.size(); ++n)
    add_pair(r, p, x, pairs[n], dloss * (exp(scores[n] - lse) - (n < anchor.positives.size() ? share : S(0.0))));
}

template <class S> void add_anchor(Result<S>& r, const Problem& p, const Point<S>& x, Index a, S dloss) {
  using std::exp, std::log1p;
  const Anchor anchor = anchor_of(p, a);
  if (anchor.positives.empty() && anchor.negatives.empty()) {
    r.lse[std::size_t(a)] = -kInf;
    return;
  }
  if (p.form == Form::supervised && anchor.positives.size() != 1) return add_supervised_anchor(r, p, x, a, anchor, dloss);
  REQUIRE(anchor.positives.size() == 1);
  const S positive = score(p, x, anchor.positives[0]);
  double top = 0;
  std::vector<S> excess;
  for (const Pair pair : anchor.negatives) excess.push_back(score(p, x, pair) - positive), top = std::max(top, value_of(excess.back()));
  S sum = 0.0;  // of exp(excess - top)
  for (const S& e : excess) sum += exp(e - S(top));
  const S rest = exp(S(-top)), total = rest + sum;
  r.loss[std::size_t(a)] = top == 0 ? log1p(sum) : log1p(rest + sum - S(1.0)) + S(top);
  r.lse[std::size_t(a)] = positive + r.loss[std::size_t(a)];
  for (std::size_t n = 0; n < excess.size(); ++n) add_pair(r, p, x, anchor.negatives[n], dloss * exp(excess[n] - S(top)) / total);
  add_pair(r, p, x, anchor.positives[0], S(0.0) - dloss * sum / total);
}

template <class S> Result<S> oracle(const Problem& p, const Point<S>& x) {
  Result<S> r;
  r.loss.assign(std::size_t(p.anchors()), S(0.0)), r.lse = r.loss;
  r.dquery.assign(x.query.size(), S(0.0)), r.dkey.assign(x.key.size(), S(0.0)), r.dpositive.assign(x.positive.size(), S(0.0));
  for (Index a = 0; a < p.anchors(); ++a) add_anchor(r, p, x, a, S(p.dloss[std::size_t(a)]));
  if (p.own_rows())
    for (std::size_t i = 0; i < r.dquery.size(); ++i) r.dquery[i] += r.dkey[i], r.dkey[i] = 0.0;
  return r;
}

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
inline double error(double a, double b) { return std::abs(a - b) / std::max(std::abs(b), 1e-30); }

}  // namespace gradus::testing::contrastive
