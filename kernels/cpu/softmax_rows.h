// What softmax.cpp and cross_entropy.cpp share. Included by hot files only (see isa.h).
#pragma once

#include <gradus/kernels/cpu/math.h>
#include <gradus/kernels/cpu/runs.h>

namespace gradus::inline v0::cpu::GRADUS_ISA {

inline constexpr std::int64_t kSoftmaxChunk = 1 << 14;  // numbers that are worth a thread's while: about 10 us of exponentials

GRADUS_INLINE std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

template <class T> GRADUS_INLINE T first_lane(Vec<T> v) { return packet::pfirst(v.p); }

/// e^x where x is a number minus the largest of its line: at most 0, give or take a rounding. -inf gives 0.
template <class T> GRADUS_INLINE Vec<T> exp_nonpositive(Vec<T> x) { return exp_within(at_least(x, Vec<T>(MathConstants<T>::kExpLow))); }

}  // namespace gradus::inline v0::cpu::GRADUS_ISA
