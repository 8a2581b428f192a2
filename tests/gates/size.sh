#!/usr/bin/env bash
# The static library is at most 5 MB once stripped.
set -euo pipefail
limit=5000000
copy=$(mktemp)
trap 'rm -f "$copy"' EXIT
strip --strip-unneeded -o "$copy" "$1"
bytes=$(stat -c %s "$copy")
echo "$bytes bytes, $limit allowed"
[ "$bytes" -le "$limit" ]
