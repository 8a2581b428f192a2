// The version of the library; the build system, the package files and the program read it here.
#pragma once

#define GRADUS_VERSION_MAJOR 0
#define GRADUS_VERSION_MINOR 1
#define GRADUS_VERSION_PATCH 0

// Defined by the library that is linked. A translation unit that includes <gradus/gradus.h> refers to it, so that headers of one
// binary interface and a library of another fail to link instead of failing at run time.
extern "C" const char gradus_abi_v0;

namespace gradus::inline v0 {

/// The version of the library that is linked: "0.1.0". GRADUS_VERSION_* is that of the headers.
const char* version();

[[gnu::used]] static const char* const kAbiGuard = &gradus_abi_v0;

}  // namespace gradus::inline v0
