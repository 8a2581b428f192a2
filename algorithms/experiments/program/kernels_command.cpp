#include <gradus/algorithms/experiments/program/kernels_command.h>

#include <gradus/kernels/error.h>
#if defined(GRADUS_CUDA_EMULATED)
#include <gradus/benchmarks/kernels/report.h>
#endif

namespace gradus::experiments {

int kernels_command([[maybe_unused]] const KernelsOptions& options) {
#if defined(GRADUS_CUDA_EMULATED)
  return costs::report_kernels(options);
#elif defined(GRADUS_CUDA)
  raise_device("this build runs its kernels on a GPU, which does not count; configure another one with -DGRADUS_CUDA=EMULATED");
#else
  raise_device("this build has no CUDA backend; configure with -DGRADUS_CUDA=EMULATED");
#endif
}

}  // namespace gradus::experiments
