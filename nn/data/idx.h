// IDX: the plain format of small data sets (LeCun, "The MNIST database"). Two zero bytes, a type byte, the number of dimensions, one
// big-endian u32 per extent, then the values, big-endian, row-major. Files are untrusted: every size is checked before memory is taken.
#pragma once

#include <span>
#include <string>

#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

/// Reads an IDX file of 1 to 4 dimensions: u8, f32 and f64 keep their type, i8, i16 and i32 become i64.
/// Throws IoError naming file, offset and both numbers: wrong magic, unknown type, too many dimensions, a product of extents that
/// overflows, a file that is shorter or longer than its header says.
///
///     Tensor images = read_idx("train-images.idx");      // u8 [60000, 28, 28]
Tensor read_idx(const std::string& path);
/// The same from memory; `name` stands for the file in error texts.
Tensor read_idx(std::span<const unsigned char> bytes, const std::string& name);

/// The tensor as an IDX file's bytes: u8, f32, f64, and i64 as i32. Throws ValueError for other types, more than 4 or no dimensions, an
/// extent above 2^32 - 1, and an i64 value outside i32.
std::string to_idx(const Tensor& x);

}  // namespace gradus::inline v0
