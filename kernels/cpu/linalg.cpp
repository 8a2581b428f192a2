#include <gradus/kernels/linalg.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace gradus::inline v0::cpu {
namespace {

using Size = std::int64_t;

/// Householder reduction of the symmetric a [n, n] to tridiagonal form: diagonal d [n], below it e [n - 1]. a is overwritten.
/// Golub and Van Loan, "Matrix Computations", algorithm 8.3.1.
void tridiagonalize(double* a, Size n, double* d, double* e) {
  std::vector<double> v(static_cast<std::size_t>(n)), p(static_cast<std::size_t>(n));
  for (Size k = 0; k + 2 < n; ++k) {
    double norm2 = 0;
    for (Size i = k + 1; i < n; ++i) norm2 += a[i * n + k] * a[i * n + k];
    const double head = a[(k + 1) * n + k], alpha = head > 0 ? -std::sqrt(norm2) : std::sqrt(norm2);
    d[k] = a[k * n + k];
    e[k] = alpha;
    const double v2 = norm2 - 2 * alpha * head + alpha * alpha;  // |column - alpha e_1|^2
    if (v2 <= 0) continue;                                       // the column is zero already
    for (Size i = k + 1; i < n; ++i) v[static_cast<std::size_t>(i)] = a[i * n + k];
    v[static_cast<std::size_t>(k + 1)] -= alpha;
    double pv = 0;
    for (Size i = k + 1; i < n; ++i) {
      double sum = 0;
      for (Size j = k + 1; j < n; ++j) sum += (j <= i ? a[i * n + j] : a[j * n + i]) * v[static_cast<std::size_t>(j)];
      p[static_cast<std::size_t>(i)] = 2 / v2 * sum;
      pv += p[static_cast<std::size_t>(i)] * v[static_cast<std::size_t>(i)];
    }
    for (Size i = k + 1; i < n; ++i) p[static_cast<std::size_t>(i)] -= pv / v2 * v[static_cast<std::size_t>(i)];
    for (Size i = k + 1; i < n; ++i)
      for (Size j = k + 1; j <= i; ++j)
        a[i * n + j] -= v[static_cast<std::size_t>(i)] * p[static_cast<std::size_t>(j)] +
                        p[static_cast<std::size_t>(i)] * v[static_cast<std::size_t>(j)];
  }
  if (n > 1) {
    d[n - 2] = a[(n - 2) * n + n - 2];
    e[n - 2] = a[(n - 1) * n + n - 2];
  }
  d[n - 1] = a[n * n - 1];
}

/// One implicit QL step with Wilkinson's shift on rows [l, m] of the tridiagonal (d, e). Same source, algorithm 8.3.2 (as QL).
void ql_step(double* d, double* e, Size l, Size m) {
  const double half = (d[l + 1] - d[l]) / (2 * e[l]);
  double g = d[m] - d[l] + e[l] / (half + std::copysign(std::hypot(half, 1.0), half));
  double s = 1, c = 1, p = 0;
  for (Size i = m - 1; i >= l; --i) {
    const double f = s * e[i], b = c * e[i];
    const double r = std::hypot(f, g);
    if (i + 1 < m) e[i + 1] = r;
    if (r == 0) {  // the matrix splits here
      d[i + 1] -= p;
      return;
    }
    s = f / r;
    c = g / r;
    const double h = d[i + 1] - p, t = (d[i] - h) * s + 2 * c * b;
    p = s * t;
    d[i + 1] = h + p;
    g = c * t - b;
  }
  d[l] -= p;
  e[l] = g;
}

}  // namespace

void symmetric_eigenvalues(Array w, ConstArray a) {
  const Size n = (*a.shape)[0];
  if (n == 0) return;
  std::vector<double> copy(a.as<double>(), a.as<double>() + n * n), e(static_cast<std::size_t>(n));
  double* const d = w.as<double>();
  tridiagonalize(copy.data(), n, d, e.data());
  constexpr int kMostSteps = 50;  // per eigenvalue; two or three are usual
  for (Size l = 0; l < n; ++l)
    for (int step = 0; step < kMostSteps; ++step) {
      Size m = l;
      while (m + 1 < n && std::abs(e[static_cast<std::size_t>(m)]) > 0x1p-52 * (std::abs(d[m]) + std::abs(d[m + 1]))) ++m;
      if (m == l) break;
      ql_step(d, e.data(), l, m);
    }
  std::sort(d, d + n);
}

}  // namespace gradus::inline v0::cpu
