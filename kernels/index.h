// Kernels that read or write at computed positions. Every index must lie in [0, bound): the op checks with first_out_of_range().
//
// Sums are deterministic: the terms of one element of y are added in the order of their index, for any thread count.
#pragma once

#include <gradus/kernels/array.h>

namespace gradus::inline v0 {

namespace cpu {
/// y[.., j, ..] = x[.., index[j], ..] along `axis`; index i64 [n], n is y's extent there. Any dtype.
void index_select(Array y, ConstArray x, ConstArray index, int axis);
/// y[.., index[j], ..] += x[.., j, ..] along `axis`: the adjoint of index_select. f32, f64.
void index_add(Array y, ConstArray x, ConstArray index, int axis);
/// y[.., j, ..] = x[.., index[.., j, ..], ..] along `axis`: index i64 has y's shape, x differs from it at most on `axis`. Any dtype.
void gather(Array y, ConstArray x, ConstArray index, int axis);
/// y[.., index[.., j, ..], ..] += x[.., j, ..]: the adjoint of gather; index has x's shape. f32, f64.
void scatter_add(Array y, ConstArray x, ConstArray index, int axis);
/// y[.., k] = (index[..] == k); y has one axis more than index, and any dtype but bf16.
void one_hot(Array y, ConstArray index);
/// Flat position of the first index outside [0, bound), or -1.
std::int64_t first_out_of_range(ConstArray index, std::int64_t bound);
}  // namespace cpu

namespace cuda {
void index_select(Array y, ConstArray x, ConstArray index, int axis);
void index_add(Array y, ConstArray x, ConstArray index, int axis);
void gather(Array y, ConstArray x, ConstArray index, int axis);
void scatter_add(Array y, ConstArray x, ConstArray index, int axis);
void one_hot(Array y, ConstArray index);
/// Waits for the device.
std::int64_t first_out_of_range(ConstArray index, std::int64_t bound);
/// Queues a check of the index for `op`, a string literal: what lies outside [0, bound) becomes the device's fault (kernels/device.h),
/// which the next synchronising call throws. The kernels above skip such an index, or write 0.
void note_out_of_range(ConstArray index, std::int64_t bound, const char* op);
}  // namespace cuda

}  // namespace gradus::inline v0
