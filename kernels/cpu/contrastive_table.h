// The table of the hot files contrastive*.cpp (see isa.h).
#pragma once

#include <gradus/kernels/contrastive.h>
#include <gradus/kernels/cpu/isa.h>

namespace gradus::inline v0::cpu {

struct ContrastiveTable {
  decltype(&cpu::contrastive_workspace_bytes) workspace_bytes;
  decltype(&cpu::contrastive) forward;
  decltype(&cpu::contrastive_backward_workspace_bytes) backward_workspace_bytes;
  decltype(&cpu::contrastive_backward) backward;
  decltype(&cpu::contrastive_double_backward_workspace_bytes) double_backward_workspace_bytes;
  decltype(&cpu::contrastive_double_backward) double_backward;
};
GRADUS_TABLE(ContrastiveTable, contrastive_table)

}  // namespace gradus::inline v0::cpu
