// The tables of the hot files softmax.cpp and cross_entropy.cpp (see isa.h).
#pragma once

#include <gradus/kernels/cpu/isa.h>
#include <gradus/kernels/softmax.h>

namespace gradus::inline v0::cpu {

struct SoftmaxTable {
  decltype(&cpu::softmax) softmax;
  decltype(&cpu::softmax_backward) softmax_backward;
  decltype(&cpu::log_softmax) log_softmax;
  decltype(&cpu::log_softmax_backward) log_softmax_backward;
};
GRADUS_TABLE(SoftmaxTable, softmax_table)

struct CrossEntropyTable {
  decltype(&cpu::cross_entropy) cross_entropy;
  decltype(&cpu::cross_entropy_backward) cross_entropy_backward;
};
GRADUS_TABLE(CrossEntropyTable, cross_entropy_table)

}  // namespace gradus::inline v0::cpu
