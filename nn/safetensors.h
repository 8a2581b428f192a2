// safetensors: named tensors in one file that the Python ecosystem reads and writes. Eight bytes little-endian header length, a JSON
// header {name: {dtype, shape, data_offsets}, "__metadata__": {string: string}}, then the data.
//
// Files are untrusted: lengths, shapes, ranges and names are all checked before memory for a tensor is taken.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gradus/engine/tensor.h>

namespace gradus::inline v0 {

/// What a file holds: tensors by name and strings by name, in the file's order.
struct TensorFile {
  std::vector<std::pair<std::string, Tensor>> tensors;
  std::vector<std::pair<std::string, std::string>> metadata;

  /// Null if there is no such name.
  const Tensor* find(std::string_view name) const;
  const std::string* find_metadata(std::string_view name) const;
};

struct SafetensorsOptions {
  /// Tensors must cover the data without a gap, as the reference reader demands. False: gaps and a tail of unused bytes are skipped.
  bool strict = true;
};

/// Reads a whole file. F32, F64, I64, U8, BOOL and BF16 are known types; others throw.
/// Throws IoError naming the file and what is wrong with it, MemoryError.
///
///     TensorFile file = read_safetensors("model.safetensors");
///     if (const Tensor* w = file.find("layers.0.weight")) assign(model.layers[0].weight, *w);
TensorFile read_safetensors(const std::string& path, const SafetensorsOptions& options = {});
/// The same from memory; `name` stands for the file in error texts.
TensorFile read_safetensors(std::span<const unsigned char> bytes, const std::string& name, const SafetensorsOptions& options = {});

/// The same for programs without exceptions: empty on failure, with the error's text in *error (may be null).
std::optional<TensorFile> try_read_safetensors(const std::string& path, std::string* error,
                                               const SafetensorsOptions& options = {}) noexcept;
std::optional<TensorFile> try_read_safetensors(std::span<const unsigned char> bytes, const std::string& name, std::string* error,
                                               const SafetensorsOptions& options = {}) noexcept;

/// Writes a whole file: beside its final name, flushed, then renamed, so that an error (a full disk) leaves what was there before. The
/// data begins at a multiple of 64 bytes and tensors are ordered by falling element size, so each is aligned to its type.
/// Throws IoError; ValueError for an empty tensor, a name that occurs twice, is "__metadata__" or is not UTF-8.
void write_safetensors(const std::string& path, const TensorFile& file);
/// The bytes of that file.
std::string to_safetensors(const TensorFile& file);

}  // namespace gradus::inline v0
