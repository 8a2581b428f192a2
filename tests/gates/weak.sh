#!/usr/bin/env bash
# A hot object is compiled for a newer instruction set. Weak symbols (inline functions, templates) are merged by the linker across the
# whole program, so a hot object may define only such as carry its instruction set in their name; otherwise a baseline machine could be
# handed AVX code, or the library the user's slow code. No object at all may hold a plain Eigen symbol.
set -euo pipefail
archive=$1
bad=0

for isa in baseline avx2; do
  objects=$(find "${BUILD:?}/kernels/CMakeFiles/gradus_hot_$isa.dir" -name '*.o' 2>/dev/null || true)
  [ -n "$objects" ] || continue
  # DW.ref.__gxx_personality_v0 is a pointer that every object with exception tables shares.
  leaks=$(nm -C --defined-only -A $objects | grep -E ' [WVuvi] ' |
    grep -vE "gradus::v0::cpu::$isa::|gradus_eigen_$isa::|DW\.ref\.__gxx_personality_v0" || true)
  [ -z "$leaks" ] || { echo "weak symbols of hot objects ($isa) without their instruction set in the name:"; echo "$leaks" | sed "s|.*/||"; bad=1; }
  echo "$isa: $(wc -w <<<"$objects") objects"
done
plain=$(nm -C "$archive" 2>/dev/null | grep -E '(^|[^[:alnum:]_:])Eigen::' | head -20 || true)
[ -z "$plain" ] || { echo "Eigen under its own name in the library:"; echo "$plain"; bad=1; }
exit $bad
