#!/usr/bin/env bash
# Each public header compiles alone, under strict warnings, without exceptions and RTTI, with every compiler that is here.
set -euo pipefail
cd "${SOURCE:?}"
include=${BUILD:?}/include
flags="-std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -fno-exceptions -fno-rtti"

compilers="g++"
for clang in clang++-14 clang++; do
  if command -v $clang >/dev/null; then compilers+=" $clang"; break; fi
done
[ -e gradus.h ] || { echo "gradus.h is missing"; exit 1; }
headers=$(find gradus.h kernels engine nn algorithms -name '*.h' ! -path 'kernels/cpu/*' ! -path 'kernels/cuda/*' ! -path 'kernels/emulator/*' ! -path 'algorithms/experiments/*' | sort)
check() {  # check COMPILER HEADER
  local output
  if ! output=$(echo "#include <gradus/$2>" | $1 $flags -I"$include" -x c++ - 2>&1); then
    printf '%s: %s does not compile alone:\n%s\n' "$1" "$2" "$output"
    return 1
  fi
}
export -f check
export flags include
count=$(wc -w <<<"$headers")
echo "$count headers with$(printf ' %s' $compilers)"
for compiler in $compilers; do
  for header in $headers; do printf '%s %s\n' $compiler "$header"; done
done | xargs -P 2 -L 1 bash -c 'check "$0" "$1"'
