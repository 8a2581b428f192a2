// Kernels of threat models: per-sample projections onto the intersection of a ball around x and the box [low, high].
//
// Rows are samples. Each sample's result depends on that sample alone.
#pragma once

#include <gradus/kernels/array.h>

namespace gradus::inline v0 {
namespace cpu {
/// The interval [lower, upper] = [max(x - eps, low), min(x + eps, high)], its ends rounded towards x: in f32, x + eps would round up by as
/// much as 3e-8 near 1, which a check in f64 notices.
void linf_bounds(Array lower, Array upper, ConstArray x, double eps, double low, double high);
/// The exact projection of `moved` onto the L2 ball of radius eps around x and the box: y = clip(x + s (moved - x)), the largest s in
/// [0, 1] with |y - x|_2 <= eps, by bisection. [N, ...].
void l2_project(Array y, ConstArray x, ConstArray moved, double eps, double low, double high);
/// One ascent step on a Linf ball: x_next = min(max(x_now + step sign(gradient), lower), upper), elementwise; sign(0) = 0, NaN in any
/// operand gives NaN. The bits are those of sign, add_scaled, maximum and minimum one after the other. x_next may be x_now.
void pgd_linf_step(Array x_next, ConstArray x_now, ConstArray gradient, ConstArray lower, ConstArray upper, double step);
/// Per-sample |a - b| in f64: the largest element difference (linf), or the Euclidean norm. distance [N] f64.
void linf_distance(Array distance, ConstArray a, ConstArray b);
void l2_distance(Array distance, ConstArray a, ConstArray b);
/// y = g with NaN and infinities as 0; returns how many there were.
std::int64_t zero_non_finite(Array y, ConstArray g);
}  // namespace cpu
namespace cuda {
void linf_bounds(Array lower, Array upper, ConstArray x, double eps, double low, double high);
void l2_project(Array y, ConstArray x, ConstArray moved, double eps, double low, double high);
void pgd_linf_step(Array x_next, ConstArray x_now, ConstArray gradient, ConstArray lower, ConstArray upper, double step);
void linf_distance(Array distance, ConstArray a, ConstArray b);
void l2_distance(Array distance, ConstArray a, ConstArray b);
std::int64_t zero_non_finite(Array y, ConstArray g);
}  // namespace cuda
}  // namespace gradus::inline v0
