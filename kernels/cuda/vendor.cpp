#include <gradus/kernels/cuda/vendor.h>

#include <atomic>
#include <cstdlib>

namespace gradus::inline v0::cuda {
namespace {

std::atomic<bool>& choice() {
  static std::atomic<bool> use = [] {
    const char* const wish = std::getenv("GRADUS_VENDOR_LIBRARIES");
    return !wish || wish[0] != '0';
  }();
  return use;
}

#if defined(GRADUS_CUBLAS)
constexpr bool kHasCublas = true;
#else
constexpr bool kHasCublas = false;
#endif
#if defined(GRADUS_CUDNN)
constexpr bool kHasCudnn = true;
#else
constexpr bool kHasCudnn = false;
#endif

}  // namespace

bool use_vendor_libraries(bool use) { return choice().exchange(use); }
bool uses_cublas() { return kHasCublas && choice(); }
bool uses_cudnn() { return kHasCudnn && choice(); }

}  // namespace gradus::inline v0::cuda
