#include <gradus/kernels/linalg.h>

#include <Eigen/Eigenvalues>

namespace gradus::inline v0::cpu {

void symmetric_eigenvalues(Array w, ConstArray a) {
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const std::int64_t n = (*a.shape)[0];
  if (n == 0) return;
  const Eigen::SelfAdjointEigenSolver<Matrix> solver(Eigen::Map<const Matrix>(a.as<double>(), n, n), Eigen::EigenvaluesOnly);
  Eigen::Map<Eigen::VectorXd>(w.as<double>(), n) = solver.eigenvalues();
}

}  // namespace gradus::inline v0::cpu
