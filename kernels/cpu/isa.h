// One body, two instruction sets. A *hot* file (listed in kernels/CMakeLists.txt) is compiled once as `baseline` and once, on x86-64,
// as `avx2` (AVX2 + FMA). Each copy puts everything into gradus::cpu::GRADUS_ISA and exports one constant table of functions; the
// public kernel calls through the table that this machine can run. Each copy has its own renamed Eigen namespace, so no inline function
// is shared between instruction sets or with a user's Eigen.
#pragma once

namespace gradus::inline v0::cpu {

enum class Isa { baseline, avx2 };

/// The instruction set in use: the best that this machine runs, or what force_isa() said.
Isa chosen_isa();

/// For tests that compare instruction sets. Not thread-safe: call it before any kernel. Throws ValueError where the machine lacks it.
void force_isa(Isa isa);

}  // namespace gradus::inline v0::cpu

// GRADUS_TABLE(ElementwiseTable, elementwise_table): declares the copies and `const ElementwiseTable& elementwise_table()`.
#if defined(GRADUS_HAS_AVX2)
#define GRADUS_TABLE(Type, name) \
  namespace baseline {           \
  extern const Type name;        \
  }                              \
  namespace avx2 {               \
  extern const Type name;        \
  }                              \
  inline const Type& name() { return chosen_isa() == Isa::avx2 ? avx2::name : baseline::name; }
#else
#define GRADUS_TABLE(Type, name) \
  namespace baseline {           \
  extern const Type name;        \
  }                              \
  inline const Type& name() { return baseline::name; }
#endif
