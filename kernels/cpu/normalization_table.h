// The table of the hot file normalization.cpp (see isa.h).
#pragma once

#include <gradus/kernels/cpu/isa.h>
#include <gradus/kernels/normalization.h>

namespace gradus::inline v0::cpu {

struct NormalizationTable {
  decltype(&cpu::batch_norm_statistics) batch_norm_statistics;
  decltype(&cpu::batch_norm) batch_norm;
  decltype(&cpu::batch_norm_train) batch_norm_train;
  decltype(&cpu::batch_norm_backward) batch_norm_backward;
};
GRADUS_TABLE(NormalizationTable, normalization_table)

}  // namespace gradus::inline v0::cpu
