// Reductions over any set of axes: bit i of `axes` says that axis i of x is reduced away. y has the kept axes, in order; only its element
// order matters, so axes of extent 1 may be left in. f32 and f64.
//
// Sums are added in blocks whose layout follows from the shape alone: partial sums of 1024 elements (of 32 rows, for leading axes) in
// the element type, those pairwise in f64. So the error grows like the square root of a logarithm, the bits do not depend on the number of
// threads, and a row's result not on the rows beside it.
#pragma once

#include <gradus/kernels/array.h>

namespace gradus::inline v0 {

#define GRADUS_DECLARE_REDUCTIONS                                                                                         \
  void sum(Array y, ConstArray x, unsigned axes);       /* over nothing: 0 */                                             \
  void max(Array y, ConstArray x, unsigned axes);       /* NaN wins; over nothing: -infinity */                           \
  void min(Array y, ConstArray x, unsigned axes);       /* NaN wins; over nothing: infinity */                            \
  void logsumexp(Array y, ConstArray x, unsigned axes); /* log sum exp x, stable; all -infinity, or nothing: -infinity */ \
  void argmax(Array index, ConstArray x, int axis);     /* i64: the first maximum, or the first NaN; extent of axis at least 1 */

namespace cpu {
GRADUS_DECLARE_REDUCTIONS
}
namespace cuda {
GRADUS_DECLARE_REDUCTIONS
}

}  // namespace gradus::inline v0
