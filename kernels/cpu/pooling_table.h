// The table of the hot file pooling.cpp (see isa.h).
#pragma once

#include <gradus/kernels/cpu/isa.h>
#include <gradus/kernels/pooling.h>

namespace gradus::inline v0::cpu {

struct PoolingTable {
  decltype(&cpu::max_pool2d) max_pool2d;
  decltype(&cpu::max_pool2d_scatter) max_pool2d_scatter;
  decltype(&cpu::max_pool2d_gather) max_pool2d_gather;
  decltype(&cpu::avg_pool2d) avg_pool2d;
  decltype(&cpu::avg_pool2d_backward) avg_pool2d_backward;
};
GRADUS_TABLE(PoolingTable, pooling_table)

}  // namespace gradus::inline v0::cpu
