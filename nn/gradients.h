// The size of a gradient, and its limit.
#pragma once

#include <gradus/engine/tape.h>

namespace gradus::inline v0 {

/// The Euclidean norm of all gradients together, in f64; empty ones count nothing. The order of summation is fixed.
double global_norm(const Gradients& gradients);

/// Scales all gradients by max_norm / norm where the norm is larger, and returns the norm before (Pascanu et al. 2013, "On the difficulty
/// of training recurrent neural networks", algorithm 1). A norm that is NaN or infinite leaves them as they are: look at what is returned.
/// Throws ValueError unless max_norm > 0.
///
///     Gradients g = tape.gradients(loss);
///     double norm = clip_by_norm(g, 1);
///     adam.step(g);
double clip_by_norm(Gradients& gradients, double max_norm);

}  // namespace gradus::inline v0
