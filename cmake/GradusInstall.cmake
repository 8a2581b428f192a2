# Install rules: the library, its public headers, the CMake package and gradus.pc. The installed package needs nothing but threads.

include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/gradus)

install(TARGETS gradus EXPORT gradusTargets COMPONENT library
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

# Public headers: the floors without kernels/cpu (private) and without the experiments (the program, not the library).
install(FILES gradus.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/gradus COMPONENT library)
foreach(floor kernels engine nn algorithms)
  install(DIRECTORY ${floor} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/gradus COMPONENT library
    FILES_MATCHING PATTERN "*.h" PATTERN "kernels/cpu" EXCLUDE PATTERN "kernels/cuda" EXCLUDE PATTERN "kernels/emulator" EXCLUDE PATTERN "algorithms/experiments" EXCLUDE)
endforeach()

install(EXPORT gradusTargets NAMESPACE gradus:: DESTINATION ${package_dir} COMPONENT library)
set(GRADUS_PACKAGE_DEPENDENCIES "")
if(GRADUS_CUDA)
  set(GRADUS_PACKAGE_DEPENDENCIES "find_dependency(CUDAToolkit)")
endif()
configure_package_config_file(cmake/gradusConfig.cmake.in ${PROJECT_BINARY_DIR}/gradusConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/gradusConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/gradusConfig.cmake ${PROJECT_BINARY_DIR}/gradusConfigVersion.cmake DESTINATION ${package_dir}
  COMPONENT library)

# The .pc files find their prefix from their own place, so that an installed tree can be moved.
file(RELATIVE_PATH GRADUS_PC_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
foreach(pc gradus gradus-data)
  configure_file(cmake/${pc}.pc.in ${PROJECT_BINARY_DIR}/${pc}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/${pc}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT library)
endforeach()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT library)
