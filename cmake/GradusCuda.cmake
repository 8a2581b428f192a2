# The CUDA backend: GRADUS_CUDA = ON (a GPU), EMULATED (kernels/emulator runs the PTX on the CPU, no GPU needed) or OFF.
#
# It is a configuration of the one library target, not a second one. cuBLAS and cuDNN are used when they are found; without them, or with
# -DGRADUS_CUBLAS=OFF -DGRADUS_CUDNN=OFF, the hand-written products and convolutions take their place.
set_property(CACHE GRADUS_CUDA PROPERTY STRINGS OFF ON EMULATED)
if(NOT GRADUS_CUDA MATCHES "^(ON|EMULATED)$")
  message(FATAL_ERROR "GRADUS_CUDA=${GRADUS_CUDA}: expected ON, EMULATED or OFF")
endif()

if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(GRADUS_NVCC nvcc PATHS /usr/local/cuda/bin ENV CUDA_HOME ENV CUDA_PATH PATH_SUFFIXES bin)
  if(NOT GRADUS_NVCC)
    message(FATAL_ERROR "GRADUS_CUDA=${GRADUS_CUDA} needs nvcc of CUDA 12 or 13, which is neither on the PATH nor in /usr/local/cuda. "
      "Name it with -DCMAKE_CUDA_COMPILER=<nvcc>, or configure with -DGRADUS_CUDA=OFF.")
  endif()
  set(CMAKE_CUDA_COMPILER ${GRADUS_NVCC})
endif()
# sm_80 and sm_90 as machine code for a GPU, with PTX for newer ones; as PTX alone for the emulator, which reads it uncompressed.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  if(GRADUS_CUDA STREQUAL "EMULATED")
    set(CMAKE_CUDA_ARCHITECTURES 80-virtual)
  else()
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90)
  endif()
endif()
if(NOT DEFINED CMAKE_CUDA_HOST_COMPILER)
  set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER})
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)

file(GLOB cuda_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/cuda/*.cu ${PROJECT_SOURCE_DIR}/kernels/cuda/*.cpp)
add_library(gradus_cuda OBJECT ${cuda_sources})
set_target_properties(gradus_cuda PROPERTIES POSITION_INDEPENDENT_CODE ON
  CUDA_RUNTIME_LIBRARY None LINKER_LANGUAGE CXX)

# How kernels are compiled, wherever: for a GPU, for the emulator, for ptxas alone.
# -fmad=false: a fused multiply-add only where it is written, as on the CPU. -lineinfo: findings and profilers name source lines.
function(gradus_cuda_options target)
  target_compile_features(${target} PRIVATE cxx_std_20)
  target_include_directories(${target} PRIVATE ${GRADUS_INCLUDE_ROOT})
  target_include_directories(${target} SYSTEM PRIVATE ${CUDAToolkit_INCLUDE_DIRS})
  target_compile_definitions(${target} PRIVATE $<TARGET_PROPERTY:gradus,COMPILE_DEFINITIONS>)
  target_compile_options(${target} PRIVATE
    "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:-std=c++20 -fmad=false -lineinfo --expt-relaxed-constexpr -Xcompiler=-Wall,-Wextra,-Wno-missing-field-initializers>"
    "$<$<COMPILE_LANGUAGE:CXX>:${GRADUS_PRIVATE_FLAGS}>" "$<$<COMPILE_LANGUAGE:CXX>:${GRADUS_WARNINGS}>")
  if(CMAKE_COMPILE_WARNING_AS_ERROR)
    target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:-Werror=all-warnings -Xcompiler=-Werror>")
  endif()
endfunction()
gradus_cuda_options(gradus_cuda)
target_sources(gradus PRIVATE $<TARGET_OBJECTS:gradus_cuda>)
target_compile_definitions(gradus PUBLIC GRADUS_CUDA)
set_target_properties(gradus PROPERTIES LINKER_LANGUAGE CXX)

option(GRADUS_CUBLAS "Matrix products by cuBLAS" ON)
option(GRADUS_CUDNN "Convolutions by cuDNN" ON)
find_path(GRADUS_CUDNN_INCLUDE cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
if(GRADUS_CUDNN AND NOT GRADUS_CUDNN_INCLUDE)
  message(STATUS "gradus: no cuDNN here; convolutions are the hand-written ones")
  set(GRADUS_CUDNN OFF)
endif()
foreach(library CUBLAS CUDNN)
  if(GRADUS_${library})
    target_compile_definitions(gradus_cuda PRIVATE GRADUS_${library})
  endif()
endforeach()

if(GRADUS_CUDA STREQUAL "EMULATED")
  target_compile_definitions(gradus PUBLIC GRADUS_CUDA_EMULATED)
  target_compile_options(gradus_cuda PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:--no-compress>")
  add_subdirectory(${PROJECT_SOURCE_DIR}/kernels/emulator ${PROJECT_BINARY_DIR}/kernels/emulator)
  target_link_libraries(gradus PUBLIC gradus_emulator)
  include(cmake/GradusPtxas.cmake)
else()
  target_link_libraries(gradus PUBLIC CUDA::cudart)
  if(GRADUS_CUBLAS)
    target_link_libraries(gradus PUBLIC CUDA::cublas)
  endif()
  if(GRADUS_CUDNN)
    find_library(GRADUS_CUDNN_LIBRARY cudnn HINTS ${CUDAToolkit_LIBRARY_DIR} REQUIRED)
    target_link_libraries(gradus PUBLIC ${GRADUS_CUDNN_LIBRARY})
  endif()
endif()
