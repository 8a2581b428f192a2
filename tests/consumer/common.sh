# shellcheck shell=bash disable=SC2034
# Shared by the consumer tests; each runs with SOURCE (the checkout), BUILD (its build folder) and CXX set by ctest.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export CXX=${CXX:-g++}
work=${BUILD:?}/consumer/$(basename "$0" .sh)
rm -rf "$work"
mkdir -p "$work"

eigen=$(sed -n 's/^GRADUS_EIGEN_DIR:[A-Z]*=//p' "$BUILD/CMakeCache.txt")
launcher=$(sed -n 's/^CMAKE_CXX_COMPILER_LAUNCHER:[A-Z]*=/-DCMAKE_CXX_COMPILER_LAUNCHER=/p' "$BUILD/CMakeCache.txt")

install_library() {  # install_library PREFIX
  cmake --install "$BUILD" --component library --prefix "$1" >"$work/install.log"
  if grep -rlE 'Eigen|CUDA|cuda_runtime|-mavx|-mfma' "$1/lib"*/cmake "$1/lib"*/pkgconfig; then
    echo "the installed package mentions what its users must not need"
    return 1
  fi
  if grep -rlE 'include *<(unsupported/)?Eigen/' "$1/include"; then
    echo "an installed header includes Eigen"
    return 1
  fi
}

# Instructions and names must agree in the linked program: AVX only in functions that carry their instruction set in their name (and in
# the user's, where the user asked for it), FMA really there in the library's own.
check_code() {  # check_code PROGRAM
  case $(uname -m) in x86_64) ;; *) return 0 ;; esac
  objdump -d -C --no-show-raw-insn "$1" | awk -v program="$(basename "$1")" -v users_avx="$([[ $1 == *avx2* ]] && echo 1 || echo 0)" '
    /^[0-9a-f]+ <.*>:$/ {
      name = $0
      ours = name ~ /gradus::v0::cpu::avx2::|gradus_eigen_avx2::/
      theirs = name ~ /user_matmul|[^_[:alnum:]]Eigen::/
      next
    }
    /:\tv[a-z0-9]+/ {  # every AVX instruction begins with v
      if (ours) { if (/vfmadd/) ++fma }
      else if (!(theirs && users_avx)) { print program ": AVX code in " name; bad = 1; name = ""; ours = 1 }
    }
    END {
      print program ": " fma + 0 " FMA instructions in the library"
      exit bad || fma == 0
    }'
}

run_programs() {  # run_programs BUILD-FOLDER
  local program
  time "$1/example"
  for program in "$1"/mixed_*; do
    [ -x "$program" ] && [ -f "$program" ] || continue
    check_code "$program"
    if [[ $program == *avx2* ]] && ! grep -q '\<avx2\>.*\<fma\>\|\<fma\>.*\<avx2\>' /proc/cpuinfo; then continue; fi
    "$program"
  done
}
