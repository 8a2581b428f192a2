#!/usr/bin/env bash
# <gradus/gradus.h> costs its users at most 60,000 preprocessed lines and shows them nothing of Eigen.
set -euo pipefail
limit=60000
include=${BUILD:?}/include
[ -e "$include/gradus/gradus.h" ] || { echo "gradus.h is missing"; exit 1; }

text=$(mktemp)
trap 'rm -f "$text"' EXIT
echo '#include <gradus/gradus.h>' | "${CXX:-g++}" -std=c++20 -I"$include" -E -P -x c++ - >"$text"
lines=$(wc -l <"$text")
echo "$lines preprocessed lines, $limit allowed"
bad=0
[ "$lines" -le "$limit" ] || bad=1
if grep -n -m5 Eigen "$text"; then echo "Eigen is visible through the umbrella header"; bad=1; fi
exit $bad
