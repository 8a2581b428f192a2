// First values of parameters. Each is a function of a key, so the same key gives the same bits on every machine.
//
// fan_in is the number of inputs of one unit: for a weight [out, in, ...] the product of the axes after the first; fan_out is the first
// axis times the axes after the second (a convolution's kernel). Axes: ShapeError for a weight of fewer than 2.
#pragma once

#include <gradus/engine/tensor.h>
#include <gradus/kernels/philox.h>

namespace gradus::inline v0 {

std::int64_t fan_in_of(const Shape& weight);
std::int64_t fan_out_of(const Shape& weight);

/// U(-1/sqrt(fan_in), 1/sqrt(fan_in)): what Linear and Conv2d start from, weight and bias alike (PyTorch's default). Zeros for fan_in 0.
///
///     Tensor w = fan_in_uniform(rng.next_key(), {128, 64}, 64);
Tensor fan_in_uniform(Key key, const Shape& shape, std::int64_t fan_in, DType dtype = DType::f32);

/// U(-b, b), b = gain sqrt(3 / fan_in): variance gain^2 / fan_in. He et al. 2015, "Delving deep into rectifiers", eq. 10; gain sqrt(2)
/// for ReLU, 1 for a linear unit, 5/3 by custom for tanh.
Tensor kaiming_uniform(Key key, const Shape& weight, double gain, DType dtype = DType::f32);
/// N(0, gain^2 / fan_in).
Tensor kaiming_normal(Key key, const Shape& weight, double gain, DType dtype = DType::f32);

/// U(-b, b), b = gain sqrt(6 / (fan_in + fan_out)). Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward
/// neural networks", eq. 16.
Tensor xavier_uniform(Key key, const Shape& weight, double gain = 1, DType dtype = DType::f32);
/// N(0, 2 gain^2 / (fan_in + fan_out)).
Tensor xavier_normal(Key key, const Shape& weight, double gain = 1, DType dtype = DType::f32);

/// N(0, stddev^2) with everything beyond `cut` standard deviations drawn again. The variance left is below stddev^2: .774 of it for cut 2.
/// Throws ValueError unless cut >= 0.5 (below that most draws are thrown away).
Tensor truncated_normal(Key key, const Shape& shape, double stddev, double cut = 2, DType dtype = DType::f32);

}  // namespace gradus::inline v0
