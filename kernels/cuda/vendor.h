// cuBLAS and cuDNN: whether this build has them (GRADUS_CUBLAS, GRADUS_CUDNN), and whether they are in use.
//
// A build that has them uses them, unless GRADUS_VENDOR_LIBRARIES=0 is in the environment or the program says otherwise. Then, and in a
// build without them, the hand-written kernels compute the same; they also keep the promise that a row does not depend on the rows beside
// it, which the libraries do not give.
#pragma once

namespace gradus::inline v0::cuda {

/// Chooses for the whole process, and returns what was chosen before. To be called between ops, not while other threads compute: scratch
/// is measured for the choice in force.
bool use_vendor_libraries(bool use);
/// In the build and in use.
bool uses_cublas();
bool uses_cudnn();

}  // namespace gradus::inline v0::cuda
