// Samples for the tests of the contrastive kernels, on any device.
#pragma once

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include <gradus/tests/kernels/contrastive_oracle.h>

namespace gradus::testing::contrastive {

inline constexpr Form kForms[] = {Form::key_set, Form::queue, Form::symmetric, Form::nt_xent, Form::supervised};
inline Index columns_for(Form form, Index rows, Index columns) {
  return form == Form::symmetric || compares_own_rows(form) ? rows : columns;
}

/// A problem, where it is taken, and cotangents of its gradients.
struct Sample {
  Problem p;
  Point<double> x, u;
  double u_temperature = 0;
};

inline std::vector<double> normals(Index n, std::mt19937& rng, double scale = 1) {
  std::normal_distribution<double> normal(0, scale);
  std::vector<double> x(static_cast<std::size_t>(n));
  for (double& v : x) v = normal(rng);
  return x;
}

inline void normalize(std::vector<double>& x, Index dim) {
  for (std::size_t row = 0; row < x.size(); row += std::size_t(dim)) {
    double sum = 0;
    for (std::size_t d = row; d < row + std::size_t(dim); ++d) sum += x[d] * x[d];
    for (std::size_t d = row; d < row + std::size_t(dim); ++d) x[d] /= std::sqrt(sum);
  }
}

/// Classes of three rows on the average, so that anchors have no, one and several positives. The labels are of either sign, and two of them
/// agree in their lower halves.
inline std::vector<Index> random_labels(Index rows, Index classes, std::mt19937& rng) {
  std::vector<Index> labels;
  for (Index i = 0; i < rows; ++i) {
    const Index c = Index(rng() % std::size_t(classes));
    labels.push_back((c / 2 << 32) + c % 2 - 3);
  }
  return labels;
}

/// Random unit rows (of any length where dim is 1, or all scores would be +-1), random upstream gradients of either sign.
inline Sample random_sample(Form form, Index rows, Index columns, Index dim, double temperature, unsigned seed) {
  std::mt19937 rng(seed);
  Sample s;
  s.p.form = form, s.p.rows = rows, s.p.columns = columns, s.p.dim = dim;
  const Index positives = form == Form::queue ? rows : 0;
  s.x = {normals(rows * dim, rng), normals(columns * dim, rng), normals(positives * dim, rng), temperature};
  s.u = {normals(rows * dim, rng), normals(columns * dim, rng), normals(positives * dim, rng), normals(1, rng)[0]};
  if (dim > 1) normalize(s.x.query, dim), normalize(s.x.key, dim), normalize(s.x.positive, dim);
  if (s.p.own_rows()) s.x.key = s.x.query, s.u.key = s.u.query;
  s.p.dloss = normals(s.p.anchors(), rng, 1.0 / double(std::max<Index>(1, rows)));
  for (Index i = 0; i < rows; ++i) s.p.positive.push_back(columns ? Index(rng() % std::size_t(columns)) : 0);
  if (form == Form::supervised) s.p.labels = random_labels(rows, std::max<Index>(1, rows / 3), rng);
  return s;
}

/// Forbids pairs at random, never a positive; row 1 keeps its positive alone, row 2 nothing; of the symmetric form the columns likewise.
inline void add_mask(Sample& s, unsigned seed) {
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
inline Sample aligned_sample(Form form, double temperature, double noise) {
  constexpr Index n = 256, dim = 128;
  Sample s = random_sample(form, n, n, dim, temperature, 70);
  std::mt19937 rng(71);
  std::vector<double>& other = s.p.own_rows() ? s.x.query : s.x.key;
  const Index shift = s.p.own_rows() ? n / 2 : 0;
  for (Index i = 0; i < (n - shift) * dim; ++i)
    other[std::size_t(i + shift * dim)] = s.x.query[std::size_t(i)] + std::normal_distribution<double>(0, noise)(rng);
  normalize(other, dim);
  if (s.p.own_rows()) s.x.key = s.x.query;
  for (Index i = 0; i < n; ++i) s.p.positive[std::size_t(i)] = i;
  if (form == Form::supervised)  // as NT-Xent has them
    for (Index i = 0; i < n; ++i) s.p.labels[std::size_t(i)] = i % shift;
  s.p.dloss.assign(s.p.dloss.size(), 1.0 / n);
  return s;
}

/// One class; three; pairs; pairs, one of them torn by a third, and one large class.
inline constexpr Index (*kLabellings[])(Index) = {[](Index) { return Index(-7); }, [](Index i) { return i % 3; },
                                                  [](Index i) { return i / 2; },
                                                  [](Index i) { return i == 1   ? Index(9)
                                                                       : i < 40 ? i / 2
                                                                                : Index(-1); }};
inline Sample with_labels(Index rows, Index dim, double temperature, unsigned seed, Index (*label)(Index)) {
  Sample s = random_sample(Form::supervised, rows, rows, dim, temperature, seed);
  for (Index i = 0; i < rows; ++i) s.p.labels[std::size_t(i)] = label(i);
  return s;
}

/// Eight classes of unit rows that all but agree.
inline Sample aligned_classes(double temperature, double noise) {
  constexpr Index n = 256, dim = 128, classes = 8;
  Sample s = random_sample(Form::supervised, n, n, dim, temperature, 76);
  std::mt19937 rng(77);
  std::normal_distribution<double> normal(0, noise);
  for (Index i = 0; i < n; ++i) {
    s.p.labels[std::size_t(i)] = i % classes;
    for (Index d = 0; d < dim; ++d) s.x.query[std::size_t(i * dim + d)] = s.x.query[std::size_t(i % classes * dim + d)] + normal(rng);
  }
  normalize(s.x.query, dim);
  s.x.key = s.x.query;
  s.p.dloss.assign(std::size_t(n), 1.0 / n);
  return s;
}

template <class To, class From> std::vector<To> cast(const std::vector<From>& x) { return std::vector<To>(x.begin(), x.end()); }

}  // namespace gradus::testing::contrastive
