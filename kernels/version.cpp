#include <gradus/kernels/version.h>

#define GRADUS_TEXT_OF(number) #number
#define GRADUS_DOTTED(major, minor, patch) GRADUS_TEXT_OF(major) "." GRADUS_TEXT_OF(minor) "." GRADUS_TEXT_OF(patch)

const char gradus_abi_v0 = 0;

namespace gradus::inline v0 {

const char* version() { return GRADUS_DOTTED(GRADUS_VERSION_MAJOR, GRADUS_VERSION_MINOR, GRADUS_VERSION_PATCH); }

}  // namespace gradus::inline v0
