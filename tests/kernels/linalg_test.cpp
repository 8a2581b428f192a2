// Eigenvalues of symmetric matrices: known spectra, invariants, degenerate cases.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <gradus/kernels/linalg.h>
#include <gradus/kernels/philox.h>

using namespace gradus;

namespace {

std::vector<double> eigenvalues(const std::vector<double>& a, std::int64_t n) {
  std::vector<double> w(static_cast<std::size_t>(n));
  const Shape matrix{n, n}, vector{n};
  cpu::symmetric_eigenvalues({w.data(), &vector, DType::f64}, {a.data(), &matrix, DType::f64});
  return w;
}

double random_number(std::uint32_t i) { return 2.0 * static_cast<double>(uniform_from(philox_block(Key{41, 0}, i, 0).word[0])) - 1; }

}  // namespace

TEST_CASE("the second difference matrix has the eigenvalues 2 - 2 cos(k pi / (n + 1))") {
  const std::int64_t n = 40;
  std::vector<double> a(static_cast<std::size_t>(n * n), 0);
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < n; ++j) a[static_cast<std::size_t>(i * n + j)] = i == j ? 2 : std::abs(i - j) == 1 ? -1 : 0;
  const std::vector<double> w = eigenvalues(a, n);
  for (std::int64_t k = 1; k <= n; ++k)
    CHECK(w[static_cast<std::size_t>(k - 1)] ==
          doctest::Approx(2 - 2 * std::cos(3.14159265358979323846 * static_cast<double>(k) / (n + 1))).epsilon(1e-12));
}

TEST_CASE("a rotated diagonal matrix has its diagonal as eigenvalues, also repeated and zero ones") {
  const std::int64_t n = 24;
  // Q = product of reflections I - 2 u u^T; A = Q D Q^T.
  std::vector<double> d, a(static_cast<std::size_t>(n * n), 0);
  for (std::int64_t i = 0; i < n; ++i) d.push_back(i < 5 ? 0 : i < 9 ? 3 : static_cast<double>(i));
  for (std::int64_t i = 0; i < n; ++i) a[static_cast<std::size_t>(i * n + i)] = d[static_cast<std::size_t>(i)];
  for (std::uint32_t r = 0; r < 4; ++r) {
    std::vector<double> u;
    double norm = 0;
    for (std::int64_t i = 0; i < n; ++i) u.push_back(random_number(static_cast<std::uint32_t>(100 * r + i))), norm += u.back() * u.back();
    auto reflect = [&](std::int64_t step, std::int64_t line) {  // rows or columns
      double dot = 0;
      for (std::int64_t i = 0; i < n; ++i) dot += u[static_cast<std::size_t>(i)] * a[static_cast<std::size_t>(line + i * step)];
      for (std::int64_t i = 0; i < n; ++i) a[static_cast<std::size_t>(line + i * step)] -= 2 * dot / norm * u[static_cast<std::size_t>(i)];
    };
    for (std::int64_t i = 0; i < n; ++i) reflect(1, i * n);
    for (std::int64_t i = 0; i < n; ++i) reflect(n, i);
  }
  const std::vector<double> w = eigenvalues(a, n);
  std::sort(d.begin(), d.end());
  for (std::size_t i = 0; i < d.size(); ++i) CHECK(std::abs(w[i] - d[i]) < 1e-11);
}

TEST_CASE("sizes 0, 1 and 2, and a diagonal matrix") {
  CHECK(eigenvalues({}, 0).empty());
  CHECK(eigenvalues({-3}, 1)[0] == -3);
  const std::vector<double> w = eigenvalues({2, 1, 1, 2}, 2);
  CHECK(w[0] == doctest::Approx(1));
  CHECK(w[1] == doctest::Approx(3));
  const std::vector<double> z = eigenvalues({5, 0, 0, 0, -1, 0, 0, 0, 2}, 3);
  CHECK(z[0] == -1);
  CHECK(z[2] == 5);
}
