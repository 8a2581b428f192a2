// The JSON header of a safetensors file, read and written. Private to nn/safetensors.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gradus/kernels/array.h>

namespace gradus::inline v0::detail {

/// One tensor as the header describes it: bytes [begin, end) of the data.
struct HeaderEntry {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;
  std::uint64_t begin = 0, end = 0;
};

struct SafetensorsHeader {
  std::vector<HeaderEntry> entries;
  std::vector<std::pair<std::string, std::string>> metadata;
};

/// Parses the JSON of `file` (its name in error texts). The grammar is what the format allows, nothing more; every name occurs once, and
/// shape and range of each entry agree. Throws IoError naming file, offset and cause.
SafetensorsHeader parse_header(std::string_view json, const std::string& file);

/// The JSON, without padding.
std::string to_json(const SafetensorsHeader& header);

/// True for well-formed UTF-8 (no overlong forms, no surrogates).
bool is_utf8(std::string_view text);

}  // namespace gradus::inline v0::detail
