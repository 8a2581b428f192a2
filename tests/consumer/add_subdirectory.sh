#!/usr/bin/env bash
# An outside project builds gradus from a folder of another name, in Debug, so that this configuration is built as well.
. "$(dirname "$0")/common.sh"

mkdir "$work/third-party-thing"
(cd "${SOURCE:?}" && git ls-files -z --cached --others --exclude-standard | xargs -0 -r ls -d 2>/dev/null | tar -cf - -T -) |
  tar -xf - -C "$work/third-party-thing"
# shellcheck disable=SC2086
cmake -G Ninja -S "$here" -B "$work/build" -DCMAKE_BUILD_TYPE=Debug $launcher -DGRADUS_FOLDER="$work/third-party-thing" -DUSER_EIGEN="$eigen"
cmake --build "$work/build" -j "${JOBS:-2}"
run_programs "$work/build"
