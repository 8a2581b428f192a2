// Small dense linear algebra in f64, for diagnostics and solvers.
#pragma once

#include <gradus/kernels/array.h>

namespace gradus::inline v0::cpu {

/// Eigenvalues of the symmetric matrix a [n, n] (f64, the lower triangle is read), ascending, into w [n] f64.
void symmetric_eigenvalues(Array w, ConstArray a);

}  // namespace gradus::inline v0::cpu
