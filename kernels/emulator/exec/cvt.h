// What a cvt is to do. Shared by cvt.cpp and cvt_packed.cpp.
#pragma once

#include <gradus/kernels/emulator/exec/real.h>

namespace gradus::emulator {

struct CvtPlan {
  ptx::Type destination = ptx::Type::none, source = ptx::Type::none;
  int destination_bytes = 4, source_bytes = 4;  // of a lane in the register
  Round round = Round::nearest;
  bool integral = false;  // .rni ...: to an integral value
  bool away = false;      // .rna: ties away from zero (tf32)
  bool ftz = false, sat = false, relu = false, satfinite = false;
};
CvtPlan plan_of(const ptx::Instruction& instruction, ptx::Type destination, ptx::Type source);

/// A value in a floating format (f64 f32 tf32 f16 bf16 e4m3 e5m2), rounded once, as bits.
std::uint64_t encode_real(const CvtPlan& plan, long double value);

bool is_packed(ptx::Type type);
void select_cvt_packed(Decoder& decoder, const ptx::Instruction& instruction, Decoded& out);

}  // namespace gradus::emulator
