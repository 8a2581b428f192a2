// The vendored data, as it lies in this folder, compiled into the program.
#pragma once

#include <span>
#include <string_view>

namespace gradus::experiments {

struct EmbeddedFile {
  std::string_view name;  ///< the file's name in this folder
  std::span<const unsigned char> bytes;
};

/// Every data file of this folder, in the order of their names.
std::span<const EmbeddedFile> embedded_files();

}  // namespace gradus::experiments
