// Random tensors as functions of a key: the same key gives the same numbers, on every device and for any thread count.
//
// Every op has a form with `row_ids` (i64 [N], N the leading extent), which draws row i for the id row_ids[i] instead of for its position:
// a sample's noise then follows its id through any batch, order and split. Without ids, an array of rank 0 or 1 is drawn as one row and
// one of rank 2 or more has its leading positions as ids. f64 draws agree with f32 draws of the same key to f32 accuracy.
// Keys come from Generator::next_key(), or inside a model from next_pass_key(); fold(key, n) makes one for occasion n.
#pragma once

#include <gradus/engine/tensor.h>
#include <gradus/kernels/philox.h>

namespace gradus::inline v0 {

/// Uniform in [low, high). Throws ValueError unless low <= high are finite, DTypeError unless f32 or f64.
///
///     Tensor start = uniform(rng.next_key(), x.shape(), -epsilon, epsilon);
Tensor uniform(Key key, const Shape& shape, double low = 0, double high = 1, DType dtype = DType::f32, Device device = Device::cpu);
Tensor uniform(Key key, const Tensor& row_ids, const Shape& shape, double low = 0, double high = 1, DType dtype = DType::f32);

/// Normal (Box and Muller 1958). Throws ValueError unless stddev is not negative and both are finite.
///
///     Tensor noise = normal(fold(key, epoch), sample_ids, images.shape(), 0, 0.05);
Tensor normal(Key key, const Shape& shape, double mean = 0, double stddev = 1, DType dtype = DType::f32, Device device = Device::cpu);
Tensor normal(Key key, const Tensor& row_ids, const Shape& shape, double mean = 0, double stddev = 1, DType dtype = DType::f32);

/// bool: true with probability p. Throws ValueError unless 0 <= p <= 1.
Tensor bernoulli(Key key, const Shape& shape, double p, Device device = Device::cpu);
Tensor bernoulli(Key key, const Tensor& row_ids, const Shape& shape, double p);

/// i64 [n]: the numbers 0 .. n-1 in random order. Throws ValueError unless 0 <= n <= 2^32.
Tensor permutation(Key key, std::int64_t n, Device device = Device::cpu);

/// x keep / (1 - p), keep = bernoulli(key, 1 - p): an element is dropped with probability p (Srivastava et al. 2014). No mask is kept;
/// gradients draw it again. p = 1 drops everything, p = 0 gives x. f32, f64; ValueError unless 0 <= p <= 1.
///
///     Tensor h = dropout(relu(x), 0.5, next_pass_key());
Tensor dropout(const Tensor& x, double p, Key key);
Tensor dropout(const Tensor& x, double p, Key key, const Tensor& row_ids);

}  // namespace gradus::inline v0
