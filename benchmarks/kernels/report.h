// `gradus kernels` in a build for the emulator: measures, prints, compares.
#pragma once

#include <gradus/algorithms/experiments/program/kernels_command.h>

namespace gradus::costs {

/// Returns the program's exit code.
int report_kernels(const experiments::KernelsOptions& options);

}  // namespace gradus::costs
