#!/usr/bin/env bash
# An outside project builds gradus from a folder of another name, in Debug, so that this configuration is built as well.
. "$(dirname "$0")/common.sh"

mkdir "$work/third-party-thing"
cd "${SOURCE:?}"
git rev-parse --git-dir >/dev/null 2>&1 || { echo "SKIP: not a git checkout"; exit 77; }
git ls-files --cached --others --exclude-standard >"$work/files"
while IFS= read -r file; do
  if [ -e "$file" ]; then printf '%s\n' "$file"; fi  # deleted, but not committed so
done <"$work/files" | tar -cf - -T - | tar -xf - -C "$work/third-party-thing"
# shellcheck disable=SC2086
cmake -G Ninja -S "$here" -B "$work/build" -DCMAKE_BUILD_TYPE=Debug $launcher -DGRADUS_FOLDER="$work/third-party-thing" -DUSER_EIGEN="$eigen"
cmake --build "$work/build" -j "${JOBS:-2}"
run_programs "$work/build"
