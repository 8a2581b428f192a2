#!/usr/bin/env bash
# Linked as a shared library, gradus exports names of namespace gradus only, and its exceptions can be caught by type across the border.
set -euo pipefail
archive=$1 script=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cxx=${CXX:-g++}

$cxx -shared -o "$work/libgradus.so" -Wl,--whole-archive "$archive" -Wl,--no-whole-archive -Wl,--version-script="$script" -pthread
foreign=$(nm -DC --defined-only "$work/libgradus.so" | cut -d' ' -f3- |
  grep -vE '^((typeinfo|typeinfo name|vtable) for )?gradus::|^gradus_abi_v0$' || true)
[ -z "$foreign" ] || { echo "exported, but not of namespace gradus:"; echo "$foreign" | head -20; exit 1; }
echo "$(nm -D --defined-only "$work/libgradus.so" | wc -l) exported symbols"

cat >"$work/catch.cpp" <<'CPP'
#include <gradus/kernels/array.h>
#include <gradus/kernels/version.h>
int main() {
  try {
    gradus::Shape{1, 2, 3, 4, 5, 6, 7, 8, 9};
  } catch (const gradus::ShapeError& error) {
    return gradus::version()[0] == '0' && error.what()[0] == '[' ? 0 : 2;
  }
  return 1;
}
CPP
$cxx -std=c++20 -I"${BUILD:?}/include" "$work/catch.cpp" -L"$work" -lgradus -o "$work/catch"
LD_LIBRARY_PATH=$work "$work/catch" || { echo "ShapeError was not caught by its type"; exit 1; }
