# What `gradus kernels` measures, linked into the program of a build for the emulator. ptxas' word on every kernel: cmake/GradusPtxas.cmake.
file(GLOB kernel_cost_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/benchmarks/kernels/*.cpp)
target_sources(gradus_experiments PRIVATE ${kernel_cost_sources})
target_compile_definitions(gradus_experiments PRIVATE GRADUS_PTXAS_DIR="${GRADUS_PTXAS_DIR}"
  GRADUS_NVCC_VERSION="${CMAKE_CUDA_COMPILER_VERSION}")
# Launches pass through launches.cpp, which notes them (nvcc 13 calls the first, nvcc 12 the second).
target_link_options(gradus_experiments PUBLIC LINKER:--wrap=__cudaLaunchKernel LINKER:--wrap=cudaLaunchKernel)
