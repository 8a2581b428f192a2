# What `gradus kernels` measures, linked into the program of a build for the emulator, and ptxas' word on every kernel.
file(GLOB kernel_cost_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/benchmarks/kernels/*.cpp)
set(GRADUS_PTXAS_DIR ${PROJECT_BINARY_DIR}/kernels/ptxas)
target_sources(gradus_experiments PRIVATE ${kernel_cost_sources})
target_compile_definitions(gradus_experiments PRIVATE GRADUS_PTXAS_DIR="${GRADUS_PTXAS_DIR}")
# Launches pass through launches.cpp, which notes them (nvcc 13 calls the first, nvcc 12 the second).
target_link_options(gradus_experiments PUBLIC LINKER:--wrap=__cudaLaunchKernel LINKER:--wrap=cudaLaunchKernel)

# gradus_ptxas: registers, spills and shared memory of every kernel at sm_80 and sm_90. Five minutes of one core, so not part of `all`.
set(ptxas_texts)
file(GLOB kernel_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/cuda/*.cu)
foreach(source ${kernel_sources})
  get_filename_component(name ${source} NAME_WE)
  set(text ${GRADUS_PTXAS_DIR}/${name}.txt)
  add_custom_command(OUTPUT ${text} DEPENDS ${source} DEPFILE ${text}.d VERBATIM
    COMMAND ${CMAKE_COMMAND} -E make_directory ${GRADUS_PTXAS_DIR}
    COMMAND sh -c "\"$@\" > '${text}.new' 2>&1 || { cat '${text}.new' >&2; exit 1; }; mv '${text}.new' '${text}'" sh
      ${CMAKE_CUDA_COMPILER} -ccbin=${CMAKE_CUDA_HOST_COMPILER} -std=c++20 -O3 -DNDEBUG -DGRADUS_CUDA -DGRADUS_CUDA_EMULATED -fmad=false
      -lineinfo --expt-relaxed-constexpr -I${GRADUS_INCLUDE_ROOT} -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90
      -Xptxas -v -MD -MF ${text}.d -MT ${text} -fatbin ${source} -o ${text}.fatbin
    COMMAND ${CMAKE_COMMAND} -E rm -f ${text}.fatbin
    COMMENT "ptxas -v of ${name}")
  list(APPEND ptxas_texts ${text})
endforeach()
add_custom_target(gradus_ptxas DEPENDS ${ptxas_texts})
