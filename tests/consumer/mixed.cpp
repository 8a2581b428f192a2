// One program, two Eigens: the user's matrix product and gradus's, compared with a plain one in double precision.
#include <gradus/gradus.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "user.h"

int main() {
  // Large enough that both sides take their blocked code, odd enough that both take their tails.
  const int m = 67, k = 259, n = 131;
  std::vector<float> a(m * k), b(k * n), theirs(m * n);
  for (int i = 0; i < m * k; ++i) a[i] = std::sin(0.37f * static_cast<float>(i));
  for (int i = 0; i < k * n; ++i) b[i] = std::cos(0.11f * static_cast<float>(i));
  user_matmul(theirs.data(), a.data(), b.data(), m, k, n);
  const auto ours = gradus::matmul(gradus::Tensor::from(a, {m, k}), gradus::Tensor::from(b, {k, n})).to_vector<float>();

  double worst_ours = 0, worst_theirs = 0;
  for (int row = 0; row < m; ++row) {
    for (int column = 0; column < n; ++column) {
      double sum = 0;
      for (int i = 0; i < k; ++i) sum += static_cast<double>(a[row * k + i]) * b[i * n + column];
      worst_ours = std::max(worst_ours, std::abs(sum - ours[row * n + column]));
      worst_theirs = std::max(worst_theirs, std::abs(sum - theirs[row * n + column]));
    }
  }
  std::printf("largest error: gradus %.2e, user's Eigen %.2e\n", worst_ours, worst_theirs);
  return worst_ours < 1e-3 && worst_theirs < 1e-3 ? 0 : 1;  // sums of 259 terms up to 1 in f32: about 1e-5
}
