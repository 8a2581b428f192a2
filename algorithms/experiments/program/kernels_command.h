// `gradus kernels`: what each CUDA kernel costs at standard shapes (DESIGN section 6).
#pragma once

#include <string>

namespace gradus::experiments {

struct KernelsOptions {
  std::string only;  // prefixes of entries' names, by commas
  bool list = false;
  std::string json_file, check_file, update_file;
};
/// Throws DeviceError in a build that has no emulator: nothing else counts.
int kernels_command(const KernelsOptions& options);

}  // namespace gradus::experiments
