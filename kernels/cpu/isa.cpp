#include <gradus/kernels/cpu/isa.h>

#include <atomic>

#include <gradus/kernels/error.h>

namespace gradus::inline v0::cpu {
namespace {

std::atomic<int> chosen{-1};  // written once, at first use; -1: not yet

bool machine_has_avx2() {
#if defined(GRADUS_HAS_AVX2)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

}  // namespace

Isa chosen_isa() {
  const int isa = chosen.load(std::memory_order_relaxed);
  if (isa >= 0) return static_cast<Isa>(isa);
  const Isa best = machine_has_avx2() ? Isa::avx2 : Isa::baseline;
  chosen.store(static_cast<int>(best), std::memory_order_relaxed);
  return best;
}

void force_isa(Isa isa) {
  if (isa == Isa::avx2 && !machine_has_avx2()) raise_value("[force_isa] this machine or build has no AVX2 with FMA");
  chosen.store(static_cast<int>(isa), std::memory_order_relaxed);
}

}  // namespace gradus::inline v0::cpu
