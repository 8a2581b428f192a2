# Tests of the emulator itself. The planted kernels are compiled to PTX by nvcc, whole programs by `emulate`, as users do it.
# They need nothing of the rest of the library.
file(GLOB emulator_tests CONFIGURE_DEPENDS emulator/*.cpp)
list(FILTER emulator_tests EXCLUDE REGEX "/speed\\.cpp$")
add_executable(test_emulator ${emulator_tests} emulator/mutation/flow.cpp emulator/mutation/mutant.cpp kernels/main.cpp)
target_link_libraries(test_emulator PRIVATE gradus_emulator)
target_include_directories(test_emulator SYSTEM PRIVATE ${DOCTEST_INCLUDE_DIR})
target_compile_definitions(test_emulator PRIVATE DOCTEST_CONFIG_SUPER_FAST_ASSERTS GRADUS_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
target_compile_options(test_emulator PRIVATE ${GRADUS_WARNINGS} -ffp-contract=off $<$<NOT:$<CONFIG:Debug>>:-O1>)
gradus_discover_tests(emulator)
file(GLOB planted CONFIGURE_DEPENDS emulator/planted/*.cu)
set(planted_ptx)
foreach(source ${planted})
  get_filename_component(name ${source} NAME_WE)
  set(ptx ${CMAKE_CURRENT_BINARY_DIR}/planted/${name}.ptx)
  add_custom_command(OUTPUT ${ptx} DEPENDS ${source} VERBATIM
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_CURRENT_BINARY_DIR}/planted
    COMMAND ${CMAKE_CUDA_COMPILER} -std=c++17 -arch=compute_80 -lineinfo -ptx ${source} -o ${ptx})
  list(APPEND planted_ptx ${ptx})
endforeach()
add_custom_target(planted_ptx DEPENDS ${planted_ptx})
add_dependencies(test_emulator planted_ptx)
target_compile_definitions(test_emulator PRIVATE GRADUS_PLANTED_SOURCES="${CMAKE_CURRENT_SOURCE_DIR}/emulator/planted"
  GRADUS_PLANTED_PTX="${CMAKE_CURRENT_BINARY_DIR}/planted")
# The emulator's tests raise findings on purpose: they are no reason for exit code 86.
add_test(NAME "emulate: the command line, whole programs, planted host bugs"
  COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/emulator/emulate_test.sh ${PROJECT_SOURCE_DIR}/kernels/emulator/emulate.sh $<TARGET_FILE:gradus_emulator>)
set_tests_properties("emulate: the command line, whole programs, planted host bugs" PROPERTIES TIMEOUT 900 LABELS emulator)

# test_emulator_speed: a bench, not a test.
set(speed_ptx ${CMAKE_CURRENT_BINARY_DIR}/speed.ptx)
add_custom_command(OUTPUT ${speed_ptx} DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/emulator/speed.cu VERBATIM
  COMMAND ${CMAKE_CUDA_COMPILER} -std=c++17 -arch=compute_80 -lineinfo -ptx ${CMAKE_CURRENT_SOURCE_DIR}/emulator/speed.cu -o ${speed_ptx})
add_executable(test_emulator_speed EXCLUDE_FROM_ALL emulator/speed.cpp ${speed_ptx})
set_target_properties(test_emulator_speed PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
target_link_libraries(test_emulator_speed PRIVATE gradus_emulator)
target_compile_definitions(test_emulator_speed PRIVATE GRADUS_SPEED_PTX="${speed_ptx}")
target_compile_options(test_emulator_speed PRIVATE ${GRADUS_WARNINGS})

# What cmake/GradusPtxas.cmake makes takes a minute or two: it is built by the tests labelled `ci` that need it.
foreach(target gradus_ptxas cuda_other_architectures)
  add_test(NAME "emulator: builds ${target}" COMMAND ${CMAKE_COMMAND} --build ${PROJECT_BINARY_DIR} --target ${target})
  set_tests_properties("emulator: builds ${target}" PROPERTIES TIMEOUT 1800 LABELS "emulator;ci" FIXTURES_SETUP ${target}
    RESOURCE_LOCK build_directory)
endforeach()

add_executable(opcode_coverage emulator/coverage/opcode_coverage.cpp)
target_link_libraries(opcode_coverage PRIVATE gradus_emulator)
target_compile_options(opcode_coverage PRIVATE ${GRADUS_WARNINGS})
add_test(NAME "emulator: every opcode of the kernels has a test" COMMAND opcode_coverage $<TARGET_FILE:test_emulator> ${GRADUS_KERNEL_PTX}
  COMMAND_EXPAND_LISTS)
set_tests_properties("emulator: every opcode of the kernels has a test" PROPERTIES TIMEOUT 300 LABELS "emulator;ci" FIXTURES_REQUIRED gradus_ptxas)

# mutate_kernels: the CUDA kernels' tests with another main, which plants faults in the kernels' PTX. See mutation/mutate_kernels.cpp.
if(GRADUS_CUDA STREQUAL "EMULATED")
  file(GLOB mutation_sources CONFIGURE_DEPENDS emulator/mutation/*.cpp kernels/cuda/*_test.cpp)
  add_executable(mutate_kernels EXCLUDE_FROM_ALL ${mutation_sources})
  set_target_properties(mutate_kernels PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
  target_link_libraries(mutate_kernels PRIVATE gradus_test_flags)
  target_compile_definitions(mutate_kernels PRIVATE
    GRADUS_EQUIVALENT_MUTANTS="${CMAKE_CURRENT_SOURCE_DIR}/emulator/mutation/equivalent.txt")
  if(TARGET gradus_test_support)
    target_link_libraries(mutate_kernels PRIVATE gradus_test_support)
  endif()
  add_test(NAME "emulator: builds mutate_kernels" COMMAND ${CMAKE_COMMAND} --build ${PROJECT_BINARY_DIR} --target mutate_kernels)
  set_tests_properties("emulator: builds mutate_kernels" PROPERTIES TIMEOUT 1800 LABELS "emulator;nightly" FIXTURES_SETUP mutate_kernels
    RESOURCE_LOCK build_directory)
  add_test(NAME "nightly: the kernels' tests notice 95 % of planted faults" COMMAND mutate_kernels --count 14 --least 0.95)
  set_tests_properties("nightly: the kernels' tests notice 95 % of planted faults" PROPERTIES TIMEOUT 7200 LABELS "emulator;nightly"
    FIXTURES_REQUIRED mutate_kernels)
endif()
