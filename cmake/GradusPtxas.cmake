# What can be learnt of the kernels without running them. Neither target is part of `all`; tests labelled `ci` build them.
#
#   gradus_ptxas              registers, spills and shared memory of every kernel at sm_80 and sm_90, by ptxas -v on PTX that was made for
#                             that architecture, as in a build for a GPU: ptx/80/softmax.txt, read by `gradus kernels`. The PTX itself is
#                             what the test of opcodes reads.
#   cuda_other_architectures  the kernels as machine code of the oldest architecture that nvcc 13 knows and of a new one: they compile
file(GLOB kernel_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/cuda/*.cu)
find_program(GRADUS_PTXAS ptxas HINTS ${CUDAToolkit_BIN_DIR} REQUIRED)
set(GRADUS_PTXAS_DIR ${PROJECT_BINARY_DIR}/ptx)

set(ptxas_texts)
set(GRADUS_KERNEL_PTX)
foreach(architecture 80 90)
  set(ptx kernel_ptx_${architecture})
  add_library(${ptx} OBJECT EXCLUDE_FROM_ALL ${kernel_sources})
  set_target_properties(${ptx} PROPERTIES CUDA_PTX_COMPILATION ON CUDA_ARCHITECTURES ${architecture}-virtual)
  gradus_cuda_options(${ptx})
  list(APPEND GRADUS_KERNEL_PTX $<TARGET_OBJECTS:${ptx}>)
  file(MAKE_DIRECTORY ${GRADUS_PTXAS_DIR}/${architecture})
  foreach(source ${kernel_sources})
    get_filename_component(name ${source} NAME_WE)
    set(text ${GRADUS_PTXAS_DIR}/${architecture}/${name}.txt)
    set(one "$<FILTER:$<TARGET_OBJECTS:${ptx}>,INCLUDE,/${name}\\.ptx$>")
    add_custom_command(OUTPUT ${text} DEPENDS ${one} VERBATIM COMMENT "ptxas -v of ${name} for sm_${architecture}"
      COMMAND sh -c "\"$@\" > '${text}' 2>&1 || { cat '${text}' >&2; rm '${text}'; exit 1; }" sh
        ${GRADUS_PTXAS} -arch=sm_${architecture} -v --warning-as-error ${one} -o /dev/null)
    list(APPEND ptxas_texts ${text})
  endforeach()
endforeach()
add_custom_target(gradus_ptxas DEPENDS ${ptxas_texts})

# The host's part is compiled by the library already: here it need not be fast.
add_library(cuda_other_architectures OBJECT EXCLUDE_FROM_ALL ${kernel_sources})
set_target_properties(cuda_other_architectures PROPERTIES CUDA_ARCHITECTURES "75-real;100-real")
gradus_cuda_options(cuda_other_architectures)
target_compile_options(cuda_other_architectures PRIVATE -Xcompiler=-O0)
