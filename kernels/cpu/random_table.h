// What random.cpp exports per instruction set: the f32 draws of one stretch of one row. All stretches start at a multiple of 4.
#pragma once

#include <gradus/kernels/cpu/isa.h>
#include <gradus/kernels/random.h>
#include <gradus/kernels/random_math.h>

namespace gradus::inline v0::cpu {

/// Elements [begin, begin + count) of one row.
struct Stretch {
  Key key;
  std::int64_t row_id;
  std::int64_t begin;
  std::int64_t count;
};

struct RandomTable {
  void (*uniform)(float* y, const Stretch& s, const UniformRange<float>& range);
  void (*normal)(float* y, const Stretch& s, float mean, float stddev);
  void (*bernoulli)(bool* y, const Stretch& s, std::uint32_t last);  // word <= last
  void (*dropout_f32)(float* y, const float* x, const Stretch& s, std::uint32_t last, float scale);
  void (*dropout_f64)(double* y, const double* x, const Stretch& s, std::uint32_t last, double scale);
};
GRADUS_TABLE(RandomTable, random_table)

}  // namespace gradus::inline v0::cpu
