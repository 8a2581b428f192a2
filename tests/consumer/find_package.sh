#!/usr/bin/env bash
# An outside project finds the installed package; Eigen is disabled for find_package, so the package cannot lean on it.
. "$(dirname "$0")/common.sh"

install_library "$work/prefix"
# shellcheck disable=SC2086
cmake -G Ninja -S "$here" -B "$work/build" -DCMAKE_BUILD_TYPE=Release $launcher -DCMAKE_PREFIX_PATH="$work/prefix" \
  -DCMAKE_DISABLE_FIND_PACKAGE_Eigen3=ON -DUSER_EIGEN="$eigen"
cmake --build "$work/build" -j "${JOBS:-2}"
run_programs "$work/build"

# Another minor version may break the interface before 1.0, so it must be refused.
mkdir "$work/newer"
printf 'cmake_minimum_required(VERSION 3.25)\nproject(newer LANGUAGES CXX)\nfind_package(gradus 0.0 REQUIRED)\n' >"$work/newer/CMakeLists.txt"
if cmake -S "$work/newer" -B "$work/newer/build" -DCMAKE_PREFIX_PATH="$work/prefix" >"$work/newer/log" 2>&1; then
  echo "find_package(gradus 0.0) accepted another minor version"
  exit 1
fi
