// The table of the hot file optimizer.cpp (see isa.h): contiguous pieces of a tensor. Threads are the business of optimizer_dispatch.cpp.
#pragma once

#include <gradus/kernels/cpu/isa.h>
#include <gradus/kernels/optimizer.h>

namespace gradus::inline v0::cpu {

struct OptimizerPieces {
  void (*sgd)(std::int64_t n, void* parameter, void* momentum, const void* gradient, const void* mask, const SgdStep& step);
  void (*adam)(std::int64_t n, void* parameter, void* m, void* v, const void* gradient, const void* mask, const AdamStep& step);
  void (*ema)(std::int64_t n, void* target, const void* source, double decay);
  double (*squared_norm)(std::int64_t n, const void* x);
};
struct OptimizerTable {
  OptimizerPieces of[2];  // f32, f64
};
GRADUS_TABLE(OptimizerTable, optimizer_table)

}  // namespace gradus::inline v0::cpu
