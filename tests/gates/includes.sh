#!/usr/bin/env bash
# The house has floors, and includes point downwards only: kernels <- engine <- nn <- algorithms. Nothing of the library includes an
# experiment, a test or a benchmark; Eigen appears in kernels/cpu and nowhere else.
set -euo pipefail
cd "${SOURCE:-$(dirname "$0")/../..}"

bad=0
forbid() {  # forbid WHERE PATTERN: no file below WHERE includes what matches PATTERN
  local where=$1 pattern=$2 hits
  [ -e "$where" ] || return 0
  hits=$(grep -rnE --include='*.h' --include='*.cpp' --include='*.cu' --include='*.cuh' "^ *# *include *[<\"]($pattern)" "$where" |
    grep -v '^algorithms/experiments/' || true)
  [ -z "$hits" ] || { echo "$where must not include $pattern:"; echo "$hits"; bad=1; }
}
forbid kernels '(gradus/)?(engine|nn|algorithms)/'
forbid engine '(gradus/)?(nn|algorithms)/'
forbid nn '(gradus/)?algorithms/'
for floor in kernels engine nn algorithms gradus.h; do
  forbid $floor '(gradus/)?(algorithms/experiments|tests|benchmarks)/'
  [ $floor = gradus.h ] || forbid $floor '(gradus/)?gradus\.h'
done
for floor in engine nn algorithms gradus.h; do
  forbid $floor '(gradus/)?kernels/(cpu|cuda|emulator)/'
  forbid $floor '(unsupported/)?Eigen/'
done
hits=$(grep -lE '^ *# *include *[<"](unsupported/)?Eigen/' kernels/*.h kernels/*.cpp 2>/dev/null || true)
[ -z "$hits" ] || { echo "Eigen belongs to kernels/cpu:"; echo "$hits"; bad=1; }
# Inside the project every include has the form <gradus/...>, the one that users write.
hits=$(grep -rnE --include='*.h' --include='*.cpp' '^ *# *include *"' kernels engine nn algorithms gradus.h 2>/dev/null || true)
[ -z "$hits" ] || { echo 'write <gradus/...>, not "...":'; echo "$hits"; bad=1; }
exit $bad
