// Random kernels: each element is one function of (key, row id, element within the row), so any batch split, order, thread count and
// device gives the same numbers.
//
// Rows. With `row_ids` (i64 [N], N the leading extent) element e of row i is drawn for the id row_ids[i]. Without, an array of rank 2 or
// more has its leading positions as row ids; an array of rank 0 or 1 is row 0.
// Words. Element e owns word e % 4 of the Philox block {e / 4, stream, row id}. An f64 appends the same word of the stream whose top bit
// is flipped, so a draw in f64 agrees with the one in f32 to f32 accuracy. A row has at most 2^34 elements.
#pragma once

#include <cstddef>

#include <gradus/kernels/array.h>
#include <gradus/kernels/philox.h>

namespace gradus::inline v0 {

namespace cpu {
/// y ~ U[low, high), f32 (steps of 2^-24 of the range) or f64 (2^-53). low <= high.
void uniform(Array y, Key key, ConstArray row_ids, double low, double high);
/// y ~ N(mean, stddev^2), f32 or f64: Box and Muller on words (2i, 2i + 1). |y - mean| <= 6.7 stddev in f32, 9.5 in f64.
void normal(Array y, Key key, ConstArray row_ids, double mean, double stddev);
/// y (bool) = word < p 2^32: true with probability p, to 2^-32. 0 <= p <= 1.
void bernoulli(Array y, Key key, ConstArray row_ids, double p);
/// y = x keep / (1 - p), with keep = bernoulli(key, 1 - p); 0 where p is 1. f32 or f64, one mask for both. It is its own gradient.
void dropout(Array y, ConstArray x, Key key, ConstArray row_ids, double p);

/// index (i64 [n], n <= 2^32): the positions 0 .. n-1 sorted by their words in row 0 of the key; of two equal words (one chance in 2^32
/// a pair) the lower position comes first. Every permutation is as likely as that leaves it.
std::size_t permutation_workspace_bytes(std::int64_t n);
void permutation(Array index, Key key, Workspace workspace);
}  // namespace cpu

namespace cuda {
void uniform(Array y, Key key, ConstArray row_ids, double low, double high);
void normal(Array y, Key key, ConstArray row_ids, double mean, double stddev);
void bernoulli(Array y, Key key, ConstArray row_ids, double p);
void dropout(Array y, ConstArray x, Key key, ConstArray row_ids, double p);
std::size_t permutation_workspace_bytes(std::int64_t n);
void permutation(Array index, Key key, Workspace workspace);
}  // namespace cuda

}  // namespace gradus::inline v0
