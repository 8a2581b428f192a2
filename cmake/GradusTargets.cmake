# The one library target, its flags, and the compilation of hot files once per instruction set.

# Sanitizers reach every target of this project, never a parent's; a static build passes them on to the link of whoever uses it.
if(GRADUS_SANITIZE)
  add_compile_options(-fsanitize=${GRADUS_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
endif()

add_library(gradus)
add_library(gradus::gradus ALIAS gradus)
target_compile_features(gradus PUBLIC cxx_std_20)
set_target_properties(gradus PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_EXTENSIONS OFF
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})

# Headers are <gradus/engine/tensor.h> whatever the checkout is called: an include root maps gradus/ to the source tree.
set(GRADUS_INCLUDE_ROOT ${PROJECT_BINARY_DIR}/include)
file(MAKE_DIRECTORY ${GRADUS_INCLUDE_ROOT}/gradus)
foreach(part kernels engine nn algorithms tests benchmarks gradus.h)
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${part} ${GRADUS_INCLUDE_ROOT}/gradus/${part} SYMBOLIC)
endforeach()
target_include_directories(gradus PUBLIC $<BUILD_INTERFACE:${GRADUS_INCLUDE_ROOT}> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

find_package(Threads REQUIRED)
target_link_libraries(gradus PUBLIC Threads::Threads)

# Eigen is seen by the hot objects only (below), under another namespace: nothing of it reaches a user or the installed package.
find_package(Eigen3 3.4 QUIET NO_MODULE)
find_path(GRADUS_EIGEN_DIR Eigen/Core HINTS ${EIGEN3_INCLUDE_DIR} PATH_SUFFIXES eigen3 DOC "The folder that holds Eigen/Core, 3.4 or newer")
if(NOT GRADUS_EIGEN_DIR)
  message(FATAL_ERROR "gradus is built with Eigen 3.4 (headers only), which is not here. On Debian or Ubuntu: apt-get install libeigen3-dev; "
    "elsewhere: -DGRADUS_EIGEN_DIR=<folder that holds Eigen/Core>. Programs that use an installed gradus do not need it.")
endif()

# -ffp-contract=off: FMA only where it is written. -fno-math-errno, -fno-trapping-math: let loops vectorise; IEEE results are kept.
set(GRADUS_PRIVATE_FLAGS -ffp-contract=off -fno-math-errno -fno-trapping-math)
set(GRADUS_WARNINGS)
if(PROJECT_IS_TOP_LEVEL)
  # Aggregates whose other members have defaults are a habit here: {.learning_rate = 1e-3}.
  set(GRADUS_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wno-missing-field-initializers)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    list(APPEND GRADUS_WARNINGS -Wno-restrict)  # g++ 12 takes "text" + std::string for an overlapping copy
  endif()
endif()
target_compile_options(gradus PRIVATE ${GRADUS_PRIVATE_FLAGS} ${GRADUS_WARNINGS})
if(GRADUS_SANITIZE)
  target_link_options(gradus PUBLIC -fsanitize=${GRADUS_SANITIZE})
endif()
if(GRADUS_FUZZ)
  target_compile_options(gradus PRIVATE -fsanitize=fuzzer-no-link)
endif()
if(GRADUS_CHECKED OR CMAKE_BUILD_TYPE STREQUAL "Debug")
  target_compile_definitions(gradus PRIVATE GRADUS_CHECKED)
endif()

# A shared build exports the names of namespace gradus, with typeinfo and vtables (so that its exceptions can be caught), and nothing else.
set(GRADUS_VERSION_SCRIPT ${PROJECT_SOURCE_DIR}/cmake/gradus.map)
get_target_property(gradus_library_type gradus TYPE)
if(gradus_library_type STREQUAL "SHARED_LIBRARY" AND NOT APPLE AND NOT WIN32)
  target_link_options(gradus PRIVATE -Wl,--version-script=${GRADUS_VERSION_SCRIPT})
  set_property(TARGET gradus APPEND PROPERTY LINK_DEPENDS ${GRADUS_VERSION_SCRIPT})
endif()

if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(GRADUS_HAS_AVX2 ON)
  target_compile_definitions(gradus PRIVATE GRADUS_HAS_AVX2)
endif()

# gradus_hot_sources(files...): each file once per instruction set, each with its own Eigen namespace (kernels/cpu/isa.h).
function(gradus_hot_sources)
  set(isas baseline)
  if(GRADUS_HAS_AVX2)
    list(APPEND isas avx2)
  endif()
  foreach(isa ${isas})
    set(hot gradus_hot_${isa})
    add_library(${hot} OBJECT ${ARGN})
    set_target_properties(${hot} PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_EXTENSIONS OFF)
    target_compile_features(${hot} PRIVATE cxx_std_20)
    target_include_directories(${hot} PRIVATE ${GRADUS_INCLUDE_ROOT})
    target_include_directories(${hot} SYSTEM PRIVATE ${GRADUS_EIGEN_DIR})
    target_compile_definitions(${hot} PRIVATE GRADUS_ISA=${isa} Eigen=gradus_eigen_${isa} EIGEN_MPL2_ONLY EIGEN_DONT_PARALLELIZE
      EIGEN_NO_DEBUG EIGEN_FAST_MATH=0 $<TARGET_PROPERTY:gradus,COMPILE_DEFINITIONS>)  # no fast math: its AVX sqrt is an estimate
    # Hot loops are optimised in every build type; tuning stays generic (a machine-specific -mtune costs up to 30 % here). Sanitizers
    # get -O1: at -O3 they take four times as long to compile.
    set(optimization -O3)
    if(isa STREQUAL baseline AND GRADUS_HAS_AVX2)
      set(optimization -Os)  # for machines of before 2013: speed there buys nobody anything, size costs everybody
    endif()
    if(GRADUS_SANITIZE)
      set(optimization -O1)
    endif()
    target_compile_options(${hot} PRIVATE ${GRADUS_PRIVATE_FLAGS} ${GRADUS_WARNINGS} ${optimization} -mtune=generic
      -Wno-ignored-attributes)  # g++ notes that a register type as a template argument loses its alignment attribute; it is a value
    if(isa STREQUAL avx2)
      target_compile_options(${hot} PRIVATE -mavx2 -mfma)
    endif()
    if(GRADUS_SANITIZE)
      target_compile_options(${hot} PRIVATE -fno-sanitize=alignment)  # unaligned packet loads are meant
    endif()
    target_sources(gradus PRIVATE $<TARGET_OBJECTS:${hot}>)
  endforeach()
endfunction()
