// Kernels that move elements and, but for slice_add, compute nothing: any dtype, by its size.
//
// Arrays are contiguous, so each of these is one copy between a contiguous side and a strided walk over the other.
#pragma once

#include <gradus/kernels/array.h>

namespace gradus::inline v0 {

namespace cpu {
/// y's axis i is x's axis permutation[i].
void permute(Array y, ConstArray x, const int* permutation);
/// y[i...] = x[starts[a] + i_a steps[a]...]: a window whose extents are y's. One start and one step per axis; steps > 0.
void slice(Array y, ConstArray x, const std::int64_t* starts, const std::int64_t* steps);
/// The window of y that slice() reads += x (f32, f64): the adjoint of slice.
void slice_add(Array y, ConstArray x, const std::int64_t* starts, const std::int64_t* steps);
/// y = the inputs one after the other along `axis`; their other extents are y's.
void concat(Array y, const ConstArray* inputs, int count, int axis);
/// y = x with `value` around it: low[a] elements before it on axis a, and as many after it as y's extent leaves.
void pad(Array y, ConstArray x, const std::int64_t* low, double value);
/// y = x reversed along the axes whose bit is set in `axes`.
void flip(Array y, ConstArray x, unsigned axes);
/// y = x repeated along the axes that x lacks or where its extent is 1 (numpy broadcasting).
void broadcast_to(Array y, ConstArray x);
}  // namespace cpu

namespace cuda {
void permute(Array y, ConstArray x, const int* permutation);
void slice(Array y, ConstArray x, const std::int64_t* starts, const std::int64_t* steps);
void slice_add(Array y, ConstArray x, const std::int64_t* starts, const std::int64_t* steps);
void concat(Array y, const ConstArray* inputs, int count, int axis);
void pad(Array y, ConstArray x, const std::int64_t* low, double value);
void flip(Array y, ConstArray x, unsigned axes);
void broadcast_to(Array y, ConstArray x);
}  // namespace cuda

}  // namespace gradus::inline v0
